//! One exchange with the origin: send, wait within the deadlines, and try again where that is safe.

use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::UPGRADE;
use http::{Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{Client, Error, ResponseFuture};
use sandbar_http::Interim;
use sandbar_http::semantics::sound::{Unsound, leaves_doubt};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::HttpOrigin;
use super::connect::{ConnectDeadline, Dial, died_unanswered};
use super::download::Download;
use super::ejection::Failure;
use super::interim::{BYTES_MAX, Interims, RESPONSES_MAX};
use super::reason::{causes, reason};
use super::route::Route;
use super::upload::{Sending, Sent, Upload};
use super::visit::Visit;
use crate::body::{self, Body, Whole};
use crate::origin::{Lasting, OriginError};

/// Why an attempt brought no response.
enum Failed {
    Sending(Error),
    Deadline(&'static str, Duration),
    /// There was no connection in the time that this address has.
    NoConnection,
    /// More interim responses than allowed.
    Interims,
}

/// An attempt that brought no response.
struct Attempted {
    why: Failed,
    /// The request's content, where nothing of it was asked for.
    unsent: Option<Body>,
    /// Whether the request may have failed because its content did.
    is_clients: bool,
}

impl Failed {
    /// Whether nothing was sent, as there was no connection.
    fn is_unconnected(&self) -> bool {
        match self {
            Self::Sending(error) => error.is_connect(),
            Self::NoConnection => true,
            Self::Deadline(..) | Self::Interims => false,
        }
    }

    /// Whether a connection that was there broke.
    fn is_broken(&self) -> bool {
        matches!(self, Self::Sending(error) if !error.is_connect())
    }

    /// Whether a kept connection broke before a byte of the response had come.
    fn died_unanswered(&self) -> bool {
        matches!(self, Self::Sending(error) if error.connect_info().is_some_and(died_unanswered))
    }
}

pub(super) async fn exchange(origin: &HttpOrigin, request: Request<Body>) -> Result<Response<Body>, OriginError> {
    let total_at = Instant::now() + origin.config.total_deadline.get();
    let is_sent = request.body().is_end_stream();
    let (mut response, mut visit, sending) = timeout_at(total_at, attempts(origin, request))
        .await
        .map_err(|_| origin.missed("total", origin.config.total_deadline.get()))??;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS || response.body().is_end_stream() {
        visit.answered();
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        response.extensions_mut().insert(Lasting::new(visit));
        return Ok(response.map(body::boxed));
    }
    let is_watched = is_sent && response.version() == Version::HTTP_2;
    Ok(response.map(|inner| {
        body::boxed(Download {
            inner: Whole::new(inner, is_watched),
            origin: Arc::clone(&origin.name),
            idle_deadline: origin.config.idle_body_deadline.get(),
            total_deadline: origin.config.total_deadline.get(),
            total_at,
            waiting: None,
            sending: (!is_sent).then_some(sending),
            visit,
        })
    }))
}

/// Sends a request. It is sent again
/// - to the same address, once, where its method is idempotent and it has no content (RFC 9110 section 9.2.2), and it
///   was sent on a kept connection that broke before a byte of the response had come;
/// - to another address, where there was no connection, so that nothing of it was sent.
async fn attempts(
    origin: &HttpOrigin,
    mut request: Request<Body>,
) -> Result<(Response<Incoming>, Visit, Arc<Sending>), OriginError> {
    let mut route = Route::of(origin, request.extensions_mut().remove()).await?;
    origin.address(&mut request)?;
    let is_sent = request.body().is_end_stream();
    let is_replayable = request.method().is_idempotent() && is_sent;
    let switches = request.headers().contains_key(UPGRADE);
    let (mut visit, mut is_again) = (route.next(is_sent), false);
    loop {
        let again = (route.has_more() || is_replayable && !is_again).then(|| copy(&request));
        let endpoint = &visit.endpoint;
        let client = match (switches, is_again) {
            (true, _) => &endpoint.switching,
            (false, true) => &endpoint.fresh,
            (false, false) => &endpoint.pooled,
        };
        let failure = match attempt(client, request, origin, &route).await {
            Ok((response, sending)) => {
                note(&mut visit, response.status());
                return Ok((response, visit, sending));
            }
            Err(failure) => failure,
        };
        let died_unanswered = is_replayable && !is_again && failure.why.died_unanswered();
        if let Some(again) = again.as_ref().filter(|_| died_unanswered) {
            tracing::debug!(origin = &*origin.name, "a kept connection was closed; asking again on a new one");
            (request, is_again) = (copy(again), true);
            continue;
        }
        let error = explain(origin, &visit, &failure.why);
        if !failure.is_clients {
            let how = if failure.why.is_unconnected() { Failure::NoConnection } else { Failure::BadAnswer };
            visit.failed(how, error.to_string());
        }
        let elsewhere = again.filter(|_| route.has_more() && failure.why.is_unconnected());
        let Some((again, content)) = elsewhere.zip(failure.unsent) else { return Err(error) };
        tracing::debug!(origin = &*origin.name, %error, "asking at another address");
        (request, visit, is_again) = (again.map(|_| content), route.next(is_sent), false);
    }
}

/// Notes what the head of a response says of the address: that something in front of it, or it itself, can't work (RFC 9110
/// section 15.6), or that it may.
fn note(visit: &mut Visit, status: StatusCode) {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            visit.failed(Failure::BadAnswer, format!("it answered {status}"));
        }
        _ => visit.begun(),
    }
}

/// A copy of a request without its content.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    if let Some(interim) = request.extensions().get::<Interim>() {
        copy.extensions_mut().insert(interim.clone());
    }
    copy
}

async fn attempt(
    client: &Client<Dial, Upload>,
    request: Request<Body>,
    origin: &HttpOrigin,
    route: &Route,
) -> Result<(Response<Incoming>, Arc<Sending>), Attempted> {
    let (head, body) = request.into_parts();
    let (upload, sending) = Upload::new(body, route.has_more());
    let mut request = Request::from_parts(head, upload);
    let interims = Interims::of(&mut request);
    let mut connection = capture_connection(&mut request);
    let sent = client.request(request);
    let waits = Waits { connect_by: route.connect_by(), sending: &sending, interims: &interims };
    let response = in_time(sent, &mut connection, &waits, origin).await.map_err(|why| Attempted {
        is_clients: why.is_broken() && !matches!(sending.state(), Sent::All(_)),
        unsent: sending.unsent(),
        why,
    })?;
    if leaves_doubt(response.status(), response.headers())
        && let Some(connected) = &*connection.connection_metadata()
    {
        // It is uncertain what comes next on this connection: no other request is sent on it.
        connected.poison();
    }
    Ok((response, sending))
}

/// What a response is waited for with.
struct Waits<'a> {
    connect_by: Option<Instant>,
    sending: &'a Sending,
    interims: &'a Interims,
}

/// The response, unless a deadline passes or too many interim responses come first.
async fn in_time(
    sent: ResponseFuture,
    connection: &mut CaptureConnection,
    waits: &Waits<'_>,
    origin: &HttpOrigin,
) -> Result<Response<Incoming>, Failed> {
    let mut sent = pin!(sent);
    // Connecting has its own deadline; a shorter one where there is another address to try.
    tokio::select! {
        biased;
        response = &mut sent => return response.map_err(Failed::Sending),
        _ = connection.wait_for_connection_metadata() => {}
        () = passed(waits.connect_by) => return Err(Failed::NoConnection),
    }
    let connected = Instant::now();
    tokio::select! {
        biased;
        () = waits.interims.too_many() => Err(Failed::Interims),
        response = &mut sent => response.map_err(Failed::Sending),
        missed = overdue(connected, waits.sending, origin) => Err(missed),
    }
}

/// Ends at that time, if there is one.
async fn passed(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Ends when for too long the origin has taken no more of the request's body or, once all of it was sent, has not begun
/// a response. While the client has more to send, no deadline runs; how long a client may take is not decided here.
async fn overdue(connected: Instant, sending: &Sending, origin: &HttpOrigin) -> Failed {
    loop {
        let (what, since, deadline) = match sending.state() {
            Sent::All(at) => ("first-byte", at, origin.config.first_byte_deadline.get()),
            Sent::Stuck(since) => ("request-body", since, origin.config.idle_body_deadline.get()),
            Sent::Awaited => ("request-body", Instant::now(), origin.config.idle_body_deadline.get()),
        };
        let at = connected.max(since) + deadline;
        if at <= Instant::now() {
            return Failed::Deadline(what, deadline);
        }
        // The body may end meanwhile, and a shorter deadline run from then on: look again in good time.
        sleep_until(at.min(Instant::now() + origin.config.first_byte_deadline.get())).await;
    }
}

fn explain(origin: &HttpOrigin, visit: &Visit, failed: &Failed) -> OriginError {
    let connect_deadline = origin.config.connect_deadline.get();
    let error = match failed {
        Failed::Deadline(what, deadline) => return origin.missed(what, *deadline),
        Failed::NoConnection => return origin.missed("connect", connect_deadline),
        Failed::Interims => {
            let why = Unsound::Interims { responses: RESPONSES_MAX, bytes: BYTES_MAX };
            return OriginError::Unsound { origin: origin.name.to_string(), why };
        }
        Failed::Sending(error) => error,
    };
    if error.is_connect() && causes(error).any(|cause| cause.is::<ConnectDeadline>() || is_timed_out(cause)) {
        return origin.missed("connect", connect_deadline);
    }
    let reason = origin.told_at(&visit.endpoint, reason(error));
    if error.is_connect() { origin.unreachable(reason) } else { origin.broken(reason) }
}

fn is_timed_out(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}
