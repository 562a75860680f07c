//! The event bus: purges as messages on Redis Streams, one stream per partition.
//!
//! Two ways of hearing run side by side. A blocking read brings each message within a millisecond or so, but does not
//! show that the stream was trimmed or emptied. So a heartbeat looks at the state of every partition, a few times a
//! second, and settles whether anything is missing ([`position`](super::position)). Only the heartbeat counts as
//! hearing.

mod look;
mod message;
mod rate;
mod reader;
mod speak;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{FromRedisValue, Script, ScriptInvocation};
use sandbar_base::clock::Clock;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

pub use self::message::Newer;
use self::message::Said;
use self::rate::PurgeRates;
use super::asking::until_settled;
use super::hearing::{Hearing, Partition};
use super::members::Confirmed;
use super::news::News;
use super::position::{Lost, Message, Position, Step};
use super::{FleetConfig, NAME, random_name};
use crate::barrier::Barrier;
use crate::faults::switched_on;
use crate::tier::redis::link::Link;
use crate::tier::redis::raising::Raising;
use crate::tier::redis::target::Target;
use crate::tier::{Recorded, TierError};

/// How long the sender of a message pauses before it asks again who has heard it.
const CONFIRM_PAUSES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(16);

/// What a node does with the messages of the bus. Called in order, one call at a time per partition; it must not block.
pub trait Listener: Send + Sync + 'static {
    /// Another node has purged something.
    fn purged(&self, tenant: &str, barrier: &Barrier);

    /// Another node has stored a newer version in L2.
    fn stored(&self, tenant: &str, newer: &Newer) {
        let _ = (tenant, newer);
    }

    /// The node hears a partition for the first time. What it fetched before may be behind a barrier that it does not know.
    fn joined(&self, partition: Partition) {
        let _ = partition;
    }

    /// Purges of this partition's tenants may have been missed: their entries in L1, and fills that are under way, may
    /// be behind a barrier that this node does not know.
    fn lost(&self, partition: Partition, why: Lost);
}

/// A purge that is on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The epoch of the message's partition.
    pub epoch: String,
    /// The partition that the message is in.
    pub partition: Partition,
    /// The message's number in its partition.
    pub sequence: u64,
    /// Replicas that have the message; 0 where none were asked for.
    pub replicas: u32,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BusStats {
    /// Messages published by this node.
    pub published: u64,
    /// Messages of other nodes that this node has heard.
    pub heard: u64,
    /// How often messages may have been missed.
    pub lost: u64,
    /// Purges refused because their tenant had too many.
    pub refused: u64,
    /// Partitions that are not heard at the moment.
    pub deaf_partitions: u32,
}

/// A node's end of the bus, until it is dropped.
#[derive(Debug)]
pub struct Bus {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    /// The name of this run of this node: its messages from before a restart have another one.
    origin: String,
    link: Arc<Link>,
    publisher: Arc<Link>,
    listener: Arc<dyn Listener>,
    news: Arc<News>,
    hearing: Hearing,
    positions: Vec<Mutex<Heard>>,
    rates: PurgeRates,
    look_now: Notify,
    messages: AtomicU64,
    config: FleetConfig,
    stats: Stats,
}

#[derive(Debug, Default)]
struct Heard {
    position: Position,
    /// Whether the silence has been reported.
    silent: bool,
}

#[derive(Debug, Default)]
struct Stats {
    published: AtomicU64,
    heard: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("origin", &self.origin).field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl Bus {
    pub(super) fn start(
        config: &FleetConfig,
        link: Arc<Link>,
        publisher: Arc<Link>,
        reading: Target,
        listener: Arc<dyn Listener>,
        news: Arc<News>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            origin: format!("{}/{}", config.node, random_name()),
            link,
            publisher,
            listener,
            news,
            hearing: Hearing::new(config.partitions, config.silence_max, Arc::clone(&clock)),
            positions: (0..config.partitions).map(|_| Mutex::default()).collect(),
            rates: PurgeRates::new(config.purges_per_second, clock),
            look_now: Notify::new(),
            messages: AtomicU64::new(0),
            config: config.clone(),
            stats: Stats::default(),
        });
        let heartbeat = tokio::spawn(look::heartbeat(Arc::clone(&shared)));
        let reader = tokio::spawn(reader::read(Arc::clone(&shared), reading));
        Arc::new(Self { shared, tasks: [heartbeat.abort_handle(), reader.abort_handle()] })
    }

    /// Tells the other nodes of a purge. When this returns it is on the stream (and on as many replicas as the settings
    /// want): every node that hears the bus learns of it within moments, every other one drops what it has in memory.
    ///
    /// # Errors
    /// When the purge could not be published, or had not reached its replicas in time; it may have been all the same,
    /// and publishing it again does no harm.
    pub async fn publish(&self, tenant: &str, barrier: &Barrier) -> Result<Ack, TierError> {
        self.publish_purge(tenant, barrier, false).await
    }

    /// Tells the other nodes of a purge, and waits until every live one has heard it, for
    /// [`FleetConfig::confirm_deadline`] at the longest.
    ///
    /// # Errors
    /// As for [`Self::publish`], and when the server could not be asked who has heard the purge.
    pub async fn publish_to_all(&self, tenant: &str, barrier: &Barrier) -> Result<Confirmed, TierError> {
        let ack = self.publish_purge(tenant, barrier, true).await?;
        self.confirmed_by_all(&ack).await
    }

    async fn publish_purge(&self, tenant: &str, barrier: &Barrier, confirm: bool) -> Result<Ack, TierError> {
        let shared = &self.shared;
        if !shared.rates.allows(tenant) {
            shared.stats.refused.fetch_add(1, Ordering::Relaxed);
            let reason = format!("tenant {tenant} purges more than {} times a second", shared.config.purges_per_second);
            return Err(TierError::Failed { tier: NAME, reason });
        }
        let sent = shared.say(tenant, &message::purged(tenant, barrier, confirm), None).await?;
        shared.acknowledged(sent)
    }

    /// Whether a purge can be recorded and told in one step just now: its record belongs on the bus's own server, and the
    /// tenant has not purged too often. True counts the purge as one of the tenant's, so [`Self::raise`] has to follow.
    pub(crate) fn can_raise(&self, tenant: &str, raising: &Raising) -> bool {
        let shared = &self.shared;
        let is_possible = raising.is_on(&shared.config.url) && shared.publisher.is_available();
        is_possible && shared.unsafe_server().is_none() && shared.rates.allows(tenant)
    }

    /// Records a purge and tells the other nodes of it in one step. Returns what was recorded, and whether as many replicas
    /// have it as should. With `confirm` the other nodes say at once that they have heard it.
    ///
    /// # Errors
    /// When the purge could not be recorded; it may have been all the same, and raising it again does no harm.
    pub(crate) async fn raise(
        &self,
        tenant: &str,
        raising: &Raising,
        barrier: &Barrier,
        confirm: bool,
    ) -> Result<(Recorded, Result<Ack, TierError>), TierError> {
        let sent = self.shared.say(tenant, &message::raised(tenant, barrier, confirm), Some(raising)).await?;
        Ok((sent.raised, self.shared.acknowledged(sent)))
    }

    /// Waits until every live node has heard a message, for [`FleetConfig::confirm_deadline`] at the longest.
    ///
    /// # Errors
    /// When the server could not be asked.
    pub(crate) async fn confirmed_by_all(&self, ack: &Ack) -> Result<Confirmed, TierError> {
        let is_settled = |confirmed: &Result<_, _>| !matches!(confirmed, Ok(Confirmed::Missing { .. }));
        let patience = self.shared.config.confirm_deadline;
        until_settled(CONFIRM_PAUSES, patience, is_settled, || self.shared.confirmed(ack)).await
    }

    /// Tells the other nodes of a newer version. Versions are not counted as purges are: a node that has missed a
    /// version serves an older entry until that ends.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub async fn announce(&self, tenant: &str, newer: &Newer) -> Result<Ack, TierError> {
        let sent = self.shared.say(tenant, &message::stored(tenant, newer), None).await?;
        self.shared.acknowledged(sent)
    }

    /// Changes the register of tenants and tells the other nodes of it in one step: `script` appends a message as
    /// [`scripts::APPEND`](super::scripts::APPEND) does, and `add` adds what else it takes.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub(super) async fn register<T: FromRedisValue>(
        &self,
        tenant: &str,
        script: &Script,
        add: impl Fn(&mut ScriptInvocation<'_>) + Sync,
    ) -> Result<T, TierError> {
        let shared = &self.shared;
        let (answer, replicas) = shared.say_by(script, tenant, &message::registered(tenant), add).await?;
        shared.has_reached(replicas).map(|()| answer)
    }

    /// The name of this run of this node.
    pub(super) fn run(&self) -> &str {
        &self.shared.origin
    }

    /// Leaves the fleet: this node hears nothing any more, and no purge waits for it.
    pub async fn leave(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.hearing.deafen();
        self.shared.leave().await;
    }

    /// Whether, and since when, tenants' purges are heard.
    pub fn hearing(&self) -> &Hearing {
        &self.shared.hearing
    }

    /// The partition of a tenant.
    pub fn partition_of(&self, tenant: &str) -> Partition {
        Partition::of_tenant(tenant, self.shared.config.partitions)
    }

    /// Waits until all partitions are heard, at most for `deadline`; false if they are not.
    pub async fn ready(&self, deadline: Duration) -> bool {
        let hearing = async {
            while self.stats().deaf_partitions > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(deadline, hearing).await.is_ok()
    }

    /// Counts since the start.
    pub fn stats(&self) -> BusStats {
        let Stats { published, heard, lost, refused } = &self.shared.stats;
        let deaf = self.shared.partitions().filter(|&partition| self.shared.hearing.is_deaf(partition)).count();
        BusStats {
            published: published.load(Ordering::Relaxed),
            heard: heard.load(Ordering::Relaxed),
            lost: lost.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
            deaf_partitions: u32::try_from(deaf).unwrap_or(u32::MAX),
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        let of = self.config.partitions;
        (0..of).map(move |index| Partition { index, of })
    }

    /// Takes the messages that a blocking read brought. If one does not follow, the rest is left to the heartbeat,
    /// which looks at once: false then.
    fn take(&self, partition: Partition, messages: &[Message]) -> bool {
        let mut heard = self.positions[partition.index as usize].lock();
        for message in messages {
            match heard.position.take(message) {
                Step::Old => {}
                Step::Next => self.deliver(partition, message),
                Step::Lost(_) => {
                    self.look_now.notify_one();
                    return false;
                }
            }
        }
        true
    }

    fn deliver(&self, partition: Partition, message: &Message) {
        if message.origin == self.origin {
            return;
        }
        self.stats.heard.fetch_add(1, Ordering::Relaxed);
        match message::read(message) {
            Some(message::Heard { tenant, said, confirm }) => {
                match said {
                    Said::Purged(barrier) => self.listener.purged(&tenant, &barrier),
                    Said::Stored(newer) => self.listener.stored(&tenant, &newer),
                    Said::Registered => self.news.came(),
                }
                if confirm {
                    // The next look tells the server that this was heard.
                    self.look_now.notify_one();
                }
            }
            None => self.report_lost(partition, Lost::Unreadable),
        }
    }

    fn report_lost(&self, partition: Partition, why: Lost) {
        self.stats.lost.fetch_add(1, Ordering::Relaxed);
        let (partition_index, why_text) = (partition.index, why.as_str());
        if switched_on().ignore_gaps {
            return tracing::warn!(partition = partition_index, why = why_text, "a test has this ignored");
        }
        tracing::warn!(partition = partition_index, why = why_text, "purges may have been missed: memory is given up");
        self.news.may_be_missed(why);
        self.listener.lost(partition, why);
    }

    /// Why this server is not used; `None` unless it may evict what nodes rely on.
    fn unsafe_server(&self) -> Option<String> {
        let policy = self.link.evicts_any().filter(|_| !self.config.tolerates_eviction)?;
        Some(format!(
            "its Redis evicts any key (maxmemory-policy {policy}): name another one for the fleet, or set volatile-lru"
        ))
    }
}
