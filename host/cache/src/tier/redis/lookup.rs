//! Reading entries: one round trip for all keys and the tenant's purge sequence. What can't be read is a miss.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use redis::{Cmd, Value};
use sandbar_base::memory_budget::{Reserved, Use};
use sandbar_http::entry::Entry;
use sandbar_http::key::CacheKey;

use super::reads::{Answered, ask_each};
use super::{RedisTier, barriers, keys};
use crate::tier::codec::Unreadable;
use crate::tier::{TierError, TierRead, codec};

/// Bytes that a command with its key takes, about.
const COMMAND_BYTES: usize = 96;

/// Memory is first reserved, and values are asked for, up to this many bytes. If one of them is longer, all are asked
/// for again, with room for the longest allowed.
const FIRST_BYTES_MAX: usize = 128 << 10;

impl RedisTier {
    pub(super) async fn read(&self, tenant: Option<&str>, keys: &[CacheKey]) -> Result<TierRead, TierError> {
        let found = self.read_up_to(FIRST_BYTES_MAX.min(self.config.value_max_bytes), tenant, keys).await?;
        match found {
            Some(found) => Ok(found),
            None => Ok(self.read_up_to(self.config.value_max_bytes, tenant, keys).await?.unwrap_or_default()),
        }
    }

    /// Reads values of up to `bytes_max` bytes each, for which memory is reserved first; without room all are misses.
    /// `None` where a value is longer than that, but may not be longer than the longest allowed.
    async fn read_up_to(
        &self,
        bytes_max: usize,
        tenant: Option<&str>,
        keys: &[CacheKey],
    ) -> Result<Option<TierRead>, TierError> {
        let nothing = || TierRead { entries: keys.iter().map(|_| None).collect(), sequence: None };
        let Some(mut room) = self.config.budget.reserve(Use::L2Reads, (keys.len() * (bytes_max + 1)) as u64) else {
            return Ok(Some(nothing()));
        };
        let commands = self.commands(keys, bytes_max);
        if commands.is_empty() && tenant.is_none() {
            return Ok(Some(TierRead::default()));
        }
        let Answered { values, sequence } = match &self.reads {
            Some(reads) => reads.ask(&self.link, commands, tenant).await?,
            None => ask_each(&self.link, commands, tenant).await?,
        };
        let longer = |value: &Value| matches!(value, Value::BulkString(bytes) if bytes.len() > bytes_max);
        if bytes_max < self.config.value_max_bytes && values.iter().any(longer) {
            return Ok(None);
        }
        // A tenant without a sequence has had no purge. A value that is no number is nonsense, and counts as 0 too.
        let sequence = sequence.map(|value| barriers::number(&value).unwrap_or(0));
        let shift_ms = self.link.correction_ms();
        let values = keys.iter().zip(values);
        let entries = values.map(|(key, value)| self.decode(key, value, shift_ms, &mut room)).collect();
        Ok(Some(TierRead { entries, sequence }))
    }

    /// One bounded read per key.
    fn commands(&self, keys: &[CacheKey], bytes_max: usize) -> Vec<Cmd> {
        let mut commands = Vec::with_capacity(keys.len());
        for key in keys {
            let mut command = Cmd::with_capacity(4, COMMAND_BYTES);
            // Not GET: whatever another program may have stored under the key, no more than `bytes_max` + 1 bytes come
            // back.
            command.arg("GETRANGE").arg(keys::entry(key.tenant(), key.hash(), self.spread));
            command.arg(0).arg(bytes_max);
            commands.push(command);
        }
        commands
    }

    fn decode(&self, key: &CacheKey, value: Value, shift_ms: i64, room: &mut Reserved) -> Option<Entry> {
        let bytes = match value {
            Value::Nil => return None,
            Value::BulkString(bytes) if bytes.is_empty() => return None,
            Value::BulkString(bytes) if bytes.len() <= self.config.value_max_bytes => Bytes::from(bytes),
            // The value is too large, or not a string at all.
            _ => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        let room = room.draw(bytes.len() as u64)?;
        let entry = codec::decode_within(bytes, &key.shared_text(), shift_ms, room);
        if let Err(reason) = &entry
            && *reason != Unreadable::NoRoom
        {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
        }
        entry.ok()
    }
}
