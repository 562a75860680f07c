//! Content that is sent to the admin API: charged to the node's memory before it is read, or refused. An operator's
//! component of 16 MiB takes as much memory as a client's upload.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::{RequestExt, body};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use sandbar_base::memory_budget::{Content, Reserved, Use, sent};

use super::{Admin, Refused};

/// Size of the first buffer for content whose length is not announced.
const FIRST_BYTES: u64 = 16 << 10;

/// The content of a request, charged for as long as anybody holds it.
pub(super) struct Upload {
    bytes: Bytes,
    room: Arc<Reserved>,
}

impl Upload {
    /// The bytes, which stay charged for as long as anybody holds them.
    pub(super) fn into_bytes(self) -> Bytes {
        sent(self.bytes, &self.room)
    }

    /// The bytes as the content of an entry, charged to the use `Entries` from now on.
    pub(super) fn into_content(self) -> Content {
        self.room.turn(Use::Entries);
        Content::kept(self.bytes, self.room)
    }
}

impl FromRequest<Arc<Admin>> for Upload {
    type Rejection = Refused;

    async fn from_request(request: Request, admin: &Arc<Admin>) -> Result<Self, Refused> {
        let bytes_max = admin.body_bytes_max;
        let announced = announced(request.headers()).unwrap_or(0);
        if announced > bytes_max {
            return Err(too_large(bytes_max));
        }
        let content = request.with_limited_body().into_body();
        let mut room = admin.cache.memory_budget().nothing(Use::Uploads);
        let bytes = read(content, announced, &mut room, bytes_max).await?;
        Ok(Self { bytes, room: Arc::new(room) })
    }
}

fn announced(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(mut content: body::Body, announced: u64, room: &mut Reserved, bytes_max: u64) -> Result<Bytes, Refused> {
    if !room.cover(announced) {
        return Err(no_room());
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(frame) = content.frame().await {
        let frame = frame.map_err(|error| match caused_by_limit(&error) {
            true => too_large(bytes_max),
            false => Refused::bad(format!("the content broke off: {error}")),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let need = bytes.len() + data.len();
        if need > bytes.capacity() {
            // While the buffer grows, its old and its new memory are there at once.
            let larger = (need as u64).next_power_of_two().max(FIRST_BYTES);
            if !room.cover(bytes.capacity() as u64 + larger) {
                return Err(no_room());
            }
            bytes.reserve(usize::try_from(larger).unwrap_or(need) - bytes.len());
            room.shrink_to(bytes.capacity() as u64);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

fn caused_by_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.into_iter().any(|cause| cause.is::<http_body_util::LengthLimitError>())
}

fn too_large(bytes_max: u64) -> Refused {
    let reason = format!("it is longer than {bytes_max} bytes (limits.admin_body_max)");
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
}

fn no_room() -> Refused {
    let reason = "the node has no memory left for it (memory.total); send it again in a moment";
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, reason)
}
