//! The last events of a tenant's entries, for operators who wonder what became of one.
//!
//! They are kept in order and found by their key, which is looked for from the newest to the oldest. Hashes stand for the
//! keys; nobody can choose two that have the same one.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use};
use sandbar_http::key::CacheKey;

use super::What;

/// Events are kept for each so many bytes of the tenant's share of memory: a thousandth of that.
const SHARE_BYTES: u64 = 64 << 10;
/// The fewest and the most events that are kept of a tenant.
const KEPT: std::ops::RangeInclusive<u64> = 64..=4096;
/// Room is taken for so many at first, then for twice as many whenever it is full.
const PLACES_MIN: usize = 16;

/// The last events of a tenant; those before them are forgotten.
pub(crate) struct Recent {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

struct Kept {
    events: VecDeque<Noted>,
    /// How many there is room for, and how many there may be.
    places: usize,
    places_max: usize,
    room: Reserved,
}

struct Noted {
    /// The hash of tenant, site and target, and that of the whole key.
    url: u64,
    key: u64,
    past: Past,
}

/// Something that has happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) at: Timestamp,
    pub(crate) what: What,
}

impl Recent {
    /// None yet, of a tenant whose share of memory is `l1_bytes`. Nothing is allocated before the first event.
    pub(super) fn new(l1_bytes: u64, budget: &Arc<MemoryBudget>) -> Self {
        let (places, places_max) = (0, places_max(l1_bytes));
        let kept = Kept { events: VecDeque::new(), places, places_max, room: budget.nothing(Use::Events) };
        Self { hasher: RandomState::new(), kept: Mutex::new(kept) }
    }

    /// Notes what has happened to the entry with the key `text`.
    pub(super) fn note(&self, text: &str, past: Past) {
        let (url, key) = self.hashes(text);
        let mut kept = self.kept.lock();
        if kept.events.len() == kept.places {
            kept.grow();
        }
        if kept.events.len() == kept.places && kept.events.pop_front().is_none() {
            return;
        }
        kept.events.push_back(Noted { url, key, past });
    }

    /// The last events of the URL that a key is of, the newest first, `events_max` at most; each with whether it is of none
    /// of these keys, but of another variant.
    pub(crate) fn of(&self, keys: &[CacheKey], events_max: usize) -> Vec<(Past, bool)> {
        let keys: Vec<_> = keys.iter().map(|key| self.hashes(key.text())).collect();
        let kept = self.kept.lock();
        let of_url = kept.events.iter().rev().filter(|noted| keys.iter().any(|(url, _)| *url == noted.url));
        let is_other = |noted: &Noted| keys.iter().all(|(_, key)| *key != noted.key);
        of_url.take(events_max).map(|noted| (noted.past, is_other(noted))).collect()
    }

    fn hashes(&self, text: &str) -> (u64, u64) {
        let end = text.match_indices('\n').nth(2).map_or(text.len(), |(at, _)| at);
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&text.as_bytes()[..end]);
        let url = hasher.finish();
        hasher.write(&text.as_bytes()[end..]);
        (url, hasher.finish())
    }
}

impl Kept {
    /// Takes more room, as far as there may be more and the node has some.
    fn grow(&mut self) {
        let places = (self.places * 2).clamp(PLACES_MIN, self.places_max);
        if places > self.places && self.room.cover((places * size_of::<Noted>()) as u64) {
            self.events.reserve_exact(places - self.events.len());
            self.places = places;
        }
    }
}

fn places_max(l1_bytes: u64) -> usize {
    usize::try_from((l1_bytes / SHARE_BYTES).clamp(*KEPT.start(), *KEPT.end())).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Left;

    fn noted(recent: &Recent, key: &CacheKey, ms: u64) {
        recent.note(key.text(), Past { at: Timestamp::from_millis(ms), what: What::Left(Left::Purged) });
    }

    fn told(recent: &Recent, keys: &[CacheKey], events_max: usize) -> Vec<(u64, bool)> {
        recent.of(keys, events_max).iter().map(|(past, is_other)| (past.at.as_millis(), *is_other)).collect()
    }

    #[test]
    fn events_are_found_by_their_url_and_told_apart_by_variant() {
        let recent = Recent::new(0, &MemoryBudget::unbounded());
        let key = |target: &str| CacheKey::new("shop", "http://shop.test", target);
        let german = key("/a").variant([("accept-language", "de")]);
        noted(&recent, &key("/a"), 1);
        noted(&recent, &key("/a/b"), 2);
        noted(&recent, &german, 3);
        noted(&recent, &key("/a").variant([("accept-language", "fr")]), 4);
        assert_eq!(told(&recent, &[key("/a"), german], 9), [(4, true), (3, false), (1, false)]);
        assert_eq!(told(&recent, &[key("/a")], 2), [(4, true), (3, true)]);
        assert_eq!(told(&recent, &[key("/")], 9), []);
    }

    #[test]
    fn the_last_ones_are_kept_and_charged() {
        let budget = MemoryBudget::new(1 << 20);
        let recent = Recent::new(16 << 20, &budget);
        let key = |number: u64| CacheKey::new("shop", "http://shop.test", &format!("/{number}"));
        let used = || budget.stats().uses[Use::Events as usize].bytes;
        assert_eq!(used(), 0);
        (0..1_000).for_each(|number| noted(&recent, &key(number), number));
        assert_eq!(used(), 256 * size_of::<Noted>() as u64);
        assert_eq!((told(&recent, &[key(743)], 9), told(&recent, &[key(744)], 9)), (vec![], vec![(744, false)]));
        drop(recent);
        assert_eq!(used(), 0);

        // Where there is no room, there are no events.
        let recent = Recent::new(16 << 20, &MemoryBudget::new(0));
        noted(&recent, &key(1), 1);
        assert_eq!(told(&recent, &[key(1)], 9), []);
    }
}
