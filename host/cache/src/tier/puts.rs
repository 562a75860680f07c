//! Entries on their way to a server that nodes share: their bytes are bounded, and large ones are encoded off the threads that
//! serve requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sandbar_http::entry::Entry;

use super::codec::{self, Encoding};

/// Larger entries are encoded on a blocking thread, so that their compression does not delay other tasks.
const ENCODE_HERE_BYTES_MAX: u64 = 64 << 10;

/// What is on its way, and what was left out.
#[derive(Debug)]
pub(super) struct Puts {
    bytes: AtomicU64,
    bytes_max: u64,
    left_out: AtomicU64,
}

impl Puts {
    /// Nothing is on its way; so many bytes may be, and one entry of any size.
    pub(super) const fn new(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max, left_out: AtomicU64::new(0) }
    }

    /// Counts bytes as on their way until what is returned is dropped.
    ///
    /// # Errors
    /// With a sentence, where there are too many.
    pub(super) fn hold(&self, bytes: u64) -> Result<Held<'_>, String> {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let held = Held { of: &self.bytes, bytes };
        if before > 0 && before + bytes > self.bytes_max {
            return Err("too many bytes are on their way".to_owned());
        }
        Ok(held)
    }

    /// Notes that an entry is left out.
    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were left out.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

/// Bytes that are on their way.
pub(super) struct Held<'a> {
    of: &'a AtomicU64,
    bytes: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// The bytes of an entry.
///
/// # Errors
/// With a sentence, where the thread that encodes it ends.
pub(super) async fn encode(entry: Arc<Entry>, encoding: Encoding) -> Result<Vec<u8>, String> {
    if entry.weight_bytes() <= ENCODE_HERE_BYTES_MAX || encoding.compress_above_bytes.is_none() {
        return Ok(codec::encode_with(&entry, &encoding));
    }
    let encoding = tokio::task::spawn_blocking(move || codec::encode_with(&entry, &encoding));
    encoding.await.map_err(|error| error.to_string())
}
