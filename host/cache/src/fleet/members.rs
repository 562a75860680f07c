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
    /// All live nodes have heard it: these beside the one that asks.
    All(Vec<String>),
    /// Some nodes have not heard it yet, or may not live any more.
    Missing {
        /// Those.
        missing: Vec<String>,
        /// The others, that have.
        heard: Vec<String>,
    },
    /// The server has just come up: nodes may live that it does not know of yet.
    TooYoung,
    /// The server has lost the message since, or is another one.
    Forgotten,
}

impl Confirmed {
    /// The state in words; `within` is how long was waited for all nodes.
    pub fn reason(&self, within: Duration) -> String {
        match self {
            Self::All(_) => "every live node has confirmed it".to_owned(),
            Self::Missing { missing, .. } => {
                format!("not confirmed within {} ms by {}", within.as_millis(), missing.join(", "))
            }
            Self::TooYoung => {
                "the Redis of the fleet has just come up: nodes may live that it does not know yet".to_owned()
            }
            Self::Forgotten => "the Redis of the fleet has lost it since".to_owned(),
        }
    }

    /// The names of the nodes that have heard it, and of those that have not; empty where they are not known.
    pub fn into_nodes(self) -> (Vec<String>, Vec<String>) {
        match self {
            Self::All(heard) => (heard, Vec::new()),
            Self::Missing { heard, missing } => (heard, missing),
            Self::TooYoung | Self::Forgotten => (Vec::new(), Vec::new()),
        }
    }
}

/// Reads what the script answers: `[status]`, or `[0, [missing, …], [heard, …]]`.
pub(super) fn read(value: Value) -> Option<Confirmed> {
    let mut answer = Vec::<Value>::from_redis_value(value).ok()?.into_iter();
    let status = i64::from_redis_value(answer.next()?).ok()?;
    let mut nodes = || {
        let runs = Vec::<String>::from_redis_value(answer.next()?).ok()?;
        Some(runs.iter().map(|run| name(run)).collect::<Vec<_>>())
    };
    Some(match status {
        0 => {
            let (missing, heard) = (nodes()?, nodes()?);
            if missing.is_empty() { Confirmed::All(heard) } else { Confirmed::Missing { missing, heard } }
        }
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

    fn answer(status: i64, missing: &[&str], heard: &[&str]) -> Option<Confirmed> {
        let nodes = |names: &[&str]| {
            Value::Array(names.iter().map(|node| Value::BulkString(node.as_bytes().to_vec())).collect())
        };
        read(Value::Array(vec![Value::Int(status), nodes(missing), nodes(heard)]))
    }

    #[test]
    fn nodes_that_are_missing_are_named() {
        assert_eq!(answer(0, &[], &["edge-3/1"]), Some(Confirmed::All(vec!["edge-3".into()])));
        let missing = answer(0, &["edge-1/af", "edge-2/b0"], &["edge-3/1"]).expect("an answer");
        let (heard, unheard) = missing.clone().into_nodes();
        assert_eq!((heard, unheard), (vec!["edge-3".to_owned()], vec!["edge-1".to_owned(), "edge-2".to_owned()]));
        let reason = missing.reason(Duration::from_secs(1));
        assert!(reason.contains("1000 ms by edge-1, edge-2"), "{reason}");
        let of_status = |status| read(Value::Array(vec![Value::Int(status)]));
        assert_eq!(of_status(-1), Some(Confirmed::Forgotten));
        assert_eq!(of_status(-2), Some(Confirmed::TooYoung));
        assert_eq!((of_status(7), of_status(0), read(Value::Nil)), (None, None, None));
    }
}
