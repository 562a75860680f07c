//! A request for the whole, or for a range, of something of which parts are stored: only what is lacking is fetched (RFC
//! 9111 section 3.4), and the client gets all of it as one response.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Completion, Lacking, completion};

use super::Cache;
use super::began::Began;
use super::collapse::flight::Obligation;
use super::collapse::landing::{Arriving, Landing};
use super::fill::{Fetched, Fill};
use super::found::Found;
use super::judge::Received;
use super::lease::Came;
use super::spool::spool;
use crate::barrier::Verdict;
use crate::body::{self, Body, BoxError};

impl Cache {
    /// Adds what was lacking, and what the origin sends, to stored parts. Where it does not belong to them, all that is
    /// wanted is fetched.
    pub(super) async fn complete(
        &self,
        fill: Fill,
        lacking: Lacking,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<Landing>,
    ) -> Came {
        let Fetched { response, times, fetch_time } = fetched;
        let visible = |part: &&Found| part.cached().verdict(&fill.asked.tenant.barriers) != Verdict::Gone;
        let part = fill.asked_about().filter(|_| response.status() == StatusCode::PARTIAL_CONTENT).filter(visible);
        let completed =
            part.and_then(|part| Some((part.stored(), completion(part.stored(), &lacking, response.headers())?)));
        let Some((part, Completion { status, fields, bytes, before, after })) = completed else {
            return self.fetch_whole(fill, began, obligation).await;
        };
        let received = Received { status, fields: &fields, body_bytes: Some(bytes), times, fetch_time };
        let shareable = match self.judge(&fill.asked, &received, began.sequence) {
            Ok(shareable) if shareable.stored().key == part.key => shareable,
            _ => return self.fetch_whole(fill, began, obligation).await,
        };
        let arriving = Arriving::new(shareable, fields, Some(bytes), self.room_for(&fill.asked, Some(bytes)));
        let content = put_together(before, response.into_response().into_body(), after);
        self.join(&fill, arriving, content, began, obligation).await;
        Came::ToAnEnd
    }

    async fn join(
        &self,
        fill: &Fill,
        arriving: Arc<Arriving>,
        content: Body,
        began: Began,
        mut obligation: Obligation<Landing>,
    ) {
        let asked = &fill.asked;
        obligation.land(Landing::arriving(asked, &arriving));
        if spool(content, &arriving.tail, &mut obligation, asked).await
            && let Some(body) = arriving.tail.complete()
            && Some(body.len() as u64) == arriving.body_bytes
        {
            self.store_arrived(fill, &arriving, body, began).await;
        }
        asked.tenant.counters.waiters_cut.fetch_add(arriving.tail.cut(), Ordering::Relaxed);
    }

    async fn fetch_whole(&self, fill: Fill, began: Began, obligation: Obligation<Landing>) -> Came {
        let whole = Fill { validates: false, ..fill };
        Box::pin(self.ask_origin(whole, began, obligation)).await
    }
}

/// What is stored before the gap, what the origin sends, what is stored behind it.
fn put_together(before: Vec<Bytes>, came: Body, after: Vec<Bytes>) -> Body {
    let stored =
        |chunks: Vec<Bytes>| stream::iter(chunks.into_iter().map(|chunk| Ok::<_, BoxError>(Frame::data(chunk))));
    body::boxed(StreamBody::new(stored(before).chain(BodyStream::new(came)).chain(stored(after))))
}
