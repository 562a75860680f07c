//! Where barriers outlive the process: beside the entries of a shared or persistent tier.

use futures_util::future::BoxFuture;
use sandbar_base::clock::Timestamp;

use super::TierError;
use super::redis::Raising;
use crate::barrier::{Barrier, Purge};

/// Keeps barriers for as long as an older entry may live.
pub trait BarrierStore: Send + Sync + 'static {
    /// Records a purge under a number higher than `above` and than any it has given out for the tenant, and answers
    /// with that number.
    ///
    /// # Errors
    /// When it could not be recorded; nothing has changed then, or the same purge is recorded a second time by a retry,
    /// which does no harm.
    fn raise<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        above: u64,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<u64, TierError>>;

    /// The same as a part of a script, for whoever tells the fleet on the same Redis; none where it is not kept in one.
    fn raising(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> Option<Raising> {
        let _ = (tenant, purge, above, at);
        None
    }

    /// Whether other nodes raise barriers in it: then it is asked at every lookup, else once.
    fn is_shared(&self) -> bool {
        true
    }

    /// The barriers of a tenant with a number higher than `above`, in any order.
    ///
    /// # Errors
    /// When they could not be read.
    fn raised_since<'a>(&'a self, tenant: &'a str, above: u64) -> BoxFuture<'a, Result<Vec<Barrier>, TierError>>;
}
