//! A range of a representation's bytes (RFC 9110 section 14.1.2).

use http::HeaderValue;

/// A range of bytes, both ends included; `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Position of the first byte.
    pub first: u64,
    /// Position of the last byte.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes the range has; at least one.
    pub const fn len(self) -> u64 {
        self.last - self.first + 1
    }

    /// Never: a range has at least one byte.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// The value of `Content-Range` for this range of a representation of `complete` bytes (RFC 9110 section 14.4).
    pub fn content_range(self, complete: u64) -> HeaderValue {
        let text = format!("bytes {}-{}/{complete}", self.first, self.last);
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
    }
}
