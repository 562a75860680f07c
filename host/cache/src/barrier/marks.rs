//! The barriers a node has heard of, for one tenant.

mod hiding;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use sandbar_http::entry::{Entry, StoredResponse};
use sandbar_http::key::{Target, TargetPrefix};

use super::{Barrier, PurgeMode, Scope};

/// What the barriers say of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No barrier hides the entry.
    Visible,
    /// The entry was purged softly: it is stale.
    Stale,
    /// The entry was purged hard: it must not be served.
    Gone,
}

/// How often purges may have been missed, so that entries in memory can't be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Times that this was so for all entries.
    pub all: u64,
    /// Times that it was so only for entries that promise more than the node's own purges.
    pub strict: u64,
}

/// The highest barriers of one scope.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    hard: u64,
    soft: u64,
}

#[derive(Debug, Default)]
struct Marks {
    everything: Mark,
    targets: HashMap<Target, Mark>,
    surrogate_keys: HashMap<Box<str>, Mark>,
    prefixes: HashMap<TargetPrefix, Mark>,
    /// Bytes of the scopes, which come from clients where they are targets of writes.
    bytes: usize,
}

/// The barriers of one tenant, bounded: past [`Barriers::SCOPES_MAX`] scopes the whole tenant's barrier rises instead,
/// which purges too much rather than too little.
#[derive(Debug, Default)]
pub struct Barriers {
    current: AtomicU64,
    /// Rises with every change. Barriers may be heard out of order, so the highest sequence alone does not say whether
    /// there is one more.
    revision: AtomicU64,
    losses: [AtomicU64; 2],
    overflows: AtomicU64,
    marks: RwLock<Marks>,
}

impl Barriers {
    /// Scopes that are remembered one by one.
    pub const SCOPES_MAX: usize = 16_384;
    /// Bytes of their texts together.
    pub const SCOPES_BYTES_MAX: usize = 8 << 20;
    /// Prefixes among them: each is compared with an entry's target in turn.
    pub const PREFIXES_MAX: usize = 256;

    /// The highest sequence heard of, which a fill notes before it asks the origin.
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Rises whenever a barrier is learned or purges may have been missed: an entry of L1 that was judged at this
    /// revision need not be judged again.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// How often purges may have been missed: what was begun before the last time can't be trusted.
    pub fn losses(&self) -> Losses {
        let [all, strict] = &self.losses;
        Losses { all: all.load(Ordering::Acquire), strict: strict.load(Ordering::Acquire) }
    }

    /// Notes that purges may have been missed, so that entries in memory and fills under way can't be trusted: `all` of
    /// them, or those that promise more than this node's own purges.
    pub fn distrust(&self, all: bool) {
        self.losses[usize::from(!all)].fetch_add(1, Ordering::AcqRel);
        self.revision.fetch_add(1, Ordering::AcqRel);
    }

    /// How often the tenant's barrier had to rise because there were too many scopes.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// Takes the next sequence and records a purge under it, for this node alone. Returns beside the barrier the highest
    /// sequence that its scope was purged under before; 0 where it was not, as far as is known.
    pub fn raise_here(&self, purge: &super::Purge, at: sandbar_base::clock::Timestamp) -> (Barrier, u64) {
        let mut marks = self.marks.write();
        let before = marks.of_scope(&purge.scope).map_or(0, Mark::highest);
        let sequence = self.current() + 1;
        let barrier = Barrier { purge: purge.clone(), sequence, raised: at };
        self.record(&mut marks, &barrier);
        (barrier, before)
    }

    /// Whether a purge of a response, or of what it belongs to, was raised above `since` under a sequence that is not
    /// `ours`.
    pub(crate) fn raised_by_others(&self, response: &StoredResponse, since: u64, ours: &[u64]) -> bool {
        let is_others = |height: u64| height > since && !ours.contains(&height);
        let (marks, mut found) = (self.marks.read(), false);
        let mut see = |mark: &Mark| found |= is_others(mark.hard) || is_others(mark.soft);
        marks.each_of_key(&response.key, &mut see);
        marks.each_of_surrogate_keys(response, &mut see);
        found
    }

    /// Takes over a barrier that was recorded elsewhere.
    pub fn learn(&self, barrier: &Barrier) {
        self.record(&mut self.marks.write(), barrier);
    }

    /// Whether an entry is visible.
    pub fn judge(&self, entry: &Entry) -> Verdict {
        let sequence = entry.sequence();
        if sequence >= self.current() {
            return Verdict::Visible;
        }
        let marks = self.marks.read();
        match entry {
            Entry::Response(response) => marks.judge(response),
            Entry::Variants(variants) => marks.judge_key(&variants.key, sequence),
        }
    }

    /// Whether a response is visible.
    pub fn judge_response(&self, response: &StoredResponse) -> Verdict {
        if response.sequence >= self.current() { Verdict::Visible } else { self.marks.read().judge(response) }
    }

    /// Whether the response to a fill of this key is known to be behind a barrier, if the fill began at `sequence`. Its
    /// surrogate keys are left out, because they are not known before the response comes.
    pub fn hides(&self, key_text: &str, sequence: u64) -> bool {
        sequence < self.current() && self.marks.read().judge_key(key_text, sequence) != Verdict::Visible
    }

    /// The highest hard barrier over a response: versions that were fetched below it do not count any more.
    pub fn height(&self, response: &StoredResponse) -> u64 {
        self.marks.read().height(response)
    }

    /// The highest hard barrier over a key, whatever surrogate keys its responses have.
    pub fn height_of_key(&self, key_text: &str) -> u64 {
        self.marks.read().height_of_key(key_text)
    }

    fn record(&self, marks: &mut Marks, barrier: &Barrier) {
        if marks.of_scope(&barrier.purge.scope).is_none() {
            marks.bytes += barrier.purge.scope.bytes();
        }
        let mark = match &barrier.purge.scope {
            Scope::Everything => &mut marks.everything,
            Scope::Target(target) if marks.has_room() => marks.targets.entry(target.clone()).or_default(),
            Scope::SurrogateKey(key) if marks.has_room() => {
                marks.surrogate_keys.entry(key.as_str().into()).or_default()
            }
            Scope::Prefix(prefix) if marks.has_room() && marks.prefixes.len() < Self::PREFIXES_MAX => {
                marks.prefixes.entry(prefix.clone()).or_default()
            }
            _ => {
                self.overflows.fetch_add(1, Ordering::Relaxed);
                *marks = Marks { everything: marks.everything, ..Marks::default() };
                marks.everything.hard = marks.everything.hard.max(self.current());
                &mut marks.everything
            }
        };
        let height = match barrier.purge.mode {
            PurgeMode::Hard => &mut mark.hard,
            PurgeMode::Soft => &mut mark.soft,
        };
        if *height < barrier.sequence {
            *height = barrier.sequence;
            self.current.fetch_max(barrier.sequence, Ordering::AcqRel);
            self.revision.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Marks {
    fn has_room(&self) -> bool {
        self.targets.len() + self.surrogate_keys.len() < Barriers::SCOPES_MAX
            && self.bytes <= Barriers::SCOPES_BYTES_MAX
    }

    fn of_scope(&self, scope: &Scope) -> Option<&Mark> {
        match scope {
            Scope::Everything => Some(&self.everything),
            Scope::Target(target) => self.targets.get(target),
            Scope::SurrogateKey(key) => self.surrogate_keys.get(key.as_str()),
            Scope::Prefix(prefix) => self.prefixes.get(prefix),
        }
    }

    fn judge(&self, response: &StoredResponse) -> Verdict {
        let mut verdict = self.judge_key(&response.key, response.sequence);
        self.each_of_surrogate_keys(response, |mark| verdict = verdict.max(mark.judge(response.sequence)));
        verdict
    }

    fn height(&self, response: &StoredResponse) -> u64 {
        let mut height = self.height_of_key(&response.key);
        self.each_of_surrogate_keys(response, |mark| height = height.max(mark.hard));
        height
    }

    fn height_of_key(&self, key_text: &str) -> u64 {
        let mut height = 0;
        self.each_of_key(key_text, |mark| height = height.max(mark.hard));
        height
    }

    fn each_of_surrogate_keys(&self, response: &StoredResponse, see: impl FnMut(&Mark)) {
        response.plan.surrogate_keys.iter().filter_map(|key| self.surrogate_keys.get(key.as_str())).for_each(see);
    }

    fn judge_key(&self, key_text: &str, sequence: u64) -> Verdict {
        let mut verdict = Verdict::Visible;
        self.each_of_key(key_text, |mark| verdict = verdict.max(mark.judge(sequence)));
        verdict
    }

    fn each_of_key(&self, key_text: &str, mut see: impl FnMut(&Mark)) {
        see(&self.everything);
        if self.targets.is_empty() && self.prefixes.is_empty() {
            return;
        }
        let target = target_of(key_text);
        if let Some(mark) = self.targets.get(&target) {
            see(mark);
        }
        self.prefixes.iter().filter(|(prefix, _)| prefix.covers(&target)).for_each(|(_, mark)| see(mark));
    }
}

impl Mark {
    fn highest(&self) -> u64 {
        self.hard.max(self.soft)
    }

    const fn judge(&self, sequence: u64) -> Verdict {
        if sequence < self.hard {
            Verdict::Gone
        } else if sequence < self.soft {
            Verdict::Stale
        } else {
            Verdict::Visible
        }
    }
}

/// The target that a key's text is about: its second and third line.
pub(super) fn target_of(key_text: &str) -> Target {
    let mut parts = key_text.splitn(4, '\n').skip(1);
    Target::of_key(parts.next().unwrap_or(""), parts.next().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use sandbar_base::clock::Timestamp;
    use sandbar_http::key::KeyRules;

    use super::*;
    use crate::barrier::Purge;

    fn barrier(scope: Scope, sequence: u64) -> Barrier {
        Barrier { purge: Purge { scope, mode: PurgeMode::Hard }, sequence, raised: Timestamp::from_millis(0) }
    }

    fn target(target: &str) -> Scope {
        Scope::Target(Target::on_site(&KeyRules::default(), "http://h", target).expect("a target"))
    }

    fn prefix(prefix: &str) -> Scope {
        Scope::Prefix(TargetPrefix::new(None, prefix).expect("a prefix"))
    }

    #[test]
    fn barrier_that_is_heard_late_moves_the_revision_though_not_the_number() {
        let barriers = Barriers::default();
        barriers.learn(&barrier(target("/b"), 6));
        let (current, revision) = (barriers.current(), barriers.revision());
        barriers.learn(&barrier(target("/a"), 5));
        assert_eq!(barriers.current(), current);
        assert_ne!(barriers.revision(), revision);
        assert!(barriers.hides("t\nhttp://h\n/a", 4) && !barriers.hides("t\nhttp://h\n/a", 5));
        let revision = barriers.revision();
        barriers.learn(&barrier(target("/a"), 5));
        assert_eq!(barriers.revision(), revision, "what is known already changes nothing");
    }

    #[test]
    fn scopes_are_bounded_in_bytes() {
        let barriers = Barriers::default();
        let long = |n: u64| Scope::SurrogateKey(format!("{n}{}", "x".repeat(1 << 20)));
        for n in 1..=7 {
            barriers.learn(&barrier(long(n), n));
            barriers.learn(&barrier(long(n), n + 1));
        }
        assert_eq!((barriers.overflows(), barriers.hides("t\nhttp://h\n/a", 0)), (0, false));
        barriers.learn(&barrier(long(8), 9));
        assert_eq!(
            (barriers.overflows(), barriers.hides("t\nhttp://h\n/a", 0)),
            (1, true),
            "everything is purged instead"
        );
        assert_eq!(barriers.marks.read().bytes, 0);
    }

    #[test]
    fn purge_reaches_every_spelling_of_its_target() {
        for purged in [target("/~a"), target("/%7Ea"), target("/b/../%7ea"), prefix("/%7e"), prefix("/~")] {
            let barriers = Barriers::default();
            barriers.learn(&barrier(purged.clone(), 1));
            for spelling in ["/~a", "/%7Ea", "/%7ea", "/./~a"] {
                assert!(barriers.hides(&format!("t\nhttp://h\n{spelling}"), 0), "{purged:?} {spelling}");
                assert!(barriers.hides(&format!("t\nhttp://h\n{spelling}\naccept: x"), 0), "{purged:?} {spelling}");
            }
            assert!(!barriers.hides("t\nhttp://h\n/a", 0) && !barriers.hides("t\nhttp://h\n/%7Fa", 0), "{purged:?}");
        }
    }

    #[test]
    fn fill_is_hidden_by_what_covers_its_key() {
        let barriers = Barriers::default();
        barriers.learn(&barrier(Scope::SurrogateKey("s".into()), 3));
        assert!(!barriers.hides("t\nhttp://h\n/a", 0), "its surrogate keys are not known yet");
        barriers.learn(&barrier(prefix("/a"), 4));
        assert!(barriers.hides("t\nhttp://h\n/a/b\naccept: x", 3) && !barriers.hides("t\nhttp://h\n/b", 3));
        barriers.learn(&barrier(Scope::Everything, 5));
        assert!(barriers.hides("t\nhttp://h\n/b", 4) && !barriers.hides("t\nhttp://h\n/b", 5));
    }
}
