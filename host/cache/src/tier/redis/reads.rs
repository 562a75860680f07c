//! Batches of reads: those that come at the same moment go to the server together, with one message, one answer, one
//! deadline, and one read of a tenant's sequence. No read waits for others: a batch is what is queued when the task
//! runs.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};

use super::keys;
use super::link::Link;
use super::target::Connection;
use crate::tier::TierError;

/// Reads in a batch at most: their answers come back together, so large ones delay small ones.
const BATCH_LEN_MAX: usize = 16;

/// The answers to one read, or why there are none.
type Answer = Result<Answered, TierError>;

/// The answers to one read.
pub(super) struct Answered {
    /// One per command.
    pub(super) values: Vec<Value>,
    /// The tenant's sequence, read after the values; `None` where it was not asked for.
    pub(super) sequence: Option<Value>,
}

/// A read that waits for its batch.
struct Read {
    /// Empty once they are sent.
    commands: Vec<Cmd>,
    count: usize,
    tenant: Option<Box<str>>,
    answer: oneshot::Sender<Answer>,
}

/// The queue in which reads wait for a batch.
#[derive(Debug)]
pub(super) struct Reads {
    waiting: mpsc::Sender<Read>,
}

impl Reads {
    /// Starts the task that sends batches, until this is dropped. `readers_max` reads may wait. Must be called within a
    /// Tokio runtime.
    pub(super) fn start(link: Arc<Link>, readers_max: usize) -> Self {
        let (waiting, readers) = mpsc::channel(readers_max.max(1));
        tokio::spawn(take(link, readers));
        Self { waiting }
    }

    /// Sends the commands and, after them, the read of the tenant's sequence. It counts as one of the link's calls.
    pub(super) async fn ask(&self, link: &Link, commands: Vec<Cmd>, tenant: Option<&str>) -> Answer {
        let _permit = link.permit()?;
        let (answer, answered) = oneshot::channel();
        let read = Read { count: commands.len(), commands, tenant: tenant.map(Box::from), answer };
        // Reads whose callers have gone away may still fill the queue.
        self.waiting.try_send(read).map_err(|_| link.too_many())?;
        answered.await.map_err(|_| link.failed("the reading task is gone".to_owned()))?
    }
}

/// Takes the reads that wait and sends them in batches; ends when no further read can come.
async fn take(link: Arc<Link>, mut readers: mpsc::Receiver<Read>) {
    let mut under_way = FuturesUnordered::new();
    let mut batch = Vec::with_capacity(BATCH_LEN_MAX);
    loop {
        tokio::select! {
            count = readers.recv_many(&mut batch, BATCH_LEN_MAX) => {
                if count == 0 {
                    break;
                }
                // Tasks that the last answers have just woken may have more to read.
                tokio::task::yield_now().await;
                while batch.len() < BATCH_LEN_MAX && let Ok(read) = readers.try_recv() {
                    batch.push(read);
                }
                under_way.push(send(&link, std::mem::take(&mut batch)));
            }
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}

/// Sends a batch, and gives each read its answers.
async fn send(link: &Link, mut batch: Vec<Read>) {
    let tenants = tenants(&batch);
    let count = batch.iter().map(|read| read.count).sum::<usize>() + tenants.len();
    let mut pipeline = Pipeline::with_capacity(count);
    for command in batch.iter_mut().flat_map(|read| std::mem::take(&mut read.commands)) {
        pipeline.add_command(command);
    }
    for tenant in &tenants {
        pipeline.add_command(sequence(tenant));
    }
    let answer = link.call_permitted(link.deadline(), |connection| ask(connection, pipeline, count)).await;
    match answer {
        Ok(values) if values.len() == count => hand_out(batch, values),
        Ok(values) => {
            let reason = format!("{} answers to {count} questions", values.len());
            refuse(batch, || link.failed(reason.clone()));
        }
        Err(error) => refuse(batch, || error.clone()),
    }
}

/// The tenants of a batch, each once.
fn tenants(batch: &[Read]) -> Vec<Box<str>> {
    let mut tenants: Vec<Box<str>> = Vec::new();
    for tenant in batch.iter().filter_map(|read| read.tenant.as_ref()) {
        if !tenants.contains(tenant) {
            tenants.push(tenant.clone());
        }
    }
    tenants
}

async fn ask(mut connection: Connection, pipeline: Pipeline, count: usize) -> RedisResult<Vec<Value>> {
    connection.req_packed_commands(&pipeline, 0, count).await
}

/// The same as [`Reads::ask`] on a Cluster, where every key may be on another server: all commands go separately at the
/// same time, and the read of the sequence after them.
pub(super) async fn ask_each(link: &Link, commands: Vec<Cmd>, tenant: Option<&str>) -> Answer {
    let sequence = tenant.map(sequence);
    let asking = |connection: Connection| async move {
        let values = try_join_all(commands.into_iter().map(|command| one(connection.clone(), command))).await?;
        let sequence = match sequence {
            Some(sequence) => Some(one(connection, sequence).await?),
            None => None,
        };
        Ok(Answered { values, sequence })
    };
    link.call(asking).await
}

async fn one(mut connection: Connection, command: Cmd) -> RedisResult<Value> {
    connection.req_packed_command(&command).await
}

/// The command that reads a tenant's sequence.
fn sequence(tenant: &str) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(keys::control(tenant, "seq"));
    command
}

fn hand_out(batch: Vec<Read>, mut values: Vec<Value>) {
    let tenants = tenants(&batch);
    let sequences = values.split_off(values.len() - tenants.len());
    let mut values = values.into_iter();
    for Read { count, tenant, answer, .. } in batch {
        let sequence = tenant.and_then(|tenant| tenants.iter().position(|other| *other == tenant));
        let sequence = sequence.map(|place| sequences[place].clone());
        let values = values.by_ref().take(count).collect();
        // A reader that has gone away needs no answer.
        let _ = answer.send(Ok(Answered { values, sequence }));
    }
}

fn refuse(batch: Vec<Read>, error: impl Fn() -> TierError) {
    for read in batch {
        let _ = read.answer.send(Err(error()));
    }
}
