//! One server: its connections, its breaker, and the task that finds out when it is back.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::NAME;
use super::config::MemcachedConfig;
use super::connection::Connection;
use super::exchange::{Bounds, Done, Job, Trouble};
use crate::tier::TierError;
use crate::tier::breaker::Breaker;

/// A server, for as long as anybody holds it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: String,
    bounds: Bounds,
    deadline: Duration,
    connect_deadline: Duration,
    started: Instant,
    idle: Mutex<Vec<Connection>>,
    connections: Semaphore,
    calls: Semaphore,
    breaker: Mutex<Breaker>,
    available: watch::Sender<bool>,
    /// The largest value that the server said it takes; 0 while it has said nothing.
    value_bytes_max: AtomicUsize,
    errors: AtomicU64,
    last_error: Mutex<Option<String>>,
    healer: Mutex<Option<AbortHandle>>,
}

/// What a failed exchange says about the server.
enum Meaning {
    /// It is not there, or can't be trusted.
    Lost,
    /// It is in trouble, which counts towards opening the breaker.
    Slow,
    /// Nothing: only this call was refused.
    Call,
}

impl Server {
    /// Begins to connect in the background. Must be called within a Tokio runtime.
    pub(super) fn start(address: &str, config: &MemcachedConfig) -> Arc<Self> {
        let server = Arc::new(Self {
            address: address.to_owned(),
            bounds: Bounds { value_bytes_max: config.value_max_bytes, budget: Arc::clone(&config.budget) },
            deadline: config.deadline,
            connect_deadline: config.connect_deadline,
            started: Instant::now(),
            idle: Mutex::default(),
            connections: Semaphore::new(config.connections_max.max(1)),
            calls: Semaphore::new(config.calls_max.max(1)),
            breaker: Mutex::new(Breaker::unconnected(config.breaker)),
            available: watch::Sender::new(false),
            value_bytes_max: AtomicUsize::new(0),
            errors: AtomicU64::new(0),
            last_error: Mutex::default(),
            healer: Mutex::default(),
        });
        let healer = tokio::spawn(heal(Arc::downgrade(&server), server.available.subscribe()));
        *server.healer.lock() = Some(healer.abort_handle());
        server
    }

    /// Makes an exchange within the deadline.
    pub(super) async fn call(&self, job: &Job<'_>) -> Result<Done, TierError> {
        if !self.is_available() {
            return Err(TierError::Open { tier: NAME });
        }
        let Ok(_call) = self.calls.try_acquire() else {
            return Err(self.noted(self.failed("too many calls at the same time")));
        };
        let until = Instant::now() + self.deadline;
        // Those who have the connections find out themselves whether the server is slow.
        let Ok(Ok(_connection)) = tokio::time::timeout_at(until, self.connections.acquire()).await else {
            return Err(self.noted(self.overdue()));
        };
        match tokio::time::timeout_at(until, self.exchange(job)).await {
            Ok(Ok(done)) => {
                self.breaker.lock().succeeded();
                Ok(done)
            }
            Ok(Err(trouble)) => {
                let error = self.failed(&trouble.to_string());
                let meaning = if matches!(trouble, Trouble::Refused(_)) { Meaning::Call } else { Meaning::Lost };
                self.note_failure(&meaning, &error);
                Err(self.noted(error))
            }
            Err(_) => {
                let error = self.overdue();
                self.note_failure(&Meaning::Slow, &error);
                Err(self.noted(error))
            }
        }
    }

    /// Makes an exchange on a connection that is there, or on a new one. A server that was started anew has closed those that
    /// are there: then a new one is tried, as each request may be made twice.
    async fn exchange(&self, job: &Job<'_>) -> Result<Done, Trouble> {
        let idle = self.idle.lock().pop();
        if let Some(connection) = idle {
            match self.exchange_on(connection, job).await {
                Err(Trouble::Lost { untouched: true, .. }) => self.idle.lock().clear(),
                other => return other,
            }
        }
        self.exchange_on(self.connect().await?, job).await
    }

    async fn exchange_on(&self, mut connection: Connection, job: &Job<'_>) -> Result<Done, Trouble> {
        let done = connection.perform(job, &self.bounds).await?;
        if connection.is_quiet() {
            self.idle.lock().push(connection);
        }
        Ok(done)
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let connection = Connection::open(&self.address).await?;
        self.value_bytes_max.store(connection.value_bytes_max.unwrap_or(0), Ordering::Relaxed);
        Ok(connection)
    }

    pub(super) fn is_available(&self) -> bool {
        *self.available.borrow()
    }

    /// Waits until the server can be asked.
    pub(super) async fn ready(&self) {
        let _ = self.available.subscribe().wait_for(|available| *available).await;
    }

    /// The largest value that may be sent to it.
    pub(super) fn value_bytes_max(&self) -> usize {
        match self.value_bytes_max.load(Ordering::Relaxed) {
            0 => self.bounds.value_bytes_max,
            said => said.min(self.bounds.value_bytes_max),
        }
    }

    /// Calls that failed since the start.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    fn failed(&self, reason: &str) -> TierError {
        TierError::Failed { tier: NAME, reason: format!("{}: {reason}", self.address) }
    }

    fn overdue(&self) -> TierError {
        TierError::Deadline { tier: NAME, deadline_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX) }
    }

    fn noted(&self, error: TierError) -> TierError {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock() = Some(error.to_string());
        error
    }

    fn note_failure(&self, meaning: &Meaning, error: &TierError) {
        let mut breaker = self.breaker.lock();
        let opened = match meaning {
            Meaning::Lost => breaker.lost(self.started.elapsed()),
            Meaning::Slow => breaker.failed(self.started.elapsed()),
            Meaning::Call => false,
        };
        if opened {
            tracing::warn!(tier = NAME, server = self.address, %error, "not asked until it answers again");
            self.idle.lock().clear();
            self.available.send_replace(false);
        }
    }

    /// Tries to connect, and closes the breaker where that succeeds.
    async fn probe(&self) {
        let connected = match tokio::time::timeout(self.connect_deadline, self.connect()).await {
            Ok(connected) => connected.map_err(|trouble| trouble.to_string()),
            Err(_) => Err(format!("no connection within {} ms", self.connect_deadline.as_millis())),
        };
        let mut breaker = self.breaker.lock();
        match connected {
            Ok(connection) => {
                self.idle.lock().push(connection);
                breaker.probe_succeeded();
                tracing::info!(tier = NAME, server = self.address, "connected");
                self.available.send_replace(true);
            }
            Err(reason) => {
                let reason = format!("{NAME}: {}: {reason}", self.address);
                let mut last = self.last_error.lock();
                if last.as_ref() != Some(&reason) {
                    tracing::warn!(tier = NAME, reason, "could not connect; trying again");
                }
                *last = Some(reason);
                breaker.probe_failed(self.started.elapsed());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(healer) = self.healer.lock().take() {
            healer.abort();
        }
    }
}

/// Connects whenever the breaker has a probe due; ends when the server is dropped.
async fn heal(server: Weak<Server>, mut available: watch::Receiver<bool>) {
    loop {
        let Some(strong) = server.upgrade() else { return };
        let now = strong.started.elapsed();
        let probe_in = strong.breaker.lock().probe_in(now);
        match probe_in {
            Some(wait) if wait.is_zero() => {
                let is_due = strong.breaker.lock().begin_probe(now);
                if is_due {
                    strong.probe().await;
                }
            }
            Some(wait) => {
                drop(strong);
                // The timer may end a little early by the clock that `elapsed` reads.
                tokio::time::sleep(wait + Duration::from_millis(1)).await;
            }
            None => {
                drop(strong);
                if available.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
