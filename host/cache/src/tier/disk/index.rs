//! The index: where each key's newest value lies. It is the one structure that readers and the writer both use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyHash;

use super::segment::Segment;

/// Where a value lies. With its key it takes about 56 bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u64,
    pub(super) offset: u32,
    pub(super) value_bytes: u32,
    pub(super) until: Timestamp,
    /// Whether the value was read since it was written: such a value may be written anew when its segment is dropped.
    pub(super) read: bool,
}

/// The index of all segments.
#[derive(Debug, Default)]
pub(super) struct Index {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    places: HashMap<KeyHash, Location>,
    segments: BTreeMap<u64, Arc<Segment>>,
}

/// How many keys are removed under one lock, before readers get a turn.
const SLICE_LEN: usize = 1024;

impl Index {
    /// Where to read a key's value, if it has one that is of use at `now`. Marks the value as read.
    pub(super) fn find(&self, key: KeyHash, now: Timestamp) -> Option<(Arc<Segment>, Location)> {
        let mut inner = self.inner.lock();
        let place = inner.places.get_mut(&key)?;
        if place.until <= now {
            inner.places.remove(&key);
            return None;
        }
        place.read = true;
        let place = *place;
        let segment = inner.segments.get(&place.segment)?;
        Some((Arc::clone(segment), place))
    }

    /// Where a key's value lies; does not mark it as read.
    pub(super) fn peek(&self, key: KeyHash) -> Option<Location> {
        self.inner.lock().places.get(&key).copied()
    }

    /// Sets where a key's value lies.
    pub(super) fn set(&self, key: KeyHash, place: Location) {
        self.inner.lock().places.insert(key, place);
    }

    /// Removes a key. True if it had a value.
    pub(super) fn remove(&self, key: KeyHash) -> bool {
        self.inner.lock().places.remove(&key).is_some()
    }

    /// Like [`Self::remove`], unless the key's value lies elsewhere than at `place` by now.
    pub(super) fn remove_at(&self, key: KeyHash, place: &Location) {
        let mut inner = self.inner.lock();
        let at = |other: &Location| (other.segment, other.offset);
        if inner.places.get(&key).is_some_and(|found| at(found) == at(place)) {
            inner.places.remove(&key);
        }
    }

    /// Makes a segment readable.
    pub(super) fn add_segment(&self, segment: &Arc<Segment>) {
        self.inner.lock().segments.insert(segment.id, Arc::clone(segment));
    }

    /// Removes a segment and those of `keys` whose value is in it, in slices, so that readers never wait long.
    pub(super) fn drop_segment(&self, id: u64, keys: &[KeyHash]) {
        for slice in keys.chunks(SLICE_LEN) {
            let mut inner = self.inner.lock();
            for key in slice {
                if inner.places.get(key).is_some_and(|place| place.segment == id) {
                    inner.places.remove(key);
                }
            }
        }
        self.inner.lock().segments.remove(&id);
    }

    /// Forgets all keys and segments; reads that are under way can finish.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.places.clear();
        inner.segments.clear();
    }

    /// How many keys have a value.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().places.len()
    }
}
