//! A child process of a test, which can be signalled and measured; it is killed when its owner is dropped.

use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{found, found_by_thread};

/// A child process. Dropping it kills it.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Takes ownership of a child.
    pub const fn new(child: Child) -> Self {
        Self(child)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The exit status, if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.id())?).context("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Stops it with SIGSTOP: its sockets stay open, the kernel goes on accepting, and nothing answers. When this
    /// returns, all of its threads stand still.
    ///
    /// # Errors
    /// When it is gone, or does not stop.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        let stands_still =
            || self.stands_still().map_or_else(|error| Some(Err(error)), |still| still.then_some(Ok(())));
        found_by_thread(stands_still).context("the process does not stop")?
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Whether all of its threads are stopped, as the kernel tells.
    fn stands_still(&self) -> anyhow::Result<bool> {
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
            // Behind the name, which is in parentheses, comes the state.
            if !stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for its end, at most so long.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait(&mut self, at_most: Duration) -> anyhow::Result<ExitStatus> {
        let ended = found("the process ends", async || self.ended());
        tokio::time::timeout(at_most, ended).await.context("the process does not end")
    }

    /// Memory it occupies, in bytes: the resident set, as the kernel counts it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        resident_bytes(self.id())
    }
}

/// Memory that the process of this id occupies, in bytes: the resident set, as the kernel (Linux) counts it.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS: the process is gone")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
