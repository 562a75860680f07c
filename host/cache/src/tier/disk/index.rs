//! Where each key's newest value lies: the one structure that readers and the writer share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyHash;

use super::segment::Segment;

/// A value's place. With its key about 56 bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u32,
    pub(super) value_bytes: u32,
    pub(super) until: Timestamp,
    /// Whether it was read since it was written: such a value is kept once more when its segment goes.
    pub(super) read: bool,
}

/// The index of all segments.
#[derive(Debug, Default)]
pub(super) struct Index {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    places: HashMap<KeyHash, Place>,
    segments: BTreeMap<u64, Arc<Segment>>,
}

/// How many keys are forgotten before readers get a turn.
const SLICE_LEN: usize = 1024;

impl Index {
    /// Where to read a key's value, if it has one that is of use at `now`. Notes that it was read.
    pub(super) fn find(&self, key: KeyHash, now: Timestamp) -> Option<(Arc<Segment>, Place)> {
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

    /// Where a key's value lies; reads nothing into it.
    pub(super) fn peek(&self, key: KeyHash) -> Option<Place> {
        self.inner.lock().places.get(&key).copied()
    }

    /// A key's value is at `place` from now on.
    pub(super) fn set(&self, key: KeyHash, place: Place) {
        self.inner.lock().places.insert(key, place);
    }

    /// A key has no value any more. Whether it had one.
    pub(super) fn remove(&self, key: KeyHash) -> bool {
        self.inner.lock().places.remove(&key).is_some()
    }

    /// As [`Self::remove`], unless the value is another one by now.
    pub(super) fn remove_at(&self, key: KeyHash, place: &Place) {
        let mut inner = self.inner.lock();
        let at = |other: &Place| (other.segment, other.offset);
        if inner.places.get(&key).is_some_and(|found| at(found) == at(place)) {
            inner.places.remove(&key);
        }
    }

    /// A segment can be read from now on.
    pub(super) fn add_segment(&self, segment: &Arc<Segment>) {
        self.inner.lock().segments.insert(segment.id, Arc::clone(segment));
    }

    /// Forgets a segment and those of `keys` whose value is in it, in slices, so that readers never wait long.
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

    /// How many keys have a value.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().places.len()
    }
}
