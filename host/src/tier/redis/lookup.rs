//! Reading entries: one round trip for all keys and the tenant's purge sequence. What can't be read is a miss.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use redis::{Cmd, Value};

use super::reads::{Answered, ask_each};
use super::{RedisTier, barriers, keys};
use crate::entry::Entry;
use crate::key::CacheKey;
use crate::tier::{Found, TierError, codec};

/// What a command with a key in it takes, about.
const COMMAND_BYTES: usize = 96;

impl RedisTier {
    pub(super) async fn read(&self, tenant: Option<&str>, keys: &[CacheKey]) -> Result<Found, TierError> {
        let commands = self.commands(keys);
        if commands.is_empty() && tenant.is_none() {
            return Ok(Found::default());
        }
        let Answered { values, sequence } = match &self.reads {
            Some(reads) => reads.ask(&self.link, commands, tenant).await?,
            None => ask_each(&self.link, commands, tenant).await?,
        };
        // Missing is none yet; anything but a number is nonsense, and 0 is what it is worth.
        let sequence = sequence.map(|value| barriers::number(&value).unwrap_or(0));
        let shift_ms = self.link.correction_ms();
        let entries = keys.iter().zip(values).map(|(key, value)| self.decode(key, value, shift_ms)).collect();
        Ok(Found { entries, sequence })
    }

    /// One bounded read per key.
    fn commands(&self, keys: &[CacheKey]) -> Vec<Cmd> {
        let mut commands = Vec::with_capacity(keys.len());
        for key in keys {
            let mut command = Cmd::with_capacity(4, COMMAND_BYTES);
            // Not GET: whatever somebody may have put there, no more than an entry's worth of it comes back.
            command.arg("GETRANGE").arg(keys::entry(key.tenant(), key.hash(), self.spread));
            command.arg(0).arg(self.config.value_max_bytes);
            commands.push(command);
        }
        commands
    }

    fn decode(&self, key: &CacheKey, value: Value, shift_ms: i64) -> Option<Entry> {
        let bytes = match value {
            Value::Nil => return None,
            Value::BulkString(bytes) if bytes.is_empty() => return None,
            Value::BulkString(bytes) if bytes.len() <= self.config.value_max_bytes => Bytes::from(bytes),
            // Too large, or another type of key altogether.
            _ => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        let entry = codec::decode_shared(&bytes, &key.shared_text(), shift_ms);
        entry.inspect_err(|_| _ = self.unreadable.fetch_add(1, Ordering::Relaxed)).ok()
    }
}
