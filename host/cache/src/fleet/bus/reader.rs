//! The fast way of hearing: a blocking read of all partitions on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, RedisResult, Value};

use super::{Partition, Shared};
use crate::fleet::scripts;
use crate::tier::redis::target::{Connection, Target};

/// How long one read blocks: after a new epoch, so long may pass until it reads from the right place again.
const BLOCK: Duration = Duration::from_millis(1000);
/// How long the heartbeat gets to settle messages that do not follow.
const SETTLE: Duration = Duration::from_millis(20);
/// Messages per partition and read.
const COUNT: usize = 256;

/// Reads until the task is aborted; makes a new connection whenever one ends.
pub(super) async fn read(shared: Arc<Shared>, target: Target) {
    let config = &shared.config;
    let mut pause = config.breaker.backoff_min;
    loop {
        let connecting = tokio::time::timeout(config.connect_deadline * 2, target.connect(config.connect_deadline));
        if let Ok(Ok(mut connection)) = connecting.await {
            // An answer may come as late as the server blocks, and a little later.
            let patience = BLOCK + config.deadline * 4;
            while let Ok(Ok(read)) = tokio::time::timeout(patience, read_once(&shared, &mut connection)).await {
                pause = config.breaker.backoff_min;
                if !shared.take_all(read) {
                    // The same messages would be read again until the heartbeat has settled them.
                    tokio::time::sleep(SETTLE).await;
                }
            }
            // The heartbeat reads the messages that were missed meanwhile.
            shared.look_now.notify_one();
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(config.breaker.backoff_max);
    }
}

type Read = Vec<(String, Vec<Value>)>;

async fn read_once(shared: &Shared, connection: &mut Connection) -> RedisResult<Read> {
    let block_ms = u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX);
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(COUNT).arg("BLOCK").arg(block_ms).arg("STREAMS");
    for partition in shared.partitions() {
        command.arg(&scripts::partition_keys(partition.index)[1]);
    }
    for heard in &shared.positions {
        let position = &heard.lock().position;
        // Before the first look nothing is missed: what comes from now on is enough.
        if position.is_known() {
            command.arg(format!("{}-0", position.sequence()))
        } else {
            command.arg("$")
        };
    }
    match command.query_async(connection).await? {
        Value::Nil => Ok(Vec::new()),
        value => Ok(Read::from_redis_value(value)?),
    }
}

impl Shared {
    /// Takes all messages of a read. False if one did not follow, or could not be read.
    fn take_all(&self, read: Read) -> bool {
        let mut follows = true;
        for (stream, messages) in read {
            let partition = self.partitions().find(|partition| is_stream_of(*partition, &stream));
            let messages: Option<Vec<_>> = messages.into_iter().map(scripts::read_message).collect();
            match (partition, messages) {
                (Some(partition), Some(messages)) => follows &= self.take(partition, &messages),
                _ => {
                    self.look_now.notify_one();
                    follows = false;
                }
            }
        }
        follows
    }
}

fn is_stream_of(partition: Partition, stream: &str) -> bool {
    scripts::partition_keys(partition.index)[1] == stream
}
