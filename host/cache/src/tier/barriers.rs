//! Where barriers outlive the process: beside the entries of a shared or persistent tier.

use futures_util::future::BoxFuture;
use sandbar_base::clock::Timestamp;

use super::TierError;
use super::redis::Raising;
use crate::barrier::{Barrier, Purge};

/// What recording a purge has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The purge's sequence.
    pub sequence: u64,
    /// The sequence of the purge of the same scope and mode that was recorded last before it; 0 where none was. By this a
    /// writer knows whether another write to its target came to its end meanwhile.
    pub before: u64,
}

/// Keeps barriers for as long as an older entry may live.
pub trait BarrierStore: Send + Sync + 'static {
    /// Records a purge under a sequence that is higher than `above` and than any that was given out for the tenant.
    ///
    /// # Errors
    /// When the purge could not be recorded. It may have been all the same: a retry then records it a second time,
    /// which does no harm.
    fn raise<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        above: u64,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Recorded, TierError>>;

    /// The same as part of a script, for a caller that also tells the fleet on the same Redis; `None` where that is not
    /// possible.
    fn raising(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> Option<Raising> {
        let _ = (tenant, purge, above, at);
        None
    }

    /// Has what is kept of a tenant go once nothing of it can be found any more: it was removed. A purge that is raised for a tenant of that
    /// name meanwhile has it kept. Where each record goes by itself in time, nothing is to be done.
    ///
    /// # Errors
    /// When the store can't be told; the records are kept then.
    fn forget_later<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<(), TierError>> {
        let _ = tenant;
        Box::pin(async { Ok(()) })
    }

    /// Whether other nodes raise barriers in the store too. If not, it is read only once.
    fn is_shared(&self) -> bool {
        true
    }

    /// The barriers of a tenant with a sequence higher than `above`, in any order.
    ///
    /// # Errors
    /// When they could not be read.
    fn raised_since<'a>(&'a self, tenant: &'a str, above: u64) -> BoxFuture<'a, Result<Vec<Barrier>, TierError>>;
}
