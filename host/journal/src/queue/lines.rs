//! The order of writes: a line per key, of which the first alone may be under way, and the firsts of all lines by when
//! they are due.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use sandbar_base::{KeyHash, Timestamp};

/// All lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    by_key: HashMap<KeyHash, Line>,
    /// Per tenant the firsts of its lines, but for those that are under way.
    due: HashMap<Arc<str>, BTreeSet<(Timestamp, u64)>>,
}

/// The writes to one key that are not done.
#[derive(Debug)]
struct Line {
    tenant: Arc<str>,
    /// Their numbers in order, and when each is due.
    writes: VecDeque<(u64, Timestamp)>,
    under_way: Option<u64>,
}

impl Lines {
    /// Puts a write into its key's line, where its number belongs, but never before one that is under way.
    pub(super) fn insert(&mut self, tenant: &Arc<str>, key: KeyHash, seq: u64, due: Timestamp) {
        let fresh = || Line { tenant: Arc::clone(tenant), writes: VecDeque::with_capacity(1), under_way: None };
        self.by_key.entry(key).or_insert_with(fresh);
        self.change(key, |line| {
            let first_free = usize::from(line.under_way.is_some());
            let place = line.writes.iter().rposition(|(other, _)| *other < seq).map_or(0, |before| before + 1);
            line.writes.insert(place.max(first_free), (seq, due));
        });
    }

    /// Takes a write out of its line; says when it was due.
    pub(super) fn remove(&mut self, key: KeyHash, seq: u64) -> Option<Timestamp> {
        self.change(key, |line| {
            line.under_way = line.under_way.filter(|under_way| *under_way != seq);
            let place = line.writes.iter().position(|(other, _)| *other == seq)?;
            line.writes.remove(place).map(|(_, due)| due)
        })?
    }

    /// Notes that the first of a line is under way.
    pub(super) fn send(&mut self, key: KeyHash) {
        self.change(key, |line| line.under_way = line.writes.front().map(|(seq, _)| *seq));
    }

    /// Notes that a write is no longer under way, and is due at another time.
    pub(super) fn put_back(&mut self, key: KeyHash, seq: u64, due: Timestamp) {
        self.change(key, |line| {
            line.under_way = line.under_way.filter(|under_way| *under_way != seq);
            if let Some(write) = line.writes.iter_mut().find(|(other, _)| *other == seq) {
                write.1 = due;
            }
        });
    }

    /// The latest write to a key.
    pub(super) fn last(&self, key: KeyHash) -> Option<u64> {
        self.by_key.get(&key)?.writes.back().map(|(seq, _)| *seq)
    }

    /// The writes to a key, in order.
    pub(super) fn of(&self, key: KeyHash) -> impl Iterator<Item = u64> {
        self.by_key.get(&key).into_iter().flat_map(|line| line.writes.iter().map(|(seq, _)| *seq))
    }

    /// The writes of a tenant that nothing stands before, by when they are due.
    pub(super) fn firsts(&self, tenant: &str) -> impl Iterator<Item = (Timestamp, u64)> {
        self.due.get(tenant).into_iter().flatten().copied()
    }

    /// Changes a line, with the set of firsts kept in step. A line that is empty then is gone.
    fn change<T>(&mut self, key: KeyHash, change: impl FnOnce(&mut Line) -> T) -> Option<T> {
        let line = self.by_key.get_mut(&key)?;
        let before = line.first();
        let changed = change(line);
        let after = line.first();
        if before != after {
            let due = self.due.entry(Arc::clone(&line.tenant)).or_default();
            before.map(|first| due.remove(&first));
            after.map(|first| due.insert(first));
            if due.is_empty() {
                self.due.remove(&line.tenant);
            }
        }
        if line.writes.is_empty() {
            self.by_key.remove(&key);
        }
        Some(changed)
    }
}

impl Line {
    /// What may be sent, as it stands in the set of firsts.
    fn first(&self) -> Option<(Timestamp, u64)> {
        match self.under_way {
            Some(_) => None,
            None => self.writes.front().map(|(seq, due)| (*due, *seq)),
        }
    }
}
