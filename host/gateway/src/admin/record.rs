//! The route that records a tenant's traffic, for the seconds that were asked for, and streams it as csv meanwhile.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream;
use sandbar::recording::{RecordError, Recording, Row};
use serde::Deserialize;

use super::{Admin, Refused};

/// The longest recording, in seconds: a day.
const SECONDS_MAX: u64 = 86_400;
/// How many rows are sent together at most.
const CHUNK_ROWS_MAX: usize = 4_096;
/// A chunk is sent at least this often, be it an empty line: so that nobody takes a quiet tenant for a dead connection.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RecordQuery {
    seconds: u64,
    sample: NonZeroU32,
}

impl Default for RecordQuery {
    fn default() -> Self {
        Self { seconds: 60, sample: NonZeroU32::MIN }
    }
}

pub(super) async fn record(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    Query(wanted): Query<RecordQuery>,
) -> Result<impl IntoResponse, Refused> {
    if !(1..=SECONDS_MAX).contains(&wanted.seconds) {
        let reason = format!("seconds={}: from 1 to {SECONDS_MAX}", wanted.seconds);
        return Err(Refused::new(StatusCode::BAD_REQUEST, reason));
    }
    let tenant = &admin.tenant(&tenant)?;
    let clock = admin.cache.clock();
    let recording = tenant.recording_point.record(wanted.sample, clock.now()).map_err(|error| match error {
        RecordError::Busy(_) => Refused::new(StatusCode::CONFLICT, error.to_string()),
        RecordError::Salt(_) => Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    })?;
    tracing::info!(tenant = &*tenant.name, seconds = wanted.seconds, sample = wanted.sample, "records");
    let until = clock.monotonic() + Duration::from_secs(wanted.seconds);
    let writer =
        Writer { admin: Arc::clone(&admin), recording, until, rows: Vec::new(), recorded: 0, stage: Stage::First };
    let content = Body::from_stream(stream::unfold(writer, |mut writer| async move {
        let chunk = writer.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), writer))
    }));
    Ok(([(header::CONTENT_TYPE, "text/csv"), (header::CACHE_CONTROL, "no-store")], content))
}

/// Writes a recording as csv. Ends with a line that begins with `#` and says how many rows there were and how many were
/// dropped; a recording that ends without that line was cut off.
struct Writer {
    admin: Arc<Admin>,
    recording: Recording,
    until: Duration,
    rows: Vec<Row>,
    recorded: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    First,
    Rows,
    Done,
}

impl Writer {
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::First => {
                self.stage = Stage::Rows;
                Some(Bytes::from_static(b"time,key,size,cost\n"))
            }
            Stage::Rows => Some(self.chunk().await),
            Stage::Done => None,
        }
    }

    async fn chunk(&mut self) -> Bytes {
        let left = self.until.saturating_sub(self.admin.cache.clock().monotonic());
        let is_over = left.is_zero() || !self.admin.is_ready();
        let pause = if is_over { Duration::ZERO } else { left.min(PAUSE) };
        self.rows.clear();
        // Rows that are not received in time stay in the queue.
        let _ = tokio::time::timeout(pause, self.recording.receive(&mut self.rows, CHUNK_ROWS_MAX)).await;
        self.recorded += self.rows.len() as u64;
        let mut text = String::with_capacity(48 * self.rows.len() + 1);
        for Row { time_ms, key, size_bytes, cost_us } in &self.rows {
            let _ = writeln!(text, "{time_ms},{key},{size_bytes},{cost_us}");
        }
        if self.rows.is_empty() && is_over {
            self.stage = Stage::Done;
            let _ = writeln!(text, "# recorded {} dropped {}", self.recorded, self.recording.dropped());
        } else if self.rows.is_empty() {
            text.push('\n');
        }
        text.into()
    }
}
