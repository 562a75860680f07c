//! One connection of a client: opened, served over HTTP/1.1 or HTTP/2 until it ends, and drained when it is time to stop.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use sandbar::body::BoxError;
use sandbar_http::semantics::request::Ambiguous;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::abrupt::{Abruptly, Ending};
use super::bounds::Bounds;
use super::farewell::Farewell;
use super::framing::{BothLengths, Framing};
use super::interim::{Interims, behind};
use super::opening::{Opening, Peer};
use super::room::ConnectionCharge;
use super::speech::Speech;
use super::tls::Secured;
use super::wire::Wire;

/// What all connections of a listener have in common.
pub(super) struct Common<F> {
    pub(super) opening: Opening,
    /// Makes the service of a connection.
    pub(super) service_for: Arc<F>,
    pub(super) until: Until,
}

/// When the connections of a listener end.
#[derive(Clone)]
pub(super) struct Until {
    /// No more are accepted, and clients open another one for what they ask next, at which another process answers:
    /// HTTP/2 clients are told at once, those of HTTP/1.1 with their next answer, as one that asks just now must not find
    /// its connection closed.
    pub(super) leave: CancellationToken,
    /// Connections end as soon as nothing is under way on them; one on which nothing was asked yet has [`FRESH_GRACE`] to be asked
    /// something, once: its client could not know that the end was near.
    pub(super) stop: CancellationToken,
    pub(super) cut: CancellationToken,
}

/// How long a connection on which nothing was asked yet waits for a request when it is time to stop.
const FRESH_GRACE: Duration = Duration::from_millis(250);

/// The place of a connection, and its token of those that are waited for.
type Held = (OwnedSemaphorePermit, TaskTrackerToken);

/// A connection that was accepted, with what it holds until it ends.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// Those that held when it was accepted.
    pub(super) bounds: Arc<Bounds>,
    pub(super) room: Arc<ConnectionCharge>,
    /// A connection that has switched to another protocol counts until it ends.
    pub(super) held: Held,
}

impl<F, S, B> Common<F>
where
    F: Fn(Peer, Arc<ConnectionCharge>) -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Send,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Opens a connection and serves it until it ends.
    pub(super) async fn serve(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, address, bounds, room, held } = accepted;
        let abruptly = Abruptly::default();
        let stream = Ending::of(stream, abruptly.clone());
        let opened = tokio::select! {
            biased;
            () = self.fresh_ends() => return,
            opened = self.opening.open(&bounds.terms, stream, address) => opened,
        };
        if let Some((wire, peer)) = opened {
            let secured = peer.secured.clone();
            let service = (self.service_for)(peer, Arc::clone(&room));
            self.talk(&bounds.speech, (wire, abruptly), (room, held), service, secured.as_deref()).await;
        }
    }

    /// Waits until a connection ends on which nothing was asked yet.
    async fn fresh_ends(&self) {
        self.until.stop.cancelled().await;
        tokio::time::sleep(FRESH_GRACE).await;
    }

    /// Waits until the connection is to answer nothing new: until it is time to stop, or what was agreed on it holds no more.
    async fn ends(&self, secured: Option<&Secured>, begun: &AtomicBool, farewell: &Farewell) {
        let stops = async {
            self.until.stop.cancelled().await;
            if !begun.load(Ordering::Relaxed) {
                farewell.begin();
                tokio::time::sleep(FRESH_GRACE).await;
            }
        };
        match secured {
            Some(secured) => tokio::select! {
                () = stops => {}
                () = secured.outdated() => {}
            },
            None => stops.await,
        }
    }

    async fn talk(
        &self,
        speech: &Speech,
        (wire, abruptly): (Wire, Abruptly),
        (room, held): (Arc<ConnectionCharge>, Held),
        service: S,
        secured: Option<&Secured>,
    ) {
        let interims = Interims::default();
        let (both_lengths, requests) = (BothLengths::default(), AtomicU64::new(0));
        let (is_old, farewell) = (Arc::new(AtomicBool::new(false)), Farewell::new(self.until.leave.child_token()));
        let stream = TokioIo::new(interims.over(wire, Framing::new(both_lengths.clone()), room, held));
        let begun = Arc::new(AtomicBool::new(false));
        let (noted, interim_responses) = (Arc::clone(&begun), speech.interim_responses);
        let (asked_in_old, told) = (Arc::clone(&is_old), Arc::clone(&farewell));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let version = request.version();
            noted.store(true, Ordering::Relaxed);
            asked_in_old.store(version < Version::HTTP_11, Ordering::Relaxed);
            told.asked(version);
            if both_lengths.has(requests.fetch_add(1, Ordering::Relaxed)) {
                request.extensions_mut().insert(Ambiguous::BothLengths);
            }
            // RFC 9110 section 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client".
            let turn = (interim_responses && version == Version::HTTP_11).then(|| {
                let (interim, turn) = interims.begin();
                request.extensions_mut().insert(interim);
                turn
            });
            let (answering, told) = (behind(service.call(request), turn), Arc::clone(&told));
            async move {
                let mut response = answering.await?;
                told.mark(version, &mut response);
                Ok::<_, S::Error>(response)
            }
        });
        let mut connection = pin!(speech.server.serve_connection_with_upgrades(stream, service));
        let mut silence = pin!(tokio::time::sleep(speech.head_deadline));
        let mut ends = pin!(async {
            tokio::select! {
                () = self.ends(secured, &begun, &farewell) => {}
                () = farewell.goes_away() => {}
            }
        });
        let (mut stopping, mut waiting) = (false, true);
        loop {
            tokio::select! {
                biased;
                () = self.until.cut.cancelled() => return,
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        let broke_off = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user);
                        abruptly.set(broke_off && is_old.load(Ordering::Relaxed));
                        tracing::debug!(%error, "a client connection ended with an error");
                    }
                    return;
                }
                () = ends.as_mut(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's own deadline starts when it knows the protocol: for a client that sends nothing there is
                // none.
                () = silence.as_mut(), if waiting => {
                    waiting = false;
                    if !begun.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}
