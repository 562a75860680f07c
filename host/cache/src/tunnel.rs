//! A request to switch to another protocol (RFC 9110 section 7.8), in a class that allows it: it is forwarded to the
//! origin, and where that switches, client and origin are joined by a tunnel. Nothing of it is stored, no other request
//! waits for it, and a response other than 101 is forwarded as it is.

mod copy;

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sandbar_base::clock::{Clock, timeout};
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use};
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::{FwdReason, upgrade};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::copy::{End, copied};
use crate::body;
use crate::exchange::Exchanges;
use crate::not_stored::NotStored;
use crate::origin::shield::Switched;
use crate::request::CacheRequest;
use crate::respond::{self, Answer, Answered};
use crate::tenant::counters::{Source, count};
use crate::tenant::tunnels::Opened;

/// Bytes that a tunnel is charged: a buffer for each direction, and its task.
const TUNNEL_BYTES: u64 = 2 * copy::BUFFER_BYTES as u64 + (16 << 10);

/// Why a tunnel is refused: the tenant has as many open as it may.
const TUNNELS_FULL: &str = "tunnels-full";

/// A tunnel that is about to be opened, with all that it holds for as long as it lasts.
struct Tunnel {
    opened: Opened,
    /// The place at the origin that the tunnel takes.
    place: Option<Switched>,
    room: Reserved,
    client: OnUpgrade,
    origin: OnUpgrade,
}

/// Joins clients and origins by tunnels.
pub(crate) struct Tunnels {
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: Arc<MemoryBudget>,
    pub(crate) tasks: TaskTracker,
    /// Cancelled where all tunnels are to end.
    pub(crate) ended: CancellationToken,
}

impl Tunnels {
    /// Asks the origin to switch to one of `protocols`. The client gets the response, and after a 101 all that follows.
    pub(crate) async fn switch(&self, request: &CacheRequest, protocols: HeaderValue) -> Answer {
        let tenant = &request.tenant;
        let Some(opened) = tenant.tunnels.enter() else { return self.refuse_tunnel(request, TUNNELS_FULL) };
        let Some(room) = self.budget.reserve(Use::Windows, TUNNEL_BYTES) else {
            return self.refuse_tunnel(request, NotStored::NoRoom.as_str());
        };
        let mut to_origin = request.forwarded(body::empty());
        // The client's own target, not the one that the key holds: nothing is stored under that.
        *to_origin.uri_mut() = request.uri.clone();
        upgrade::ask(protocols, to_origin.headers_mut());
        let mut response =
            match self.exchanges.ask(request, to_origin).await.inspect_err(|error| request.tell_of(error)) {
                Ok(response) => response.into_response(),
                Err(error) => return respond::origin_failed(request, FwdReason::Request, &error, self.clock.now()),
            };
        let answered = upgrade::answered(response.status(), response.headers());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let place = response.extensions_mut().remove::<Switched>();
            let origin = response.extensions_mut().remove::<OnUpgrade>();
            let Some((client, origin)) = request.offer.as_ref().map(|offer| offer.client.clone()).zip(origin) else {
                // The `Origin` does not give its connection away.
                let why = Outcome::fwd(FwdReason::Request);
                return respond::synthesized(request, StatusCode::BAD_GATEWAY, why, "no-tunnel", self.clock.now());
            };
            count(&tenant.counters.tunnels);
            self.open(request, Tunnel { opened, place, room, client, origin });
        }
        let said = Answered::forwarded(FwdReason::Request);
        let mut answer = respond::forwarded(request, response, said, Source::Bypassed, self.clock.now());
        answer.response.headers_mut().extend(answered);
        answer
    }

    fn refuse_tunnel(&self, request: &CacheRequest, why: &'static str) -> Answer {
        count(&request.tenant.counters.tunnels_refused);
        let (status, now) = (StatusCode::SERVICE_UNAVAILABLE, self.clock.now());
        let mut answer = respond::synthesized(request, status, Outcome::Refused, why, now);
        answer.response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }

    /// Joins the two connections in a task of their own, as soon as the client has its 101.
    fn open(&self, request: &CacheRequest, tunnel: Tunnel) {
        let (clock, ended) = (Arc::clone(&self.clock), self.ended.clone());
        let (tenant, target) = (Arc::clone(&request.tenant), request.target.clone());
        self.tasks.spawn(async move {
            let Tunnel { opened, place, room, client, origin } = tunnel;
            let (clock, counters) = (&*clock, &tenant.counters);
            let idle = opened.idle_deadline();
            let switched = timeout(clock, idle, async { tokio::try_join!(client, origin) });
            let end = tokio::select! {
                () = ended.cancelled() => End::Stopped,
                switched = switched => match switched {
                    Ok(Ok((client, origin))) => {
                        let (client, origin) = (TokioIo::new(client), TokioIo::new(origin));
                        let copying = copied(client, origin, clock, idle);
                        tokio::select! {
                            end = copying.run() => end,
                            () = ended.cancelled() => End::Stopped,
                        }
                    }
                    Ok(Err(_)) | Err(_) => End::Broken,
                },
            };
            tracing::debug!(tenant = &*tenant.name, target, ?end, "a tunnel has ended");
            if end == End::Idle {
                count(&counters.tunnels_idle);
            }
            drop((opened, place, room));
        });
    }
}
