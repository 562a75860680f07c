//! What a purge would reach, found without purging anything.

mod look;

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_http::entry::Entry;
use sandbar_http::key::CacheKey;
use serde::Serialize;

use self::look::{Found, Look};
use crate::barrier::{Barrier, Barriers, Purge, Verdict};
use crate::store::Store;
use crate::tenant::Tenant;
use crate::tier::Tier;

/// How many of the hottest entries are named.
const HOTTEST: usize = 10;

/// How many keys are looked up together in the L2.
const AT_ONCE: usize = 16;

/// What a purge would reach on this node at this moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PurgePreview {
    /// Responses in this node's memory: all that there are.
    pub l1: Reach,
    /// Responses that are in the L2 for certain: of the first [`PurgePreview::ASKED_MAX`] keys in memory those that the L2 has too.
    /// What the L2 has beyond that, nobody can list. `None` without an L2, or where it could not be asked.
    pub l2_at_least: Option<Reach>,
    /// Those in memory that the eviction policy would keep longest, the hottest first.
    pub hottest: Vec<HotEntry>,
    /// Whether there are so many scopes that the purge would reach everything of the tenant.
    pub is_everything: bool,
}

impl PurgePreview {
    /// How many keys the L2 is asked for at most.
    pub const ASKED_MAX: usize = 128;
    /// How many bytes these have in memory together at most: as many may have to be read.
    pub const ASKED_BYTES_MAX: u64 = 16 << 20;
}

/// How much a purge reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Stored responses, each variant by itself.
    pub entries: u64,
    /// What they take, in bytes: in memory with all that is noted beside them, in the L2 their content alone.
    pub bytes: u64,
}

/// An entry that a purge would reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HotEntry {
    /// Its site and target: `http://shop.example/a`.
    pub url: String,
    /// What it takes in memory, in bytes.
    pub bytes: u64,
}

/// Why nothing was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// Somebody asks the same of the tenant just now: each question looks at all of its entries.
    #[error("another preview of a purge is under way for this tenant; try again when it has ended")]
    UnderWay,
    /// The process is being stopped.
    #[error("the process is being stopped")]
    Stopped,
}

/// Finds out what purges would reach, for one caller a tenant at a time.
#[derive(Default)]
pub(crate) struct Previews {
    asked: Arc<Mutex<HashSet<Arc<str>>>>,
}

/// The right to look at a tenant's entries.
struct Turn {
    asked: Arc<Mutex<HashSet<Arc<str>>>>,
    tenant: Arc<str>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.asked.lock().remove(&self.tenant);
    }
}

impl Previews {
    /// See [`Cache::preview_purge`](crate::cache::Cache::preview_purge).
    pub(crate) async fn preview(
        &self,
        store: &Store,
        tenant: &Arc<Tenant>,
        purges: &[Purge],
    ) -> Result<PurgePreview, PreviewError> {
        let turn = self.turn(&tenant.name).ok_or(PreviewError::UnderWay)?;
        let now = store.clock.now();
        let trial = Arc::new(raised(purges, now));
        let look = Look { tenant: Arc::clone(tenant), trial: Arc::clone(&trial), asks_l2: store.l2.is_some(), now };
        // The turn lasts as long as the work does, also where the caller goes away.
        let looked = tokio::task::spawn_blocking(move || {
            let found = look.at_memory(HOTTEST);
            (found, turn)
        });
        let (found, _turn) = looked.await.map_err(|_| PreviewError::Stopped)?;
        let Found { l1, hottest, sample } = found;
        let l2_at_least = match &store.l2 {
            Some(l2) => in_l2(&**l2, tenant, &trial, &sample).await,
            None => None,
        };
        Ok(PurgePreview { l1, l2_at_least, hottest, is_everything: trial.overflows() > 0 })
    }

    fn turn(&self, tenant: &Arc<str>) -> Option<Turn> {
        let is_free = self.asked.lock().insert(Arc::clone(tenant));
        is_free.then(|| Turn { asked: Arc::clone(&self.asked), tenant: Arc::clone(tenant) })
    }
}

/// Barriers as they would be after the purges, if nothing had been purged before.
fn raised(purges: &[Purge], now: Timestamp) -> Barriers {
    let trial = Barriers::default();
    for purge in purges {
        trial.learn(&Barrier { purge: purge.clone(), sequence: u64::MAX, raised: now });
    }
    trial
}

/// Which of these keys are in the L2, visible now, and reached by the purge.
async fn in_l2(l2: &dyn Tier, tenant: &Tenant, trial: &Barriers, sample: &[CacheKey]) -> Option<Reach> {
    let mut reach = Reach::default();
    for keys in sample.chunks(AT_ONCE) {
        for entry in l2.get(keys).await.ok()?.into_iter().flatten() {
            let is_reached = tenant.barriers.judge(&entry) != Verdict::Gone && trial.judge(&entry) != Verdict::Visible;
            if let Entry::Response(stored) = entry
                && is_reached
            {
                reach.entries += 1;
                reach.bytes += stored.body_bytes();
            }
        }
    }
    Some(reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_a_tenant_is_answered_at_a_time() {
        let (previews, shop, media) = (Previews::default(), Arc::from("shop"), Arc::from("media"));
        let turn = previews.turn(&shop);
        assert!(turn.is_some() && previews.turn(&shop).is_none() && previews.turn(&media).is_some());
        drop(turn);
        assert!(previews.turn(&shop).is_some(), "its turn has ended");
    }
}
