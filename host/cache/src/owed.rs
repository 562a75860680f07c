//! Writes that are owed to an origin (write-behind): each is held in a journal on this node's disk from before its client is
//! answered until the origin has it. What is promised when: `docs/consistency.md`.

mod credentials;
mod distrust;
pub(crate) mod letters;
pub(crate) mod request;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sandbar_base::clock::Clock;
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use};
use sandbar_http::client::ShareKey;
pub use sandbar_journal::{AppendError, Backoff, Batch, JournalStats, Retry, Settings, TenantBounds};
use sandbar_journal::{Journal, OpenError, Seq, WRITE_OVERHEAD_BYTES};
use tokio::sync::{Notify, mpsc};

use self::distrust::Distrust;
pub use self::letters::Letter;
use self::request::OwedRequest;
use crate::request::CacheRequest;
use crate::tenant::Tenant;

/// How writes behind are held and delivered.
#[derive(Clone, Debug)]
pub struct OwedSettings {
    /// The journal's directory, which no other process uses.
    pub dir: PathBuf,
    /// The journal's bounds.
    pub journal: Settings,
    /// Bytes of a write's content at most; one with more goes to the origin first.
    pub content_bytes_max: u64,
    /// How many writes of a tenant are under way to its origin at once, and for how long one waits for later ones that absorb it.
    pub batch: Batch,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// For how long a write is tried, from when it was made; then it is a dead letter.
    pub retry_for: Duration,
    /// How long a node that stops goes on delivering.
    pub drain: Duration,
}

/// The journal of a cache; there may be none.
pub(crate) struct Owed {
    open: ArcSwapOption<Open>,
    clock: Arc<dyn Clock>,
    budget: Arc<MemoryBudget>,
    /// Whether anything has been held since the start. Until then no read looks into the journal.
    is_used: AtomicBool,
    distrust: Distrust,
    /// Held for reading by senders while writes are under way, and for writing by whoever takes the journal away.
    pub(crate) delivering: Arc<tokio::sync::RwLock<()>>,
    /// Told after each write that is settled.
    settled: Notify,
    /// Takes the names of tenants' accounts that need a sender.
    wanted: mpsc::UnboundedSender<String>,
}

/// An open journal.
pub(crate) struct Open {
    pub(crate) journal: Journal,
    pub(crate) settings: OwedSettings,
    /// The memory that it takes at most.
    _room: Reserved,
}

/// Why no journal was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwedError {
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no memory for it.
    #[error(
        "the journal of writes behind takes {bytes} bytes of memory, and the node has no room for them: lower journal.memory or journal.writes_max, or raise memory.total"
    )]
    NoRoom {
        /// What it takes at most.
        bytes: u64,
    },
}

impl Owed {
    /// Without a journal. The receiver is told the accounts that need a sender.
    pub(crate) fn new(
        clock: &Arc<dyn Clock>,
        budget: &Arc<MemoryBudget>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<String>) {
        let (wanted, is_wanted) = mpsc::unbounded_channel();
        let owed = Self {
            open: ArcSwapOption::empty(),
            clock: Arc::clone(clock),
            budget: Arc::clone(budget),
            is_used: AtomicBool::new(false),
            distrust: Distrust::default(),
            delivering: Arc::default(),
            settled: Notify::new(),
            wanted,
        };
        (Arc::new(owed), is_wanted)
    }

    /// Opens the journal and reads what it holds, which blocks on the disk. Where one is open already, nothing happens.
    pub(crate) fn open(&self, settings: OwedSettings) -> Result<(), OwedError> {
        if self.is_open() {
            return Ok(());
        }
        let bounds = &settings.journal;
        let overhead = (bounds.writes_max as u64).saturating_mul(WRITE_OVERHEAD_BYTES);
        let bytes = overhead.saturating_add(bounds.held_bytes_max).saturating_add(bounds.queued_bytes_max);
        let room = self.budget.reserve(Use::Tables, bytes).ok_or(OwedError::NoRoom { bytes })?;
        let (journal, found) = Journal::open(&settings.dir, bounds.clone(), Arc::clone(&self.clock))?;
        let accounts: Vec<String> = journal.stats(self.clock.now()).tenants.into_keys().collect();
        if found.pending + found.dead > 0 {
            let (pending, dead) = (found.pending, found.dead);
            tracing::info!(pending, dead, "found writes that are owed to origins");
            self.is_used.store(true, Ordering::Release);
        }
        self.open.store(Some(Arc::new(Open { journal, settings, _room: room })));
        accounts.into_iter().for_each(|account| self.wants_sender(account));
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load().as_ref().is_some_and(|open| !open.journal.is_closed())
    }

    /// The journal, where this process may write to it.
    pub(crate) fn ours(&self) -> Option<Arc<Open>> {
        self.present().filter(|open| !open.journal.is_closed())
    }

    /// The journal; also one that is closed, whose writes can still be read.
    pub(crate) fn present(&self) -> Option<Arc<Open>> {
        self.open.load_full()
    }

    /// Closes the journal: its directory is another process's now. What it held can still be read here.
    pub(crate) async fn close(&self) -> Result<(), AppendError> {
        match self.present() {
            Some(open) => open.journal.close().await,
            None => Ok(()),
        }
    }

    /// Opens the journal again after [`Self::close`].
    pub(crate) fn open_again(&self) -> Result<(), OwedError> {
        let Some(closed) = self.open.swap(None) else { return Ok(()) };
        let settings = closed.settings.clone();
        drop(closed);
        self.open(settings)
    }

    /// The figures of the journal; none where there is none.
    pub(crate) fn stats(&self) -> Option<JournalStats> {
        Some(self.present()?.journal.stats(self.clock.now()))
    }

    /// Whether a write of this request's target may be held: a look at one flag, for the path of a hit.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// Whether there are writes to the request's target that the origin does not have yet.
    pub(crate) fn has(&self, request: &CacheRequest) -> bool {
        self.is_used()
            && self
                .present()
                .is_some_and(|open| open.journal.has(&account(&request.tenant), request.key.text().as_bytes()))
    }

    /// The latest write to the request's target that the origin does not have yet. One that can't be read is told, and counts as
    /// none.
    pub(crate) async fn latest(&self, request: &CacheRequest) -> Option<(Seq, OwedRequest)> {
        let open = self.present()?;
        let held = open.journal.latest(&account(&request.tenant), request.key.text().as_bytes()).await;
        let held = held.unwrap_or_else(|error| {
            tracing::error!(tenant = &*request.tenant.name, target = request.target, %error, "a held write can't be read");
            None
        })?;
        Some((held.seq, OwedRequest::decode(held.write.content)?))
    }

    /// Holds a write: once this returns, no crash of the node loses it.
    pub(crate) async fn append(
        &self,
        request: &CacheRequest,
        owed: &OwedRequest,
        replaces: bool,
    ) -> Result<Seq, AppendError> {
        let open = self.present().ok_or(AppendError::Closed)?;
        let account = account(&request.tenant);
        let write = sandbar_journal::Write {
            tenant: account.as_str().into(),
            key: request.key.text().to_owned().into(),
            content: owed.encode(),
            idempotency_key: owed.idempotency_key(),
            at: self.clock.now(),
            replaces,
            author: owed.author(),
            client: owed.client.and_then(credentials::holder),
        };
        // Before it is held, so that no read that comes after it passes it by.
        self.is_used.store(true, Ordering::Release);
        let seq = open.journal.append(&write).await?;
        self.wants_sender(account);
        Ok(seq)
    }

    /// Has a sender started for an account that has none.
    pub(crate) fn wants_sender(&self, account: String) {
        // Where nobody listens, the cache ends.
        let _ = self.wanted.send(account);
    }

    /// Whether a client's writes are taken behind: not where many of them could not be delivered lately.
    pub(crate) fn trusts(&self, tenant: &Tenant, client: Option<ShareKey>) -> bool {
        self.distrust.trusts(&account(tenant), client)
    }

    /// Notes that the origin refused a client's write for good.
    pub(crate) fn refused(&self, account: &str, client: Option<ShareKey>) {
        self.distrust.refused(account, client);
    }

    /// Notes that a write is settled, in one way or another.
    pub(crate) fn settled(&self) {
        self.settled.notify_waiters();
    }

    /// Returns once another write is settled.
    pub(crate) fn next_settled(&self) -> tokio::sync::futures::Notified<'_> {
        self.settled.notified()
    }
}

/// The name under which a journal knows a tenant: another making of the tenant has another one, so that what is owed for one that
/// was removed never reaches the origin of the next one of its name.
pub(crate) fn account(tenant: &Tenant) -> String {
    account_of(&tenant.name, tenant.config.incarnation)
}

/// As [`account`]. No name of a tenant has a `.` in it.
pub(crate) fn account_of(name: &str, incarnation: u32) -> String {
    if incarnation == 0 { name.to_owned() } else { format!("{name}.{incarnation}") }
}

/// The name in an account.
pub(crate) fn name_in(account: &str) -> &str {
    account.split_once('.').map_or(account, |(name, _)| name)
}
