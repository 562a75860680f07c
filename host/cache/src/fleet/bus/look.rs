//! The heartbeat: a look at the state of every partition, a few times a second. It is slower than the blocking read,
//! but never misses that messages are missing.

use std::sync::Arc;

use futures_util::future::try_join_all;
use redis::aio::ConnectionLike;
use redis::{RedisResult, ScriptInvocation, Value};

use super::{Partition, Shared};
use crate::fleet::position::{Lost, Message, Position, State, Step};
use crate::fleet::{millis, random_name, scripts};
use crate::tier::redis::target::Connection;

/// After how many times `member_timeout` without a heartbeat a run of a node is forgotten.
const FORGOTTEN_AFTER_TIMEOUTS: u32 = 12;

/// Looks at every partition for as long as the bus lives.
pub(super) async fn heartbeat(shared: Arc<Shared>) {
    let mut generation = 0;
    loop {
        // Silence first: a process that stood still finds out before it hears anything new.
        shared.notice_silence();
        let state = *shared.link.watch().borrow();
        let refused = shared.unsafe_server();
        if let Some(reason) = &refused
            && state.generation != generation
        {
            tracing::error!(reason, "the fleet can't rely on this server");
            shared.hearing.deafen();
            generation = state.generation;
        }
        let again = state.available && refused.is_none() && shared.look().await;
        if !again {
            let _ = tokio::time::timeout(shared.config.heartbeat, shared.look_now.notified()).await;
        }
    }
}

impl Shared {
    /// Looks at all partitions at once, and settles for each whether anything is missing. True if there is more to read
    /// than one look brings.
    async fn look(&self) -> bool {
        let asked_ms = self.hearing.now_ms();
        // Messages that were heard before the question are counted in every true answer to it.
        let positions: Vec<Position> = self.positions.iter().map(|heard| heard.lock().position.clone()).collect();
        let floors: Vec<u64> = positions.iter().map(Position::sequence).collect();
        let looks = self.link.call_within(self.config.publish_deadline, |to| self.ask(to, &positions)).await;
        let Ok(looks) = looks else { return false };
        let mut again = false;
        for ((partition, floor), look) in self.partitions().zip(floors).zip(looks) {
            match scripts::read_look(look) {
                Some((state, messages)) => again |= self.settle(partition, floor, state, &messages, asked_ms),
                None => tracing::warn!(partition = partition.index, "the bus answers nonsense"),
            }
        }
        again
    }

    async fn ask(&self, mut to: Connection, positions: &[Position]) -> RedisResult<Vec<Value>> {
        let scripts: Vec<_> =
            self.partitions().zip(positions).map(|(partition, position)| self.question(partition, position)).collect();
        if to.is_cluster() {
            // On a Cluster only single commands follow a slot that has moved.
            let asking = scripts.iter().map(|script| {
                let mut to = to.clone();
                async move { script.invoke_async(&mut to).await }
            });
            return try_join_all(asking).await;
        }
        let mut pipeline = redis::pipe();
        scripts.iter().for_each(|script| _ = pipeline.invoke_script(script));
        let count = self.positions.len();
        let answers = to.req_packed_commands(&pipeline, 0, count).await?;
        if answers.iter().any(|answer| matches!(answer, Value::ServerError(_))) {
            // A server that has just started does not know the script.
            scripts::LOOK.load_async(&mut to).await?;
            return to.req_packed_commands(&pipeline, 0, count).await;
        }
        Ok(answers)
    }

    /// The script call that looks at one partition.
    fn question(&self, partition: Partition, position: &Position) -> ScriptInvocation<'static> {
        let [state, stream] = scripts::partition_keys(partition.index);
        let [members, heard] = scripts::member_keys(partition.index);
        let (epoch, nonce) = position.chain();
        let forgotten_after = self.config.member_timeout * FORGOTTEN_AFTER_TIMEOUTS;
        let mut script = scripts::LOOK.key(state);
        script.key(stream).key(members).key(heard);
        script.arg(random_name()).arg(position.sequence()).arg(scripts::MESSAGES_MAX);
        script.arg(&self.origin).arg(epoch).arg(nonce).arg(millis(forgotten_after));
        script
    }

    fn settle(&self, partition: Partition, floor: u64, state: State, messages: &[Message], asked_ms: u64) -> bool {
        let mut heard = self.positions[partition.index as usize].lock();
        let mut lost = None;
        if heard.position.is_of(&state) {
            for message in messages {
                match heard.position.take(message) {
                    Step::Old => {}
                    Step::Next => self.deliver(partition, message),
                    Step::Lost(why) => {
                        lost = Some(why);
                        break;
                    }
                }
            }
            if lost.is_none() && messages.len() >= scripts::MESSAGES_MAX && heard.position.sequence() < state.sequence {
                return true;
            }
        }
        match lost.or_else(|| heard.position.compare(&state, floor)) {
            Some(why) => {
                self.report_lost(partition, why);
                heard.position.adopt(state);
            }
            None if !heard.position.is_known() => {
                heard.position.adopt(state);
                self.listener.joined(partition);
                self.news.came();
            }
            None => {}
        }
        heard.silent = false;
        self.hearing.heard(partition, asked_ms);
        false
    }

    fn notice_silence(&self) {
        for partition in self.partitions() {
            let mut heard = self.positions[partition.index as usize].lock();
            if heard.position.is_known() && !heard.silent && self.hearing.is_deaf(partition) {
                heard.silent = true;
                self.report_lost(partition, Lost::Silence);
            }
        }
    }
}
