//! Fetching a target because something was written there, before anybody asks for it.

use std::sync::Arc;

use crate::collapse::Joins;
use crate::collapse::fetch::LeadOrWait;
use crate::fill::{Fill, Fills};
use crate::request::{CacheRequest, Purpose};

impl Fills {
    /// Fetches what a request asks for, and returns when it is stored, or turned out not to be storable. Where another request
    /// fetches it already, returns when the head of that response is there: who asks now gets it from that fetch.
    pub(crate) async fn refetch(&self, request: &Arc<CacheRequest>) {
        match self.join_or_lead(request, &request.key, Joins::default()) {
            LeadOrWait::Lead(obligation) => {
                let (request, key, purpose) = (Arc::clone(request), request.key.clone(), Purpose::Answer);
                let fill = Fill { request, key, basis: None, validates: false, purpose, alone: false };
                self.run(fill, obligation).await;
            }
            LeadOrWait::Wait(mut waiter) => drop(waiter.outcome().await),
        }
    }
}
