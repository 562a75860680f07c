//! How HTTP is spoken on connections, within the limits of the settings.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;

use super::config::{LimitsConfig, ListenConfig};

/// HTTP/2 window of a stream, in bytes: how much content a client may send before it is read.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// HTTP/2 window of a connection, for all its streams together, in bytes: [`super::room`] charges no more.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 10;

/// How much of a response's content hyper buffers ahead of the stream's window, in bytes.
const SEND_BYTES_MAX: usize = 64 << 10;

/// How often an HTTP/2 client is pinged, and how long it may take to answer before its connection is ended.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How HTTP is spoken on the connections of a side.
pub(super) struct Speech {
    pub(super) server: auto::Builder<TokioExecutor>,
    /// How long a client may take to send the head of its first request.
    pub(super) head_deadline: Duration,
    /// Whether clients are sent interim responses of origins.
    pub(super) interim_responses: bool,
}

impl Speech {
    /// HTTP within the limits that the settings give.
    pub(super) fn new(gateway: &ListenConfig, limits: &LimitsConfig) -> Self {
        let head_bytes = limits.head_max.as_usize();
        let mut server = auto::Builder::new(TokioExecutor::new());
        server
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_deadline.get())
            .max_headers(limits.fields_max.as_usize())
            .max_buf_size(head_bytes);
        server
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY)
            .max_concurrent_streams(limits.streams_max.get())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX));
        Self { server, head_deadline: limits.head_deadline.get(), interim_responses: gateway.interim_responses }
    }
}
