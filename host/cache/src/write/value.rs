//! Putting values, with a token that was taken before the database was asked.

use std::sync::Arc;

use sandbar_http::purge::PurgeMode;

use super::fence::Fence;
use super::{PutError, Writer};
use crate::barrier::Verdict;
use crate::cached::Began;
use crate::errand;
use crate::fill::load::Loaded;
use crate::purge::PurgeReport;
use crate::request::CacheRequest;
use crate::store::found::Found;

/// What became of a value that was put with a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is stored.
    Stored,
    /// It is not: the key was purged or put since the reservation was made, so that the value may be older than that.
    Overtaken,
}

/// What became of a value that was put after a write to its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Whether the new value is stored. What was there before is purged in any case.
    pub fate: Fate,
    /// What became of that purge on the other nodes.
    pub purge: PurgeReport,
}

impl Writer {
    /// Stores a value in place of what is there.
    pub(crate) async fn put_value(
        self: &Arc<Self>,
        request: Arc<CacheRequest>,
        value: Loaded,
    ) -> Result<PurgeReport, PutError> {
        let writer = Arc::clone(self);
        let putting = async move { writer.put_whole(&request, value.response, Some(value.decoded)).await };
        errand::done(&self.tasks, putting, || Err(PutError::Stopped)).await
    }

    /// Stores a value that was read at `began`, unless its key was purged or put since.
    pub(crate) async fn fill_value(
        self: &Arc<Self>,
        request: Arc<CacheRequest>,
        value: Loaded,
        began: Began,
    ) -> Result<Fate, PutError> {
        let shareable = self.storable(&request, value.response)?;
        let (writer, decoded) = (Arc::clone(self), Some(value.decoded));
        let filling = async move {
            let found = writer.store_as_of(&request, shareable, decoded, began).await;
            Ok(writer.fate(&request, &found))
        };
        errand::done(&self.tasks, filling, || Err(PutError::Stopped)).await
    }

    /// Purges a key that was written at its source, and stores its new value, unless anything was purged or put since `began`
    /// that may have been about it: then the order of the writes is not known, and only the purge is made.
    pub(crate) async fn replace_value(
        self: &Arc<Self>,
        request: Arc<CacheRequest>,
        value: Loaded,
        began: Began,
    ) -> Result<Replaced, PutError> {
        let writer = Arc::clone(self);
        let replacing = async move { writer.replace_whole(&request, value, began).await };
        errand::done(&self.tasks, replacing, || Err(PutError::Stopped)).await
    }

    async fn replace_whole(
        self: &Arc<Self>,
        request: &Arc<CacheRequest>,
        value: Loaded,
        began: Began,
    ) -> Result<Replaced, PutError> {
        let storable = self.storable(request, value.response);
        let purged = self.purges.purge_whole(&request.tenant, &[request.purge(PurgeMode::Hard)]).await;
        let shareable = storable?;
        let fence = Fence::new(began, &purged);
        let fate = match fence.passed(&self.store, request, shareable.stored()).await {
            Some(began) => {
                let found = self.store_as_of(request, shareable, Some(value.decoded), began).await;
                self.fate(request, &found)
            }
            None => Fate::Overtaken,
        };
        Ok(Replaced { fate, purge: purged.report })
    }

    /// What became of a value, as far as purges are known by now.
    fn fate(&self, request: &CacheRequest, found: &Found) -> Fate {
        match found.cached().verdict(&request.tenant.barriers) {
            Verdict::Visible | Verdict::Stale if self.store.takes_in(request) => Fate::Stored,
            _ => Fate::Overtaken,
        }
    }
}
