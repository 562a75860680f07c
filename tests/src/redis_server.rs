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
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::Process;
use crate::wait::found_by_thread;

/// How long the server may take to connect, and to answer a PING.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// A running, paused or dead Redis. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    // First, so that it has ended before its directory goes.
    process: Option<Process>,
    dir: TempDir,
    port: u16,
    arguments: Vec<String>,
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
        Ok(Self { dir, port, arguments, process: None })
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
        self.process.as_ref().map(Process::id)
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
        self.process = Some(Process::new(child));
        let started = found_by_thread(|| {
            if self.answers() {
                return Some(Ok(()));
            }
            let status = self.process.as_mut().and_then(Process::ended)?;
            self.process = None;
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
        self.process = None;
    }

    /// Stops it with SIGSTOP: see [`Process::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process()?.pause()
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process()?.resume()
    }

    /// A plain blocking connection, to look at keys directly.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn connection(&self) -> anyhow::Result<redis::Connection> {
        Ok(redis::Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(5))?)
    }

    fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("redis-server does not run")
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
