//! Asking the origin for what is to be fetched, and telling by its answer what is to be done with that.

use std::sync::Arc;

use http::StatusCode;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Lacking, Times, may_serve_on_error, selected_by_304};

use super::lease::Came;
use super::validation::Renewed;
use super::{Fetched, Fill, Fills};
use crate::cached::Began;
use crate::collapse::fetch::Obligation;
use crate::collapse::outcome::{Outcome, Unshared};
use crate::not_stored::NotStored;
use crate::origin::OriginError;
use crate::request::{CacheRequest, Purpose};
use crate::store::found::Found;
use crate::tenant::counters::count;

/// What an answer of the origin means for a fill.
pub(super) enum Step {
    /// It is done with.
    Came(Came),
    /// What was said of a part or of what is stored does not belong to it: all that is wanted is fetched.
    Whole(Fill, Obligation<Outcome>),
}

impl Fills {
    /// Has the origin asked, and once more for all that is wanted where its answer does not belong to what is stored.
    pub(super) async fn ask_origin(&self, mut fill: Fill, began: Began, mut obligation: Obligation<Outcome>) -> Came {
        loop {
            (fill, obligation) = match self.ask_once(fill, began, obligation).await {
                Step::Came(came) => return came,
                Step::Whole(fill, obligation) => (Fill { validates: false, ..fill }, obligation),
            };
        }
    }

    async fn ask_once(&self, fill: Fill, began: Began, obligation: Obligation<Outcome>) -> Step {
        let request = Arc::clone(&fill.request);
        let (requested, started) = (self.clock.now(), self.clock.monotonic());
        let lacking = fill.lacking();
        let mut request = request.origin_request(fill.asked_about().map(Found::stored), fill.purpose, lacking.as_ref());
        request.extensions_mut().insert(obligation.progress().clone());
        let answer = self.exchanges.ask(&request, request).await;
        obligation.progress().is_answered();
        if fill.purpose == Purpose::Refresh && !answer.as_ref().err().is_some_and(OriginError::is_refusal) {
            count(&request.tenant.counters.origin_refreshes);
        }
        let response = match answer {
            Ok(response) => response,
            // What stored parts lack came in a way that can't be believed.
            Err(OriginError::Unsound { .. }) if lacking.is_some() => return Step::Whole(fill, obligation),
            Err(error) => return Step::Came(failed(&fill, error, obligation)),
        };
        let times = Times { requested, received: self.clock.now() };
        let fetched = Fetched { response, times, fetch_time: self.clock.monotonic().saturating_sub(started) };
        self.take(fill, lacking, fetched, began, obligation).await
    }

    /// Does with an answer what its status says, given what was asked about.
    async fn take(
        &self,
        fill: Fill,
        lacking: Option<Lacking>,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<Outcome>,
    ) -> Step {
        let request = Arc::clone(&fill.request);
        let (response, times) = (&fetched.response, fetched.times);
        match (response.status(), fill.asked_about()) {
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some(_))
                if let Some(lacking) = lacking =>
            {
                self.complete(fill, &lacking, fetched, began, obligation).await
            }
            // Section 4.3.4: a 304 that names other content "MUST NOT" freshen what is stored; all of it is fetched.
            (StatusCode::NOT_MODIFIED, Some(basis))
                if selected_by_304(&[basis.stored()], response.headers()).is_empty() =>
            {
                Step::Whole(fill, obligation)
            }
            (StatusCode::NOT_MODIFIED, Some(basis)) => {
                count(&request.tenant.counters.origin_validated);
                let Renewed { own, shared } = self.renew(&request, basis, response.headers(), times, began).await;
                obligation.fulfil(Outcome::validated(&request, own, shared.as_ref()));
                Step::Came(Came::ToAnEnd)
            }
            (status, Some(basis))
                if is_error(status)
                    && may_serve_on_error(basis.stored(), &request.head(), times.received, basis.soft_purged()) =>
            {
                request.tenant.counters.withheld(NotStored::StaleIfError);
                let unshared = Unshared::new(fetched.response.into_response(), NotStored::StaleIfError);
                obligation.fulfil(Outcome::error_status(&request, unshared));
                Step::Came(Came::ToAnEnd)
            }
            _ => Step::Came(self.take_in(fill, fetched, began, obligation).await),
        }
    }
}

/// The origin gave no response.
fn failed(fill: &Fill, error: OriginError, obligation: Obligation<Outcome>) -> Came {
    let request: &Arc<CacheRequest> = &fill.request;
    request.tell_of(&error);
    // A refresh that was not even sent is no failure of those who have come to wait for it: the obligation, dropped, goes
    // to one of them.
    if fill.purpose != Purpose::Refresh || !error.is_refusal() {
        obligation.fulfil(Outcome::failed(request, error));
    }
    Came::ToAnEnd
}

/// RFC 5861 section 4: these four, and no response at all, are errors.
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
