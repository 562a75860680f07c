//! A response is taken in: judged, handed to those who wait, and stored while it streams to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use http_body::Body as _;
use sandbar_base::memory_budget::Content;
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::KeyHash;
use sandbar_http::semantics::standing::is_particular;
use sandbar_http::semantics::{outgrows, taken_in};

use super::asked::Asked;
use super::began::Began;
use super::collapse::flight::Obligation;
use super::collapse::landing::{Arriving, Landing, Unshared};
use super::fill::{Fetched, Fill, Purpose};
use super::judge::{Judged, Received, Shareable, Why, Withheld};
use super::lease::Came;
use super::spool::spool;
use super::{Cache, Cached};
use crate::barrier::Verdict;
use crate::origin::Sound;
use crate::tenant::counters::{count, not_stored};

impl Cache {
    /// Has a response judged, hands it to those who wait and stores it if it may be.
    pub(crate) async fn take_in(
        &self,
        fill: Fill,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<Landing>,
    ) -> Came {
        let asked = &fill.asked;
        let Fetched { response, times, fetch_time } = fetched;
        let body_bytes = response.body().size_hint().exact();
        let (status, fields) = (response.status(), response.headers());
        let received = Received { status, fields, body_bytes, times, fetch_time };
        let judged = self.judge(asked, &received, began.sequence);
        if self.outgrows(&fill, &judged) {
            if judged.is_ok() {
                count(&asked.tenant.counters.too_large);
                asked.tenant.counters.reasons.count(not_stored::TOO_LARGE);
            }
            let response = Unshared::new(response.into_response(), not_stored::TOO_LARGE);
            obligation.land(Landing::unshared(asked, response));
            return Came::ToAnEnd;
        }
        let shareable = match judged.and_then(|shareable| self.accepted(&fill, shareable, &began)) {
            Ok(shareable) => shareable,
            Err(withheld) if withheld.why == Why::Other(not_stored::OLDER_VERSION) => {
                return self.give_newer(asked, response, obligation).await;
            }
            Err(withheld) => {
                let standing = self.settle(&fill, status, withheld.why).await;
                let parts_others = self.learn_if_unshared(asked, withheld.why, standing);
                obligation
                    .land(Landing::unshared(asked, Unshared::new(response.into_response(), withheld.why.as_str())));
                let unshared = parts_others && !withheld.why.is_of_the_request();
                return if unshared { Came::Unshared } else { Came::ToAnEnd };
            }
        };
        self.learn_shared(asked, &fill.key);
        self.stream(fill, shareable, response, began, obligation).await
    }

    /// What stands against a response beside the standard: a newer one is known, or it is about more than what it would
    /// answer.
    fn accepted(&self, fill: &Fill, shareable: Shareable, began: &Began) -> Judged {
        let asked = &fill.asked;
        let version = self.version_of(asked, shareable.stored(), began);
        let shareable = shareable.with(|stored| StoredResponse { version, ..stored });
        let status = shareable.stored().status;
        let conditional = fill.validates && fill.basis.is_some();
        let why = if self.is_outdated(&asked.tenant, shareable.stored()) {
            not_stored::OLDER_VERSION
        } else if status == StatusCode::PARTIAL_CONTENT && fill.purpose != Purpose::Part {
            not_stored::UNASKED_PART
        } else if is_particular(status, fill.purpose == Purpose::Part, conditional) {
            not_stored::PARTICULAR_ERROR
        } else {
            return Ok(shareable);
        };
        asked.tenant.counters.reasons.count(why);
        let (stored, _vary) = shareable.into_parts();
        Err(Withheld { stored: Box::new(stored), why: Why::Other(why) })
    }

    /// An answer that is older than what is known: those who wait get the newer one, if L2 has it.
    async fn give_newer(&self, asked: &Arc<Asked>, response: Sound, obligation: Obligation<Landing>) -> Came {
        let newer = self.look_in_l2(asked).await.filter(|found| self.is_reusable(asked, found));
        obligation.land(match newer {
            Some(newer) => {
                self.promote(asked, &newer);
                Landing::found(asked, newer)
            }
            None => Landing::unshared(asked, Unshared::new(response.into_response(), not_stored::OLDER_VERSION)),
        });
        Came::ToAnEnd
    }

    /// Streams a response to those who wait, and stores it once it is whole.
    async fn stream(
        &self,
        fill: Fill,
        shareable: Shareable,
        response: Sound,
        began: Began,
        mut obligation: Obligation<Landing>,
    ) -> Came {
        let asked = &fill.asked;
        let (head, content) = response.into_response().into_parts();
        let body_bytes = content.size_hint().exact();
        let tail = self.room_for(asked, body_bytes);
        let arriving = Arriving::new(shareable, head.headers, body_bytes, Arc::clone(&tail));
        if !arriving.shareable().vary().is_empty() {
            // From here on others know by what the response was selected, and come to this flight by it.
            self.announce_variants(asked, arriving.shareable().vary(), began);
            obligation.rekey(asked.flight_key(KeyHash::of(&arriving.shareable().stored().key)));
        }
        obligation.land(Landing::arriving(asked, &arriving));
        let whole = spool(content, &tail, &mut obligation, asked).await.then(|| tail.complete()).flatten();
        let came = if whole.is_none() && tail.passes().is_some() { Came::Unshared } else { Came::ToAnEnd };
        if let Some(body) = whole {
            self.store_arrived(&fill, &arriving, body, began).await;
        } else if let Some(passing) = tail.passes().filter(|_| head.status != StatusCode::PARTIAL_CONTENT) {
            self.settle(&fill, head.status, Why::Other(passing.as_str())).await;
        }
        asked.tenant.counters.waiters_cut.fetch_add(tail.cut(), Ordering::Relaxed);
        came
    }

    /// Stores what has arrived; a part together with what is stored already (RFC 9111 section 3.4), or not.
    pub(super) async fn store_arrived(&self, fill: &Fill, arriving: &Arriving, body: Content, began: Began) {
        let shareable = arriving.shareable().clone().with(|stored| StoredResponse { body, ..stored });
        if let Some(shareable) = shareable.with_if(|stored| self.with_stored_parts(fill, stored)) {
            let found = self.store(&fill.asked, shareable, began).await;
            self.record_fill(fill, found.cached(), arriving);
        }
    }

    fn with_stored_parts(&self, fill: &Fill, new: StoredResponse) -> Option<StoredResponse> {
        if new.status != StatusCode::PARTIAL_CONTENT {
            return Some(new);
        }
        let old = self.stored_parts(fill, &new.key);
        taken_in(old.as_deref().and_then(Cached::response), new, fill.asked.tenant.settings.body_bytes_max)
    }

    /// Whether what is stored would be more than may be with a part of the same representation. Then the part is passed on,
    /// and what is stored stays.
    fn outgrows(&self, fill: &Fill, judged: &Judged) -> bool {
        let part = match judged {
            Ok(shareable) => shareable.stored(),
            Err(withheld) if withheld.why == Why::Other(not_stored::TOO_LARGE) => &*withheld.stored,
            Err(_) => return false,
        };
        let bytes_max = fill.asked.tenant.settings.body_bytes_max;
        fill.purpose == Purpose::Part
            && part.status == StatusCode::PARTIAL_CONTENT
            && self
                .stored_parts(fill, &part.key)
                .is_some_and(|old| old.response().is_some_and(|old| outgrows(old, part, bytes_max)))
    }

    /// What is stored under a key, in L1 or else where the fill has found it, and has not been purged since.
    fn stored_parts(&self, fill: &Fill, key: &Arc<str>) -> Option<Arc<Cached>> {
        let tenant = &fill.asked.tenant;
        let usable = |cached: &Arc<Cached>| {
            cached.entry.key() == key
                && !cached.is_ended()
                && cached.verdict(&tenant.barriers) != Verdict::Gone
                && self.vouches_for(tenant, cached)
        };
        let below = || fill.basis.as_ref().map(|found| Arc::clone(found.cached()));
        tenant.memory.peek(KeyHash::of(key)).filter(usable).or_else(|| below().filter(usable))
    }
}
