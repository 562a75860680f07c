//! Choosing what is handed out.

use std::time::Duration;

use bytes::Bytes;
use sandbar_base::Timestamp;

use super::Queue;
use crate::batch::Batch;

/// A write that is under way from now on.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) seq: u64,
    pub(crate) attempt: u32,
    /// Its record's body, where memory has it.
    pub(crate) held: Option<Bytes>,
}

impl Queue {
    /// The writes of a tenant that are due, if they are enough for a batch or one of them has waited long enough.
    pub(crate) fn pick(&mut self, tenant: &str, batch: &Batch, now: Timestamp) -> Vec<Picked> {
        let (chosen, is_full) = self.choose(tenant, batch, now);
        let is_ripe = |(due, seq): &(Timestamp, u64)| due.saturating_add(self.patience(*seq, batch.age)) <= now;
        if !is_full && !chosen.iter().any(is_ripe) {
            return Vec::new();
        }
        chosen.into_iter().filter_map(|(_, seq)| self.send(seq)).collect()
    }

    /// When the next batch is due, as things stand; none where nothing waits.
    pub(crate) fn due(&self, tenant: &str, batch: &Batch) -> Option<Timestamp> {
        let ripe = |(due, seq): (Timestamp, u64)| due.saturating_add(self.patience(seq, batch.age));
        self.lines.firsts(tenant).take(batch.len.max(1)).map(ripe).min()
    }

    /// So many of the firsts as fit into a batch, and whether it is full with them.
    fn choose(&self, tenant: &str, batch: &Batch, now: Timestamp) -> (Vec<(Timestamp, u64)>, bool) {
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        for (due, seq) in self.lines.firsts(tenant).take_while(|(due, _)| *due <= now) {
            let Some(entry) = self.entries.get(&seq) else { continue };
            bytes += u64::from(entry.place.bytes);
            if !chosen.is_empty() && bytes > batch.bytes {
                return (chosen, true);
            }
            chosen.push((due, seq));
            if chosen.len() >= batch.len.max(1) {
                return (chosen, true);
            }
        }
        (chosen, bytes >= batch.bytes && bytes > 0)
    }

    /// For how long a write may wait for others once it is due: one that is tried again has waited.
    fn patience(&self, seq: u64, age: Duration) -> Duration {
        match self.entries.get(&seq) {
            Some(entry) if entry.attempts == 0 => age,
            _ => Duration::ZERO,
        }
    }

    fn send(&mut self, seq: u64) -> Option<Picked> {
        let entry = self.entries.get_mut(&seq)?;
        entry.sent = true;
        entry.attempts = entry.attempts.saturating_add(1);
        self.lines.send(entry.key);
        Some(Picked { seq, attempt: entry.attempts, held: entry.held.clone() })
    }
}
