//! The program as an operator runs it: its own path, a file of settings, and whichever process serves at present.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sandbar_tests::client::{Answer, Client};
use sandbar_tests::ports::free_port;
use sandbar_tests::process::Process;
use sandbar_tests::tls::Authority;
use sandbar_tests::wait::eventually;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbar-node");
pub(crate) const HOST: &str = "shop.test";

/// A program that runs, with what it runs on.
pub(crate) struct Served {
    /// The process that was started here; those that take its place are no children of the test's.
    pub(crate) first: Process,
    /// The process that serves.
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) authority: Authority,
    dir: TempDir,
    settings: String,
}

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()))
}

impl Served {
    /// Starts it in front of an origin, with these limits.
    pub(crate) async fn start(origin: &str, limits: &str) -> Self {
        Self::start_with(origin, limits, |_| ()).await
    }

    /// [`Self::start`], with changes to how it is started.
    pub(crate) async fn start_with(origin: &str, limits: &str, change: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (address, tls, admin, authority) = (local(), local(), local(), Authority::new().unwrap());
        let certificate = authority.issue("shop", &[HOST]).unwrap().table("gateway");
        let settings = format!(
            "data_dir = \"{data}\"\n[limits]\n{limits}\n[gateway]\nlisten = \"{address}\"\n[admin]\n\
             listen = \"{admin}\"\n[gateway.tls]\nlisten = \"{tls}\"\n{certificate}\n[[tenant]]\nname = \"default\"\nhosts = [\"*\"]\n\
             origin = \"{origin}\"\n",
            data = dir.path().join("data").display(),
        );
        std::fs::write(dir.path().join("sandbar.toml"), &settings).unwrap();
        std::os::unix::fs::symlink(PROGRAM, dir.path().join("sandbar")).unwrap();
        let mut command = Command::new(dir.path().join("sandbar"));
        command.args(["serve", "--config"]).arg(dir.path().join("sandbar.toml")).stdin(Stdio::null());
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        command.stderr(log);
        change(&mut command);
        let first = Process::new(command.spawn().unwrap());
        let served = Self { pid: first.id(), first, address, tls, admin, authority, dir, settings };
        served.is_ready().await;
        served
    }

    async fn is_ready(&self) {
        eventually("it serves", async || self.operator().get("/readyz").await.is_ok_and(|answer| answer.status == 200))
            .await;
    }

    /// A client without a connection.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, HOST)
    }

    /// An operator without a connection.
    pub(crate) fn operator(&self) -> Client {
        Client::new(self.admin, &self.admin.to_string())
    }

    /// Asks for an upgrade over a connection of its own.
    pub(crate) async fn ask_for_upgrade(&self) -> Answer {
        self.operator().send("POST", "/upgrade", &[], "").await.unwrap()
    }

    /// Upgrades, and returns the process that served before.
    pub(crate) async fn upgrade(&mut self) -> u32 {
        let answer = self.ask_for_upgrade().await;
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.log());
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(told["old_pid"], self.pid);
        let old = std::mem::replace(&mut self.pid, u32::try_from(told["pid"].as_u64().unwrap()).unwrap());
        assert_ne!(old, self.pid);
        old
    }

    /// Purges everything that has the surrogate key; what the answer says.
    pub(crate) async fn purge(&self, key: &str) -> Answer {
        let purge = format!("{{\"scope\":\"surrogate-key\",\"key\":\"{key}\"}}");
        let fields = [("content-type", "application/json")];
        self.operator().send("POST", "/tenants/default/purge", &fields, purge).await.unwrap()
    }

    /// Puts a shell script in the place of the program, for the next process that is started.
    pub(crate) fn replace_by_script(&self, script: &str) {
        self.remove_program();
        let path = self.program();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Puts the program back where it was removed.
    pub(crate) fn put_program_back(&self) {
        std::os::unix::fs::symlink(PROGRAM, self.program()).unwrap();
    }

    pub(crate) fn remove_program(&self) {
        std::fs::remove_file(self.program()).unwrap();
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("sandbar")
    }

    /// Adds lines to the settings that it was started with.
    pub(crate) fn add_settings(&self, lines: &str) {
        std::fs::write(self.dir.path().join("sandbar.toml"), format!("{}{lines}", self.settings)).unwrap();
    }

    /// Changes the settings that it was started with.
    pub(crate) fn replace_setting(&self, from: &str, to: &str) {
        std::fs::write(self.dir.path().join("sandbar.toml"), self.settings.replace(from, to)).unwrap();
    }

    /// Has the process that serves read the settings again.
    pub(crate) async fn reload(&self) {
        let answer = self.operator().send("POST", "/reload", &[], "").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Whether a tenant that was made over an API is kept in its data directory.
    pub(crate) fn keeps(&self, tenant: &str) -> bool {
        self.dir.path().join(format!("data/tenants/made/{tenant}.json")).exists()
    }

    /// All that its processes have said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for the end of a process.
    pub(crate) async fn has_ended(&self, pid: u32) {
        eventually("the process ends", async || is_over(pid)).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.pid != self.first.id() && !is_over(self.pid) {
            self.signal(Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Whether a process is gone, or waits for its parent to hear of its end.
pub(crate) fn is_over(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|state| state.starts_with('Z')))
}
