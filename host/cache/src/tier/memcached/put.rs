//! Storing entries, within bounds of their size and of the bytes on their way.

use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::Entry;
use sandbar_http::key::CacheKey;

use super::exchange::Job;
use super::stamp::{STAMP_BYTES, Stamp};
use super::{MemcachedTier, NAME, failed, name};
use crate::tier::codec::Encoding;
use crate::tier::{TierError, puts};

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
        let _held = self.puts.hold(entry.weight_bytes()).map_err(|reason| self.left_out(reason))?;
        let asked = match &*entry {
            Entry::Response(response) => response.requested,
            Entry::Variants(_) => now,
        };
        let encoding = Encoding { compress_above_bytes: self.config.compress_above_bytes, shift_ms: 0 };
        let value = puts::encode(entry, encoding).await.map_err(failed)?;
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

    fn left_out(&self, reason: String) -> TierError {
        self.puts.leave_out();
        failed(reason)
    }
}
