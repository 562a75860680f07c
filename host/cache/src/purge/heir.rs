//! The process that takes this one's place while this one still answers what it was asked before.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sandbar_http::purge::Purge;

use super::{PurgeReport, Purges};

/// Another process with the same tenants, which has taken over what outlives this one, or is about to.
pub trait Heir: Send + Sync + 'static {
    /// Has the heir make a purge that this process has made under the number `sequence`. It does so before it answers
    /// its first request, or at once; other nodes are told of it if it `is_for_others`. A tenant that it does not have
    /// has nothing to be purged there.
    ///
    /// # Errors
    /// In words, where the heir can't be told.
    fn purge<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        sequence: u64,
        is_for_others: bool,
    ) -> BoxFuture<'a, Result<PurgeReport, String>>;
}

impl Purges {
    /// Says who makes purges from now on, beside this process. Returns once those that were under way before are done.
    pub(crate) async fn name_heir(&self, heir: Option<Arc<dyn Heir>>) {
        *self.heir.write().await = heir;
    }
}
