//! A fill: one task that looks into L2, asks the origin, and has the response taken in. It belongs to no client and goes
//! on when all of them are gone.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::flight::Obligation;
use super::lease::{Came, Turn};
use super::outcome::{Found, Outcome, Unshared};
use crate::body::Body;
use crate::http::semantics::{Reuse, Times, freshen, may_serve_on_error, reuse, selected_by_304};
use crate::key::CacheKey;
use crate::origin::{Origin, OriginError};
use crate::tenant::counters::{count, not_stored};

/// What is to be fetched.
pub(crate) struct Fill {
    pub(crate) asked: Arc<Asked>,
    /// The key that is fetched, as far as is known: the primary one, or a variant's.
    pub(crate) key: CacheKey,
    /// What L1 has, and may not serve as it is.
    pub(crate) basis: Option<Found>,
    pub(crate) purpose: Purpose,
    /// Nobody waits for it, here or on other nodes.
    pub(crate) alone: bool,
}

/// What a fill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A client waits.
    Answer,
    /// A client waits for a range of something of which nothing is stored: the range goes to the origin as it is.
    Part,
    /// A client was served; this is for the next ones.
    Refresh,
}

/// What the origin has answered, and what that took.
pub(crate) struct Fetched {
    pub(crate) response: Response<Body>,
    pub(crate) times: Times,
    pub(crate) fetch_time: Duration,
}

impl Cache {
    /// Runs a fill in a task of its own.
    pub(crate) fn start_fill(&self, fill: Fill, obligation: Obligation<Outcome>) {
        let cache = self.clone();
        self.inner.tasks.spawn(async move { cache.run_fill(fill, obligation).await });
    }

    async fn run_fill(&self, mut fill: Fill, obligation: Obligation<Outcome>) {
        // A refresh looks when it has its turn: what L2 has is hardly better than what L1 had.
        if fill.purpose != Purpose::Refresh
            && let Some(found) = self.first_look(&mut fill).await
        {
            return obligation.land(Outcome::Found(found));
        }
        self.keep_for_errors(&fill);
        let lease = match self.turn(&mut fill).await {
            Turn::Found(found) => return obligation.land(Outcome::Found(found)),
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

    /// What L2 has and may not be served as it is may still be, when the origin fails or takes long: by all who wait.
    fn keep_for_errors(&self, fill: &Fill) {
        let now = self.inner.clock.now();
        if let Some(basis) = &fill.basis
            && basis.tier != super::outcome::L1
            && basis.cached.response().is_some_and(|stored| stored.useless_after(Duration::ZERO) > now)
        {
            self.promote(&fill.asked, basis);
        }
    }

    /// Whether what L2 has can be served as it is.
    pub(crate) fn is_reusable(&self, asked: &Asked, found: &Found) -> bool {
        let now = self.inner.clock.now();
        found.cached.response().is_some_and(|stored| {
            matches!(reuse(stored, &asked.head(), now, found.soft_purged), Reuse::Fresh | Reuse::Stale(_))
        })
    }

    pub(super) async fn ask_origin(&self, fill: Fill, began: Began, obligation: Obligation<Outcome>) -> Came {
        let asked = &fill.asked;
        let basis = fill.basis.as_ref().and_then(|found| found.cached.response());
        let (requested, started) = (self.inner.clock.now(), self.inner.clock.monotonic());
        let answer = asked.tenant.origin.fetch(asked.origin_request(basis, fill.purpose)).await;
        let refused = answer.as_ref().err().is_some_and(OriginError::is_refusal);
        if fill.purpose == Purpose::Refresh && !refused {
            count(&asked.tenant.counters.origin_refreshes);
        }
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                asked.tell_of(&error);
                // A refresh that was not even sent is no failure of those who have come to wait for it: the obligation,
                // dropped, goes to one of them.
                if fill.purpose != Purpose::Refresh || !refused {
                    obligation.land(Outcome::Failed(Arc::new(error)));
                }
                return Came::ToAnEnd;
            }
        };
        let times = Times { requested, received: self.inner.clock.now() };
        let fetched = Fetched { response, times, fetch_time: self.inner.clock.monotonic().saturating_sub(started) };
        let (response, now) = (&fetched.response, times.received);
        match (response.status(), fill.basis.as_ref().zip(basis)) {
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some((_, basis)))
                if fill.purpose != Purpose::Part && basis.status == StatusCode::PARTIAL_CONTENT =>
            {
                self.complete(fill, fetched, began, obligation).await
            }
            // Section 4.3.4: a 304 that names other content "MUST NOT" freshen what is stored; all of it is fetched.
            (StatusCode::NOT_MODIFIED, Some((_, basis)))
                if selected_by_304(&[basis], response.headers()).is_empty() =>
            {
                let whole = Fill { basis: None, ..fill };
                Box::pin(self.ask_origin(whole, began, obligation)).await
            }
            (StatusCode::NOT_MODIFIED, Some((_, basis))) => {
                count(&asked.tenant.counters.origin_validated);
                let freshened =
                    self.freshened(asked, basis, &freshen(basis, response.headers(), times), times, began.sequence);
                let found = self.store_or_keep(asked, freshened, began).await;
                obligation.land(Outcome::Validated(found));
                Came::ToAnEnd
            }
            (status, Some((found, basis)))
                if is_error(status) && may_serve_on_error(basis, &asked.head(), now, found.soft_purged) =>
            {
                obligation.land(Outcome::ErrorStatus(Unshared::new(fetched.response, not_stored::STALE_IF_ERROR)));
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
