//! What the origin's answer makes of a stored response: confirmed by a 304 or a HEAD, doubtful, or ended.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::standing::{Standing, standing};
use sandbar_http::semantics::{Times, freshen};

use crate::cached::Began;
use crate::fill::{Fill, Fills};
use crate::not_stored::NotStored;
use crate::request::{CacheRequest, Purpose};
use crate::storability::{Received, Storability, Withheld};
use crate::store::found::{Found, L1};

/// A stored response that has been confirmed.
pub(crate) struct Renewed {
    /// The response for the request whose validation confirmed it.
    pub(crate) own: Found,
    /// The response that is stored from now on, for other requests; `None` where each of them has to ask for itself.
    pub(crate) shared: Option<Found>,
}

impl Fills {
    /// Freshens a stored response by the fields of a 304 or a HEAD (RFC 9111 sections 4.3.4 and 4.3.5) and stores the
    /// result, planned anew, if it may be stored. Barriers judge the result as of `began.sequence`.
    ///
    /// A cookie in such an update is for the request that was forwarded: that request gets it, and the stored response
    /// is freshened without it. (Section 3.2 would have the stored response take it over.) So no visitor without a
    /// session can empty the cache by asking for a validation.
    pub(crate) async fn renew(
        &self,
        request: &Arc<CacheRequest>,
        basis: &Found,
        update: &HeaderMap,
        times: Times,
        began: Began,
    ) -> Renewed {
        let stored = basis.stored();
        let freshened = freshen(stored, update, times);
        let received = received_again(stored, &freshened, times);
        if !update.contains_key(SET_COOKIE) || !request.has_a_cookie_of_its_own(&received) {
            let storability = storability_again(request, stored, &received, began.sequence);
            return self.keep(request, basis, storability, began).await;
        }
        let mut others = update.clone();
        others.remove(SET_COOKIE);
        let others = freshen(stored, &others, times);
        let storability = storability_again(request, stored, &received_again(stored, &others, times), began.sequence);
        let kept = self.keep(request, basis, storability, began).await.own;
        let own = StoredResponse { fields: request.stored_fields(&received), ..kept.stored().clone() };
        Renewed { own: self.store.unstored(own, began), shared: None }
    }

    /// Stores a freshened response if it may be stored. If the response itself now forbids that, the stored response
    /// ends; if only this request forbids it, the stored response stays as it was: no client can empty the cache so.
    async fn keep(
        &self,
        request: &Arc<CacheRequest>,
        basis: &Found,
        storability: Storability,
        began: Began,
    ) -> Renewed {
        match storability {
            Ok(shareable) => {
                self.learn_shared(request, &CacheKey::stored_as(&basis.stored().key));
                let found = self.store.put(request, shareable, began).await;
                Renewed { own: found.clone(), shared: Some(found) }
            }
            Err(Withheld { stored, why }) => {
                request.withheld(why);
                let standing = if why.is_of_the_request() { Standing::Stands } else { Standing::Ended };
                self.learn_if_unshared(request, why, Some(standing));
                self.hold_to(request, basis, standing).await;
                Renewed { own: self.store.unstored(*stored, began), shared: None }
            }
        }
    }

    /// Settles what an answer that is not stored means for the stored response that its fill began with; `None` where
    /// there was none.
    pub(crate) async fn settle(&self, fill: &Fill, status: StatusCode, why: NotStored) -> Option<Standing> {
        let request = &fill.request;
        let standing = standing(&request.fields, status, why.is_of_the_request());
        match &fill.basis {
            Some(basis) => {
                self.hold_to(request, basis, standing).await;
                return Some(standing);
            }
            // The request was for a range that is not stored; other ranges may be.
            None if fill.purpose == Purpose::Part && standing == Standing::Ended => {
                self.store.forget(request, &fill.key).await
            }
            None => {}
        }
        None
    }

    /// Applies to a stored response what the origin's answer means for it.
    pub(crate) async fn hold_to(&self, request: &CacheRequest, basis: &Found, standing: Standing) {
        match standing {
            Standing::Stands => {}
            Standing::Ended => self.end(request, basis).await,
            Standing::Doubtful => self.doubt(request, basis),
        }
    }

    /// Removes a response that the origin no longer has. Requests that hold it already can still have it confirmed.
    async fn end(&self, request: &CacheRequest, basis: &Found) {
        basis.cached().end();
        self.store.forget(request, &CacheKey::stored_as(&basis.stored().key)).await;
    }

    /// Requires a stored response to be validated before it is next used. One from L2 is put into L1, which is asked
    /// first.
    fn doubt(&self, request: &CacheRequest, basis: &Found) {
        basis.cached().doubt();
        if basis.tier() != L1 {
            self.store.promote(request, basis);
        }
    }

    /// Where the key's responses are for one request each, lets no request wait for another one's fetch of it for a
    /// while. Returns whether they are.
    pub(crate) fn learn_if_unshared(&self, request: &CacheRequest, why: NotStored, standing: Option<Standing>) -> bool {
        tracing::debug!(tenant = &*request.tenant.name, target = request.target, reason = why.as_str(), "not stored");
        let parts_others = why.parts_others(standing);
        if parts_others {
            self.collapse.learned.note(request);
        }
        parts_others
    }

    /// From now on requests wait for each other's fetches of this key again, on other nodes too.
    pub(crate) fn learn_shared(&self, request: &CacheRequest, key: &CacheKey) {
        if self.collapse.learned.forget(request) {
            let (peers, key) = (Arc::clone(&self.peers), key.clone());
            self.tasks.spawn(async move {
                if let Some(fleet) = peers.fleet() {
                    fleet.leases().clear_unshared(&key).await;
                }
            });
        }
    }
}

/// The storability of a stored response with other fields.
fn storability_again(
    request: &CacheRequest,
    basis: &StoredResponse,
    received: &Received<'_>,
    sequence: u64,
) -> Storability {
    let (body, parts) = (basis.body.clone(), basis.parts.clone());
    let whole = |stored: StoredResponse| StoredResponse { body, parts, ..stored };
    match request.storability(received, sequence) {
        Ok(shareable) => Ok(shareable.with(whole)),
        Err(Withheld { stored, why }) => Err(Withheld { stored: Box::new(whole(*stored)), why }),
    }
}

/// A stored response as if it had just been received with these fields. Its fetch time stays that of the whole
/// response, as this is still what losing it would cost.
fn received_again<'a>(basis: &StoredResponse, fields: &'a HeaderMap, times: Times) -> Received<'a> {
    let (status, fetch_time, body_bytes) = (basis.status, basis.fetch_time, Some(basis.body_bytes()));
    Received { status, fields, body_bytes, times, fetch_time }
}
