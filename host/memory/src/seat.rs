//! The seat of a shard: which policy orders its entries: the bound one, a native one that stands in for it, or none.

use std::sync::Arc;

use sandbar_base::Fault;
use sandbar_base::Timestamp;
use sandbar_guest::eviction::{Event, unpack};

use super::slab::NO_SLOT;
use crate::eviction::{EvictionFactory, EvictionPolicy};

/// The most words in one call of a policy: 40 KiB, a thousand arrivals. A guest has to have room for them.
const CALL_WORDS_MAX: usize = 5 * 1024;

/// How often, in milliseconds, a shard checks whether a policy that failed is trusted again.
const TRUST_CHECK_INTERVAL_MS: u64 = 1000;

/// The policy of a shard and what is needed to ask it; all of it behind the policy's lock.
pub(super) struct Seat {
    pub(super) bound: Arc<dyn EvictionFactory>,
    pub(super) occupant: Occupant,
    pub(super) seed: u64,
    /// The capacity of the shard in bytes.
    pub(super) capacity_bytes: u64,
    /// The capacity that the policy was made for, in bytes; it differs from the shard's only while that is being
    /// changed.
    pub(super) made_for_bytes: u64,
    /// Packed events for the next call of the policy; empty between calls.
    pub(super) words: Vec<u64>,
    /// The policy's answer: victims; empty between calls.
    pub(super) victims: Vec<u32>,
    /// Slots to be freed once the policy has been told.
    pub(super) released: Vec<u32>,
    trust_check_at: Timestamp,
}

/// The policy that orders a shard's entries.
pub(super) enum Occupant {
    /// None yet: nothing has happened in the shard.
    Vacant,
    /// The bound policy.
    Bound(Box<dyn EvictionPolicy>),
    /// A native policy that stands in for the bound one, with its factory.
    StandIn(Arc<dyn EvictionFactory>, Box<dyn EvictionPolicy>),
    /// None could be made: entries are evicted in the order of insertion.
    Nobody,
}

impl Occupant {
    /// The policy itself; none where the seat is empty.
    pub(super) fn policy(&mut self) -> Option<&mut dyn EvictionPolicy> {
        match self {
            Self::Bound(policy) | Self::StandIn(_, policy) => Some(policy.as_mut()),
            Self::Vacant | Self::Nobody => None,
        }
    }
}

impl Seat {
    pub(super) fn new(bound: Arc<dyn EvictionFactory>, capacity_bytes: u64, seed: u64) -> Self {
        Self {
            bound,
            occupant: Occupant::Vacant,
            seed,
            capacity_bytes,
            made_for_bytes: capacity_bytes,
            words: Vec::new(),
            victims: Vec::new(),
            released: Vec::new(),
            trust_check_at: Timestamp::default(),
        }
    }

    /// Makes the bound policy where there is none yet.
    ///
    /// # Errors
    /// When it could not be made.
    pub(super) fn fill(&mut self) -> Result<(), Fault> {
        if matches!(self.occupant, Occupant::Vacant) {
            self.occupant = Occupant::Bound(self.bound.make(self.capacity_bytes, self.seed)?);
            self.made_for_bytes = self.capacity_bytes;
        }
        Ok(())
    }

    /// Whether it is time to check if the bound policy may have its seat back.
    pub(super) fn is_trust_check_due(&mut self, now: Timestamp) -> bool {
        let is_away = matches!(self.occupant, Occupant::StandIn(..) | Occupant::Nobody);
        let is_due = is_away && now >= self.trust_check_at;
        if is_due {
            self.check_trust_later(now);
        }
        is_due
    }

    /// Postpones the next trust check by [`TRUST_CHECK_INTERVAL_MS`].
    pub(super) fn check_trust_later(&mut self, now: Timestamp) {
        self.trust_check_at = Timestamp::from_millis(now.as_millis().saturating_add(TRUST_CHECK_INTERVAL_MS));
    }

    /// The factory that made the occupant.
    pub(super) fn maker(&self) -> &Arc<dyn EvictionFactory> {
        match &self.occupant {
            Occupant::StandIn(factory, _) => factory,
            _ => &self.bound,
        }
    }

    /// Hands the events in `words` to the occupant and leaves its answer in `victims`. Returns the number of calls.
    ///
    /// # Errors
    /// When the policy failed; `victims` is empty then.
    pub(super) fn ask(&mut self, now: Timestamp, reclaim_bytes: u64) -> Result<u64, Fault> {
        let told = match self.occupant.policy() {
            Some(policy) => tell(policy, now, &self.words, reclaim_bytes, &mut self.victims),
            None => Ok(0),
        };
        self.words.clear();
        if told.is_err() {
            self.victims.clear();
        }
        told
    }
}

/// Hands events over in calls of at most [`CALL_WORDS_MAX`] words. Returns the number of calls.
///
/// # Errors
/// When the policy failed.
pub(super) fn tell(
    policy: &mut dyn EvictionPolicy,
    now: Timestamp,
    mut words: &[u64],
    reclaim_bytes: u64,
    victims: &mut Vec<u32>,
) -> Result<u64, Fault> {
    let mut calls = 1;
    while words.len() > CALL_WORDS_MAX {
        let (call, rest) = words.split_at(whole_events(words, CALL_WORDS_MAX));
        policy.advance(now.as_millis(), call, 0, victims)?;
        words = rest;
        calls += 1;
    }
    if words.is_empty() && reclaim_bytes == 0 {
        return Ok(calls - 1);
    }
    policy.advance(now.as_millis(), words, reclaim_bytes, victims)?;
    Ok(calls)
}

/// How many words, at most `words_max`, hold only whole events.
fn whole_events(words: &[u64], words_max: usize) -> usize {
    let lengths = unpack(words).map(|event| match event {
        Event::Touched { .. } | Event::Departed { .. } => 1,
        Event::Changed { .. } => 3,
        Event::Arrived(_) => 5,
    });
    let ends = lengths.scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    ends.take_while(|end| *end <= words_max).last().unwrap_or(words.len())
}

/// Reads a policy's whole order in slices, coldest first, and calls `each` with each slice.
///
/// # Errors
/// When the policy failed; `each` has had the slices before.
pub(super) fn read_order(
    policy: &mut dyn EvictionPolicy,
    slots_max: u32,
    mut each: impl FnMut(&[u32]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    const SLICE: u32 = 512;
    let (mut after, mut read, mut slice) = (None, 0, Vec::new());
    // A policy that goes round in circles is stopped when it has named more slots than there are.
    while read <= slots_max {
        slice.clear();
        policy.order(after, SLICE, &mut slice)?;
        slice.truncate(SLICE as usize);
        let Some(last) = slice.last().copied().filter(|last| *last != NO_SLOT && after != Some(*last)) else { break };
        each(&slice)?;
        after = Some(last);
        read += slice.len() as u32;
    }
    Ok(())
}
