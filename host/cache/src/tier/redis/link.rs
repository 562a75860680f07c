//! One connection to a Redis, kept alive: every call has a deadline, a breaker answers while the server is known to be
//! down, and a task of its own brings the connection back. The library's `ConnectionManager` is not used because it
//! keeps a connection whose peer has silently gone (a half-open one) for as long as calls merely time out.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::{ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value};
use sandbar_base::clock::Clock;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::target::{Connection, Target};
use crate::tier::TierError;
use crate::tier::breaker::{Breaker, BreakerConfig};

/// How often the server's clock is compared with the node's.
const CLOCK_EVERY: Duration = Duration::from_secs(30);
/// A reading of the server's clock that took longer is too inexact to be used.
const CLOCK_ROUND_TRIP_MAX: Duration = Duration::from_millis(200);
/// Differences between the clocks up to this one are ignored.
const CLOCK_SKEW_MIN_MS: i64 = 1000;
/// The handshake and the first answers of a new connection may take this many times as long as a call.
const PROBE_SLACK: u32 = 4;

/// A link's settings.
#[derive(Clone, Debug)]
pub(crate) struct LinkConfig {
    pub(crate) name: &'static str,
    pub(crate) connect_deadline: Duration,
    pub(crate) deadline: Duration,
    pub(crate) calls_max: usize,
    pub(crate) breaker: BreakerConfig,
}

/// A connection that is kept alive until the link is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    target: Target,
    clock: Arc<dyn Clock>,
    started: Instant,
    live: ArcSwapOption<Live>,
    breaker: Mutex<Breaker>,
    calls: Semaphore,
    /// Watched by the healer, and by others that want to know when there is a new connection.
    state: watch::Sender<LinkState>,
    errors: AtomicU64,
    skew_ms: AtomicI64,
    last_error: Mutex<Option<String>>,
    evicts_any: Mutex<Option<String>>,
    healer: Mutex<Option<AbortHandle>>,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// Whether the server is asked: false while the breaker is open.
    pub(crate) available: bool,
    /// How many connections there have been.
    pub(crate) generation: u64,
}

#[derive(Debug)]
struct Live {
    connection: Connection,
    generation: u64,
}

/// What a failed call says about the connection.
enum Meaning {
    /// The connection must be replaced.
    Lost,
    /// The server is in trouble, which counts towards opening the breaker.
    Trouble,
    /// Nothing: only this call was wrong.
    Call,
}

impl Link {
    /// Begins to connect in the background. Must be called within a Tokio runtime.
    pub(crate) fn start(target: Target, config: LinkConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let link = Arc::new(Self {
            target,
            clock,
            started: Instant::now(),
            live: ArcSwapOption::empty(),
            breaker: Mutex::new(Breaker::unconnected(config.breaker)),
            calls: Semaphore::new(config.calls_max.max(1)),
            state: watch::Sender::new(LinkState::default()),
            errors: AtomicU64::new(0),
            skew_ms: AtomicI64::new(0),
            last_error: Mutex::new(None),
            evicts_any: Mutex::new(None),
            healer: Mutex::new(None),
            config,
        });
        let healer = tokio::spawn(heal(Arc::downgrade(&link), link.state.subscribe()));
        *link.healer.lock() = Some(healer.abort_handle());
        link
    }

    /// Calls the server within the link's deadline.
    pub(crate) async fn call<T, F>(&self, work: impl FnOnce(Connection) -> F) -> Result<T, TierError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        self.call_within(self.config.deadline, work).await
    }

    /// Calls the server within the given deadline.
    pub(crate) async fn call_within<T, F>(
        &self,
        deadline: Duration,
        work: impl FnOnce(Connection) -> F,
    ) -> Result<T, TierError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let _permit = self.permit()?;
        self.call_permitted(deadline, work).await
    }

    /// Takes one of the `calls_max` permits for concurrent calls; an error if none is left or the server is known to be
    /// down.
    pub(crate) fn permit(&self) -> Result<SemaphorePermit<'_>, TierError> {
        if self.live.load().is_none() {
            return Err(TierError::Open { tier: self.config.name });
        }
        self.calls.try_acquire().map_err(|_| self.too_many())
    }

    pub(crate) fn too_many(&self) -> TierError {
        self.noted(self.failed("too many calls at the same time".to_owned()))
    }

    /// Calls the server within a deadline, once for any number of callers that hold a permit each.
    pub(crate) async fn call_permitted<T, F>(
        &self,
        deadline: Duration,
        work: impl FnOnce(Connection) -> F,
    ) -> Result<T, TierError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Some(live) = self.live.load_full() else { return Err(TierError::Open { tier: self.config.name }) };
        match tokio::time::timeout(deadline, work(live.connection.clone())).await {
            Ok(Ok(value)) => {
                self.breaker.lock().succeeded();
                Ok(value)
            }
            Ok(Err(error)) => {
                self.note_failure(&meaning(&error), live.generation, &error);
                Err(self.noted(self.failed(error.to_string())))
            }
            Err(_) => {
                let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
                let error = TierError::Deadline { tier: self.config.name, deadline_ms };
                self.note_failure(&Meaning::Trouble, live.generation, &error);
                Err(self.noted(error))
            }
        }
    }

    /// How long a call may take.
    pub(crate) const fn deadline(&self) -> Duration {
        self.config.deadline
    }

    /// The link's state, whose changes can be awaited.
    pub(crate) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(crate) fn is_available(&self) -> bool {
        self.state.borrow().available
    }

    /// Calls that failed since the start.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// How far the server's clock is ahead of the node's, in milliseconds.
    pub(crate) fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    /// Milliseconds to add to the node's times to get the server's: 0 where they differ by no more than a second.
    pub(crate) fn correction_ms(&self) -> i64 {
        let skew_ms = self.skew_ms();
        if skew_ms.abs() > CLOCK_SKEW_MIN_MS { skew_ms } else { 0 }
    }

    pub(crate) fn failed(&self, reason: String) -> TierError {
        TierError::Failed { tier: self.config.name, reason }
    }

    fn noted(&self, error: TierError) -> TierError {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock() = Some(error.to_string());
        error
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn note_failure(&self, meaning: &Meaning, generation: u64, error: &dyn std::fmt::Display) {
        // A failure on an older connection says nothing about the present one.
        if self.state.borrow().generation != generation {
            return;
        }
        // The breaker stays locked until the connection is removed, so that no probe can set a new one in between.
        let mut breaker = self.breaker.lock();
        let opened = match meaning {
            Meaning::Lost => breaker.lost(self.now()),
            Meaning::Trouble => breaker.failed(self.now()),
            Meaning::Call => false,
        };
        if opened {
            tracing::warn!(tier = self.config.name, %error, "not asked until it answers again");
            self.live.store(None);
            self.state.send_modify(|state| state.available = false);
        }
    }

    /// Makes a new connection, and reads the server's clock and eviction policy over it.
    async fn probe(&self) {
        let (connect, answer) = (self.config.connect_deadline, self.config.deadline * PROBE_SLACK);
        let probing = async {
            let mut connection = self.target.connect(connect).await?;
            self.read_clock(&mut connection).await?;
            self.read_eviction(&mut connection).await?;
            Ok::<_, RedisError>(connection)
        };
        let result = match tokio::time::timeout(connect + answer * 2, probing).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no connection within {} ms", (connect + answer * 2).as_millis())),
        };
        let mut breaker = self.breaker.lock();
        match result {
            Ok(connection) => {
                let generation = self.state.borrow().generation + 1;
                self.live.store(Some(Arc::new(Live { connection, generation })));
                breaker.probe_succeeded();
                tracing::info!(tier = self.config.name, generation, "connected");
                self.state.send_replace(LinkState { available: true, generation });
            }
            Err(error) => {
                let mut last = self.last_error.lock();
                if last.as_ref() != Some(&error) {
                    tracing::warn!(tier = self.config.name, error, "could not connect; trying again");
                }
                *last = Some(error);
                breaker.probe_failed(self.now());
            }
        }
    }

    /// Notes whether the server may evict keys that nodes rely on. A server that does not allow `INFO` is assumed not
    /// to.
    async fn read_eviction(&self, connection: &mut Connection) -> RedisResult<()> {
        let info = match redis::cmd("INFO").arg("memory").query_async::<Value>(connection).await {
            Err(error) if !matches!(meaning(&error), Meaning::Call) => return Err(error),
            other => other.unwrap_or(Value::Nil),
        };
        *self.evicts_any.lock() = match info {
            // A Cluster answers for each of its servers: one that may evict any key is enough.
            Value::Map(servers) => servers.into_iter().find_map(|(_, info)| evicts_any(info)),
            info => evicts_any(info),
        };
        Ok(())
    }

    /// The server's eviction policy, if it allows any key to be evicted: not only entries, but also purge records.
    pub(crate) fn evicts_any(&self) -> Option<String> {
        self.evicts_any.lock().clone()
    }

    async fn read_clock(&self, connection: &mut Connection) -> RedisResult<()> {
        if connection.is_cluster() {
            // Each server of a Cluster has a clock of its own, so this only makes sure that the Cluster answers.
            return redis::cmd("PING").query_async(connection).await;
        }
        let (sent, sent_at) = (self.clock.monotonic(), self.clock.now());
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
        let round_trip = self.clock.monotonic().saturating_sub(sent);
        if round_trip > CLOCK_ROUND_TRIP_MAX {
            return Ok(());
        }
        let theirs = i64::try_from(seconds.saturating_mul(1000).saturating_add(micros / 1000)).unwrap_or(i64::MAX);
        let ours = i64::try_from(sent_at.saturating_add(round_trip / 2).as_millis()).unwrap_or(i64::MAX);
        let skew_ms = theirs.saturating_sub(ours);
        let before = self.skew_ms.swap(skew_ms, Ordering::Relaxed);
        if skew_ms.abs() > CLOCK_SKEW_MIN_MS && before.abs() <= CLOCK_SKEW_MIN_MS {
            let tier = self.config.name;
            tracing::warn!(tier, skew_ms, "the clocks differ by more than a second; stored times are corrected");
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(healer) = self.healer.lock().take() {
            healer.abort();
        }
    }
}

/// Connects whenever the breaker has a probe due, and compares clocks in between; ends when the link is dropped.
async fn heal(link: Weak<Link>, mut state: watch::Receiver<LinkState>) {
    loop {
        let Some(strong) = link.upgrade() else { return };
        let probe_in = strong.breaker.lock().probe_in(strong.now());
        match probe_in {
            Some(wait) if wait.is_zero() => {
                if strong.breaker.lock().begin_probe(strong.now()) {
                    strong.probe().await;
                }
            }
            Some(wait) => {
                drop(strong);
                // The timer may end a little early by the clock that `now` reads.
                tokio::time::sleep(wait + Duration::from_millis(1)).await;
            }
            None => {
                drop(strong);
                if tokio::time::timeout(CLOCK_EVERY, state.changed()).await.is_err()
                    && let Some(strong) = link.upgrade()
                {
                    let link = &*strong;
                    let _ = link.call(|mut connection| async move { link.read_clock(&mut connection).await }).await;
                }
            }
        }
    }
}

/// The eviction policy in a server's `INFO`, if it allows any key to be evicted.
fn evicts_any(info: Value) -> Option<String> {
    let info = String::from_redis_value(info).ok()?;
    let policy = info.lines().find_map(|line| line.trim_end().strip_prefix("maxmemory_policy:"))?;
    policy.starts_with("allkeys-").then(|| policy.to_owned())
}

fn meaning(error: &RedisError) -> Meaning {
    match error.kind() {
        // Bytes that are no answer: whatever comes next on this connection can't be trusted. A server that has become a
        // replica takes no writes: another one is the master now. A Cluster connection that is still redirected after
        // all its tries no longer knows where keys are.
        ErrorKind::Parse | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::Moved) => Meaning::Lost,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown,
        )
        | ErrorKind::AuthenticationFailed
        | ErrorKind::ClusterConnectionNotFound => Meaning::Trouble,
        _ if error.is_timeout() => Meaning::Trouble,
        _ if error.is_unrecoverable_error() || error.is_connection_dropped() || error.is_io_error() => Meaning::Lost,
        _ => Meaning::Call,
    }
}
