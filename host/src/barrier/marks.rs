//! The barriers a node has heard of, for one tenant.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::{Barrier, PurgeMode, Scope};
use crate::entry::Entry;
use crate::key::KeyHash;

/// What the barriers say of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No barrier is in its way.
    Visible,
    /// It was purged softly: it is stale.
    Stale,
    /// It was purged: it must not be served.
    Gone,
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
    targets: HashMap<KeyHash, Mark>,
    surrogate_keys: HashMap<Box<str>, Mark>,
    prefixes: HashMap<(Option<Box<str>>, Box<str>), Mark>,
}

/// The barriers of one tenant, bounded: past [`Barriers::SCOPES_MAX`] scopes the whole tenant's barrier rises instead,
/// which purges too much rather than too little.
#[derive(Debug)]
pub struct Barriers {
    tenant: Box<str>,
    current: AtomicU64,
    overflows: AtomicU64,
    marks: RwLock<Marks>,
}

impl Barriers {
    /// Scopes remembered one by one.
    pub const SCOPES_MAX: usize = 16_384;
    /// Prefixes among them: each is compared with an entry's target in turn.
    pub const PREFIXES_MAX: usize = 256;

    /// No barrier yet.
    pub fn new(tenant: &str) -> Self {
        Self {
            tenant: tenant.into(),
            current: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            marks: RwLock::default(),
        }
    }

    /// The highest number heard of: what a fill notes before it asks the origin. An entry that was judged at this
    /// number needs no second look.
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// How often the tenant's barrier had to rise because there were too many scopes.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// Takes the next number and records a purge under it, for this node alone.
    pub fn raise_here(&self, purge: &super::Purge, at: crate::clock::Timestamp) -> Barrier {
        let mut marks = self.marks.write();
        let sequence = self.current() + 1;
        let barrier = Barrier { purge: purge.clone(), sequence, raised: at };
        self.record(&mut marks, &barrier);
        barrier
    }

    /// Takes over a barrier that was recorded elsewhere.
    pub fn learn(&self, barrier: &Barrier) {
        self.record(&mut self.marks.write(), barrier);
    }

    /// May an entry be seen?
    pub fn judge(&self, entry: &Entry) -> Verdict {
        let sequence = entry.sequence();
        if sequence >= self.current() {
            return Verdict::Visible;
        }
        self.marks.read().judge(entry, sequence)
    }

    fn record(&self, marks: &mut Marks, barrier: &Barrier) {
        let mark = match &barrier.purge.scope {
            Scope::Everything => &mut marks.everything,
            Scope::Target { site, target } if marks.has_room() => {
                let key = crate::key::CacheKey::new(&self.tenant, site, target);
                marks.targets.entry(key.hash()).or_default()
            }
            Scope::SurrogateKey(key) if marks.has_room() => {
                marks.surrogate_keys.entry(key.as_str().into()).or_default()
            }
            Scope::Prefix { site, prefix } if marks.prefixes.len() < Self::PREFIXES_MAX => {
                let site = site.as_deref().map(Box::from);
                marks.prefixes.entry((site, prefix.as_str().into())).or_default()
            }
            _ => {
                self.overflows.fetch_add(1, Ordering::Relaxed);
                *marks = Marks { everything: marks.everything, ..Marks::default() };
                marks.everything.hard = marks.everything.hard.max(self.current());
                &mut marks.everything
            }
        };
        match barrier.purge.mode {
            PurgeMode::Hard => mark.hard = mark.hard.max(barrier.sequence),
            PurgeMode::Soft => mark.soft = mark.soft.max(barrier.sequence),
        }
        self.current.fetch_max(barrier.sequence, Ordering::AcqRel);
    }
}

impl Marks {
    fn has_room(&self) -> bool {
        self.targets.len() + self.surrogate_keys.len() < Barriers::SCOPES_MAX
    }

    fn judge(&self, entry: &Entry, sequence: u64) -> Verdict {
        let mut verdict = self.everything.judge(sequence);
        let mut see = |mark: &Mark| verdict = verdict.max(mark.judge(sequence));
        let primary = primary_text(entry.key());
        if let Some(mark) = self.targets.get(&KeyHash::of(primary)) {
            see(mark);
        }
        if let Entry::Response(response) = entry {
            for key in &response.plan.surrogate_keys {
                if let Some(mark) = self.surrogate_keys.get(key.as_str()) {
                    see(mark);
                }
            }
        }
        let (site, target) = site_and_target(primary);
        for ((of_site, prefix), mark) in &self.prefixes {
            if of_site.as_deref().is_none_or(|of| of == site) && target.starts_with(&**prefix) {
                see(mark);
            }
        }
        verdict
    }
}

impl Mark {
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

/// The first three lines of a key's text: what all variants have in common.
fn primary_text(text: &str) -> &str {
    text.match_indices('\n').nth(2).map_or(text, |(end, _)| &text[..end])
}

fn site_and_target(primary: &str) -> (&str, &str) {
    let mut parts = primary.splitn(3, '\n').skip(1);
    (parts.next().unwrap_or(""), parts.next().unwrap_or(""))
}
