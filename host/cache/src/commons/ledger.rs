//! Who has how much of the common rest of L1: numbers alone, nothing is resized here.
//!
//! What a tenant has is a power of two times [`STEP_BYTES`]. One that needs more is given twice as much, or what its entry needs,
//! of what is free; else of what the largest has, by halves, as long as that keeps more than half of what the one that grows
//! comes to. So no tenant that wants to store has less than half of what any other one has beyond it. Where each has one step, and
//! nothing is free, the step of the one that has wanted nothing for longest goes to one that has nothing.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::CommonsStats;

/// The least that a tenant is given, in bytes.
pub(super) const STEP_BYTES: u64 = 64 << 10;

/// Who has how much. `M` is what is to be resized.
pub(super) struct Ledger<M> {
    total_bytes: u64,
    given_bytes: u64,
    members: HashMap<Arc<str>, Member<M>>,
    /// Those that have something: how much, and since when they wanted nothing more; the last one gives first.
    by_size: BTreeSet<(u64, Reverse<u64>, Arc<str>)>,
    turn: u64,
}

struct Member<M> {
    memory: M,
    bytes: u64,
    /// When it wanted something last, in turns.
    turn: u64,
}

/// An L1 that may hold so many bytes from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resize<M> {
    pub(super) memory: M,
    pub(super) bytes: u64,
}

impl<M> Default for Ledger<M> {
    fn default() -> Self {
        let (members, by_size) = (HashMap::new(), BTreeSet::new());
        Self { total_bytes: 0, given_bytes: 0, members, by_size, turn: 0 }
    }
}

impl<M: Clone> Ledger<M> {
    /// A tenant comes, with nothing.
    pub(super) fn join(&mut self, name: &Arc<str>, memory: M) {
        self.leave(name);
        self.members.insert(Arc::clone(name), Member { memory, bytes: 0, turn: 0 });
    }

    /// A tenant goes; what it had is free.
    pub(super) fn leave(&mut self, name: &str) -> Option<M> {
        self.set(name, 0);
        self.members.remove(name).map(|member| member.memory)
    }

    pub(super) fn memory(&self, name: &str) -> Option<&M> {
        self.members.get(name).map(|member| &member.memory)
    }

    /// What a tenant has, in bytes.
    pub(super) fn bytes(&self, name: &str) -> u64 {
        self.members.get(name).map_or(0, |member| member.bytes)
    }

    /// Whether a tenant may be given what it needs, of what is free or of what another one has.
    pub(super) fn can_grow(&mut self, name: &str, needed_bytes: u64) -> bool {
        self.wants(name);
        let Some((have, want)) = self.growth(name, needed_bytes) else { return false };
        self.free_bytes() >= want - have || self.giver(name, have, want).is_some()
    }

    /// Whether a tenant can be given what it needs of what is free.
    pub(super) fn has_free(&self, name: &str, needed_bytes: u64) -> bool {
        self.growth(name, needed_bytes).is_some_and(|(have, want)| self.free_bytes() >= want - have)
    }

    /// Gives a tenant what it needs, if it can be had: what is to be resized then, in this order.
    pub(super) fn grow(&mut self, name: &str, needed_bytes: u64) -> Vec<Resize<M>> {
        let mut resizes = Vec::new();
        let Some((have, want)) = self.growth(name, needed_bytes) else { return resizes };
        while self.free_bytes() < want - have {
            let Some(other) = self.giver(name, have, want) else { return resizes };
            resizes.extend(self.halve(&other));
        }
        resizes.extend(self.set(name, want));
        resizes
    }

    /// Sets how much there is: what is to be resized then.
    pub(super) fn set_total(&mut self, bytes: u64) -> Vec<Resize<M>> {
        self.total_bytes = bytes;
        let mut resizes = Vec::new();
        while self.given_bytes > self.total_bytes
            && let Some(other) = self.by_size.last().map(|(_, _, name)| Arc::clone(name))
        {
            resizes.extend(self.halve(&other));
        }
        resizes
    }

    pub(super) fn stats(&self) -> CommonsStats {
        let (total_bytes, given_bytes) = (self.total_bytes, self.given_bytes);
        CommonsStats { total_bytes, given_bytes, tenants: self.members.len(), holders: self.by_size.len() }
    }

    const fn free_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.given_bytes)
    }

    /// What a tenant has, and what it would have if it grew to hold so much; none where it has that, or there is not so much.
    fn growth(&self, name: &str, needed_bytes: u64) -> Option<(u64, u64)> {
        let have = self.members.get(name)?.bytes;
        let want = needed_bytes.max(STEP_BYTES).checked_next_power_of_two()?;
        (want > have && want <= self.total_bytes).then_some((have, want))
    }

    /// Who has to give something to one that has `have` and wants `want`.
    fn giver(&self, name: &str, have: u64, want: u64) -> Option<Arc<str>> {
        let (bytes, _, other) = self.by_size.last()?;
        let is_last_step = have == 0 && want == STEP_BYTES && *bytes == STEP_BYTES;
        (**other != *name && (*bytes > want || is_last_step)).then(|| Arc::clone(other))
    }

    fn halve(&mut self, name: &str) -> Option<Resize<M>> {
        let half = self.bytes(name) / 2;
        self.set(name, if half < STEP_BYTES { 0 } else { half })
    }

    fn set(&mut self, name: &str, bytes: u64) -> Option<Resize<M>> {
        let (key, member) = (self.members.get_key_value(name)?.0.clone(), self.members.get_mut(name)?);
        self.by_size.remove(&(member.bytes, Reverse(member.turn), Arc::clone(&key)));
        self.given_bytes = self.given_bytes - member.bytes + bytes;
        member.bytes = bytes;
        if bytes > 0 {
            self.by_size.insert((bytes, Reverse(member.turn), key));
        }
        Some(Resize { memory: member.memory.clone(), bytes })
    }

    /// Notes that a tenant wants to store something.
    fn wants(&mut self, name: &str) {
        self.turn += 1;
        let turn = self.turn;
        let Some((key, _)) = self.members.get_key_value(name) else { return };
        let key = Arc::clone(key);
        let Some(member) = self.members.get_mut(name) else { return };
        let is_holder = self.by_size.remove(&(member.bytes, Reverse(member.turn), Arc::clone(&key)));
        member.turn = turn;
        if is_holder {
            self.by_size.insert((member.bytes, Reverse(turn), key));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1 << 10;

    fn ledger(total_kib: u64, names: &[&'static str]) -> Ledger<&'static str> {
        let mut ledger = Ledger::default();
        ledger.set_total(total_kib * KIB);
        for name in names {
            ledger.join(&Arc::from(*name), *name);
        }
        ledger
    }

    /// Asks for so many KiB; what was resized, in KiB.
    fn grow(ledger: &mut Ledger<&'static str>, name: &str, kib: u64) -> Vec<(&'static str, u64)> {
        if !ledger.can_grow(name, kib * KIB) {
            return Vec::new();
        }
        ledger.grow(name, kib * KIB).into_iter().map(|resize| (resize.memory, resize.bytes / KIB)).collect()
    }

    #[test]
    fn what_is_free_goes_to_who_wants_it() {
        let mut ledger = ledger(1024, &["a", "b"]);
        assert_eq!(grow(&mut ledger, "a", 1), [("a", 64)]);
        assert_eq!(grow(&mut ledger, "a", 65), [("a", 128)]);
        assert_eq!(grow(&mut ledger, "a", 500), [("a", 512)]);
        assert_eq!(grow(&mut ledger, "a", 400), [], "it has that");
        assert_eq!(grow(&mut ledger, "a", 513), [("a", 1024)]);
        assert_eq!(grow(&mut ledger, "a", 1025), [], "there is not so much");
        assert_eq!(grow(&mut ledger, "nobody", 1), []);
    }

    #[test]
    fn the_largest_gives_by_halves_and_not_more_than_to_be_equal() {
        let mut ledger = ledger(1024, &["a", "b", "c"]);
        grow(&mut ledger, "a", 1024);
        assert_eq!(grow(&mut ledger, "b", 64), [("a", 512), ("b", 64)]);
        assert_eq!(grow(&mut ledger, "b", 128), [("b", 128)]);
        assert_eq!(grow(&mut ledger, "b", 300), [("b", 512)]);
        assert_eq!(grow(&mut ledger, "b", 600), [], "no more than the other");
        assert_eq!(grow(&mut ledger, "c", 200), [("a", 256), ("c", 256)]);
        assert_eq!(grow(&mut ledger, "a", 300), [], "the largest would have to keep more than that");
    }

    #[test]
    fn the_last_step_is_that_of_who_has_wanted_nothing_for_longest() {
        let mut ledger = ledger(128, &["a", "b", "c"]);
        grow(&mut ledger, "a", 1);
        grow(&mut ledger, "b", 1);
        assert_eq!(grow(&mut ledger, "a", 65), [], "it has a step already, and the others have no more");
        assert_eq!(grow(&mut ledger, "c", 1), [("b", 0), ("c", 64)]);
        assert_eq!(
            ledger.stats(),
            CommonsStats { total_bytes: 128 << 10, given_bytes: 128 << 10, tenants: 3, holders: 2 }
        );
    }

    #[test]
    fn who_goes_leaves_what_it_had() {
        let mut ledger = ledger(128, &["a", "b"]);
        grow(&mut ledger, "a", 128);
        assert_eq!(ledger.leave("a"), Some("a"));
        assert_eq!(grow(&mut ledger, "b", 128), [("b", 128)]);
        assert_eq!(grow(&mut ledger, "a", 1), [], "it is no member any more");
    }

    #[test]
    fn a_smaller_rest_is_taken_from_the_largest() {
        let mut ledger = ledger(1024, &["a", "b"]);
        grow(&mut ledger, "a", 512);
        grow(&mut ledger, "b", 64);
        let taken: Vec<_> =
            ledger.set_total(200 * KIB).into_iter().map(|resize| (resize.memory, resize.bytes / KIB)).collect();
        assert_eq!(taken, [("a", 256), ("a", 128)]);
        ledger.set_total(0);
        assert_eq!((ledger.stats().given_bytes, ledger.stats().holders), (0, 0));
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_there_is(
            steps in prop::collection::vec((0..6_usize, 0..2_000_u64, 0..20_u8), 0..300),
        ) {
            let names = ["a", "b", "c", "d", "e", "f"];
            let mut ledger = ledger(1024, &names);
            for (who, kib, what) in steps {
                let name = names[who];
                match what {
                    0 => drop(ledger.set_total(kib * KIB)),
                    1 => drop(ledger.leave(name)),
                    2 => ledger.join(&Arc::from(name), name),
                    _ => drop(grow(&mut ledger, name, kib)),
                }
                let given: u64 = names.iter().map(|name| ledger.bytes(name)).sum();
                prop_assert_eq!(given, ledger.stats().given_bytes);
                prop_assert!(given <= ledger.total_bytes);
                let holders = names.iter().filter(|name| ledger.bytes(name) > 0).count();
                prop_assert_eq!(holders, ledger.stats().holders);
            }
        }

        #[test]
        fn whoever_wants_to_store_has_half_of_what_each_other_has(wants in prop::collection::vec(0..5_usize, 200..400)) {
            let names = ["a", "b", "c", "d", "e"];
            let mut ledger = ledger(4096, &names);
            // One that was there first has it all.
            grow(&mut ledger, "a", 4096);
            for who in wants {
                let name = names[who];
                loop {
                    let more = ledger.bytes(name) / KIB + 1;
                    if grow(&mut ledger, name, more).is_empty() {
                        break;
                    }
                }
                let (has, largest) = (ledger.bytes(name), names.iter().map(|name| ledger.bytes(name)).max().unwrap());
                prop_assert!(has * 2 >= largest, "{name} has {has}, another one {largest}");
            }
        }
    }
}
