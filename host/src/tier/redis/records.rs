//! Purges that outlive the nodes: recorded, and read again, by one script each.

use futures_util::future::{BoxFuture, FutureExt};
use redis::Value;

use super::barriers::{self, BARRIERS_MAX, RAISE, RAISED_SINCE, SEQUENCE_MAX, SLICE};
use super::{RedisTier, keys};
use crate::barrier::{Barrier, BarrierStore, Purge};
use crate::clock::Timestamp;
use crate::tier::TierError;

impl RedisTier {
    async fn record(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> Result<u64, TierError> {
        if above >= SEQUENCE_MAX {
            return Err(self.link.failed(format!("the purge sequence {above} is out of range")));
        }
        let mut script = RAISE.key(keys::control(tenant, "seq"));
        script.key(keys::control(tenant, "barriers")).key(keys::control(tenant, "raised"));
        script.arg(above).arg(barriers::member(purge));
        script.arg(at.as_millis().saturating_add_signed(self.link.correction_ms()));
        script.arg(u64::try_from(self.config.lifetime_max.as_millis()).unwrap_or(u64::MAX));
        script.arg(BARRIERS_MAX).arg(barriers::member(&barriers::everything()));
        let deadline = self.config.purge_deadline;
        self.link.call_within(deadline, |mut to| async move { script.invoke_async(&mut to).await }).await
    }

    async fn recorded_since(&self, tenant: &str, above: u64) -> Result<Vec<Barrier>, TierError> {
        let (mut recorded, mut above) = (Vec::new(), above);
        loop {
            let mut script = RAISED_SINCE.key(keys::control(tenant, "barriers"));
            script.key(keys::control(tenant, "raised")).arg(above).arg(SLICE);
            // A read waits for it: the deadline is a read's.
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
    ) -> BoxFuture<'a, Result<u64, TierError>> {
        self.record(tenant, purge, above, at).boxed()
    }

    fn raised_since<'a>(&'a self, tenant: &'a str, above: u64) -> BoxFuture<'a, Result<Vec<Barrier>, TierError>> {
        self.recorded_since(tenant, above).boxed()
    }
}
