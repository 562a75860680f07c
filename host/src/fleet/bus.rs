//! The event bus: purges as messages on Redis Streams, one stream per partition.
//!
//! Two ways of hearing run side by side. A blocking read brings each message within a millisecond or so, but shows
//! nothing after the stream was trimmed or emptied. So a heartbeat looks at the state of every partition, a few times a
//! second, and settles whether anything is missing ([`position`](super::position)). Only the heartbeat counts as hearing.

mod rate;
mod reader;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use redis::aio::ConnectionLike;
use redis::{RedisResult, ScriptInvocation, Value};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::rate::PurgeRates;
use super::hearing::{Hearing, Partition};
use super::members::{self, Confirmed};
use super::position::{Lost, Message, Position, State, Step};
use super::{FleetConfig, NAME, millis, random_name, scripts};
use crate::barrier::Barrier;
use crate::clock::Clock;
use crate::entry::Version;
use crate::key::KeyHash;
use crate::tier::TierError;
use crate::tier::redis::link::Link;
use crate::tier::redis::target::{Connection, Target};

/// The form of a message's body.
const VERSION: u8 = 2;
/// How long the sender of a message pauses at most before it asks again who has heard it.
const CONFIRM_PAUSE_MAX: Duration = Duration::from_millis(16);
/// After how many timeouts a run that says nothing is forgotten.
const FORGOTTEN_AFTER_TIMEOUTS: u32 = 12;

/// What a node does with what it hears. Called in order, one call at a time per partition; it must not block.
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

    /// Purges of this partition's tenants may have been missed: what L1 has of them, and fills that are on their way,
    /// may be behind a barrier that this node does not know.
    fn lost(&self, partition: Partition, why: Lost);
}

/// A purge that is on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The epoch of its partition.
    pub epoch: String,
    /// Its partition.
    pub partition: Partition,
    /// Its number there.
    pub sequence: u64,
    /// Replicas that have it; 0 where none were asked for.
    pub replicas: u32,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BusStats {
    /// Messages published by this node.
    pub published: u64,
    /// Messages of other nodes.
    pub heard: u64,
    /// How often something may have been missed.
    pub lost: u64,
    /// Purges refused because their tenant had too many.
    pub refused: u64,
    /// Partitions that are not heard at the moment.
    pub deaf_partitions: u32,
}

/// A node's end of the bus, for as long as it lives.
#[derive(Debug)]
pub struct Bus {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    /// Names this run of this node: what it said before a restart, another run says.
    origin: String,
    link: Arc<Link>,
    publisher: Arc<Link>,
    listener: Arc<dyn Listener>,
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

/// A version that L2 has from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newer {
    /// Of which key.
    pub key: KeyHash,
    /// The version.
    pub version: Version,
    /// The purge sequence that it was fetched under.
    pub sequence: u64,
}

#[derive(Serialize, Deserialize)]
struct Body {
    tenant: String,
    said: Said,
    /// Whether its sender waits until everybody has heard it.
    confirm: bool,
}

/// What a message says.
#[derive(Serialize, Deserialize)]
enum Said {
    Purged(Barrier),
    Stored(Newer),
}

impl Bus {
    pub(super) fn start(
        config: &FleetConfig,
        link: Arc<Link>,
        publisher: Arc<Link>,
        reading: Target,
        listener: Arc<dyn Listener>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            origin: format!("{}/{}", config.node, random_name()),
            link,
            publisher,
            listener,
            hearing: Hearing::new(config.partitions, config.silence_max, Arc::clone(&clock)),
            positions: (0..config.partitions).map(|_| Mutex::default()).collect(),
            rates: PurgeRates::new(config.purges_per_second, clock),
            look_now: Notify::new(),
            messages: AtomicU64::new(0),
            config: config.clone(),
            stats: Stats::default(),
        });
        let heartbeat = tokio::spawn(heartbeat(Arc::clone(&shared)));
        let reader = tokio::spawn(reader::read(Arc::clone(&shared), reading));
        Arc::new(Self { shared, tasks: [heartbeat.abort_handle(), reader.abort_handle()] })
    }

    /// Tells the other nodes of a purge. When this returns it is on the stream (and on as many replicas as the settings
    /// want): every node that hears the bus learns of it within moments, every other one drops what it has.
    ///
    /// # Errors
    /// When it could not be published, or had not reached its replicas in time; it may have been all the same, and
    /// publishing it again does no harm.
    pub async fn publish(&self, tenant: &str, barrier: &Barrier) -> Result<Ack, TierError> {
        self.send(tenant, Said::Purged(barrier.clone()), false).await
    }

    /// Tells the other nodes of a newer version. Versions are not counted as purges are: a node that has missed one serves an
    /// older entry until it ends.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn announce(&self, tenant: &str, newer: &Newer) -> Result<Ack, TierError> {
        self.send(tenant, Said::Stored(*newer), false).await
    }

    /// Tells the other nodes, and waits until every live one has heard it, for
    /// [`FleetConfig::confirm_deadline`] at the longest.
    ///
    /// # Errors
    /// As [`Self::publish`], and when the server could not be asked who has heard it.
    pub async fn publish_to_all(&self, tenant: &str, barrier: &Barrier) -> Result<Confirmed, TierError> {
        let ack = self.send(tenant, Said::Purged(barrier.clone()), true).await?;
        let asking = async {
            let mut pause = Duration::from_millis(1);
            loop {
                let confirmed = self.shared.confirmed(&ack).await;
                match confirmed {
                    Ok(Confirmed::Missing(_)) => {}
                    settled => return settled,
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(CONFIRM_PAUSE_MAX);
            }
        };
        match tokio::time::timeout(self.shared.config.confirm_deadline, asking).await {
            Ok(settled) => settled,
            Err(_) => self.shared.confirmed(&ack).await,
        }
    }

    /// Leaves the fleet: this node hears nothing any more, and nobody waits for it.
    pub async fn leave(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.hearing.deafen();
        self.shared.leave().await;
    }

    async fn send(&self, tenant: &str, said: Said, confirm: bool) -> Result<Ack, TierError> {
        let shared = &self.shared;
        if let Some(reason) = shared.unsafe_server() {
            return Err(TierError::Failed { tier: NAME, reason });
        }
        if matches!(said, Said::Purged(_)) && !shared.rates.allows(tenant) {
            shared.stats.refused.fetch_add(1, Ordering::Relaxed);
            let reason = format!("tenant {tenant} purges more than {} times a second", shared.config.purges_per_second);
            return Err(TierError::Failed { tier: NAME, reason });
        }
        let body = encode(&Body { tenant: tenant.to_owned(), said, confirm });
        let mut published = shared.publish(tenant, &body).await;
        if matches!(published, Err(TierError::Failed { .. })) && shared.reconnected().await {
            // The connection had died while nobody used it.
            published = shared.publish(tenant, &body).await;
        }
        let ack = published?;
        shared.stats.published.fetch_add(1, Ordering::Relaxed);
        Ok(ack)
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

/// Looks at every partition for as long as the bus lives.
async fn heartbeat(shared: Arc<Shared>) {
    let mut generation = 0;
    loop {
        // Silence first: a process that stood still finds out before it hears anything new.
        shared.notice_silence();
        let state = *shared.link.watch().borrow();
        let refused = shared.unsafe_server();
        if let Some(reason) = &refused
            && state.generation != generation
        {
            tracing::error!(reason, "the fleet can't rely on this server");
            shared.hearing.deafen();
            generation = state.generation;
        }
        let again = state.available && refused.is_none() && shared.look().await;
        if !again {
            let _ = tokio::time::timeout(shared.config.heartbeat, shared.look_now.notified()).await;
        }
    }
}

impl Shared {
    fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        let of = self.config.partitions;
        (0..of).map(move |index| Partition { index, of })
    }

    async fn publish(&self, tenant: &str, body: &[u8]) -> Result<Ack, TierError> {
        let partition = Partition::of_tenant(tenant, self.config.partitions);
        let [state, stream] = scripts::partition_keys(partition.index);
        let mut script = scripts::PUBLISH.key(state);
        script.key(stream).arg(random_name()).arg(self.nonce()).arg(&self.origin);
        script.arg(body).arg(self.config.messages_max);
        let (wanted, deadline) = (self.config.wait_replicas, self.config.publish_deadline);
        let publishing = |mut to: Connection| async move {
            let (sequence, epoch): (u64, String) = script.invoke_async(&mut to).await?;
            Ok((sequence, epoch, wait(&mut to, wanted, deadline).await?))
        };
        let (sequence, epoch, replicas) = self.publisher.call_within(deadline, publishing).await?;
        if replicas < wanted {
            let reason = format!("the purge has reached {replicas} of {wanted} replicas");
            return Err(TierError::Failed { tier: NAME, reason });
        }
        Ok(Ack { epoch, partition, sequence, replicas })
    }

    /// Who has heard a message.
    async fn confirmed(&self, ack: &Ack) -> Result<Confirmed, TierError> {
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

    async fn leave(&self) {
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

    /// No two messages ever have the same one.
    fn nonce(&self) -> String {
        format!("{}.{}", self.origin, self.messages.fetch_add(1, Ordering::Relaxed))
    }

    /// Looks at all partitions at once, and settles for each whether anything is missing. True if there is more to read
    /// than one look brings.
    async fn look(&self) -> bool {
        let asked_ms = self.hearing.now_ms();
        // What has been heard before the question is in every true answer to it.
        let positions: Vec<Position> = self.positions.iter().map(|heard| heard.lock().position.clone()).collect();
        let floors: Vec<u64> = positions.iter().map(Position::sequence).collect();
        let looks = self.link.call_within(self.config.publish_deadline, |to| self.ask(to, &positions)).await;
        let Ok(looks) = looks else { return false };
        let mut again = false;
        for ((partition, floor), look) in self.partitions().zip(floors).zip(looks) {
            match scripts::read_look(look) {
                Some((state, messages)) => again |= self.settle(partition, floor, state, &messages, asked_ms),
                None => tracing::warn!(partition = partition.index, "the bus answers nonsense"),
            }
        }
        again
    }

    async fn ask(&self, mut to: Connection, positions: &[Position]) -> RedisResult<Vec<Value>> {
        let scripts: Vec<_> =
            self.partitions().zip(positions).map(|(partition, position)| self.question(partition, position)).collect();
        if to.is_cluster() {
            // There, only single commands follow a slot to where it has gone.
            let asking = scripts.iter().map(|script| {
                let mut to = to.clone();
                async move { script.invoke_async(&mut to).await }
            });
            return try_join_all(asking).await;
        }
        let mut pipeline = redis::pipe();
        scripts.iter().for_each(|script| _ = pipeline.invoke_script(script));
        let count = self.positions.len();
        let answers = to.req_packed_commands(&pipeline, 0, count).await?;
        if answers.iter().any(|answer| matches!(answer, Value::ServerError(_))) {
            // A server that has just started does not know the script.
            scripts::LOOK.load_async(&mut to).await?;
            return to.req_packed_commands(&pipeline, 0, count).await;
        }
        Ok(answers)
    }

    /// The question for one partition.
    fn question(&self, partition: Partition, position: &Position) -> ScriptInvocation<'static> {
        let [state, stream] = scripts::partition_keys(partition.index);
        let [members, heard] = scripts::member_keys(partition.index);
        let (epoch, nonce) = position.chain();
        let forgotten_after = self.config.member_timeout * FORGOTTEN_AFTER_TIMEOUTS;
        let mut script = scripts::LOOK.key(state);
        script.key(stream).key(members).key(heard);
        script.arg(random_name()).arg(position.sequence()).arg(scripts::MESSAGES_MAX);
        script.arg(&self.origin).arg(epoch).arg(nonce).arg(millis(forgotten_after));
        script
    }

    fn settle(&self, partition: Partition, floor: u64, state: State, messages: &[Message], asked_ms: u64) -> bool {
        let mut heard = self.positions[partition.index as usize].lock();
        let mut lost = None;
        if heard.position.is_of(&state) {
            for message in messages {
                match heard.position.take(message) {
                    Step::Old => {}
                    Step::Next => self.deliver(partition, message),
                    Step::Lost(why) => {
                        lost = Some(why);
                        break;
                    }
                }
            }
            if lost.is_none() && messages.len() >= scripts::MESSAGES_MAX && heard.position.sequence() < state.sequence {
                return true;
            }
        }
        match lost.or_else(|| heard.position.compare(&state, floor)) {
            Some(why) => {
                self.report_lost(partition, why);
                heard.position.adopt(state);
            }
            None if !heard.position.is_known() => {
                heard.position.adopt(state);
                self.listener.joined(partition);
            }
            None => {}
        }
        heard.silent = false;
        self.hearing.heard(partition, asked_ms);
        false
    }

    /// Takes what the blocking read brought. Whatever does not follow is left to the heartbeat, at once: false then.
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
        match decode(&message.body) {
            Some(Body { tenant, said, confirm }) => {
                match said {
                    Said::Purged(barrier) => self.listener.purged(&tenant, &barrier),
                    Said::Stored(newer) => self.listener.stored(&tenant, &newer),
                }
                if confirm {
                    // The next look says that this was heard.
                    self.look_now.notify_one();
                }
            }
            None => self.report_lost(partition, Lost::Unreadable),
        }
    }

    fn report_lost(&self, partition: Partition, why: Lost) {
        self.stats.lost.fetch_add(1, Ordering::Relaxed);
        let (partition_index, why_text) = (partition.index, why.as_str());
        if self.config.faults.ignore_gaps {
            return tracing::warn!(partition = partition_index, why = why_text, "a test has this ignored");
        }
        tracing::warn!(partition = partition_index, why = why_text, "purges may have been missed: memory is given up");
        self.listener.lost(partition, why);
    }

    fn notice_silence(&self) {
        for partition in self.partitions() {
            let mut heard = self.positions[partition.index as usize].lock();
            if heard.position.is_known() && !heard.silent && self.hearing.is_deaf(partition) {
                heard.silent = true;
                self.report_lost(partition, Lost::Silence);
            }
        }
    }

    /// Why nothing is built on this server, where it may evict what nodes rely on.
    fn unsafe_server(&self) -> Option<String> {
        let policy = self.link.evicts_any().filter(|_| !self.config.tolerates_eviction)?;
        Some(format!(
            "its Redis evicts any key (maxmemory-policy {policy}): name another one for the fleet, or set volatile-lru"
        ))
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

fn encode(content: &Body) -> Vec<u8> {
    let mut body = vec![VERSION];
    body.extend(postcard::to_allocvec(content).expect("plain data in a growing buffer always serialises"));
    body
}

fn decode(body: &[u8]) -> Option<Body> {
    let content = body.strip_prefix(&[VERSION])?;
    postcard::from_bytes(content).ok()
}
