//! Writes behind, as operators and the gateway see them.

use std::sync::Arc;
use std::time::Duration;

use sandbar_journal::{AppendError, JournalStats, Overtaken, Page, ReadError, Retry, Seq};

use super::Cache;
use crate::owed::letters::Letter;
use crate::owed::{OwedError, OwedSettings, account};
use crate::tenant::Tenant;
use crate::write::deliver::deliver_all;

/// Dead letters that are listed at once, at most.
const PAGE_LEN_MAX: usize = 1000;
/// Bytes of the letters of a page that are read, at most.
const PAGE_BYTES: u64 = 4 << 20;
/// How long deliveries that are under way may take to end before another process gets the journal.
const HAND_OVER_GRACE: Duration = Duration::from_secs(5);

#[doc(hidden)]
impl Cache {
    /// Opens the journal of writes behind, and delivers what it holds; where there is one already, nothing happens. It reads
    /// the disk, so it is to be called where blocking is allowed.
    ///
    /// # Errors
    /// Where it can't be opened.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open_journal(&self, settings: OwedSettings) -> Result<(), OwedError> {
        let _turn = self.rooms.changing.lock();
        self.rooms.owed.open(settings)?;
        if let Some(wanted) = self.rooms.senders_wanted.lock().take() {
            let (writer, tenants) = (Arc::downgrade(&self.rooms.writer), Arc::clone(&self.rooms.tenants));
            let find = Arc::new(move |name: &str| tenants.load().named(name).cloned());
            self.rooms.tasks.spawn(deliver_all(writer, find, wanted, self.rooms.stopping.clone()));
        }
        Ok(())
    }

    /// Whether there is a journal of writes behind, which this process may write to.
    pub fn has_journal(&self) -> bool {
        self.rooms.owed.is_open()
    }

    /// Lets the journal go, as another process is to have it. What it holds is read as before; nothing more is taken or sent.
    ///
    /// # Errors
    /// Where the disk refuses what has become of the last writes; they may be sent again.
    pub async fn give_up_journal(&self) -> Result<(), AppendError> {
        let _none_is_sent = tokio::time::timeout(HAND_OVER_GRACE, self.rooms.owed.delivering.write()).await;
        self.rooms.owed.close().await
    }

    /// Opens the journal again that was let go. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Self::open_journal`].
    pub fn take_back_journal(&self) -> Result<(), OwedError> {
        self.rooms.owed.open_again()
    }

    /// The figures of the journal of writes behind; none where there is none. Its tenants are named by name and making.
    pub fn journal_stats(&self) -> Option<JournalStats> {
        self.rooms.owed.stats()
    }

    /// The bytes that all writes may take in the journal.
    pub fn journal_capacity_bytes(&self) -> Option<u64> {
        Some(self.rooms.owed.present()?.settings.journal.bytes_max)
    }

    /// A page of a tenant's dead letters, in the order in which they were written; `after` is the number of the last one of the
    /// page before.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub async fn dead_letters(
        &self,
        tenant: &Tenant,
        after: Option<u64>,
        len: usize,
    ) -> Result<Vec<Letter>, ReadError> {
        let Some(open) = self.rooms.owed.present() else { return Ok(Vec::new()) };
        let page = Page { after: after.map(Seq), len: len.clamp(1, PAGE_LEN_MAX), bytes: PAGE_BYTES };
        Ok(open.journal.dead_letters(&account(tenant), page).await?.into_iter().map(Letter::from).collect())
    }

    /// Makes a dead letter a write that is due at once; one that a later write of its target has overtaken only where it is
    /// wanted `all_the_same`.
    ///
    /// # Errors
    /// Where the disk refuses, or there is no journal.
    pub async fn retry_dead_letter(&self, tenant: &Tenant, seq: u64, all_the_same: bool) -> Result<Retry, AppendError> {
        let open = self.rooms.owed.present().ok_or(AppendError::Closed)?;
        let overtaken = if all_the_same { Overtaken::Deliver } else { Overtaken::Refuse };
        let (account, now) = (account(tenant), self.rooms.clock.now());
        let retry = open.journal.retry_dead(&account, Seq(seq), overtaken, now).await?;
        self.rooms.owed.wants_sender(account);
        Ok(retry)
    }

    /// Forgets a dead letter; false where the tenant has none of that number.
    ///
    /// # Errors
    /// Where the disk refuses, or there is no journal.
    pub async fn drop_dead_letter(&self, tenant: &Tenant, seq: u64) -> Result<bool, AppendError> {
        let open = self.rooms.owed.present().ok_or(AppendError::Closed)?;
        open.journal.drop_dead(&account(tenant), Seq(seq)).await
    }
}
