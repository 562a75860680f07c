//! Looking at a tenant's entries in memory for what a purge would reach.

use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_http::key::CacheKey;

use super::{HotEntry, PurgePreview, Reach};
use crate::barrier::{Barriers, Verdict};
use crate::cached::Cached;
use crate::tenant::Tenant;

/// What is looked at, and what is looked for.
pub(super) struct Look {
    pub(super) tenant: Arc<Tenant>,
    /// The purges, as barriers.
    pub(super) trial: Arc<Barriers>,
    pub(super) asks_l2: bool,
    pub(super) now: Timestamp,
}

/// What was found in memory.
#[derive(Default)]
pub(super) struct Found {
    pub(super) l1: Reach,
    pub(super) hottest: Vec<HotEntry>,
    /// Keys to ask the L2 for.
    pub(super) sample: Vec<CacheKey>,
}

impl Look {
    /// Looks at each entry once, and asks the eviction policy for its order. Blocks for as long as that takes.
    pub(super) fn at_memory(&self, hottest: usize) -> Found {
        let (mut found, mut sampled_bytes) = (Found::default(), 0);
        self.tenant.memory.survey(|_, cached| {
            if !self.reaches(cached) {
                return;
            }
            let bytes = weight(cached);
            found.l1.entries += 1;
            found.l1.bytes += bytes;
            let fits = sampled_bytes + bytes <= PurgePreview::ASKED_BYTES_MAX;
            if self.asks_l2 && fits && found.sample.len() < PurgePreview::ASKED_MAX {
                sampled_bytes += bytes;
                found.sample.extend(cached.response().map(|stored| CacheKey::stored_as(&stored.key)));
            }
        });
        if found.l1.entries > 0 {
            let hot = self.tenant.memory.hottest(hottest, |_, cached| self.reaches(cached), self.now);
            found.hottest = hot.iter().filter_map(|cached| named(cached)).collect();
        }
        found
    }

    /// Whether the purge would reach a response that nothing hides yet.
    fn reaches(&self, cached: &Cached) -> bool {
        cached.response().is_some()
            && self.trial.judge(&cached.entry) != Verdict::Visible
            && cached.verdict(&self.tenant.barriers) != Verdict::Gone
    }
}

fn weight(cached: &Cached) -> u64 {
    cached.weight_bytes() + sandbar_memory::ENTRY_OVERHEAD_BYTES
}

fn named(cached: &Cached) -> Option<HotEntry> {
    let key = CacheKey::stored_as(&cached.response()?.key);
    Some(HotEntry { url: format!("{}{}", key.site(), key.target()), bytes: weight(cached) })
}
