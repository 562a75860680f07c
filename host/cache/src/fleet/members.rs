//! Which nodes are in the fleet, and which of them have heard a message: that is what a purge waits for that all nodes
//! must confirm.
//!
//! A node's heartbeat says that the node lives and up to where it has heard each partition, in the same script that
//! answers it. The server counts the node as live for [`FleetConfig::member_timeout`](super::FleetConfig) after that.
//! The node itself stops serving entries whose purges all must confirm when its heartbeat was not answered for the
//! shorter [`FleetConfig::silence_max`](super::FleetConfig), counted from the question on the kernel's clock: so a node
//! that is no longer counted as live has stopped serving them before.

use std::time::Duration;

use redis::{FromRedisValue, Value};

/// Whether every live node has heard a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// All live nodes have heard it.
    All,
    /// These nodes have not heard it yet, or may not live any more.
    Missing(Vec<String>),
    /// The server has just come up: nodes may live that it does not know of yet.
    TooYoung,
    /// The server has lost the message since, or is another one.
    Forgotten,
}

impl Confirmed {
    /// The state in words; `within` is how long was waited for all nodes.
    pub fn reason(&self, within: Duration) -> String {
        match self {
            Self::All => "every live node has confirmed it".to_owned(),
            Self::Missing(nodes) => {
                format!("not confirmed within {} ms by {}", within.as_millis(), nodes.join(", "))
            }
            Self::TooYoung => {
                "the Redis of the fleet has just come up: nodes may live that it does not know yet".to_owned()
            }
            Self::Forgotten => "the Redis of the fleet has lost it since".to_owned(),
        }
    }

    /// The names of the nodes that have not heard it; empty where they are not known.
    pub fn into_missing(self) -> Vec<String> {
        match self {
            Self::Missing(nodes) => nodes,
            _ => Vec::new(),
        }
    }
}

/// Reads what the script answers: `[status, node, …]`.
pub(super) fn read(value: Value) -> Option<Confirmed> {
    let mut answer = Vec::<Value>::from_redis_value(value).ok()?.into_iter();
    let status = i64::from_redis_value(answer.next()?).ok()?;
    let nodes: Option<Vec<String>> = answer.map(|node| String::from_redis_value(node).ok()).collect();
    Some(match status {
        0 if nodes.as_ref()?.is_empty() => Confirmed::All,
        0 => Confirmed::Missing(nodes?.iter().map(|origin| name(origin)).collect()),
        -1 => Confirmed::Forgotten,
        -2 => Confirmed::TooYoung,
        _ => return None,
    })
}

/// A node's name, without the part that tells its runs apart.
pub(super) fn name(origin: &str) -> String {
    origin.rsplit_once('/').map_or(origin, |(name, _)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: i64, nodes: &[&str]) -> Option<Confirmed> {
        let nodes = nodes.iter().map(|node| Value::BulkString(node.as_bytes().to_vec()));
        read(Value::Array(std::iter::once(Value::Int(status)).chain(nodes).collect()))
    }

    #[test]
    fn nodes_that_are_missing_are_named() {
        assert_eq!(answer(0, &[]), Some(Confirmed::All));
        let missing = answer(0, &["edge-1/af", "edge-2/b0"]).expect("an answer");
        assert_eq!(missing, Confirmed::Missing(vec!["edge-1".into(), "edge-2".into()]));
        let reason = missing.reason(Duration::from_secs(1));
        assert!(reason.contains("1000 ms by edge-1, edge-2"), "{reason}");
        assert_eq!(answer(-1, &[]), Some(Confirmed::Forgotten));
        assert_eq!(answer(-2, &[]), Some(Confirmed::TooYoung));
        assert_eq!((answer(7, &[]), read(Value::Nil)), (None, None));
    }
}
