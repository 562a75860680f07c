//! A request for the whole of something of which the beginning is stored: only the rest is fetched (RFC 9111 section
//! 3.4), and the client gets both as one response.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::StatusCode;

use super::Cache;
use super::began::Began;
use super::collapse::flight::Obligation;
use super::collapse::landing::{Arriving, Landing};
use super::fill::{Fetched, Fill};
use super::judge::Received;
use super::lease::Came;
use super::spool::spool;
use crate::body::Body;
use crate::entry::StoredResponse;
use crate::http::semantics::leave::Holds;
use crate::http::semantics::{Completion, completion};

impl Cache {
    /// Adds the rest that the origin sends to the stored part. Where it does not belong to it, all of it is fetched.
    pub(super) async fn complete(
        &self,
        fill: Fill,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<Landing>,
    ) -> Came {
        let Fetched { response, times, fetch_time } = fetched;
        let part = fill.asked_about().filter(|_| response.status() == StatusCode::PARTIAL_CONTENT);
        let Some((part, Completion { fields, complete })) =
            part.and_then(|part| Some((part.stored(), completion(part.stored(), response.headers())?)))
        else {
            return self.fetch_whole(fill, began, obligation).await;
        };
        let received =
            Received { status: StatusCode::OK, fields: &fields, body_bytes: Some(complete), times, fetch_time };
        let shareable = match self.judge(&fill.asked, &received, began.sequence) {
            Ok(shareable) if shareable.stored().key == part.key => shareable,
            _ => return self.fetch_whole(fill, began, obligation).await,
        };
        let part = part.body.clone();
        let arriving = Arriving::new(shareable, fields, Some(complete), self.room_for(&fill.asked, Some(complete)));
        self.join(&fill, part, arriving, response.into_response().into_body(), began, obligation).await;
        Came::ToAnEnd
    }

    async fn join(
        &self,
        fill: &Fill,
        part: Bytes,
        arriving: Arc<Arriving>,
        rest: Body,
        began: Began,
        mut obligation: Obligation<Landing>,
    ) {
        let asked = &fill.asked;
        obligation.land(Landing::arriving(asked, &arriving));
        arriving.tail.append(part).await;
        if spool(rest, &arriving.tail, &mut obligation, asked).await
            && let Some(body) = arriving.tail.complete()
            && Some(body.len() as u64) == arriving.body_bytes
        {
            let shareable = arriving.shareable().clone().with(|stored| StoredResponse { body, ..stored });
            let found = self.store(asked, shareable, began).await;
            self.record_fill(fill, found.cached(), &arriving);
        }
        asked.tenant.counters.waiters_cut.fetch_add(arriving.tail.cut(), Ordering::Relaxed);
    }

    async fn fetch_whole(&self, fill: Fill, began: Began, obligation: Obligation<Landing>) -> Came {
        let whole = Fill { validates: false, ..fill };
        Box::pin(self.ask_origin(whole, began, obligation)).await
    }
}
