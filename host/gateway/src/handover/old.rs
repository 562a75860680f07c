//! The old process's part: starting its successor, handing over, and taking back where nothing comes of it.

use std::sync::Arc;

use sandbar::cache::Cache;
use sandbar::tier::disk::DiskTier;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedRwLockWriteGuard;
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::message::{ToNew, ToOld};
use super::shared::Shared;
use super::{Drains, Program, UpgradeError};
use crate::ready::blocking;
use crate::reload::Reloads;

/// A process that has taken this one's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Upgraded {
    /// The process that answers from now on.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The process that answered before. It ends once it has answered what it was asked, or `limits.grace` is over.
    pub old_pid: u32,
}

impl std::fmt::Display for Upgraded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pid, version, old_pid } = self;
        write!(f, "process {pid} (sandbar {version}) has taken the place of process {old_pid}")
    }
}

/// Has a new process take this one's place.
pub(crate) struct Upgrades {
    pub(crate) program: Option<Program>,
    pub(crate) sockets: Vec<Shared>,
    pub(crate) cache: Cache,
    pub(crate) disk: Option<Arc<DiskTier>>,
    pub(crate) reloads: Arc<Reloads>,
    /// The process whose place this one has taken, if there is one.
    pub(crate) drains: Option<Drains>,
    /// Held while one is under way; it holds that nothing can be changed any more, once this process's place is taken.
    pub(crate) turn: tokio::sync::Mutex<Option<OwnedRwLockWriteGuard<()>>>,
    /// Cancelled when the gateway is stopped.
    pub(crate) stopping: CancellationToken,
    /// Cancelled once another process has taken this one's place.
    pub(crate) handed_over: CancellationToken,
}

impl Upgrades {
    /// Has a new process take this one's place. An upgrade that has begun comes to its end, whoever waits for it.
    ///
    /// # Errors
    /// When none has; this process goes on as before.
    pub(crate) async fn upgrade(self: &Arc<Self>) -> Result<Upgraded, UpgradeError> {
        let upgrades = Arc::clone(self);
        let upgraded = tokio::spawn(async move { upgrades.to_the_end().await }).await;
        upgraded.unwrap_or_else(|error| Err(UpgradeError::Failed(error.to_string())))
    }

    /// Gives up an upgrade that is under way, and lets none begin. Returns once nothing is left of it.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        drop(self.turn.lock().await);
    }

    /// Whether another process has taken this one's place.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.handed_over.is_cancelled()
    }

    async fn to_the_end(&self) -> Result<Upgraded, UpgradeError> {
        let program = self.program.as_ref().ok_or(UpgradeError::NoProgram)?;
        if std::process::id() == 1 {
            return Err(UpgradeError::FirstProcess);
        }
        let mut turn = self.turn.try_lock().map_err(|_| UpgradeError::UnderWay)?;
        if self.stopping.is_cancelled() {
            return Err(UpgradeError::Stopped);
        }
        if turn.is_some() {
            return Err(UpgradeError::UnderWay);
        }
        if let Some(drains) = self.drains.as_ref().filter(|drains| !drains.ended.is_cancelled()) {
            return Err(UpgradeError::PredecessorDrains { pid: drains.pid });
        }
        tracing::info!(program = %program.path().display(), "starting the process that is to take this one's place");
        let deadline = self.reloads.present().limits.upgrade_deadline.get();
        // What is kept in the data directory stays as the new process reads it.
        let settled = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return Err(UpgradeError::Stopped),
            settled = tokio::time::timeout(deadline, self.reloads.settle()) => settled,
        };
        let settled = settled.map_err(|_| UpgradeError::Late { deadline })?;
        let mut attempt = Attempt::start(program, &self.sockets, deadline, self.stopping.clone())?;
        match self.hand_over(&mut attempt).await {
            Ok(version) => {
                let upgraded = Upgraded { pid: attempt.pid(), version, old_pid: std::process::id() };
                tracing::info!(%upgraded, "handed over");
                *turn = Some(settled);
                self.handed_over.cancel();
                attempt.succeed().await;
                Ok(upgraded)
            }
            Err(error) => {
                self.take_back(attempt).await;
                Err(error)
            }
        }
    }

    /// Hands everything over, step by step. Returns the version of the new process.
    async fn hand_over(&self, attempt: &mut Attempt) -> Result<String, UpgradeError> {
        let ToOld::Ready { version } = attempt.hear().await? else { return Err(out_of_turn()) };
        attempt.has_begun = true;
        self.cache.hand_purges_to(Arc::clone(&attempt.successor) as _).await;
        if let Some(disk) = self.disk.clone() {
            let given_up = blocking(move || disk.give_up()).await;
            given_up.map_err(|error| UpgradeError::NotGivenUp(error.to_string()))?;
        }
        if let Err(error) = self.cache.give_up_journal().await {
            return Err(UpgradeError::NotGivenUp(error.to_string()));
        }
        attempt.tell(&ToNew::Yours).await?;
        let ToOld::Open = attempt.hear().await? else { return Err(out_of_turn()) };
        attempt.within(self.cache.retire()).await?.map_err(UpgradeError::NotGivenUp)?;
        attempt.has_gone = true;
        attempt.tell(&ToNew::Go).await?;
        let ToOld::Serving = attempt.hear().await? else { return Err(out_of_turn()) };
        Ok(version)
    }

    /// Ends the new process, and takes back what it was handed.
    async fn take_back(&self, attempt: Attempt) {
        let (has_begun, has_gone) = (attempt.has_begun, attempt.has_gone);
        attempt.fail().await;
        if !has_begun {
            return;
        }
        if has_gone {
            // The new process may have made purges that are recorded nowhere.
            let cache = self.cache.clone();
            blocking(move || cache.clear_memory()).await;
        }
        if let Some(disk) = self.disk.clone()
            && let Err(error) = blocking(move || disk.take_back()).await
        {
            tracing::error!(%error, "the disk tier can't be taken back: the gateway does without it until it is restarted");
        }
        let cache = self.cache.clone();
        if let Err(error) = blocking(move || cache.take_back_journal()).await {
            tracing::error!(%error, "the journal of held writes can't be taken back: none is taken until the gateway is restarted");
        }
        self.cache.return_from_retirement().await;
    }
}

fn out_of_turn() -> UpgradeError {
    UpgradeError::Failed("the new process said something else than was expected of it".to_owned())
}
