//! Storing entries: unconditionally or on terms, within bounds of their size and of the bytes on their way.

use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::Entry;
use sandbar_http::key::CacheKey;

use super::{NAME, RedisTier, keys, store};
use crate::tier::codec::Encoding;
use crate::tier::{Stored, Terms, TierError, puts};

impl RedisTier {
    pub(super) async fn write(
        &self,
        key: &CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
        terms: Terms,
    ) -> Result<Stored, TierError> {
        let lifetime = until.saturating_since(self.clock.now()).min(self.config.lifetime_max);
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        if lifetime_ms == 0 {
            return Ok(Stored::Yes);
        }
        if !self.link.is_available() {
            return Err(TierError::Open { tier: NAME });
        }
        let _held = self.puts.hold(entry.weight_bytes()).map_err(|reason| self.dropped(reason))?;
        let compress_above_bytes = self.config.compress_above_bytes;
        let encoding = Encoding { compress_above_bytes, shift_ms: self.link.correction_ms() };
        let value = puts::encode(entry, encoding).await.map_err(|reason| self.link.failed(reason))?;
        if value.len() > self.config.value_max_bytes {
            return Err(self.dropped(format!("an entry of {} bytes is too large", value.len())));
        }
        // On a Cluster the sequence is on another server, so barriers judge the entry only when it is read.
        let judged_at = terms.judged_at.filter(|_| self.config.keeps_barriers && !self.spread);
        let terms = Terms { judged_at, ..terms };
        if terms == Terms::default() {
            let mut command = redis::cmd("SET");
            command.arg(keys::entry(key.tenant(), key.hash(), self.spread)).arg(value).arg("PX").arg(lifetime_ms);
            self.link.call(|mut to| async move { command.query_async::<()>(&mut to).await }).await?;
            return Ok(Stored::Yes);
        }
        self.store_on(terms, key, value, lifetime_ms).await
    }

    async fn store_on(
        &self,
        terms: Terms,
        key: &CacheKey,
        value: Vec<u8>,
        lifetime_ms: u64,
    ) -> Result<Stored, TierError> {
        let tenant = key.tenant();
        let mut script = store::STORE.key(keys::entry(tenant, key.hash(), self.spread));
        script.key(keys::guard("f", tenant, key.hash(), self.spread));
        script.key(keys::guard("v", tenant, key.hash(), self.spread));
        if terms.judged_at.is_some() {
            script.key(keys::control(tenant, "seq"));
        }
        script.arg(terms.judged_at.map_or(-1, |sequence| i64::try_from(sequence).unwrap_or(i64::MAX)));
        script.arg(terms.token.unwrap_or(0)).arg(value).arg(lifetime_ms).arg(store::FENCE_MS);
        let versioned = terms.version;
        script.arg(versioned.map(|terms| store::version(terms.version)).unwrap_or_default());
        script.arg(versioned.map(|terms| store::sequence(terms.sequence)).unwrap_or_default());
        script.arg(versioned.map(|terms| store::sequence(terms.reset_below)).unwrap_or_default());
        script.arg(versioned.and_then(|terms| terms.tag).map(|tag| format!("{tag:?}")).unwrap_or_default());
        let answer: i64 = self.link.call(|mut to| async move { script.invoke_async(&mut to).await }).await?;
        Ok(match answer {
            store::STORED => Stored::Yes,
            store::REPLACED => Stored::Replaced,
            store::FENCED => Stored::Fenced,
            store::OLDER => Stored::Older,
            sequence => Stored::Behind(u64::try_from(sequence).unwrap_or(0)),
        })
    }

    fn dropped(&self, reason: String) -> TierError {
        self.puts.leave_out();
        self.link.failed(reason)
    }
}
