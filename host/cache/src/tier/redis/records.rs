//! Purge records in Redis, which outlive the nodes: one script records a purge, another one reads the records again.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use redis::Value;
use sandbar_base::clock::Timestamp;

use super::barriers::{self, RAISED_SINCE, SEQUENCE_MAX, SLICE};
use super::raising::{NAMES, Raising};
use super::{RedisTier, keys};
use crate::barrier::{Barrier, Purge};
use crate::tier::{BarrierStore, Recorded, TierError};

/// How much longer than an entry may live the records of a removed tenant are kept: for clocks that differ.
const EXPIRY_MARGIN: Duration = Duration::from_secs(24 * 3600);

impl RedisTier {
    /// Prepares the script that records a purge.
    ///
    /// # Errors
    /// When the purge's sequence would be out of range.
    fn raising_of(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> Result<Raising, TierError> {
        if above >= SEQUENCE_MAX {
            return Err(self.link.failed(format!("the purge sequence {above} is out of range")));
        }
        let at = Timestamp::from_millis(at.as_millis().saturating_add_signed(self.link.correction_ms()));
        Ok(Raising::new(&self.config.url, tenant, purge, above, at, self.config.lifetime_max))
    }

    async fn record(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> Result<Recorded, TierError> {
        let raising = self.raising_of(tenant, purge, above, at)?;
        let script = raising.script();
        let deadline = self.config.purge_deadline;
        let recording = |mut to| async move { script.invoke_async(&mut to).await };
        let (sequence, before) = self.link.call_within(deadline, recording).await?;
        Ok(Recorded { sequence, before })
    }

    /// Gives the records of a tenant an end: after that nothing that they are about is stored any more.
    async fn expire(&self, tenant: &str) -> Result<(), TierError> {
        let lifetime = self.config.lifetime_max.saturating_add(EXPIRY_MARGIN);
        let milliseconds = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        let mut pipe = redis::pipe();
        for name in NAMES {
            pipe.pexpire(keys::control(tenant, name), milliseconds).ignore();
        }
        self.link.call_within(self.config.purge_deadline, |mut to| async move { pipe.query_async(&mut to).await }).await
    }

    async fn recorded_since(&self, tenant: &str, above: u64) -> Result<Vec<Barrier>, TierError> {
        let (mut recorded, mut above) = (Vec::new(), above);
        loop {
            let mut script = RAISED_SINCE.key(keys::control(tenant, "barriers"));
            script.key(keys::control(tenant, "raised")).arg(above).arg(SLICE);
            // The read of an entry waits for this, so the deadline is that of a read.
            let rows: Vec<Value> = self.link.call(|mut to| async move { script.invoke_async(&mut to).await }).await?;
            let slice = barriers::read(&rows);
            let slice = slice.ok_or_else(|| self.link.failed("the purge records make no sense".to_owned()))?;
            let (len, highest) = (slice.len(), slice.iter().map(|barrier| barrier.sequence).max());
            recorded.extend(slice);
            match highest {
                Some(highest) if len >= SLICE && highest > above => above = highest,
                _ => return Ok(recorded),
            }
        }
    }
}

impl BarrierStore for RedisTier {
    fn raise<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        above: u64,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Recorded, TierError>> {
        self.record(tenant, purge, above, at).boxed()
    }

    fn raising(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> Option<Raising> {
        // On a Cluster no script sees both the tenant's slot and another one.
        self.raising_of(tenant, purge, above, at).ok().filter(|_| !self.spread)
    }

    fn raised_since<'a>(&'a self, tenant: &'a str, above: u64) -> BoxFuture<'a, Result<Vec<Barrier>, TierError>> {
        self.recorded_since(tenant, above).boxed()
    }

    fn forget_later<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<(), TierError>> {
        self.expire(tenant).boxed()
    }
}
