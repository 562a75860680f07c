//! A new process from its start until it has taken over, or is ended.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::heir::{ANSWER_DEADLINE, NewProcess};
use super::lines::{self, Receiver, Sender};
use super::message::{Failed, ToNew, ToOld};
use super::shared::{self, Shared};
use super::{Program, UpgradeError};
use crate::service_manager;

/// How long a process that has closed the channel may take to end.
const END_GRACE: Duration = Duration::from_secs(2);

/// A new process that has not taken over yet.
pub(super) struct Attempt {
    child: Child,
    sender: Arc<Sender>,
    /// What the new process says, but for its answers to purges.
    said: mpsc::Receiver<ToOld>,
    pub(super) successor: Arc<NewProcess>,
    /// Whether anything was handed over.
    pub(super) has_begun: bool,
    /// Whether the new process may have answered requests.
    pub(super) has_gone: bool,
    bounds: Bounds,
}

/// How long an attempt may take.
struct Bounds {
    deadline: Duration,
    until: tokio::time::Instant,
    stopping: CancellationToken,
}

impl Bounds {
    /// Waits for something, but not past the deadline, nor when the gateway is stopped.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, UpgradeError> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(UpgradeError::Stopped),
            done = work => Ok(done),
            () = tokio::time::sleep_until(self.until) => Err(UpgradeError::Late { deadline: self.deadline }),
        }
    }
}

impl Attempt {
    /// Starts the program, and sends it the sockets. It has `deadline` for all of it.
    pub(super) fn start(
        program: &Program,
        sockets: &[Shared],
        deadline: Duration,
        stopping: CancellationToken,
    ) -> Result<Self, UpgradeError> {
        let not_started = |reason: io::Error| UpgradeError::NotStarted { path: program.path().to_owned(), reason };
        let (here, there) = UnixStream::pair().map_err(not_started)?;
        shared::send(&here, sockets).map_err(not_started)?;
        let child = program.start(there).map_err(not_started)?;
        let (sender, receiver) = lines::split(here).map_err(not_started)?;
        let sender = Arc::new(sender);
        let successor = Arc::new(NewProcess::new(Arc::clone(&sender), ANSWER_DEADLINE));
        let (hears, said) = mpsc::channel(1);
        tokio::spawn(listen(receiver, hears, Arc::clone(&successor)));
        let bounds = Bounds { deadline, until: tokio::time::Instant::now() + deadline, stopping };
        Ok(Self { child, sender, said, successor, has_begun: false, has_gone: false, bounds })
    }

    /// The new process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Waits for something, but not past the deadline, nor when the gateway is stopped.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, UpgradeError> {
        self.bounds.within(work).await
    }

    /// Tells the new process something.
    pub(super) async fn tell(&self, message: &ToNew) -> Result<(), UpgradeError> {
        let told = self.within(self.sender.send(message)).await?;
        told.map_err(|error| UpgradeError::Failed(format!("the new process can't be told: {error}")))
    }

    /// What the new process says next.
    pub(super) async fn hear(&mut self) -> Result<ToOld, UpgradeError> {
        match self.bounds.within(self.said.recv()).await? {
            Some(ToOld::Failed(Failed { reason, is_of_settings })) => {
                Err(UpgradeError::Refused { reason, is_of_settings })
            }
            Some(message) => Ok(message),
            None => {
                let ended = tokio::time::timeout(END_GRACE, self.child.wait()).await;
                Err(UpgradeError::Ended { status: ended.ok().and_then(Result::ok) })
            }
        }
    }

    /// Lets the new process go on by itself.
    pub(super) async fn succeed(mut self) {
        // Before the new process says that it is ready: only what the service's main process says is believed.
        service_manager::main_process_is(self.pid());
        if let Err(error) = self.sender.send(&ToNew::Done).await {
            tracing::warn!(%error, "the new process can't be told that it is alone");
        }
        // Should it end before this one, it is not kept as a zombie.
        tokio::spawn(async move { self.child.wait().await });
    }

    /// Ends the new process, and waits for its end: then the operating system has closed what it had open.
    pub(super) async fn fail(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, pid = self.pid(), "the new process can't be ended");
        }
        self.successor.is_gone();
    }
}

/// Hears what the new process says, for as long as it lives.
async fn listen(mut receiver: Receiver, hears: mpsc::Sender<ToOld>, successor: Arc<NewProcess>) {
    loop {
        match receiver.next().await {
            Ok(Some(ToOld::Purged { id, report })) => successor.answered(id, report.into()),
            Ok(Some(message)) => {
                // Once it has taken over, it has nothing more to say but answers.
                let _ = hears.send(message).await;
            }
            _ => break,
        }
    }
    successor.is_gone();
}
