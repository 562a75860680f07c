//! A request to switch to another protocol (RFC 9110 section 7.8), in a class that allows it: it goes to the origin, and
//! where that switches, client and origin are joined by a tunnel. Nothing of it is stored, nobody else waits for it, and
//! what the origin says instead of a 101 is passed on as it is.

mod copy;

use std::sync::Arc;

use http::header::{CONNECTION, RETRY_AFTER, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode, request};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sandbar_base::clock::timeout;
use sandbar_base::memory_budget::{Reserved, Use};
use sandbar_http::semantics::cache_status::Outcome as Status;
use sandbar_http::semantics::{FwdReason, upgrade};
use tokio_util::sync::DropGuard;

use self::copy::{End, copied};
use super::Cache;
use super::asked::Asked;
use super::respond::serve::Answered;
use crate::body::{self, Body};
use crate::origin::shield::Switched;
use crate::tenant::counters::{count, not_stored};
use crate::tenant::tunnels::Opened;

/// What a tunnel keeps, in bytes: a buffer for each direction, and its task.
const TUNNEL_BYTES: u64 = 2 * copy::BUFFER_BYTES as u64 + (16 << 10);

/// Why a tunnel is not opened: there are as many as may be.
const TUNNELS_FULL: &str = "tunnels-full";

/// What a client offers to switch to, and its connection once it has.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    client: OnUpgrade,
    /// `Connection` and `Upgrade`, which no further recipient sees.
    fields: HeaderMap,
}

impl Offer {
    /// None where the client offers nothing, or its connection can't be switched: it is HTTP/1.0 or HTTP/2.
    pub(crate) fn of(head: &request::Parts) -> Option<Self> {
        let client = head.extensions.get::<OnUpgrade>()?.clone();
        let mut fields = HeaderMap::new();
        for name in [CONNECTION, UPGRADE] {
            for value in head.headers.get_all(&name) {
                fields.append(&name, value.clone());
            }
        }
        Some(Self { client, fields })
    }
}

/// A tunnel that is about to be: what it keeps for as long as it lasts.
struct Tunnel {
    opened: Opened,
    /// At the origin.
    place: Option<Switched>,
    room: Reserved,
    client: OnUpgrade,
    origin: OnUpgrade,
}

impl Asked {
    /// What to ask the origin to switch to: what the client offers and the class of the target allows.
    pub(crate) fn switches_to(&self) -> Option<HeaderValue> {
        let offer = self.offer.as_ref()?;
        upgrade::offered(&self.method, &offer.fields, &self.tenant.settings.classes.of(&self.target).upgrade)
    }
}

impl Cache {
    /// Asks the origin to switch to one of `protocols`. Its answer goes to the client; after a 101 so does all else.
    pub(crate) async fn switch(&self, asked: &Asked, protocols: HeaderValue) -> Response<Body> {
        let tenant = &asked.tenant;
        count(&tenant.counters.bypassed);
        let Some(opened) = tenant.tunnels.enter() else { return self.refuse_tunnel(asked, TUNNELS_FULL) };
        let Some(room) = self.inner.budget.reserve(Use::Windows, TUNNEL_BYTES) else {
            return self.refuse_tunnel(asked, not_stored::NO_ROOM);
        };
        let mut request = asked.passing(body::empty());
        // Nothing is stored under the target that the key holds.
        *request.uri_mut() = asked.uri.clone();
        upgrade::ask(protocols, request.headers_mut());
        let mut response = match self.ask(asked, request).await.inspect_err(|error| asked.tell_of(error)) {
            Ok(response) => response.into_response(),
            Err(error) => return self.origin_failed(asked, FwdReason::Request, &error),
        };
        let answered = upgrade::answered(response.status(), response.headers());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let place = response.extensions_mut().remove::<Switched>();
            let origin = response.extensions_mut().remove::<OnUpgrade>();
            let Some((client, origin)) = asked.offer.as_ref().map(|offer| offer.client.clone()).zip(origin) else {
                // Whoever asked the origin for it keeps the connection to itself.
                return self.synthesized(asked, StatusCode::BAD_GATEWAY, Status::fwd(FwdReason::Request), "no-tunnel");
            };
            count(&tenant.counters.tunnels);
            self.open(asked, Tunnel { opened, place, room, client, origin });
        }
        let mut response = self.serve_forwarded(asked, response, Answered::forwarded(FwdReason::Request));
        response.headers_mut().extend(answered);
        response
    }

    fn refuse_tunnel(&self, asked: &Asked, why: &'static str) -> Response<Body> {
        count(&asked.tenant.counters.tunnels_refused);
        let mut response = self.synthesized(asked, StatusCode::SERVICE_UNAVAILABLE, Status::Refused, why);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    /// Joins the two connections in a task of their own, as soon as the client has its 101.
    fn open(&self, asked: &Asked, tunnel: Tunnel) {
        let (cache, tenant, target) = (self.clone(), Arc::clone(&asked.tenant), asked.target.clone());
        self.inner.tasks.spawn(async move {
            let Tunnel { opened, place, room, client, origin } = tunnel;
            let (clock, counters) = (&*cache.inner.clock, &tenant.counters);
            let idle = opened.idle_deadline();
            let switched = timeout(clock, idle, async { tokio::try_join!(client, origin) });
            let end = tokio::select! {
                () = cache.inner.tunnels.cancelled() => End::Stopped,
                switched = switched => match switched {
                    Ok(Ok((client, origin))) => {
                        let (client, origin) = (TokioIo::new(client), TokioIo::new(origin));
                        let copying = copied(client, origin, clock, idle);
                        tokio::select! {
                            end = copying.run() => end,
                            () = cache.inner.tunnels.cancelled() => End::Stopped,
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

    /// Ends all tunnels when the guard is dropped, and lets no new one begin to copy: whoever stops a node holds it.
    pub fn ends_tunnels(&self) -> DropGuard {
        self.inner.tunnels.clone().drop_guard()
    }
}
