//! Troubles that befall a fleet, one at a time, chosen by a seed.

use std::time::Duration;

use fastrand::Rng;
use redis::Commands;

use crate::fault_proxy::Fault;
use crate::nodes::Nodes;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A node stands still (SIGSTOP).
    NodeStopped(usize),
    /// A node is killed, and started again.
    NodeKilled(usize),
    /// A node's connection to Redis fails.
    Link(usize, Fault),
    /// A node's connection to Redis is cut, and the messages it misses are trimmed from the streams before it is back.
    Trimmed(usize),
    /// Redis stands still.
    RedisStopped,
    /// Redis is killed, and comes back empty.
    RedisKilled,
    /// Redis loses all it has.
    RedisFlushed,
    /// A Cluster's master of these slots stands still.
    MasterStopped(usize),
    /// A Cluster's master of these slots is killed, its replica takes over, and the old master comes back as a replica.
    MasterKilled(usize),
}

/// A trouble and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long the fleet is left alone before the trouble.
    pub rest: Duration,
    /// What happens.
    pub trouble: Trouble,
    /// How long it lasts.
    pub lasts: Duration,
    /// Whether no client writes or purges for a while when it is over.
    pub calm: bool,
}

/// Steps for nodes on one server until `span` is over; each calm is counted as `calm` long.
pub fn plan(seed: u64, nodes: usize, span: Duration, calm: Duration) -> Vec<Step> {
    steps(seed, span, calm, |rng| any(rng, nodes))
}

/// Like [`plan`], for one node without a Redis.
pub fn plan_alone(seed: u64, span: Duration, calm: Duration) -> Vec<Step> {
    steps(seed, span, calm, any_alone)
}

/// Like [`plan`], for nodes on a Cluster of so many masters.
pub fn plan_on_cluster(seed: u64, nodes: usize, masters: usize, span: Duration, calm: Duration) -> Vec<Step> {
    steps(seed, span, calm, |rng| any_on_cluster(rng, nodes, masters))
}

fn steps(seed: u64, span: Duration, calm: Duration, next: impl Fn(&mut Rng) -> Step) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let (mut plan, mut at) = (Vec::new(), Duration::ZERO);
    loop {
        let step = next(&mut rng);
        at += step.rest + step.lasts + if step.calm { calm } else { Duration::ZERO };
        if at > span {
            return plan;
        }
        plan.push(step);
    }
}

fn any(rng: &mut Rng, nodes: usize) -> Step {
    let node = rng.usize(..nodes);
    let trouble = match rng.u8(..14) {
        0..3 => Trouble::NodeStopped(node),
        3 | 4 => Trouble::NodeKilled(node),
        5 | 6 => Trouble::Link(node, Fault::Cut),
        7 => Trouble::Link(node, Fault::HalfOpen),
        8 => Trouble::Link(node, Fault::Delay(ms(rng.u64(10..200)))),
        9 => Trouble::Link(node, Fault::Garbage),
        10 | 11 => Trouble::Trimmed(node),
        12 => Trouble::RedisStopped,
        _ if rng.bool() => Trouble::RedisKilled,
        _ => Trouble::RedisFlushed,
    };
    // Mostly too short for a node to count as deaf, at times long enough for it.
    let lasts = if rng.u8(..3) == 0 { ms(rng.u64(800..2500)) } else { ms(rng.u64(50..500)) };
    Step { rest: ms(rng.u64(100..400)), trouble, lasts, calm: rng.bool() }
}

fn any_alone(rng: &mut Rng) -> Step {
    let trouble = if rng.u8(..3) == 0 { Trouble::NodeStopped(0) } else { Trouble::NodeKilled(0) };
    Step { rest: ms(rng.u64(400..1200)), trouble, lasts: ms(rng.u64(50..300)), calm: rng.bool() }
}

fn any_on_cluster(rng: &mut Rng, nodes: usize, masters: usize) -> Step {
    let (node, master) = (rng.usize(..nodes), rng.usize(..masters));
    let trouble = match rng.u8(..8) {
        0 | 1 => Trouble::NodeStopped(node),
        2 => Trouble::NodeKilled(node),
        3 | 4 => Trouble::MasterStopped(master),
        _ => Trouble::MasterKilled(master),
    };
    // Mostly too short for a replica to take over.
    let lasts = if rng.u8(..3) == 0 { ms(rng.u64(1500..3000)) } else { ms(rng.u64(50..700)) };
    Step { rest: ms(rng.u64(100..400)), trouble, lasts, calm: rng.bool() }
}

impl Trouble {
    /// Begins the trouble.
    ///
    /// # Errors
    /// When the process that is to be stopped does not run.
    pub fn strike(self, nodes: &mut Nodes) -> anyhow::Result<()> {
        match self {
            Self::NodeStopped(node) => nodes[node].pause(),
            Self::NodeKilled(node) => {
                nodes[node].kill();
                Ok(())
            }
            Self::Link(node, fault) => {
                nodes.link(node).set(fault);
                Ok(())
            }
            Self::Trimmed(node) => {
                nodes.link(node).set(Fault::Cut);
                Ok(())
            }
            Self::RedisStopped => nodes.redis().pause(),
            Self::RedisKilled => {
                nodes.redis_mut().kill();
                Ok(())
            }
            Self::RedisFlushed => Ok(redis::cmd("FLUSHALL").query::<()>(&mut nodes.redis().connection()?)?),
            Self::MasterStopped(master) => nodes.cluster_mut().pause_master(master),
            Self::MasterKilled(master) => nodes.cluster_mut().kill_master(master),
        }
    }

    /// Ends the trouble.
    ///
    /// # Errors
    /// When a killed process does not start again.
    pub async fn heal(self, nodes: &mut Nodes) -> anyhow::Result<()> {
        match self {
            Self::NodeStopped(node) => nodes[node].resume()?,
            Self::NodeKilled(node) => nodes[node].restart().await?,
            Self::Link(node, _) => nodes.link(node).set(Fault::None),
            Self::Trimmed(node) => {
                trim(nodes)?;
                nodes.link(node).set(Fault::None);
            }
            Self::RedisStopped => nodes.redis().resume()?,
            Self::RedisKilled => nodes.redis_mut().restart_empty()?,
            Self::RedisFlushed => {}
            Self::MasterStopped(_) | Self::MasterKilled(_) => nodes.cluster_mut().heal().await?,
        }
        Ok(())
    }

    /// Whether the shared tier may lose its content, or the newest part of it.
    pub const fn empties(self) -> bool {
        matches!(self, Self::RedisKilled | Self::RedisFlushed | Self::MasterStopped(_) | Self::MasterKilled(_))
    }
}

/// Removes all messages from the bus's streams.
fn trim(nodes: &Nodes) -> anyhow::Result<()> {
    let mut redis = nodes.redis().connection()?;
    let streams: Vec<String> = redis.keys("sandbar:{bus}:*:stream")?;
    for stream in streams {
        redis.xtrim::<_, ()>(stream, redis::streams::StreamMaxlen::Equals(0))?;
    }
    Ok(())
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_brings_the_same_troubles() {
        let (span, calm) = (Duration::from_secs(60), Duration::from_secs(1));
        let of = |seed| plan(seed, 3, span, calm);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let lasts = |step: &Step| step.rest + step.lasts + if step.calm { calm } else { Duration::ZERO };
        let total: Duration = of(7).iter().map(lasts).sum();
        assert!(total <= span && total > span / 2, "{total:?}");
    }
}
