//! Which Redis to connect to: one server (TCP, TLS or Unix socket), a master that Sentinels name, or a Cluster.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisFuture, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

/// Commands that are queued inside a connection; with more, callers wait.
const PIPELINE_LEN: usize = 256;

/// How often a Cluster is asked again within one call: after a dead connection, after a server that knows no better,
/// after a redirection, and once to spare. The call's own deadline holds for all of them together.
const RETRIES: u32 = 4;

/// Where to connect to.
pub(crate) enum Target {
    Single(Client),
    /// Locked while the Sentinels are asked: one probe at a time.
    Sentinel(Mutex<SentinelClient>),
    Cluster(Box<Cluster>),
}

/// A Cluster, and the servers that its URL names.
pub(crate) struct Cluster {
    client: ClusterClient,
    servers: Vec<Client>,
    /// Counts subscriptions: each is made on the next of the servers.
    next: AtomicUsize,
}

/// A multiplexed connection; clones use the same one.
#[derive(Clone)]
pub(crate) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    /// Parses a URL. `redis://`, `rediss://` and `redis+unix://` name one server;
    /// `redis-sentinel://[user:password@]host:port,…/service[/db]` a master; `redis-cluster://[user:password@]host:port,…`
    /// a Cluster; `rediss-` the last two over TLS. Certificates are checked against `ca_pem`, or the system's store.
    pub(crate) fn parse(url: &str, ca_pem: Option<Vec<u8>>, connect: Duration) -> Result<Self, String> {
        // Where two TLS back ends are linked, rustls would refuse to choose one of them.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = TlsCertificates { client_tls: None, root_cert: ca_pem };
        let (scheme, rest) = url.split_once("://").ok_or("it has no scheme; redis://host:port is the usual form")?;
        let node_scheme = if scheme.starts_with("rediss") { "rediss" } else { "redis" };
        let parsed = match scheme {
            "redis-cluster" | "rediss-cluster" => cluster(node_scheme, rest, certificates, connect),
            "redis-sentinel" | "rediss-sentinel" => sentinel(node_scheme, rest),
            _ if scheme == "rediss" && certificates.root_cert.is_some() => {
                Client::build_with_tls(url, certificates).map(Self::Single)
            }
            _ => Client::open(url).map(Self::Single),
        };
        parsed.map_err(|error| error.to_string())
    }

    /// Whether keys are spread over several servers.
    pub(crate) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Makes a connection within `connect`. Calls over it have no deadline but that of their caller.
    pub(crate) async fn connect(&self, connect: Duration) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_LEN);
        match self {
            Self::Single(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
            }
            Self::Sentinel(client) => {
                client.lock().await.get_async_connection_with_config(&config).await.map(Connection::Single)
            }
            Self::Cluster(cluster) => cluster.client.get_async_connection().await.map(Connection::Cluster),
        }
    }

    /// Makes a connection that only listens to one channel. The servers of a Cluster forward each other's messages, so
    /// any of them will do: each call takes the next.
    pub(crate) async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let mut listening = match self {
            Self::Single(client) => client.get_async_pubsub().await?,
            Self::Sentinel(client) => client.lock().await.async_get_client().await?.get_async_pubsub().await?,
            Self::Cluster(cluster) => {
                let Cluster { servers, next, .. } = &**cluster;
                servers[next.fetch_add(1, Ordering::Relaxed) % servers.len()].get_async_pubsub().await?
            }
        };
        listening.subscribe(channel).await?;
        Ok(listening)
    }
}

fn cluster(scheme: &str, rest: &str, certificates: TlsCertificates, connect: Duration) -> RedisResult<Target> {
    let (credentials, hosts) = split_credentials(rest);
    let hosts = hosts.trim_end_matches('/');
    let nodes: Vec<String> = hosts.split(',').map(|host| format!("{scheme}://{credentials}{host}")).collect();
    let server = |url: &String| match &certificates.root_cert {
        Some(_) if scheme == "rediss" => Client::build_with_tls(url.as_str(), certificates.clone()),
        _ => Client::open(url.as_str()),
    };
    let servers = nodes.iter().map(server).collect::<RedisResult<Vec<Client>>>()?;
    let mut builder = ClusterClient::builder(nodes).connection_timeout(connect).retries(RETRIES).max_retry_wait(50);
    if scheme == "rediss" {
        builder = builder.tls(TlsMode::Secure).certs(certificates);
    }
    let client = builder.build()?;
    Ok(Target::Cluster(Box::new(Cluster { client, servers, next: AtomicUsize::new(0) })))
}

fn sentinel(scheme: &str, rest: &str) -> RedisResult<Target> {
    let (credentials, hosts) = split_credentials(rest);
    let (hosts, service) = hosts.split_once('/').unwrap_or((hosts, "mymaster"));
    let (service, db) = service.split_once('/').unwrap_or((service, "0"));
    // Sentinels are asked without the credentials, which are the server's.
    let sentinels: Vec<String> = hosts.split(',').map(|host| format!("{scheme}://{host}")).collect();
    let node = format!("{scheme}://{credentials}localhost/{db}").into_connection_info()?;
    let mut info = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(RedisConnectionInfo::clone(node.redis_settings()));
    if scheme == "rediss" {
        info = info.set_tls_mode(TlsMode::Secure);
    }
    let client = SentinelClient::build(sentinels, service, Some(info), SentinelServerType::Master)?;
    Ok(Target::Sentinel(Mutex::new(client)))
}

/// Splits off `user:password@`, with its `@`; it is empty where there is none.
fn split_credentials(rest: &str) -> (&str, &str) {
    rest.rfind('@').map_or(("", rest), |at| rest.split_at(at + 1))
}

// Neither shows more than its kind, because there are passwords inside.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Target(single)",
            Self::Sentinel(_) => "Target(sentinel)",
            Self::Cluster(_) => "Target(cluster)",
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_cluster() { "Connection(cluster)" } else { "Connection(single)" })
    }
}

impl Connection {
    /// Whether keys are spread over several servers.
    pub(crate) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, String> {
        Target::parse(url, None, Duration::from_millis(500))
    }

    #[test]
    fn url_names_one_server_a_master_or_a_cluster() {
        for url in ["redis://host", "rediss://user:word@host:1/2", "redis+unix:///run/redis.sock"] {
            assert!(matches!(parse(url), Ok(Target::Single(_))), "{url}");
        }
        assert!(matches!(parse("redis-sentinel://user:p%40ss@a:1,b:2/main/3"), Ok(Target::Sentinel(_))));
        assert!(matches!(parse("redis-cluster://:word@a:1,b:2"), Ok(Target::Cluster(_))));
        assert!(matches!(parse("rediss-cluster://a:1,b:2/"), Ok(Target::Cluster(_))));
    }

    #[test]
    fn wrong_url_is_an_error_in_words() {
        assert!(parse("localhost:6379").unwrap_err().contains("no scheme"));
        for url in ["http://host", "redis://host:port", "redis-cluster://a:x"] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
