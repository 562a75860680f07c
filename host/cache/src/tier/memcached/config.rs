//! Settings of the memcached tier.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sandbar_base::memory_budget::MemoryBudget;

use crate::tier::breaker::BreakerConfig;

/// A memcached tier's settings.
#[derive(Clone, Debug)]
pub struct MemcachedConfig {
    /// The servers, `host:port` each. Every node writes them alike, in any order.
    pub servers: Vec<String>,
    /// Who numbers the purges that the entries are held against.
    pub numbering: Numbering,
    /// How long a read or a write may take, connecting included; 100 ms by default.
    pub deadline: Duration,
    /// How long it may take to connect to a server that failed; 500 ms by default. No request waits for it.
    pub connect_deadline: Duration,
    /// When a server is left alone and when it is tried again.
    pub breaker: BreakerConfig,
    /// Larger entries, in encoded bytes, are neither stored nor read; 1 MiB by default. What a server takes at most, as it
    /// says itself, bounds them too.
    pub value_max_bytes: usize,
    /// From how many bytes on entries are compressed; 16 KiB by default. With `None` none are.
    pub compress_above_bytes: Option<usize>,
    /// Connections to each server; 16 by default. Further calls wait for one, within their deadline.
    pub connections_max: usize,
    /// Calls of each server at the same time, those that wait included; 4,096 by default. Further ones fail at once.
    pub calls_max: usize,
    /// Bytes of entries on their way to the servers; 64 MiB by default. Further entries are not stored.
    pub put_bytes_max: u64,
    /// No entry is kept for longer; 30 days by default, and at most.
    pub lifetime_max: Duration,
    /// The memory budget to which values are charged before they are read; unbounded by default.
    pub budget: Arc<MemoryBudget>,
}

/// Who numbers the purges that the entries are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// This node alone, which keeps its purges in a directory that nothing else uses. What other nodes have stored is held
    /// against them by the time at which it was asked for: their clocks may differ by two seconds.
    Node(PathBuf),
    /// A fleet, whose purges are recorded elsewhere and have the same numbers on each node.
    Fleet,
}

/// What the meta protocol's relative lifetimes can say; a larger number would be taken for a date.
pub(super) const LIFETIME_MAX: Duration = Duration::from_secs(30 * 86_400);

impl MemcachedConfig {
    /// The default settings for these servers.
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>, numbering: Numbering) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            numbering,
            deadline: Duration::from_millis(100),
            connect_deadline: Duration::from_millis(500),
            breaker: BreakerConfig::default(),
            value_max_bytes: 1 << 20,
            compress_above_bytes: Some(16 << 10),
            connections_max: 16,
            calls_max: 4096,
            put_bytes_max: 64 << 20,
            lifetime_max: LIFETIME_MAX,
            budget: MemoryBudget::unbounded(),
        }
    }

    /// Checks the servers' addresses, without connecting.
    ///
    /// # Errors
    /// In words for an operator, with the address that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.servers.is_empty() {
            return Err("it names no server".to_owned());
        }
        if self.servers.len() > SERVERS_MAX {
            return Err(format!("it names {} servers, and {SERVERS_MAX} are the most", self.servers.len()));
        }
        for (position, server) in self.servers.iter().enumerate() {
            check_address(server)?;
            if self.servers[..position].contains(server) {
                return Err(format!("it names {server:?} twice"));
            }
        }
        Ok(())
    }
}

/// Servers at most.
const SERVERS_MAX: usize = 256;

fn check_address(server: &str) -> Result<(), String> {
    let wrong = || format!("{server:?} is no server: write host:port");
    let (host, port) = server.rsplit_once(':').ok_or_else(wrong)?;
    let is_name = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && is_name(host),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_host && is_port { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(servers: &[&str]) -> Result<(), String> {
        MemcachedConfig::new(servers.iter().copied(), Numbering::Fleet).check()
    }

    #[test]
    fn servers_are_hosts_with_ports() {
        assert_eq!(check(&["127.0.0.1:11211", "cache-1.internal:11211", "[::1]:11211"]), Ok(()));
        let wrong =
            ["", "cache", "cache:", "cache:0", "cache:99999", "cache:+1", ":11211", "::1:11211", "a b:1", "a:1\r\n"];
        for server in wrong {
            assert!(check(&[server]).is_err_and(|why| why.contains("host:port")), "{server:?}");
        }
        assert!(check(&[]).is_err());
        assert!(check(&["a:1", "b:1", "a:1"]).is_err_and(|why| why.contains("twice")));
    }
}
