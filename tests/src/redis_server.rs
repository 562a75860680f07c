//! A Redis of the test's own: a real `redis-server` process on a free port of the loopback interface, with its data in
//! a directory that goes away with it. It can be killed, started again (with or without its data), paused and resumed.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let mut redis = sandbar_tests::redis_server::RedisServer::start()?;
//! println!("{}", redis.url());
//! redis.pause()?; // SIGSTOP: connections stay open and nothing answers
//! redis.resume()?;
//! redis.kill(); // SIGKILL
//! redis.restart_empty()?; // the same port, no data
//! # Ok(()) }
//! ```

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::wait::found_by_thread;

/// How long the server may take to connect, and to answer a PING.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// A running, paused or dead Redis. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    dir: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server with the program's defaults, but without snapshots.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not come up.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments, as on its command line: `["--maxmemory", "10mb"]`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        // A port that was free a moment ago can be taken by the time the server binds it: then another is tried.
        let mut last = None;
        for _ in 0..5 {
            let mut server = Self::prepare(arguments)?;
            match server.restart() {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no try was made")))
    }

    /// A server that is not running yet: its port is known and nothing listens on it.
    ///
    /// # Errors
    /// When no directory or port can be had.
    pub fn prepare(arguments: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("a directory for redis-server")?;
        let port = free_port()?;
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(Self { dir, port, arguments, child: None })
    }

    /// The URL of its TCP port.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The URL of its Unix socket.
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.unix_path().display())
    }

    /// Its Unix socket.
    pub fn unix_path(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Its TCP address.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The directory it keeps its data in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it, again if need be, on the same port and with the data that it had saved. Waits until it answers.
    ///
    /// # Errors
    /// When it does not come up; the error has its log.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let log = std::fs::File::create(self.dir.path().join("redis.log"))?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--unixsocket", &self.unix_path().display().to_string()])
            .args(["--dir", &self.dir.path().display().to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("redis-server could not be started: is it installed?")?;
        self.child = Some(child);
        let started = found_by_thread(|| {
            if self.answers() {
                return Some(Ok(()));
            }
            let status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())?;
            self.child = None;
            Some(Err(anyhow!("redis-server ended with {status}: {}", self.log())))
        });
        started.unwrap_or_else(|| bail!("redis-server does not answer on port {}: {}", self.port, self.log()))
    }

    /// Starts it again on the same port without any data.
    ///
    /// # Errors
    /// As [`Self::restart`].
    pub fn restart_empty(&mut self) -> anyhow::Result<()> {
        self.kill();
        for name in ["dump.rdb", "appendonly.aof", "appendonlydir"] {
            let path = self.dir.path().join(name);
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
        self.restart()
    }

    /// Kills it with SIGKILL and waits for its end. Nothing happens if it does not run.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it with SIGSTOP: its sockets stay open, the kernel goes on accepting, and nothing answers. When this
    /// returns, all of its threads stand still.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        let stands_still =
            || self.stands_still().map_or_else(|error| Some(Err(error)), |still| still.then_some(Ok(())));
        found_by_thread(stands_still).context("redis-server does not stop")?
    }

    /// Whether all of its threads are stopped, as the kernel tells.
    fn stands_still(&self) -> anyhow::Result<bool> {
        let id = self.pid().context("redis-server does not run")?;
        for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
            let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
            // Behind the name, which is in parentheses, comes the state.
            if !stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// A plain blocking connection, to look at keys directly.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn connection(&self) -> anyhow::Result<redis::Connection> {
        Ok(redis::Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(5))?)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.pid().context("redis-server does not run")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Whether it answers a PING: with PONG, or with an error where it wants a password first.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect_timeout(&self.addr(), ANSWER_MAX)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG" || &answer == b"-NOAU")
        };
        ask().unwrap_or(false)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("redis.log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
