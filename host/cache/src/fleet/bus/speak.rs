//! Sending messages on the bus, and asking which nodes have heard them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{FromRedisValue, RedisResult, Script, ScriptInvocation};

use super::{Ack, Partition, Shared};
use crate::fleet::members::{self, Confirmed};
use crate::fleet::{NAME, millis, random_name, scripts};
use crate::tier::redis::raising::Raising;
use crate::tier::redis::target::Connection;
use crate::tier::{Recorded, TierError};

/// A message that is on the stream.
pub(super) struct Sent {
    pub(super) ack: Ack,
    /// The purge that was recorded with it; zeros where none was.
    pub(super) raised: Recorded,
}

impl Shared {
    /// Sends a message, once more if the connection had broken while nobody used it.
    pub(super) async fn say(&self, tenant: &str, body: &[u8], raising: Option<&Raising>) -> Result<Sent, TierError> {
        let add = |script: &mut ScriptInvocation<'_>| raising.into_iter().for_each(|raising| raising.add_to(script));
        let (answer, replicas) = self.say_by(&scripts::PUBLISH, tenant, body, add).await?;
        let (sequence, epoch, raised, before): (u64, String, u64, u64) = answer;
        let raised = Recorded { sequence: raised, before };
        let partition = Partition::of_tenant(tenant, self.config.partitions);
        self.stats.published.fetch_add(1, Ordering::Relaxed);
        Ok(Sent { ack: Ack { epoch, partition, sequence, replicas }, raised })
    }

    /// Sends a message by a script that may do more, for which `add` adds keys and arguments; once more if the connection had
    /// broken while nobody used it. Returns the script's answer, and how many replicas have what it has written.
    pub(super) async fn say_by<T: FromRedisValue>(
        &self,
        script: &Script,
        tenant: &str,
        body: &[u8],
        add: impl Fn(&mut ScriptInvocation<'_>) + Sync,
    ) -> Result<(T, u32), TierError> {
        if let Some(reason) = self.unsafe_server() {
            return Err(TierError::Failed { tier: NAME, reason });
        }
        let sent = self.send(script, tenant, body, &add).await;
        if matches!(sent, Err(TierError::Failed { .. })) && self.reconnected().await {
            return self.send(script, tenant, body, &add).await;
        }
        sent
    }

    async fn send<T: FromRedisValue>(
        &self,
        script: &Script,
        tenant: &str,
        body: &[u8],
        add: &(impl Fn(&mut ScriptInvocation<'_>) + Sync),
    ) -> Result<(T, u32), TierError> {
        let partition = Partition::of_tenant(tenant, self.config.partitions);
        let [state, stream] = scripts::partition_keys(partition.index);
        let mut script = script.key(state);
        script.key(stream).arg(random_name()).arg(self.nonce()).arg(&self.origin);
        script.arg(body).arg(self.config.messages_max);
        add(&mut script);
        let (wanted, deadline) = (self.config.wait_replicas, self.config.publish_deadline);
        let publishing = |mut to: Connection| async move {
            let answer = script.invoke_async(&mut to).await?;
            Ok((answer, wait(&mut to, wanted, deadline).await?))
        };
        self.publisher.call_within(deadline, publishing).await
    }

    /// The acknowledgement of a message; an error if the message has not reached enough replicas.
    pub(super) fn acknowledged(&self, sent: Sent) -> Result<Ack, TierError> {
        self.has_reached(sent.ack.replicas).map(|()| sent.ack)
    }

    /// An error unless so many replicas are enough.
    pub(super) fn has_reached(&self, replicas: u32) -> Result<(), TierError> {
        let wanted = self.config.wait_replicas;
        if replicas < wanted {
            let reason = format!("it has reached {replicas} of {wanted} replicas");
            return Err(TierError::Failed { tier: NAME, reason });
        }
        Ok(())
    }

    /// Asks which nodes have heard a message.
    pub(super) async fn confirmed(&self, ack: &Ack) -> Result<Confirmed, TierError> {
        let [members, heard] = scripts::member_keys(ack.partition.index);
        let [state, _] = scripts::partition_keys(ack.partition.index);
        let mut script = scripts::CONFIRMED.key(state);
        script.key(members).key(heard);
        script.arg(&ack.epoch).arg(ack.sequence).arg(millis(self.config.member_timeout)).arg(&self.origin);
        let deadline = self.config.publish_deadline;
        let answer =
            self.link.call_within(deadline, |mut to| async move { script.invoke_async(&mut to).await }).await?;
        members::read(answer).ok_or_else(|| self.link.failed("who has heard a purge makes no sense".to_owned()))
    }

    pub(super) async fn leave(&self) {
        let leaving = |mut to: Connection| async move {
            for partition in self.partitions() {
                let [members, heard] = scripts::member_keys(partition.index);
                scripts::LEAVE.key(members).key(heard).arg(&self.origin).invoke_async::<u64>(&mut to).await?;
            }
            Ok(())
        };
        if let Err(error) = self.link.call_within(self.config.publish_deadline, leaving).await {
            tracing::debug!(%error, "the fleet is left without a word");
        }
    }

    /// Whether the publisher's connection was lost just now and there is another one.
    async fn reconnected(&self) -> bool {
        let mut state = self.publisher.watch();
        if state.borrow().available {
            return false;
        }
        let again = state.wait_for(|state| state.available);
        tokio::time::timeout(self.config.connect_deadline, again).await.is_ok_and(|state| state.is_ok())
    }

    /// A text that no two messages ever have in common.
    fn nonce(&self) -> String {
        format!("{}.{}", self.origin, self.messages.fetch_add(1, Ordering::Relaxed))
    }
}

/// Waits until so many replicas have what this connection has written.
async fn wait(to: &mut Connection, wanted: u32, deadline: Duration) -> RedisResult<u32> {
    if wanted == 0 {
        return Ok(0);
    }
    let patience_ms = u64::try_from(deadline.as_millis() * 3 / 4).unwrap_or(u64::MAX).max(1);
    redis::cmd("WAIT").arg(wanted).arg(patience_ms).query_async(to).await
}
