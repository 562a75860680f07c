//! One exchange with the origin: send, wait within the deadlines, and try once more where that is safe.

use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use http::header::UPGRADE;
use http::request::Parts;
use http::{Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{Client, Error, ResponseFuture};
use sandbar_http::Interim;
use sandbar_http::semantics::sound::{Unsound, leaves_doubt};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::HttpOrigin;
use super::body::{Download, Progress, Sent, Upload};
use super::connect::{ConnectDeadline, Dial, died_unanswered};
use super::interim::{BYTES_MAX, Interims, RESPONSES_MAX};
use super::reason::{causes, reason};
use crate::body::{self, Body, Whole};
use crate::origin::OriginError;

/// Why an attempt brought no response.
enum Failed {
    Sending(Error),
    Deadline(&'static str, Duration),
    /// More interim responses than allowed.
    Interims,
}

pub(super) async fn exchange(origin: &HttpOrigin, request: Request<Body>) -> Result<Response<Body>, OriginError> {
    let total_at = Instant::now() + origin.config.total_deadline.get();
    let is_sent = request.body().is_end_stream();
    let response = timeout_at(total_at, attempts(origin, request))
        .await
        .map_err(|_| origin.missed("total", origin.config.total_deadline.get()))??;
    let is_watched = is_sent && response.version() == Version::HTTP_2;
    Ok(response.map(|inner| {
        body::boxed(Download {
            inner: Whole::new(inner, is_watched),
            origin: origin.name.as_str().into(),
            idle_deadline: origin.config.idle_body_deadline.get(),
            total_deadline: origin.config.total_deadline.get(),
            total_at,
            waiting: None,
        })
    }))
}

/// A request without a body whose method is idempotent may be sent twice (RFC 9110 section 9.2.2). That is done once,
/// if it was sent on a reused connection that broke before a byte of the response had come.
async fn attempts(origin: &HttpOrigin, mut request: Request<Body>) -> Result<Response<Incoming>, OriginError> {
    origin.address(&mut request)?;
    let replayable = request.method().is_idempotent() && request.body().is_end_stream();
    let (head, body) = request.into_parts();
    let again = replayable.then(|| copy(&head));
    let switches = head.headers.contains_key(UPGRADE);
    let first = if switches { &origin.switching } else { &origin.pooled };
    let failed = match attempt(first, Request::from_parts(head, body), origin).await {
        Ok(response) => return Ok(response),
        Err(failed) => failed,
    };
    let failed = match (again, failed) {
        (Some(again), Failed::Sending(error)) if error.connect_info().is_some_and(died_unanswered) => {
            tracing::debug!(origin = origin.name, %error, "a kept connection was closed; asking again on a new one");
            match attempt(&origin.fresh, again, origin).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            }
        }
        (_, failed) => failed,
    };
    Err(explain(origin, &failed))
}

fn copy(head: &Parts) -> Request<Body> {
    let mut copy = Request::new(body::empty());
    *copy.method_mut() = head.method.clone();
    *copy.uri_mut() = head.uri.clone();
    *copy.headers_mut() = head.headers.clone();
    if let Some(interim) = head.extensions.get::<Interim>() {
        copy.extensions_mut().insert(interim.clone());
    }
    copy
}

async fn attempt(
    client: &Client<Dial, Upload>,
    request: Request<Body>,
    origin: &HttpOrigin,
) -> Result<Response<Incoming>, Failed> {
    let (head, body) = request.into_parts();
    let (upload, progress) = Upload::new(body);
    let mut request = Request::from_parts(head, upload);
    let interims = Interims::of(&mut request);
    let mut connection = capture_connection(&mut request);
    let sent = client.request(request);
    let response = in_time(sent, &mut connection, &progress, &interims, origin).await?;
    if leaves_doubt(response.status(), response.headers())
        && let Some(connected) = &*connection.connection_metadata()
    {
        // It is uncertain what comes next on this connection: no other request is sent on it.
        connected.poison();
    }
    Ok(response)
}

/// The response, unless a deadline passes or too many interim responses come first.
async fn in_time(
    sent: ResponseFuture,
    connection: &mut CaptureConnection,
    progress: &Progress,
    interims: &Interims,
    origin: &HttpOrigin,
) -> Result<Response<Incoming>, Failed> {
    let mut sent = pin!(sent);
    // Connecting has its own deadline.
    tokio::select! {
        biased;
        response = &mut sent => return response.map_err(Failed::Sending),
        _ = connection.wait_for_connection_metadata() => {}
    }
    let connected = Instant::now();
    tokio::select! {
        biased;
        () = interims.too_many() => Err(Failed::Interims),
        response = &mut sent => response.map_err(Failed::Sending),
        missed = overdue(connected, progress, origin) => Err(missed),
    }
}

/// Ends when for too long the origin has taken no more of the request's body or, once all of it was sent, has not begun
/// a response. While the client has more to send, no deadline runs; how long a client may take is not decided here.
async fn overdue(connected: Instant, progress: &Progress, origin: &HttpOrigin) -> Failed {
    loop {
        let (what, since, deadline) = match progress.state() {
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

fn explain(origin: &HttpOrigin, failed: &Failed) -> OriginError {
    let error = match failed {
        Failed::Deadline(what, deadline) => return origin.missed(what, *deadline),
        Failed::Interims => {
            let why = Unsound::Interims { responses: RESPONSES_MAX, bytes: BYTES_MAX };
            return OriginError::Unsound { origin: origin.name.clone(), why };
        }
        Failed::Sending(error) => error,
    };
    if error.is_connect() && causes(error).any(|cause| cause.is::<ConnectDeadline>() || is_timed_out(cause)) {
        return origin.missed("connect", origin.config.connect_deadline.get());
    }
    if error.is_connect() {
        return OriginError::Connect { origin: origin.name.clone(), reason: reason(error) };
    }
    origin.broken(reason(error))
}

fn is_timed_out(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}
