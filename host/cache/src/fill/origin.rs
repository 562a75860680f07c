//! Asking the origin for what a fill fetches, and deciding by the answer what is done with it.

use std::sync::Arc;

use http::StatusCode;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Lacking, Times, may_serve_on_error, selected_by_304};

use super::lease::FetchEnd;
use super::validation::Renewed;
use super::{Fetched, Fill, Fills};
use crate::cached::Began;
use crate::collapse::fetch::Obligation;
use crate::collapse::outcome::{FetchOutcome, Unshared};
use crate::not_stored::NotStored;
use crate::origin::OriginError;
use crate::request::{CacheRequest, Purpose};
use crate::store::found::Found;
use crate::tenant::counters::count;

/// What an answer of the origin means for a fill.
pub(super) enum Step {
    /// The fetch has ended.
    FetchEnd(FetchEnd),
    /// The answer does not belong to the stored response that was asked about: all that is wanted has to be fetched.
    Whole(Fill, Obligation<FetchOutcome>),
}

impl Fills {
    /// Asks the origin, and asks again for all that is wanted where its answer does not belong to the stored response.
    pub(super) async fn ask_origin(
        &self,
        mut fill: Fill,
        began: Began,
        mut obligation: Obligation<FetchOutcome>,
    ) -> FetchEnd {
        loop {
            (fill, obligation) = match self.ask_once(fill, began, obligation).await {
                Step::FetchEnd(came) => return came,
                Step::Whole(fill, obligation) => (Fill { validates: false, ..fill }, obligation),
            };
        }
    }

    async fn ask_once(&self, fill: Fill, began: Began, obligation: Obligation<FetchOutcome>) -> Step {
        let request = Arc::clone(&fill.request);
        let (requested, started) = (self.clock.now(), self.clock.monotonic());
        let lacking = fill.lacking();
        let mut to_origin =
            request.origin_request(fill.asked_about().map(Found::stored), fill.purpose, lacking.as_ref());
        to_origin.extensions_mut().insert(obligation.progress().clone());
        let answer = self.exchanges.ask(&request, to_origin).await;
        obligation.progress().is_answered();
        if fill.purpose == Purpose::Refresh && !answer.as_ref().err().is_some_and(OriginError::is_refusal) {
            count(&request.tenant.counters.origin_refreshes);
        }
        let response = match answer {
            Ok(response) => response,
            // What would have filled the gap in stored parts came in an unsound response.
            Err(OriginError::Unsound { .. }) if lacking.is_some() => return Step::Whole(fill, obligation),
            Err(error) => return Step::FetchEnd(failed(&fill, error, obligation)),
        };
        let times = Times { requested, received: self.clock.now() };
        let fetched = Fetched { response, times, fetch_time: self.clock.monotonic().saturating_sub(started) };
        self.take(fill, lacking, fetched, began, obligation).await
    }

    /// Handles an answer by its status, and by what the origin was asked about.
    async fn take(
        &self,
        fill: Fill,
        lacking: Option<Lacking>,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<FetchOutcome>,
    ) -> Step {
        let request = Arc::clone(&fill.request);
        let (response, times) = (&fetched.response, fetched.times);
        match (response.status(), fill.asked_about()) {
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some(_))
                if let Some(lacking) = lacking =>
            {
                self.complete(fill, &lacking, fetched, began, obligation).await
            }
            // RFC 9111 section 4.3.4: a 304 that names other content "MUST NOT" freshen what is stored: all is fetched.
            (StatusCode::NOT_MODIFIED, Some(basis))
                if selected_by_304(&[basis.stored()], response.headers()).is_empty() =>
            {
                Step::Whole(fill, obligation)
            }
            (StatusCode::NOT_MODIFIED, Some(basis)) => {
                count(&request.tenant.counters.origin_validated);
                let Renewed { own, shared } = self.renew(&request, basis, response.headers(), times, began).await;
                obligation.fulfil(FetchOutcome::validated(&request, own, shared.as_ref()));
                Step::FetchEnd(FetchEnd::Done)
            }
            (status, Some(basis))
                if is_error(status)
                    && may_serve_on_error(basis.stored(), &request.head(), times.received, basis.soft_purged()) =>
            {
                request.withheld(NotStored::StaleIfError);
                let unshared = Unshared::new(fetched.response.into_response(), NotStored::StaleIfError);
                obligation.fulfil(FetchOutcome::error_status(&request, unshared));
                Step::FetchEnd(FetchEnd::Done)
            }
            _ => {
                let storability = fetched.storability(&request, began.sequence);
                Step::FetchEnd(self.take_in(fill, fetched, storability, began, obligation).await)
            }
        }
    }
}

/// Ends a fill for which the origin gave no response.
fn failed(fill: &Fill, error: OriginError, obligation: Obligation<FetchOutcome>) -> FetchEnd {
    let request: &Arc<CacheRequest> = &fill.request;
    request.tell_of(&error);
    // A refresh that was not even sent is no failure for the requests that wait for it: the obligation, dropped, passes
    // to one of them.
    if fill.purpose != Purpose::Refresh || !error.is_refusal() {
        obligation.fulfil(FetchOutcome::failed(request, error));
    }
    FetchEnd::Done
}

/// RFC 5861 section 4: these four, and no response at all, are errors.
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
