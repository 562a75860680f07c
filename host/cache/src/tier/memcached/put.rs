//! Storing entries, within bounds of their size and of the bytes on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::Entry;
use sandbar_http::key::CacheKey;

use super::exchange::Job;
use super::stamp::{STAMP_BYTES, Stamp};
use super::{MemcachedTier, NAME, failed, name};
use crate::tier::TierError;
use crate::tier::codec::{self, Encoding};

/// Larger entries are encoded on a blocking thread, so that their compression does not delay other tasks.
const ENCODE_HERE_BYTES_MAX: u64 = 64 << 10;

impl MemcachedTier {
    pub(super) async fn write(&self, key: &CacheKey, entry: Arc<Entry>, until: Timestamp) -> Result<(), TierError> {
        let now = self.clock.now();
        let lifetime = until.saturating_since(now).min(self.config.lifetime_max);
        if lifetime.is_zero() {
            return Ok(());
        }
        // A part of a second more: what is too old is told by the entry itself.
        let lifetime_s = u32::try_from(lifetime.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        let server = self.server_of(key);
        if !server.is_available() {
            return Err(TierError::Open { tier: NAME });
        }
        let _held = self.hold(entry.weight_bytes())?;
        let asked = match &*entry {
            Entry::Response(response) => response.requested,
            Entry::Variants(_) => now,
        };
        let value = self.encode(entry).await?;
        let name = name(key);
        let bytes = STAMP_BYTES + value.len();
        if bytes > server.value_bytes_max() {
            // What an earlier fill has left there is not to be found in its place.
            let _ = server.call(&Job::Remove(&name)).await;
            let most = server.value_bytes_max();
            return Err(self.left_out(format!("an entry of {bytes} bytes is larger than {most}")));
        }
        let stamp = Stamp { realm: self.numbers.realm(), asked_ms: asked.as_millis() }.to_bytes();
        server.call(&Job::Set { key: &name, first: &stamp, rest: &value, lifetime_s }).await.map(drop)
    }

    async fn encode(&self, entry: Arc<Entry>) -> Result<Vec<u8>, TierError> {
        let compress_above_bytes = self.config.compress_above_bytes;
        let encoding = Encoding { compress_above_bytes, shift_ms: 0 };
        if entry.weight_bytes() <= ENCODE_HERE_BYTES_MAX || compress_above_bytes.is_none() {
            return Ok(codec::encode_with(&entry, &encoding));
        }
        let encoding = tokio::task::spawn_blocking(move || codec::encode_with(&entry, &encoding));
        encoding.await.map_err(|error| failed(error.to_string()))
    }

    fn hold(&self, bytes: u64) -> Result<Held<'_>, TierError> {
        let before = self.put_bytes.fetch_add(bytes, Ordering::AcqRel);
        let held = Held { of: &self.put_bytes, bytes };
        if before > 0 && before + bytes > self.config.put_bytes_max {
            return Err(self.left_out("too many bytes are on their way".to_owned()));
        }
        Ok(held)
    }

    fn left_out(&self, reason: String) -> TierError {
        self.left_out.fetch_add(1, Ordering::Relaxed);
        failed(reason)
    }
}

/// Counts bytes as on their way until it is dropped.
struct Held<'a> {
    of: &'a AtomicU64,
    bytes: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
