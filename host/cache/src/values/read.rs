//! Reading what the cache has of values: nothing is loaded.

use std::time::Duration;

use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::leave::Leave;

use super::codec::Codec;
use super::error::ValueError;
use super::fresh::Lookup;
use super::handle::{Values, value_of};
use super::shelf::NoHit;
use crate::request::CacheRequest;
use crate::store::found::Found;
use crate::tenant::counters::{Source, count};

impl<T: Send + Sync + 'static, C: Codec<T>> Values<T, C> {
    /// What the cache has: from L1, which gives the very same `Arc` each time, else from the L2. Nothing is loaded; a stale value
    /// that may be given while it is loaded anew is given all the same.
    ///
    /// # Errors
    /// When the tenant is gone, or the key is too long.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Lookup<T>, ValueError> {
        let shelf = &self.of.shelf;
        let (tenant, started) = (shelf.tenant()?, shelf.monotonic());
        let key = shelf.key(&tenant, key.as_ref())?;
        count(&tenant.counters.requests);
        if let Ok(hit) = shelf.hit(&tenant, &key) {
            shelf.counted_hit(&tenant, &hit.leave, started);
            return Ok(Lookup::of(value_of(hit.leave.what())));
        }
        count(&tenant.counters.misses_l1);
        let request = shelf.request(&tenant, key);
        // On the heap, so that the state of a call that is answered from memory stays small.
        let below = Box::pin(shelf.below(std::slice::from_ref(&request))).await.pop();
        Ok(below.map_or(Lookup::Miss, |below| self.looked_up(&request, below, started)))
    }

    /// What the cache has for several keys, in their order; the L2 is read in one round.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Lookup<T>>, ValueError> {
        let shelf = &self.of.shelf;
        let (tenant, started) = (shelf.tenant()?, shelf.monotonic());
        let (mut known, mut places, mut requests) = (vec![Lookup::Miss; keys.len()], Vec::new(), Vec::new());
        let keys = keys.iter().map(|key| shelf.key(&tenant, key.as_ref())).collect::<Result<Vec<_>, _>>()?;
        for (place, key) in keys.into_iter().enumerate() {
            count(&tenant.counters.requests);
            if let Ok(hit) = shelf.hit(&tenant, &key) {
                shelf.counted_hit(&tenant, &hit.leave, started);
                known[place] = Lookup::of(value_of(hit.leave.what()));
            } else {
                count(&tenant.counters.misses_l1);
                places.push(place);
                requests.push(shelf.request(&tenant, key));
            }
        }
        if !requests.is_empty() {
            let below = shelf.below(&requests).await;
            for ((place, request), below) in places.into_iter().zip(&requests).zip(below) {
                known[place] = self.looked_up(request, below, started);
            }
        }
        Ok(known)
    }

    /// Counts the end of a lookup that went below L1.
    fn looked_up(&self, request: &CacheRequest, below: Result<Leave<Found>, NoHit>, started: Duration) -> Lookup<T> {
        let (outcome, source, bytes) = match &below {
            Ok(leave) => (Outcome::Hit, Source::L2, leave.what().cached().content_bytes()),
            Err(_) => (Outcome::Refused, Source::Synthesized, 0),
        };
        self.of.shelf.counted(&request.tenant, (outcome, None), source, bytes, started);
        if let Ok(leave) = &below {
            request.record(leave.what().cached(), self.of.shelf.now());
        }
        below.map_or(Lookup::Miss, |leave| Lookup::of(value_of(leave.what())))
    }
}
