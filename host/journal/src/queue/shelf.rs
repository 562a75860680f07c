//! The segments that can be read, and how many writes are held in each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::segment::{Place, Segment};

#[derive(Debug, Default)]
pub(super) struct Shelf(BTreeMap<u64, (Arc<Segment>, u64)>);

impl Shelf {
    pub(super) fn add(&mut self, segment: &Arc<Segment>) {
        self.0.entry(segment.number).or_insert_with(|| (Arc::clone(segment), 0)).0 = Arc::clone(segment);
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.0.remove(&number);
    }

    pub(super) fn count(&mut self, place: Place) {
        if let Some((_, writes)) = self.0.get_mut(&place.segment) {
            *writes += 1;
        }
    }

    pub(super) fn discount(&mut self, place: Place) {
        if let Some((_, writes)) = self.0.get_mut(&place.segment) {
            *writes -= 1;
        }
    }

    pub(super) fn writes_in(&self, number: u64) -> u64 {
        self.0.get(&number).map_or(0, |(_, writes)| *writes)
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Segment>> {
        self.0.get(&number).map(|(segment, _)| Arc::clone(segment))
    }
}
