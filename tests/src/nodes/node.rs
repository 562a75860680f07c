//! A node: `sandbar serve` as a process of its own, on ports that stay the same. It can be paused (SIGSTOP), resumed,
//! killed, and started again with the same data.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use rustix::process::Signal;
use tempfile::TempDir;

use super::FAULTS;
use crate::client::{Answer, Client};
use crate::gateway::TENANT;
use crate::ports::free_port;
use crate::process::Process;
use crate::wait::{PATIENCE, found};

/// How long a node may take until it answers, on a busy machine.
const START_MAX: Duration = PATIENCE;

/// A running, stopped or dead node. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    dir: TempDir,
    listen: SocketAddr,
    admin: SocketAddr,
    settings: String,
    env: Vec<(String, String)>,
    process: Option<Process>,
    /// How often it has been started.
    starts: Arc<AtomicU32>,
}

impl Node {
    /// Starts a node with these settings (`sandbar.toml` without `data_dir` and addresses), and these variables in its
    /// environment. Waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the error has its log.
    pub async fn start(settings: &str, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        // A port that was free a moment ago can be taken by the time the node binds it: then others are tried.
        let mut last = None;
        for _ in 0..3 {
            let mut node = Self::prepare(settings, env)?;
            match node.restart().await {
                Ok(()) => return Ok(node),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no try was made")?)
    }

    /// A node that is not running yet: its ports are known and nothing listens there.
    ///
    /// # Errors
    /// When no directory or port can be had.
    pub fn prepare(settings: &str, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("a directory for the node")?;
        let port = || Ok::<_, anyhow::Error>(SocketAddr::from(([127, 0, 0, 1], free_port()?)));
        let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (listen, admin) = (port()?, port()?);
        Ok(Self { dir, listen, admin, settings: settings.to_owned(), env, process: None, starts: Arc::default() })
    }

    /// Starts it, again if need be, on the same ports and with the same data. Waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let config = self.dir.path().join("sandbar.toml");
        let data_dir = self.dir.path().join("data");
        std::fs::write(&config, format!("data_dir = {:?}\n{}", data_dir.display().to_string(), self.settings))?;
        let log = std::fs::File::options().create(true).append(true).open(self.log_file())?;
        let child = Command::new(program(self.env.iter().any(|(name, _)| name == FAULTS))?)
            .args(["serve", "--listen", &self.listen.to_string(), "--admin", &self.admin.to_string(), "--config"])
            .arg(&config)
            .env("SANDBAR_LOG", "info")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the node could not be started")?;
        self.process = Some(Process::new(child));
        self.starts.fetch_add(1, Ordering::SeqCst);
        let answering = tokio::time::timeout(START_MAX, self.answers());
        answering.await.with_context(|| format!("the node does not answer: {}", self.log()))?
    }

    /// Kills it with SIGKILL. Nothing happens if it does not run.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it as an operator does (SIGTERM): it ends what is under way. Answers when it has ended.
    ///
    /// # Errors
    /// When it does not run, or takes longer than `at_most`.
    pub async fn stop(&mut self, at_most: Duration) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the node does not run")?;
        process.signal(Signal::TERM)?;
        let status = process.wait(at_most).await?;
        anyhow::ensure!(status.success(), "the node ended with {status}: {}", self.log());
        Ok(())
    }

    /// Pauses it with SIGSTOP: its sockets stay open, the kernel goes on accepting, and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::STOP)
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    /// The process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("the node does not run")
    }

    /// How often it has been started; the counter goes on counting for those who keep it.
    pub fn starts(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.starts)
    }

    /// The node's address for clients.
    pub const fn address(&self) -> SocketAddr {
        self.listen
    }

    /// The node's address for operators.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// A client whose requests name `host`.
    pub fn client(&self, host: &str) -> Client {
        Client::new(self.listen, host)
    }

    /// Calls the admin API.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn admin(&self, method: &str, target: &str, body: impl Into<Bytes>) -> anyhow::Result<Answer> {
        Client::new(self.admin, &self.admin.to_string()).send(method, target, &[], body).await
    }

    /// Purges of the tenant [`TENANT`]; `purges` is JSON as the admin API takes it.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn purge(&self, purges: &serde_json::Value) -> anyhow::Result<Answer> {
        self.admin("POST", &format!("/tenants/{TENANT}/purge"), purges.to_string()).await
    }

    /// Whether a client has sent bytes that the node has not read yet, as the kernel tells.
    pub fn has_unread(&self) -> bool {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let port = format!(":{:04X}", self.listen.port());
        sockets.lines().skip(1).any(|socket| {
            // Number, local and remote address, state, and the queues: what is to be sent, what is to be read.
            let fields: Vec<&str> = socket.split_ascii_whitespace().collect();
            let unread = fields.get(4).and_then(|queues| queues.split_once(':')).map(|(_, unread)| unread);
            fields.get(1).is_some_and(|local| local.ends_with(&port))
                && fields.get(3) == Some(&"01")
                && unread.is_some_and(|unread| unread != "00000000")
        })
    }

    /// A counter of the tenant [`TENANT`], by its name in `GET /tenants/…`.
    ///
    /// # Errors
    /// When no answer came, or there is no such counter.
    pub async fn counter(&self, name: &str) -> anyhow::Result<u64> {
        let report = self.admin("GET", &format!("/tenants/{TENANT}"), "").await?;
        let report: serde_json::Value = serde_json::from_slice(&report.body)?;
        report["counters"][name].as_u64().with_context(|| format!("no counter {name:?} in {report}"))
    }

    /// Whether it hears the other nodes on all partitions of the bus.
    ///
    /// # Errors
    /// When no answer came, or it has no fleet.
    pub async fn hears(&self) -> anyhow::Result<bool> {
        let stats = self.stats().await?;
        let deaf = &stats["fleet"]["bus"]["deaf_partitions"];
        Ok(deaf.as_u64().with_context(|| format!("no fleet in {stats}"))? == 0)
    }

    /// Purges that other nodes do not know of, as the node says.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn purges_pending(&self) -> anyhow::Result<u64> {
        self.stats().await?["purges_pending"].as_u64().context("no figure")
    }

    /// Whether no fetched response is still on its way into a tier.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn has_stored_all(&self) -> anyhow::Result<bool> {
        let stats = self.stats().await?;
        let uses = stats["memory"]["uses"].as_array().with_context(|| format!("no memory in {stats}"))?;
        let is_on_its_way =
            |used: &serde_json::Value| (used["what"] == "fills" || used["what"] == "l2-writes") && used["bytes"] != 0;
        Ok(!uses.iter().any(is_on_its_way))
    }

    async fn stats(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.admin("GET", "/stats", "").await?.body)?)
    }

    /// What it has written to its log since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("sandbar.log")
    }

    async fn answers(&mut self) -> anyhow::Result<()> {
        found("the node answers", async || {
            if self.admin("GET", "/readyz", "").await.is_ok_and(|answer| answer.status == 200) {
                return Some(Ok(()));
            }
            let status = self.process.as_mut().and_then(Process::ended)?;
            self.process = None;
            Some(Err(anyhow!("the node ended with {status}: {}", self.log())))
        })
        .await
    }
}

/// The program, in the folder of the running test or bench. The tests' package builds it as a target of its own
/// (`sandbar-node`), so that it is always of the present sources; benches find the workspace's.
///
/// The one that breaks its promises on purpose is another program, as the released one can't.
fn program(is_faulty: bool) -> anyhow::Result<PathBuf> {
    let mut dir = std::env::current_exe()?;
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    let names: &[&str] = if is_faulty { &["sandbar-faulty"] } else { &["sandbar-node", "sandbar"] };
    let found = names.iter().map(|name| dir.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("no program in {}: cargo build --release", dir.display()))
}
