//! Errors of the admin API: a status and a sentence, in JSON, whichever layer they come from.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use sandbar_policy::BIND_DEADLINE;

/// A request that takes longer is given up, and answered with 408.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// The deadline of requests that bind a policy. Binding has a deadline of its own, whose error says more; the rest is
/// for the component to arrive, before binding, and for the hand-over of the entries, after it.
pub(super) const BINDING_DEADLINE: Duration = BIND_DEADLINE.saturating_add(DEADLINE).saturating_add(DEADLINE);

/// How much is read of an error text of the router or its extractors, in bytes: these texts are short.
const TEXT_BYTES_MAX: usize = 4096;

/// Why a request was refused; it has changed nothing.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    reason: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.reason }))).into_response()
    }
}

/// Answers 408 where a request does not meet its deadline.
pub(super) async fn within(State(deadline): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let reason = format!("it took longer than {} s", deadline.as_secs());
            Refused::new(StatusCode::REQUEST_TIMEOUT, reason).into_response()
        }
    }
}

/// Rewrites error responses of the router and its extractors as JSON, the form of [`Refused`].
pub(super) async fn in_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let has_form = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if has_form || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let text = axum::body::to_bytes(body, TEXT_BYTES_MAX).await.unwrap_or_default();
    let reason = match String::from_utf8_lossy(&text).trim() {
        "" => status.canonical_reason().unwrap_or("refused").to_lowercase(),
        said => said.to_owned(),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Response::from_parts(head, Body::from(json!({ "error": reason }).to_string()))
}
