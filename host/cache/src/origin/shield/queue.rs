//! The requests that wait for a place at the origin, and whose turn is next: the client that holds the fewest places,
//! and among equals the request that came first.
//!
//! There is one line per connection that waits. Finding the next turn costs a look at each line, and so does a place
//! that changes hands: about a nanosecond per line, and there are no more lines than requests that may wait.

use std::collections::VecDeque;

use sandbar_http::client::ShareKey;

use crate::holdings::{Holder, Holdings, Part};

/// A request that waits, and the means to call it.
#[derive(Debug)]
pub(super) struct Ticket<C> {
    pub(super) number: u64,
    pub(super) client: Option<ShareKey>,
    pub(super) called: C,
}

#[derive(Debug)]
pub(super) struct Queue<C> {
    lines: Vec<Line<C>>,
    waiting: Holdings,
    len: usize,
}

/// The requests of one connection, the first to come in front; never empty.
#[derive(Debug)]
struct Line<C> {
    client: Option<ShareKey>,
    holder: Holder,
    /// The places that its client holds.
    held: Part,
    /// The requests that its client has waiting.
    waits: Part,
    tickets: VecDeque<Ticket<C>>,
}

impl<C> Default for Queue<C> {
    fn default() -> Self {
        Self { lines: Vec::new(), waiting: Holdings::default(), len: 0 }
    }
}

impl<C> Queue<C> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a request, whose client holds `held` places.
    pub(super) fn push(&mut self, ticket: Ticket<C>, held: Part) {
        let client = ticket.client;
        match self.lines.iter_mut().find(|line| line.client == client) {
            Some(line) => line.tickets.push_back(ticket),
            None => {
                let (holder, waits) = (Holder::of(client), Part::default());
                self.lines.push(Line { client, holder, held, waits, tickets: VecDeque::from([ticket]) });
            }
        }
        self.waiting.take(client, 1);
        self.len += 1;
        self.recount(client);
    }

    /// The client whose turn is next, and what it holds.
    pub(super) fn next(&self) -> Option<(Option<ShareKey>, Part)> {
        self.next_line().map(|line| (self.lines[line].client, self.lines[line].held))
    }

    /// Takes out the request whose turn is next.
    pub(super) fn pop(&mut self) -> Option<Ticket<C>> {
        let line = self.next_line()?;
        self.take_from(line, 0)
    }

    /// Takes out the request that has to yield where too many wait: the newest of the client that has most of them.
    pub(super) fn pop_last(&mut self) -> Option<Ticket<C>> {
        let newest = |line: &Line<C>| line.tickets.back().map(|ticket| ticket.number);
        let line = (0..self.lines.len()).max_by_key(|line| (self.lines[*line].waits, newest(&self.lines[*line])))?;
        self.take_from(line, self.lines[line].tickets.len() - 1)
    }

    /// Takes out a request that does not wait any more.
    pub(super) fn remove(&mut self, client: Option<ShareKey>, number: u64) {
        let Some(line) = self.lines.iter().position(|line| line.client == client) else { return };
        let place = self.lines[line].tickets.binary_search_by_key(&number, |ticket| ticket.number);
        if let Ok(place) = place {
            self.take_from(line, place);
        }
    }

    /// Notes what the client holds from now on. The part that counts by address holds for the address's other
    /// connections too.
    pub(super) fn holds(&mut self, client: Option<ShareKey>, held: Part) {
        let holder = Holder::of(client);
        for line in self.lines.iter_mut().filter(|line| line.holder == holder) {
            line.held.address = held.address;
            if line.client == client {
                line.held = held;
            }
        }
    }

    fn next_line(&self) -> Option<usize> {
        let oldest = |line: &Line<C>| line.tickets.front().map(|ticket| ticket.number);
        (0..self.lines.len()).min_by_key(|line| (self.lines[*line].held, oldest(&self.lines[*line])))
    }

    fn take_from(&mut self, line: usize, place: usize) -> Option<Ticket<C>> {
        let ticket = self.lines[line].tickets.remove(place)?;
        self.waiting.give_back(ticket.client, 1);
        self.len -= 1;
        if self.lines[line].tickets.is_empty() {
            self.lines.swap_remove(line);
        }
        self.recount(ticket.client);
        Some(ticket)
    }

    fn recount(&mut self, client: Option<ShareKey>) {
        let (holder, waits) = (Holder::of(client), self.waiting.of(client));
        for line in self.lines.iter_mut().filter(|line| line.holder == holder) {
            line.waits.address = waits.address;
            if line.client == client {
                line.waits = waits;
            }
        }
    }
}
