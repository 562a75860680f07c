//! Completing stored parts of a representation: for a request for the whole, or for a range, only the gap is fetched
//! (RFC 9111 section 3.4), and the client gets all of it as one response.

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use http_body_util::{BodyStream, StreamBody};
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Completion, Lacking, completion};

use super::lease::FetchEnd;
use super::origin::Step;
use super::{Fetched, Fill, Fills};
use crate::barrier::Verdict;
use crate::body::{self, Body};
use crate::cached::Began;
use crate::collapse::fetch::Obligation;
use crate::collapse::outcome::FetchOutcome;
use crate::storability::Received;
use crate::store::found::Found;

impl Fills {
    /// Fills the gap in stored parts (`lacking`) with what the origin sends, unless that does not belong to them.
    pub(super) async fn complete(
        &self,
        fill: Fill,
        lacking: &Lacking,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<FetchOutcome>,
    ) -> Step {
        let Fetched { response, times, fetch_time } = fetched;
        let visible = |part: &&Found| part.cached().verdict(&fill.request.tenant.barriers) != Verdict::Gone;
        let part = fill.asked_about().filter(|_| response.status() == StatusCode::PARTIAL_CONTENT).filter(visible);
        let completed =
            part.and_then(|part| Some((part.stored(), completion(part.stored(), lacking, response.headers())?)));
        let Some((part, Completion { status, fields, bytes, before, after })) = completed else {
            return Step::Whole(fill, obligation);
        };
        let received = Received { status, fields: &fields, body_bytes: Some(bytes), times, fetch_time };
        let shareable = match fill.request.storability(&received, began.sequence) {
            Ok(shareable) if shareable.stored().key == part.key => shareable,
            _ => return Step::Whole(fill, obligation),
        };
        let arriving = self.ingest.arriving(&fill.request, shareable, fields, Some(bytes));
        let content = put_together(before, response.into_response().into_body(), after);
        self.stream(&fill, &arriving, content, began, obligation).await;
        Step::FetchEnd(FetchEnd::Done)
    }
}

/// One body of the stored content before the gap, the origin's content, and the stored content behind the gap.
fn put_together(before: Vec<Bytes>, came: Body, after: Vec<Bytes>) -> Body {
    let stored = |chunks| BodyStream::new(body::chunks(chunks));
    body::boxed(StreamBody::new(stored(before).chain(BodyStream::new(came)).chain(stored(after))))
}
