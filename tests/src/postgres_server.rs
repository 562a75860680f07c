//! A PostgreSQL of the test's own: a real server on a free port of the loopback interface, with its data in a directory that goes
//! away with it. As root it runs as the user `postgres`, as PostgreSQL refuses to run as root.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::wait::found_by_thread;

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who runs the server where the tests run as root.
const USER: &str = "postgres";

/// A running or stopped server. Dropping it stops it.
#[derive(Debug)]
pub struct PostgresServer {
    dir: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    child: Option<Child>,
}

impl PostgresServer {
    /// Starts a server with an empty database `postgres`; none, said loudly, where PostgreSQL is not installed or can't be run
    /// by these tests.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(programs) = programs() else {
            eprintln!("SKIPPED: PostgreSQL is not installed (Debian: postgresql)");
            return Ok(None);
        };
        let user = match (rustix::process::geteuid().is_root(), id("-u"), id("-g")) {
            (false, ..) => None,
            (true, Some(user), Some(group)) => Some((user, group)),
            (true, ..) => {
                eprintln!("SKIPPED: PostgreSQL does not run as root, and there is no user {USER}");
                return Ok(None);
            }
        };
        // The usual directory for temporary files may be below one that the server's user can't enter.
        let dir = tempfile::tempdir_in("/tmp").context("a directory for PostgreSQL")?;
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(dir.path(), Some(user), Some(group))?;
        }
        let mut server = Self { dir, programs, user, port: 0, child: None };
        let made = server
            .program("initdb")
            .args(["--no-sync", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale", "C", "-D"])
            .arg(server.data())
            .output()
            .context("initdb could not be started")?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        // A port that was free a moment ago can be taken by the time the server binds it: then another is tried.
        let mut last = None;
        for _ in 0..5 {
            server.port = free_port()?;
            match server.restart() {
                Ok(()) => return Ok(Some(server)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no try was made")))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// Its URL, as it is reached over another port of this machine.
    pub fn url_at(port: u16) -> String {
        format!("postgresql://{USER}@127.0.0.1:{port}/postgres")
    }

    /// Its TCP address.
    pub fn addr(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Starts it, again if need be, on the same port and with its data. Waits until it answers.
    ///
    /// # Errors
    /// When it does not come up; the error has its log.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        let log = std::fs::File::create(self.dir.path().join("log"))?;
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=40", "shared_buffers=16MB"] {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(format!("unix_socket_directories={}", self.dir.path().display()));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.child = Some(child.context("postgres could not be started")?);
        let started = found_by_thread(|| {
            if self.run("SELECT 1").is_ok() {
                return Some(Ok(()));
            }
            let status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())?;
            self.child = None;
            Some(Err(anyhow!("postgres ended with {status}: {}", self.log())))
        });
        started.unwrap_or_else(|| bail!("postgres does not answer on port {}: {}", self.port, self.log()))
    }

    /// Runs SQL as an application beside the cache would; returns the rows, a line each.
    ///
    /// # Errors
    /// What the server says.
    pub fn run(&self, sql: &str) -> anyhow::Result<String> {
        let done = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", sql])
            .output()
            .context("psql could not be started")?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8(done.stdout)?.trim_end().to_owned())
    }

    /// Stops it at once, as a crash would but for what it leaves behind. Nothing happens if it does not run.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // An immediate shutdown: the processes of its connections end with it.
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = child.wait();
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.dir.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The directory with the server's programs, of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let has = |dir: &Path| dir.join("postgres").exists() && dir.join("initdb").exists() && dir.join("psql").exists();
    let path = std::env::var_os("PATH")?;
    if let Some(dir) = std::env::split_paths(&path).find(|dir| has(dir)) {
        return Some(dir);
    }
    let versions = std::fs::read_dir(DEBIAN).ok()?.filter_map(Result::ok).map(|entry| entry.path().join("bin"));
    versions.filter(|dir| has(dir)).max()
}

/// A number of the server's user.
fn id(which: &str) -> Option<u32> {
    let output = Command::new("id").args([which, USER]).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
