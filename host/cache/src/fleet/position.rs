//! Where a node is in a partition of the bus, and whether it has missed anything: no I/O, no clock.
//!
//! Messages of a partition are numbered without gaps and each names the nonce of the one before it: a chain. A stream
//! that was trimmed shows as a gap; a Redis that came back empty as another epoch; a replica that took over without the
//! last messages as a lower number, or, if it has counted on since, as another nonce under a number already seen.

/// What the server says of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// A random name, chosen when the partition is made.
    pub(super) epoch: String,
    /// The number of the newest message; 0 where there is none.
    pub(super) sequence: u64,
    /// The nonce of the newest message; empty where there is none.
    pub(super) nonce: String,
}

/// A message as it stands in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) sequence: u64,
    pub(super) nonce: String,
    /// The nonce of the message before it.
    pub(super) previous: String,
    /// The run of a node that sent the message.
    pub(super) origin: String,
    /// The sequence of the purge that was recorded with the message; `None` where none was.
    pub(super) raised: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// Why messages may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lost {
    /// Messages were trimmed away before this node had read them.
    Gap,
    /// The server came back without its data, or is another one.
    Epoch,
    /// The server has gone back: a replica took over that had not got everything.
    Regressed,
    /// Nothing was heard for longer than allowed.
    Silence,
    /// A message can't be read.
    Unreadable,
}

impl Lost {
    /// The stable word for the reason in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Epoch => "epoch",
            Self::Regressed => "regressed",
            Self::Silence => "silence",
            Self::Unreadable => "unreadable",
        }
    }
}

/// How a message follows on what a node has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Seen before.
    Old,
    /// The next one.
    Next,
    /// Something is missing before it.
    Lost(Lost),
}

/// Up to where a node has heard everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    state: Option<State>,
}

impl Position {
    /// The number of the newest message heard.
    pub(super) fn sequence(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.sequence)
    }

    /// The epoch and the nonce of the newest message heard; empty before the first look.
    pub(super) fn chain(&self) -> (String, String) {
        self.state.as_ref().map_or_else(Default::default, |state| (state.epoch.clone(), state.nonce.clone()))
    }

    /// Whether this node has heard anything yet.
    pub(super) const fn is_known(&self) -> bool {
        self.state.is_some()
    }

    /// Takes a message of the stream. Before the first look all messages are old: the entries in L1 are younger than
    /// them.
    pub(super) fn take(&mut self, message: &Message) -> Step {
        let Some(state) = &mut self.state else { return Step::Old };
        if message.sequence < state.sequence {
            return Step::Old;
        }
        if message.sequence == state.sequence {
            return if message.nonce == state.nonce { Step::Old } else { Step::Lost(Lost::Regressed) };
        }
        if message.sequence > state.sequence + 1 {
            return Step::Lost(Lost::Gap);
        }
        if message.previous != state.nonce {
            return Step::Lost(Lost::Regressed);
        }
        state.sequence = message.sequence;
        state.nonce.clone_from(&message.nonce);
        Step::Next
    }

    /// Whether the server is still the one that was heard before.
    pub(super) fn is_of(&self, server: &State) -> bool {
        self.state.as_ref().is_some_and(|state| state.epoch == server.epoch)
    }

    /// Compares with the server's state, after every message that the state counts was taken. `floor` is the number up
    /// to which messages had been heard when the server was asked: more may have come by the blocking read since.
    pub(super) fn compare(&self, server: &State, floor: u64) -> Option<Lost> {
        let state = self.state.as_ref()?;
        if !self.is_of(server) {
            Some(Lost::Epoch)
        } else if server.sequence < floor {
            Some(Lost::Regressed)
        } else if server.sequence > state.sequence {
            Some(Lost::Gap)
        } else if server.sequence == state.sequence && server.nonce != state.nonce {
            Some(Lost::Regressed)
        } else {
            None
        }
    }

    /// Goes on from the server's state: no message before it matters any more.
    pub(super) fn adopt(&mut self, server: State) {
        self.state = Some(server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(sequence: u64, nonce: &str) -> State {
        State { epoch: "e1".into(), sequence, nonce: nonce.into() }
    }

    fn message(sequence: u64, nonce: &str, previous: &str) -> Message {
        let (nonce, previous) = (nonce.into(), previous.into());
        Message { sequence, nonce, previous, origin: "n".into(), raised: None, body: vec![] }
    }

    fn at(sequence: u64, nonce: &str) -> Position {
        let mut position = Position::default();
        position.adopt(state(sequence, nonce));
        position
    }

    #[test]
    fn messages_in_order_are_taken_once() {
        let mut position = at(0, "");
        assert_eq!(position.take(&message(1, "a", "")), Step::Next);
        assert_eq!(position.take(&message(2, "b", "a")), Step::Next);
        assert_eq!(position.take(&message(1, "a", "")), Step::Old);
        assert_eq!(position.take(&message(2, "b", "a")), Step::Old);
        assert_eq!(position.compare(&state(2, "b"), 2), None);
    }

    #[test]
    fn trimmed_messages_are_a_gap() {
        let mut position = at(5, "e");
        assert_eq!(position.take(&message(7, "g", "f")), Step::Lost(Lost::Gap));
        // All of them are gone: the stream alone shows nothing, the count does.
        assert_eq!(position.compare(&state(9, "i"), 5), Some(Lost::Gap));
    }

    #[test]
    fn server_that_came_back_empty_has_another_epoch() {
        let position = at(5, "e");
        let empty = State { epoch: "e2".into(), sequence: 0, nonce: String::new() };
        assert_eq!(position.compare(&empty, 5), Some(Lost::Epoch));
        let counted_on = State { epoch: "e2".into(), sequence: 5, nonce: "x".into() };
        assert_eq!(position.compare(&counted_on, 5), Some(Lost::Epoch));
    }

    #[test]
    fn replica_that_took_over_too_early_is_found_out_however_far_it_has_counted() {
        assert_eq!(at(5, "e").compare(&state(4, "d"), 5), Some(Lost::Regressed));
        assert_eq!(at(5, "e").compare(&state(5, "other"), 5), Some(Lost::Regressed));
        assert_eq!(at(5, "e").take(&message(5, "other", "d")), Step::Lost(Lost::Regressed));
        assert_eq!(at(5, "e").take(&message(6, "f", "other")), Step::Lost(Lost::Regressed));
    }

    #[test]
    fn message_that_came_between_question_and_answer_is_no_step_back() {
        let mut position = at(5, "e");
        assert_eq!(position.take(&message(6, "f", "e")), Step::Next);
        assert_eq!(position.compare(&state(5, "e"), 5), None);
        assert_eq!(position.compare(&state(5, "e"), 6), Some(Lost::Regressed), "had it been heard before");
    }

    #[test]
    fn node_that_joins_misses_nothing_that_was_before() {
        let mut position = Position::default();
        assert_eq!(position.take(&message(7, "g", "f")), Step::Old);
        assert_eq!(position.compare(&state(9, "i"), 0), None);
        position.adopt(state(9, "i"));
        assert_eq!(position.take(&message(10, "j", "i")), Step::Next);
    }
}
