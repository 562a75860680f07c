//! `multipart/byteranges`: the body of a 206 with several parts (RFC 9110 sections 14.6 and 15.3.7.2).

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::ranges::ByteRange;
use crate::entry::StoredResponse;
use crate::key::KeyHash;

/// A `multipart/byteranges` body. Its parts are slices of the stored content, which is not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    /// The value of `Content-Type`, with the boundary.
    pub content_type: HeaderValue,
    /// The body in chunks: heads of parts and slices of content in turn, then the closing boundary.
    pub chunks: Vec<Bytes>,
    /// Length of the body in bytes.
    pub length: u64,
}

/// The body with these ranges of a complete stored response. A range that reaches beyond the content is left out.
pub fn multipart(stored: &StoredResponse, ranges: &[ByteRange]) -> Multipart {
    let boundary = boundary(stored);
    let complete = stored.body.len() as u64;
    let mut chunks = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let Some(content) = slice(&stored.body, *range) else { continue };
        chunks.push(part_head(stored, &boundary, range.content_range(complete)));
        chunks.push(content);
    }
    chunks.push(format!("\r\n--{boundary}--\r\n").into());
    let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let content_type = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}"))
        .unwrap_or_else(|_| HeaderValue::from_static("multipart/byteranges"));
    Multipart { content_type, chunks, length }
}

/// The bytes of a range; none where it reaches beyond the content.
pub fn slice(body: &Bytes, range: ByteRange) -> Option<Bytes> {
    let first = usize::try_from(range.first).ok()?;
    let end = usize::try_from(range.last).ok()?.checked_add(1)?;
    (first < end && end <= body.len()).then(|| body.slice(first..end))
}

fn part_head(stored: &StoredResponse, boundary: &str, content_range: HeaderValue) -> Bytes {
    let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
    if let Some(content_type) = stored.fields.get(CONTENT_TYPE) {
        head.extend_from_slice(b"Content-Type: ");
        head.extend_from_slice(content_type.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"Content-Range: ");
    head.extend_from_slice(content_range.as_bytes());
    head.extend_from_slice(b"\r\n\r\n");
    head.into()
}

/// 128 bits that depend on when the response was received: its author can't have written the boundary into the content.
fn boundary(stored: &StoredResponse) -> String {
    format!("{:?}", KeyHash::of(&format!("{}\n{}\n{}", stored.key, stored.received, stored.requested)))
}
