//! Which entries a policy would evict last.

use std::collections::VecDeque;

use sandbar_base::KeyHash;
use sandbar_base::Timestamp;

use super::Shard;
use crate::left::Garbage;
use crate::seat::read_order;

/// An entry, and its place in the order of the shard's policy: 0 for the one that is evicted last, towards 1 for the coldest.
pub(crate) struct Ranked<V> {
    pub(crate) place: f64,
    pub(crate) value: V,
}

impl<V: Clone> Shard<V> {
    /// The `len` entries that `counts` holds for and that the policy would evict last, of those that it names, in no order. None
    /// where the policy fails, which is counted. Holds the policy's lock meanwhile, and none that a reader waits for.
    pub(crate) fn hottest(&self, len: usize, counts: &impl Fn(KeyHash, &V) -> bool, now: Timestamp) -> Vec<Ranked<V>> {
        let mut garbage = Garbage::new(&self.watched);
        let mut seat = self.seat.lock();
        // What has happened since the policy was last told: of a small shard it may never have been.
        self.attend(&mut seat, now, &mut garbage);
        self.take_events(&mut seat);
        self.answer(&mut seat, now, None, &mut garbage);
        let slots = self.table.read().slab.len();
        let (mut named, mut last) = (0_u32, VecDeque::with_capacity(len));
        let Some(policy) = seat.occupant.policy() else { return Vec::new() };
        let read = read_order(policy, slots, |slice| {
            let table = self.table.read();
            for slot in slice {
                named += 1;
                let Some(bucket) = table.bucket(*slot).filter(|bucket| counts(bucket.key, &bucket.value)) else {
                    continue;
                };
                if last.len() == len {
                    last.pop_front();
                }
                last.push_back((named, bucket.value.clone()));
            }
            Ok(())
        });
        if let Err(fault) = read {
            self.note_fault(&seat, &fault);
            return Vec::new();
        }
        let place = |number: u32| 1.0 - f64::from(number) / f64::from(named.max(1));
        last.into_iter().map(|(number, value)| Ranked { place: place(number), value }).collect()
    }
}
