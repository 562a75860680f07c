//! A master, a replica, and three Sentinels that let the replica take over.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::Process;
use crate::redis_server::RedisServer;
use crate::wait::eventually;

/// The name of the master at the Sentinels.
const SERVICE: &str = "cache";
const SENTINELS: usize = 3;

/// The running servers and Sentinels.
#[derive(Debug)]
pub struct RedisSentinel {
    /// First the master, then its replica.
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    port: u16,
    /// Its configuration, which it rewrites.
    _dir: TempDir,
    _process: Process,
}

impl RedisSentinel {
    /// Starts all of them, and waits until the Sentinels know each other and the replica.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let master = RedisServer::start()?;
        let port = master.addr().port().to_string();
        let replica = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
        let replica = RedisServer::start_with(&replica)?;
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(&port)).collect::<anyhow::Result<Vec<_>>>()?;
        let all = Self { servers: vec![master, replica], sentinels };
        eventually("the Sentinels know all", async || {
            all.sentinels.iter().all(|sentinel| sentinel.knows(1, SENTINELS - 1).unwrap_or(false))
        })
        .await;
        Ok(all)
    }

    /// The URL of the present master, by way of the Sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis-sentinel://{}/{SERVICE}", hosts.join(","))
    }

    /// The server that was the replica.
    pub fn replica(&self) -> &RedisServer {
        &self.servers[1]
    }

    /// Kills the master and waits until the Sentinels name the replica.
    pub async fn fail_over(&mut self) {
        self.servers[0].kill();
        let port = self.servers[1].addr().port();
        eventually("the Sentinels name the replica", async || {
            self.sentinels.iter().all(|sentinel| sentinel.master_port().is_ok_and(|named| named == port))
        })
        .await;
    }
}

impl Sentinel {
    fn start(master_port: &str) -> anyhow::Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        let config = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {SERVICE} 127.0.0.1 {master_port} 2\n\
             sentinel down-after-milliseconds {SERVICE} 800\n\
             sentinel failover-timeout {SERVICE} 3000\n",
            dir.path().display()
        );
        std::fs::write(&config, text)?;
        let child = Command::new("redis-server")
            .arg(&config)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("redis-server could not be started: is it installed?")?;
        Ok(Self { port, _dir: dir, _process: Process::new(child) })
    }

    fn connection(&self) -> anyhow::Result<redis::Connection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
        Ok(client.get_connection_with_timeout(Duration::from_secs(2))?)
    }

    /// Whether it knows so many replicas and other Sentinels.
    fn knows(&self, replicas: usize, others: usize) -> anyhow::Result<bool> {
        let mut connection = self.connection()?;
        let mut count =
            |what: &str| redis::cmd("SENTINEL").arg(what).arg(SERVICE).query::<Vec<redis::Value>>(&mut connection);
        Ok(count("REPLICAS")?.len() == replicas && count("SENTINELS")?.len() == others)
    }

    fn master_port(&self) -> anyhow::Result<u16> {
        let named: (String, u16) =
            redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(SERVICE).query(&mut self.connection()?)?;
        Ok(named.1)
    }
}
