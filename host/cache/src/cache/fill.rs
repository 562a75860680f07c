//! A fill: one task that looks into L2, asks the origin, and has the response taken in. It belongs to no client and goes
//! on when all of them are gone.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Lacking, Reuse, Times, lacking, may_serve_on_error, reuse, selected_by_304};

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::collapse::flight::Obligation;
use super::collapse::landing::{Landing, Unshared};
use super::found::{Found, L1};
use super::lease::{Came, Turn};
use super::renew::Renewed;
use crate::origin::{OriginError, Sound};
use crate::tenant::counters::{count, not_stored};

/// What is to be fetched.
pub(crate) struct Fill {
    pub(crate) asked: Arc<Asked>,
    /// The key that is fetched, as far as is known: the primary one, or a variant's.
    pub(crate) key: CacheKey,
    /// What is stored, and may not be served as it is.
    pub(crate) basis: Option<Found>,
    /// Whether the origin is asked about what is stored, or for all of it.
    pub(crate) validates: bool,
    pub(crate) purpose: Purpose,
    /// It waits for no other node: nobody waits for it, or those who do insist on what the origin says now.
    pub(crate) alone: bool,
}

/// What a fill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A client waits.
    Answer,
    /// A client waits for a range that is not stored: what stored parts lack of it goes to the origin, or all of it as it is.
    Part,
    /// A client was served; this is for the next ones.
    Refresh,
}

/// What the origin has answered, and what that took.
pub(crate) struct Fetched {
    pub(crate) response: Sound,
    pub(crate) times: Times,
    pub(crate) fetch_time: Duration,
}

impl Fill {
    /// What the origin is asked about.
    pub(super) fn asked_about(&self) -> Option<&Found> {
        self.basis.as_ref().filter(|_| self.validates)
    }

    /// The one gap that stored parts have in what is wanted: of a range only where they are not outgrown by it, as what has
    /// come is stored then.
    pub(super) fn lacking(&self) -> Option<Lacking> {
        let part = self.asked_about()?.stored();
        if self.purpose != Purpose::Part {
            return lacking(part, None);
        }
        let bytes_max = self.asked.tenant.settings.body_bytes_max;
        let room = bytes_max.checked_sub(part.body_bytes())?;
        lacking(part, Some(&self.asked.head())).filter(|lacking| lacking.bytes().is_some_and(|bytes| bytes <= room))
    }

    /// Whether the origin wants to be asked for each request (RFC 9111 section 5.2.2.4): then another node's fetch brings
    /// nothing.
    pub(super) fn is_validated_each_time(&self) -> bool {
        self.basis.as_ref().is_some_and(|found| found.stored().directives.no_cache)
    }
}

impl Cache {
    /// Runs a fill in a task of its own.
    pub(crate) fn start_fill(&self, fill: Fill, obligation: Obligation<Landing>) {
        let cache = self.clone();
        self.inner.tasks.spawn(async move { cache.run_fill(fill, obligation).await });
    }

    async fn run_fill(&self, mut fill: Fill, obligation: Obligation<Landing>) {
        // A refresh looks when it has its turn: what L2 has is hardly better than what L1 had.
        if fill.purpose != Purpose::Refresh
            && let Some(found) = self.first_look(&mut fill).await
        {
            return obligation.land(Landing::found(&fill.asked, found));
        }
        self.keep_for_those_who_come(&fill);
        let lease = match self.turn(&mut fill, obligation.progress()).await {
            Turn::Found(found) => return obligation.land(Landing::found(&fill.asked, found)),
            Turn::Confirmed(found) => return obligation.land(Landing::confirmed(&fill.asked, found)),
            Turn::Left => return,
            Turn::Mine(lease) => lease,
            Turn::Alone => {
                let began = self.begin(&fill.asked);
                self.ask_origin(fill, began, obligation).await;
                return;
            }
        };
        // After L2 was asked, which told of the purges there were before, and before the origin is: a purge from here on
        // makes invisible what comes.
        let began = Began { token: Some(lease.token()), ..self.begin(&fill.asked) };
        let came = lease.during(self.ask_origin(fill, began, obligation)).await;
        self.give_back(lease, came).await;
    }

    async fn first_look(&self, fill: &mut Fill) -> Option<Found> {
        self.inner.l2.as_ref()?;
        let found = self.look(fill).await;
        let counters = &fill.asked.tenant.counters;
        count(if found.is_some() { &counters.hits_l2 } else { &counters.misses_l2 });
        found
    }

    /// What L2 has and may not be served as it is may still be, when the origin fails or takes long: by all who wait. And
    /// those who come are told by it whether they may wait at all. Not where L1 has something newer: of several parts that
    /// came one soon after the other, L2 may not have the last one yet.
    fn keep_for_those_who_come(&self, fill: &Fill) {
        let known_better = |basis: &Found| {
            let known = self.look_in_l1(&fill.asked, self.inner.clock.now()).found;
            known.is_some_and(|known| known.stored().key == basis.stored().key && !basis.is_newer_than(&known))
        };
        if let Some(basis) = fill.basis.as_ref().filter(|basis| basis.tier() != L1 && !known_better(basis)) {
            self.promote(&fill.asked, basis);
        }
    }

    /// Whether what L2 has can be served as it is.
    pub(crate) fn is_reusable(&self, asked: &Asked, found: &Found) -> bool {
        let now = self.inner.clock.now();
        matches!(reuse(found.stored(), &asked.head(), now, found.soft_purged()), Reuse::Fresh | Reuse::Stale(_))
    }

    pub(super) async fn ask_origin(&self, fill: Fill, began: Began, obligation: Obligation<Landing>) -> Came {
        let asked = Arc::clone(&fill.asked);
        let (requested, started) = (self.inner.clock.now(), self.inner.clock.monotonic());
        let lacking = fill.lacking();
        let mut request = asked.origin_request(fill.asked_about().map(Found::stored), fill.purpose, lacking.as_ref());
        request.extensions_mut().insert(obligation.progress().clone());
        let answer = self.ask(&asked, request).await;
        obligation.progress().is_answered();
        let refused = answer.as_ref().err().is_some_and(OriginError::is_refusal);
        if fill.purpose == Purpose::Refresh && !refused {
            count(&asked.tenant.counters.origin_refreshes);
        }
        let response = match answer {
            Ok(response) => response,
            // What stored parts lack came in a way that can't be believed: all that is wanted is fetched.
            Err(OriginError::Unsound { .. }) if lacking.is_some() => {
                let whole = Fill { validates: false, ..fill };
                return Box::pin(self.ask_origin(whole, began, obligation)).await;
            }
            Err(error) => {
                asked.tell_of(&error);
                // A refresh that was not even sent is no failure of those who have come to wait for it: the obligation,
                // dropped, goes to one of them.
                if fill.purpose != Purpose::Refresh || !refused {
                    obligation.land(Landing::failed(&asked, error));
                }
                return Came::ToAnEnd;
            }
        };
        let times = Times { requested, received: self.inner.clock.now() };
        let fetched = Fetched { response, times, fetch_time: self.inner.clock.monotonic().saturating_sub(started) };
        let (response, now) = (&fetched.response, times.received);
        let head = asked.head();
        match (response.status(), fill.asked_about()) {
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some(_))
                if let Some(lacking) = lacking =>
            {
                self.complete(fill, lacking, fetched, began, obligation).await
            }
            // Section 4.3.4: a 304 that names other content "MUST NOT" freshen what is stored; all of it is fetched.
            (StatusCode::NOT_MODIFIED, Some(basis))
                if selected_by_304(&[basis.stored()], response.headers()).is_empty() =>
            {
                let whole = Fill { validates: false, ..fill };
                Box::pin(self.ask_origin(whole, began, obligation)).await
            }
            (StatusCode::NOT_MODIFIED, Some(basis)) => {
                count(&asked.tenant.counters.origin_validated);
                let Renewed { own, shared } = self.renew(&asked, basis, response.headers(), times, began).await;
                obligation.land(Landing::validated(&asked, own, shared.as_ref()));
                Came::ToAnEnd
            }
            (status, Some(basis))
                if is_error(status) && may_serve_on_error(basis.stored(), &head, now, basis.soft_purged()) =>
            {
                let unshared = Unshared::new(fetched.response.into_response(), not_stored::STALE_IF_ERROR);
                obligation.land(Landing::error_status(&asked, unshared));
                Came::ToAnEnd
            }
            _ => self.take_in(fill, fetched, began, obligation).await,
        }
    }
}

/// RFC 5861 section 4: these four, and no response at all, are errors.
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
