//! What an entry's purge sequence means on this node.
//!
//! Memcached compares nothing, so an entry is held against this node's purges when it is read, by its sequence. Where nodes
//! number their purges alone, the sequence of an entry that another node has stored says nothing here, nor does one from
//! before a restart whose purges were lost. Such an entry gets the sequence that this node had when the origin was asked
//! for it, two seconds before that to be sure: the clocks of two nodes differ. So no purge of this node is ever undone by
//! what another node had fetched before it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use};

use crate::barrier::{Purge, PurgeMode, Scope};
use crate::tier::disk::DiskTier;
use crate::tier::{BarrierStore, TierError};

/// By how much the clocks of two nodes may differ.
const SKEW_MAX: Duration = Duration::from_secs(2);
/// Raised barriers that are remembered per tenant. Where there are more, the older half is forgotten: entries from before
/// what is left then count as older than any purge.
const RAISED_LEN_MAX: usize = 4096;
/// Bytes that they take.
const RAISED_BYTES: u64 = (RAISED_LEN_MAX * size_of::<(u64, u64)>()) as u64;
/// No tenant has this name: under it stands when this node began to record purges.
const BEGINNING: &str = "~memcached";
/// The realm of entries whose sequence means the same on each node.
const FLEET: u64 = 0;

/// Who numbers the purges, and what is known of them.
#[derive(Debug)]
pub(super) enum Numbers {
    /// Each node knows the same numbers.
    Fleet,
    /// This node alone.
    Node(Node),
}

/// The numbers of one node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) records: Arc<DiskTier>,
    /// This process.
    realm: u64,
    /// What was asked for earlier may have been purged without this node knowing it.
    known_from: Timestamp,
    raised: Mutex<HashMap<String, Raised>>,
    budget: Arc<MemoryBudget>,
}

/// The barriers of a tenant: when they were raised, and their sequences, both ascending.
#[derive(Debug)]
struct Raised {
    list: Vec<(Timestamp, u64)>,
    /// Whether those of before the start are among them.
    is_complete: bool,
    /// Without room nothing is remembered.
    room: Option<Reserved>,
}

impl Node {
    /// Begins to number purges, above those that the records have.
    ///
    /// # Errors
    /// Where they can't be read or written.
    pub(super) async fn open(
        records: Arc<DiskTier>,
        lifetime_max: Duration,
        now: Timestamp,
        budget: Arc<MemoryBudget>,
    ) -> Result<Self, TierError> {
        let began = records.raised_since(BEGINNING, 0).await?;
        let began = began.iter().map(|barrier| barrier.raised).min().unwrap_or(now);
        // Records that are too old to hide anything are dropped. This one is made younger before it is.
        let half_ms = u64::try_from(lifetime_max.as_millis() / 2).unwrap_or(u64::MAX);
        let known_from = began.max(Timestamp::from_millis(now.as_millis().saturating_sub(half_ms)));
        let everything = Purge { scope: Scope::Everything, mode: PurgeMode::Hard };
        records.raise(BEGINNING, &everything, 0, known_from).await?;
        let realm = loop {
            let realm = getrandom::u64().map_err(|error| super::failed(error.to_string()))?;
            if realm != FLEET {
                break realm;
            }
        };
        Ok(Self { records, realm, known_from, raised: Mutex::default(), budget })
    }

    /// Makes sure that the tenant's barriers of before the start are known.
    async fn complete(&self, tenant: &str) -> Result<(), TierError> {
        if self.raised.lock().get(tenant).is_some_and(|raised| raised.is_complete) {
            return Ok(());
        }
        let earlier = self.records.raised_since(tenant, 0).await?;
        let earlier = earlier.into_iter().map(|barrier| (barrier.raised, barrier.sequence));
        let mut all = self.raised.lock();
        let raised = all.entry(tenant.to_owned()).or_insert_with(|| Raised::new(&self.budget));
        raised.add(earlier);
        raised.is_complete = true;
        Ok(())
    }

    /// Notes a barrier that was recorded.
    pub(super) fn note(&self, tenant: &str, raised: Timestamp, sequence: u64) {
        let mut all = self.raised.lock();
        all.entry(tenant.to_owned()).or_insert_with(|| Raised::new(&self.budget)).add([(raised, sequence)]);
    }

    fn sequence_at(&self, tenant: &str, asked: Timestamp) -> Option<u64> {
        let all = self.raised.lock();
        Some(all.get(tenant).filter(|raised| raised.is_complete)?.sequence_at(asked))
    }
}

impl Raised {
    fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self { list: Vec::new(), is_complete: false, room: budget.reserve(Use::Tables, RAISED_BYTES) }
    }

    fn add(&mut self, barriers: impl IntoIterator<Item = (Timestamp, u64)>) {
        if self.room.is_none() {
            return;
        }
        self.list.extend(barriers);
        self.list.sort_unstable_by_key(|(_, sequence)| *sequence);
        self.list.dedup_by_key(|(_, sequence)| *sequence);
        if self.list.len() > RAISED_LEN_MAX {
            self.list.drain(..self.list.len() - RAISED_LEN_MAX / 2);
        }
        // A clock that was set back must not make a later barrier look earlier than one before it.
        let mut latest = Timestamp::default();
        for (raised, _) in &mut self.list {
            latest = latest.max(*raised);
            *raised = latest;
        }
    }

    /// The highest sequence that was surely given out when an origin was asked.
    fn sequence_at(&self, asked: Timestamp) -> u64 {
        let before = self.list.partition_point(|(raised, _)| raised.saturating_add(SKEW_MAX) < asked);
        before.checked_sub(1).map_or(0, |last| self.list[last].1)
    }
}

impl Numbers {
    /// The realm of what this process stores.
    pub(super) const fn realm(&self) -> u64 {
        match self {
            Self::Fleet => FLEET,
            Self::Node(node) => node.realm,
        }
    }

    /// Prepares for entries of a tenant to be read.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub(super) async fn complete(&self, tenant: &str) -> Result<(), TierError> {
        match self {
            Self::Fleet => Ok(()),
            Self::Node(node) => node.complete(tenant).await,
        }
    }

    /// The sequence that an entry of a tenant has here: `stored`, if it is of this realm. `None` where the entry can't be held
    /// against the purges of this node.
    pub(super) fn sequence(&self, tenant: &str, realm: u64, stored: u64, asked: Timestamp) -> Option<u64> {
        match self {
            _ if realm == self.realm() => Some(stored),
            Self::Node(node) if realm != FLEET && asked >= node.known_from => node.sequence_at(tenant, asked),
            Self::Fleet | Self::Node(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(s: u64) -> Timestamp {
        Timestamp::from_millis(s * 1000)
    }

    fn raised(barriers: &[(u64, u64)]) -> Raised {
        let mut raised = Raised::new(&MemoryBudget::unbounded());
        raised.add(barriers.iter().map(|(s, sequence)| (at(*s), *sequence)));
        raised
    }

    #[test]
    fn an_entry_is_as_old_as_the_purges_that_came_after_it() {
        let raised = raised(&[(100, 1), (200, 2), (300, 7)]);
        for (asked, expected) in [(50, 0), (101, 0), (103, 1), (202, 1), (203, 2), (302, 2), (303, 7), (9999, 7)] {
            assert_eq!(raised.sequence_at(at(asked)), expected, "{asked}");
        }
        assert_eq!(super::Raised::new(&MemoryBudget::unbounded()).sequence_at(at(1)), 0);
    }

    #[test]
    fn a_clock_that_goes_back_makes_entries_older_never_younger() {
        let raised = raised(&[(100, 1), (500, 2), (200, 3)]);
        assert_eq!(raised.sequence_at(at(300)), 1, "3 was raised after 2, whatever the clock said");
        assert_eq!(raised.sequence_at(at(503)), 3);
    }

    #[test]
    fn too_many_are_forgotten_from_the_oldest_on() {
        let barriers: Vec<(u64, u64)> = (1..=RAISED_LEN_MAX as u64 + 1).map(|n| (n * 10, n)).collect();
        let raised = raised(&barriers);
        assert_eq!(raised.list.len(), RAISED_LEN_MAX / 2);
        assert_eq!(raised.sequence_at(at(500)), 0, "older than any purge");
        assert_eq!(raised.sequence_at(at(1 << 30)), RAISED_LEN_MAX as u64 + 1);
    }
}
