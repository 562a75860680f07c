//! A Redis Cluster of the test's own: masters with one replica each, which take over for one another.

use anyhow::Context;

use crate::ports::free_port;
use crate::redis_server::RedisServer;
use crate::wait::eventually;

/// Number of slots of a Cluster.
const SLOTS: usize = 16_384;
/// After how long a silent server is taken for dead, in milliseconds.
const NODE_TIMEOUT_MS: &str = "1000";

/// A running Cluster.
#[derive(Debug)]
pub struct RedisCluster {
    masters: usize,
    /// First the masters, then their replicas in the same order.
    servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts so many masters and as many replicas, and waits until all slots are served and replicated.
    ///
    /// # Errors
    /// When one does not start, or does not take part.
    pub async fn start(masters: usize) -> anyhow::Result<Self> {
        let (mut servers, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..masters * 2 {
            let bus = free_port()?.to_string();
            let of_cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            let times = ["--cluster-node-timeout", NODE_TIMEOUT_MS, "--repl-diskless-sync-delay", "0"];
            servers.push(RedisServer::start_with(&[&of_cluster[..], &times[..]].concat())?);
            buses.push(bus);
        }
        let cluster = Self { masters, servers };
        for master in 0..masters {
            let (from, below) = (SLOTS * master / masters, SLOTS * (master + 1) / masters);
            cluster.ask(master, &["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &(below - 1).to_string()])?;
        }
        for (server, bus) in cluster.servers.iter().zip(&buses).skip(1) {
            cluster.ask(0, &["CLUSTER", "MEET", "127.0.0.1", &server.addr().port().to_string(), bus])?;
        }
        for master in 0..masters {
            let id = cluster.ask(master, &["CLUSTER", "MYID"])?;
            // This succeeds only once the replica has heard of its master.
            let follows = async || cluster.ask(masters + master, &["CLUSTER", "REPLICATE", &id]).is_ok();
            eventually("a replica follows", follows).await;
        }
        eventually("it is whole", async || cluster.is_whole()).await;
        Ok(cluster)
    }

    /// The Cluster's URL, with all its servers.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.servers.iter().map(|server| server.addr().to_string()).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// Kills a master and waits until its replica serves in its place.
    pub async fn fail_over(&mut self, master: usize) {
        self.servers[master].kill();
        let replica = self.masters + master;
        eventually("the replica takes over", async || {
            self.ask(replica, &["ROLE"]).is_ok_and(|role| role.starts_with("master")) && self.is_served(replica)
        })
        .await;
    }

    /// Kills the present master of the slots that first master number `slots` was started with.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_master(&mut self, slots: usize) -> anyhow::Result<()> {
        let master = self.present_master(slots)?;
        self.servers[master].kill();
        Ok(())
    }

    /// Pauses the present master of these slots (SIGSTOP).
    ///
    /// # Errors
    /// When there is none.
    pub fn pause_master(&self, slots: usize) -> anyhow::Result<()> {
        self.servers[self.present_master(slots)?].pause()
    }

    /// Resumes paused servers, waits until all slots are served, starts killed servers again, and waits until all are
    /// up to date.
    ///
    /// # Errors
    /// When a killed server does not start again.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        for server in self.servers.iter().filter(|server| server.pid().is_some()) {
            server.resume()?;
        }
        let masters = self.masters;
        eventually("all slots are served", async || {
            (0..masters).all(|slots| self.present_master(slots).is_ok_and(|master| self.is_served(master)))
        })
        .await;
        for server in self.servers.iter_mut().filter(|server| server.pid().is_none()) {
            server.restart()?;
        }
        eventually("it is whole again", async || self.is_whole()).await;
        Ok(())
    }

    fn present_master(&self, slots: usize) -> anyhow::Result<usize> {
        let either = [slots, self.masters + slots];
        either.into_iter().find(|server| self.is_master(*server)).context("none of the two is a master")
    }

    /// The number of the first master whose slots a key belongs to.
    ///
    /// # Errors
    /// When it can't be asked.
    pub fn master_of(&self, key: &str) -> anyhow::Result<usize> {
        let slot: usize = self.ask(0, &["CLUSTER", "KEYSLOT", key])?.parse()?;
        (0..self.masters).find(|master| slot < SLOTS * (master + 1) / self.masters).context("no master")
    }

    /// Changes a setting of one server.
    ///
    /// # Errors
    /// When it refuses.
    pub fn configure(&self, server: usize, setting: &str, value: &str) -> anyhow::Result<()> {
        self.ask(server, &["CONFIG", "SET", setting, value]).map(drop)
    }

    /// Number of keys on all masters together.
    ///
    /// # Errors
    /// When none of them answers.
    pub fn keys(&self) -> anyhow::Result<u64> {
        let sizes = (0..self.servers.len())
            .filter(|server| self.is_master(*server))
            .map(|server| self.ask(server, &["DBSIZE"]));
        sizes.map(|size| Ok(size?.parse::<u64>()?)).sum()
    }

    fn is_master(&self, server: usize) -> bool {
        self.ask(server, &["ROLE"]).is_ok_and(|role| role.starts_with("master"))
    }

    /// Whether a server reports that the Cluster can serve.
    fn is_served(&self, server: usize) -> bool {
        self.ask(server, &["CLUSTER", "INFO"]).is_ok_and(|info| info.contains("cluster_state:ok"))
    }

    /// Whether all servers report that the Cluster can serve, and all replicas are up to date.
    fn is_whole(&self) -> bool {
        let linked = |info: String| info.contains("role:master") || info.contains("master_link_status:up");
        let follows = |server| self.ask(server, &["INFO", "replication"]).is_ok_and(linked);
        let pairs = (0..self.masters).all(|slots| self.is_master(slots) != self.is_master(self.masters + slots));
        pairs && (0..self.servers.len()).all(|server| self.is_served(server) && follows(server))
    }

    fn ask(&self, server: usize, question: &[&str]) -> anyhow::Result<String> {
        let (name, arguments) = question.split_first().context("a question")?;
        let mut connection = self.servers[server].connection()?;
        let answer: redis::Value = redis::cmd(name).arg(arguments).query(&mut connection)?;
        Ok(match answer {
            redis::Value::Array(parts) => parts.first().map(text).unwrap_or_default(),
            one => text(&one),
        })
    }
}

fn text(value: &redis::Value) -> String {
    redis::from_redis_value_ref::<String>(value).unwrap_or_default()
}
