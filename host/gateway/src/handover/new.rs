//! The new process's part: taking over from its predecessor.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use sandbar::cache::{Cache, PurgeReport};
use tokio_util::sync::CancellationToken;

use super::lines::{self, Receiver, Sender};
use super::message::{FORMAT, Failed, Order, ToNew, ToOld};
use crate::{Sockets, StartError};

/// The environment variable that names the process which hands over, to its child. Descendants of that one, which may
/// inherit the variable, have other parents.
pub(crate) const HANDED_OVER_BY: &str = "SANDBAR_HANDED_OVER_BY";

/// The process whose place this one is to take.
#[derive(Debug)]
pub struct Predecessor {
    pid: u32,
    channel: UnixStream,
}

impl Predecessor {
    /// The process that has started this one to take its place, and the sockets that it hands over; none where nobody
    /// has. Call this before the process has a second thread: it takes the standard input.
    ///
    /// # Errors
    /// When the sockets can't be received or used, or the predecessor speaks of them in a way that this program does not
    /// know.
    pub fn find() -> Result<Option<(Self, Sockets)>, StartError> {
        let named = std::env::var(HANDED_OVER_BY).ok().and_then(|pid| pid.parse::<u32>().ok());
        if named.is_none_or(|pid| pid != std::os::unix::process::parent_id()) {
            return Ok(None);
        }
        let failed = |error: io::Error| StartError::HandOver(error.to_string());
        let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
        let nothing = File::open("/dev/null").map_err(failed)?;
        rustix::stdio::dup2_stdin(nothing).map_err(|error| failed(error.into()))?;
        let (beginning, descriptors) = lines::begun(&channel).map_err(failed)?;
        if beginning.format != FORMAT || beginning.sockets.len() != descriptors.len() {
            return Err(StartError::HandOver(format!(
                "process {} hands over in format {}, and this program takes {FORMAT}",
                beginning.pid, beginning.format
            )));
        }
        let mut sockets = Sockets::default();
        for (given, descriptor) in beginning.sockets.iter().zip(descriptors) {
            sockets.take_over(&given.name, lines::listener(descriptor), given.is_activated)?;
        }
        Ok(Some((Self { pid: beginning.pid, channel }, sockets)))
    }

    /// Begins to talk with it; within a runtime.
    pub(crate) fn talk(self) -> Result<Taking, StartError> {
        let split = lines::split(self.channel).map_err(|error| StartError::HandOver(error.to_string()))?;
        let drains = Drains { pid: self.pid, ended: CancellationToken::new() };
        Ok(Taking { drains, sender: Arc::new(split.0), receiver: split.1, early: Vec::new() })
    }
}

/// A predecessor that waits for this process.
#[derive(Debug)]
pub(crate) struct Taking {
    drains: Drains,
    sender: Arc<Sender>,
    receiver: Receiver,
    /// Purges that have come before there was a cache to make them in.
    early: Vec<Order>,
}

/// A predecessor that still answers what it was asked before.
#[derive(Clone, Debug)]
pub(crate) struct Drains {
    pub(super) pid: u32,
    /// Cancelled once it has ended.
    pub(super) ended: CancellationToken,
}

impl Drains {
    /// The process.
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }
}

impl Taking {
    /// Says that all is prepared, and waits until what only one process can have is this one's.
    ///
    /// # Errors
    /// When the predecessor is gone.
    pub(crate) async fn ready(&mut self) -> Result<(), StartError> {
        self.tell(&ToOld::Ready { version: env!("CARGO_PKG_VERSION").to_owned() }).await?;
        loop {
            match self.receiver.next().await {
                Ok(Some(ToNew::Purge(order))) => self.early.push(order),
                Ok(Some(ToNew::Yours)) => return Ok(()),
                _ => return Err(self.gone()),
            }
        }
    }

    /// Says that this process gives up, and why.
    pub(crate) async fn failed(&self, reason: String, is_of_settings: bool) {
        // Where nobody hears it, standard error has it.
        let _ = self.tell(&ToOld::Failed(Failed { reason, is_of_settings })).await;
    }

    /// The predecessor, as it will be once this process serves.
    pub(crate) fn drains(&self) -> Drains {
        self.drains.clone()
    }

    /// Says that `cache` can answer, and waits until requests are this process's. Purges that the predecessor makes are
    /// made here from now on.
    ///
    /// # Errors
    /// When the predecessor is gone.
    pub(crate) async fn open(&mut self, cache: &Cache) -> Result<(), StartError> {
        for order in std::mem::take(&mut self.early) {
            self.make(cache, order);
        }
        self.tell(&ToOld::Open).await?;
        loop {
            match self.receiver.next().await {
                Ok(Some(ToNew::Purge(order))) => self.make(cache, order),
                Ok(Some(ToNew::Go)) => return Ok(()),
                _ => return Err(self.gone()),
            }
        }
    }

    /// Says that connections are accepted, and waits until the predecessor accepts none. It is heard until it ends.
    pub(crate) async fn serving(mut self, cache: &Cache) {
        let (done, is_done) = tokio::sync::oneshot::channel::<()>();
        let cache = cache.clone();
        tokio::spawn(async move {
            let mut done = Some(done);
            // Where it is gone already, this process serves all the same.
            let _ = self.tell(&ToOld::Serving).await;
            loop {
                match self.receiver.next().await {
                    Ok(Some(ToNew::Purge(order))) => self.make(&cache, order),
                    Ok(Some(ToNew::Done)) => drop(done.take()),
                    _ => break,
                }
            }
            self.drains.ended.cancel();
        });
        // What is waited for is that the other end is dropped.
        let _ = is_done.await;
    }

    /// Makes a purge of the predecessor's, beside whatever else comes from there.
    fn make(&self, cache: &Cache, order: Order) {
        let (cache, sender) = (cache.clone(), Arc::clone(&self.sender));
        tokio::spawn(async move {
            let Order { id, tenant, purge, sequence, is_for_others } = order;
            let report = match cache.tenant(&tenant) {
                Some(tenant) => cache.purge_for(&tenant, purge, sequence, is_for_others).await,
                None => PurgeReport { recorded: 1, ..PurgeReport::default() },
            };
            // Where the predecessor has ended, nobody waits for the answer.
            let _ = sender.send(&ToOld::Purged { id, report: report.into() }).await;
        });
    }

    async fn tell(&self, message: &ToOld) -> Result<(), StartError> {
        self.sender.send(message).await.map_err(|_| self.gone())
    }

    fn gone(&self) -> StartError {
        StartError::HandOver(format!("process {} is gone, or has given the upgrade up", self.drains.pid))
    }
}
