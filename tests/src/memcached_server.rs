//! A memcached of the test's own: a real `memcached` process on a free port of the loopback interface. It can be killed,
//! started again (it is empty then), paused and resumed.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::ports::free_port;
use crate::process::Process;
use crate::wait::found_by_thread;

/// How long the server may take to connect, and to answer.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// A running, paused or dead memcached. Dropping it kills it.
#[derive(Debug)]
pub struct MemcachedServer {
    port: u16,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl MemcachedServer {
    /// Starts a server; none, said loudly, where `memcached` is not installed.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start() -> anyhow::Result<Option<Self>> {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments, as on its command line: `["-I", "2m"]`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(arguments: &[&str]) -> anyhow::Result<Option<Self>> {
        if Command::new("memcached").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            eprintln!("SKIPPED: memcached is not installed (Debian: memcached)");
            return Ok(None);
        }
        // A port that was free a moment ago can be taken by the time the server binds it: then another is tried.
        let mut last = None;
        for _ in 0..5 {
            let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
            let mut server = Self { port: free_port()?, arguments, process: None };
            match server.restart() {
                Ok(()) => return Ok(Some(server)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no try was made")))
    }

    /// Its address, as settings name it.
    pub fn address(&self) -> String {
        self.addr().to_string()
    }

    /// Its TCP address.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it, again if need be, on the same port and without any data. Waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let child = Command::new("memcached")
            // As root it wants to be told whose rights it is to have.
            .args(["-u", "nobody", "-l", "127.0.0.1", "-p", &self.port.to_string(), "-U", "0", "-m", "64"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("memcached could not be started")?;
        self.process = Some(Process::new(child));
        let started = found_by_thread(|| {
            if self.ask("version").is_ok_and(|lines| lines.len() == 1) {
                return Some(Ok(()));
            }
            let status = self.process.as_mut().and_then(Process::ended)?;
            self.process = None;
            Some(Err(anyhow!("memcached ended with {status}")))
        });
        started.unwrap_or_else(|| bail!("memcached does not answer on port {}", self.port))
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

    /// Sends a line and reads the answer: one line, or all up to `END`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, line: &str) -> anyhow::Result<Vec<String>> {
        let mut stream = TcpStream::connect_timeout(&self.addr(), ANSWER_MAX)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        let mut lines = Vec::new();
        for read in BufReader::new(stream).lines() {
            let read = read?;
            if read == "END" {
                break;
            }
            let is_last = !read.starts_with("STAT ");
            lines.push(read);
            if is_last {
                break;
            }
        }
        Ok(lines)
    }

    /// A figure of its `stats`.
    ///
    /// # Errors
    /// When it does not answer, or has no such figure.
    pub fn stat(&self, name: &str) -> anyhow::Result<u64> {
        let lines = self.ask("stats")?;
        let found = lines.iter().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
        Ok(found.with_context(|| format!("no {name} in {lines:?}"))?.trim().parse()?)
    }

    fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("memcached does not run")
    }
}
