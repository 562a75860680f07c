//! A request for the whole of something of which the beginning is stored: only the rest is fetched (RFC 9111 section
//! 3.4), and the client gets both as one response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use super::Cache;
use super::began::Began;
use super::fill::{Fetched, Fill};
use super::flight::Obligation;
use super::judge::Received;
use super::lease::Came;
use super::outcome::{Arriving, Outcome};
use super::spool::spool;
use super::tail::Passing;
use crate::body::Body;
use crate::entry::StoredResponse;
use crate::http::semantics::{Completion, completion};

impl Cache {
    /// Adds the rest that the origin sends to the stored part. Where it does not belong to it, all of it is fetched.
    pub(super) async fn complete(
        &self,
        fill: Fill,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<Outcome>,
    ) -> Came {
        let Fetched { response, times, fetch_time } = fetched;
        let part = fill.basis.as_ref().and_then(|found| found.cached.response());
        let part = part.filter(|_| response.status() == StatusCode::PARTIAL_CONTENT);
        let Some((part, Completion { fields, complete })) =
            part.and_then(|part| Some((part, completion(part, response.headers())?)))
        else {
            return self.fetch_whole(fill, began, obligation).await;
        };
        let received =
            Received { status: StatusCode::OK, fields: &fields, body_bytes: Some(complete), times, fetch_time };
        let judged = self.judge(&fill.asked, &received, began.sequence);
        if judged.obstacle.is_some() || judged.stored.key != part.key {
            return self.fetch_whole(fill, began, obligation).await;
        }
        let tail = self.room_for(&fill.asked, Some(complete));
        let arriving = Arriving {
            stored: judged.stored,
            received: fields,
            vary: judged.vary,
            body_bytes: Some(complete),
            unstored: tail.passes().map(Passing::as_str),
            tail,
            recorded_later: AtomicU64::new(0),
        };
        self.join(&fill, part, Arc::new(arriving), response.into_body(), began, obligation).await;
        Came::ToAnEnd
    }

    async fn join(
        &self,
        fill: &Fill,
        part: &StoredResponse,
        arriving: Arc<Arriving>,
        rest: Body,
        began: Began,
        mut obligation: Obligation<Outcome>,
    ) {
        let asked = &fill.asked;
        obligation.land(Outcome::Arriving(Arc::clone(&arriving)));
        arriving.tail.append(part.body.clone()).await;
        if spool(rest, &arriving.tail, &mut obligation, asked).await
            && let Some(body) = arriving.tail.complete()
            && Some(body.len() as u64) == arriving.body_bytes
        {
            let found =
                self.store(asked, &arriving.vary, StoredResponse { body, ..arriving.stored.clone() }, began).await;
            self.record_fill(fill, &found.cached, &arriving);
        }
        asked.tenant.counters.waiters_cut.fetch_add(arriving.tail.cut(), Ordering::Relaxed);
    }

    async fn fetch_whole(&self, fill: Fill, began: Began, obligation: Obligation<Outcome>) -> Came {
        let whole = Fill { basis: None, ..fill };
        Box::pin(self.ask_origin(whole, began, obligation)).await
    }
}
