//! Reads that come at the same moment go to the server together: one message, one answer, one deadline, and one look at a
//! tenant's sequence for all of them. Nobody waits for company: what is there when the task gets its turn, goes.

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

/// Reads that go together at most: their answers come back as one, and large ones would hold up small ones.
const BATCH_LEN_MAX: usize = 16;

/// What was asked, for one reader.
type Answer = Result<Answered, TierError>;

/// A reader's share of a batch.
pub(super) struct Answered {
    /// One per command.
    pub(super) values: Vec<Value>,
    /// The tenant's sequence as it was behind them, where it was asked for.
    pub(super) sequence: Option<Value>,
}

/// A reader's part of a batch.
struct Read {
    /// Until they are sent.
    commands: Vec<Cmd>,
    count: usize,
    tenant: Option<Box<str>>,
    answer: oneshot::Sender<Answer>,
}

/// Where readers come together.
#[derive(Debug)]
pub(super) struct Reads {
    waiting: mpsc::Sender<Read>,
}

impl Reads {
    /// Begins to take readers, at most so many at once, until it is dropped. Must be called within a Tokio runtime.
    pub(super) fn start(link: Arc<Link>, readers_max: usize) -> Self {
        let (waiting, readers) = mpsc::channel(readers_max.max(1));
        tokio::spawn(take(link, readers));
        Self { waiting }
    }

    /// Asks the commands and, behind them, for the tenant's sequence. It counts as one of the link's calls.
    pub(super) async fn ask(&self, link: &Link, commands: Vec<Cmd>, tenant: Option<&str>) -> Answer {
        let _permit = link.permit()?;
        let (answer, answered) = oneshot::channel();
        let read = Read { count: commands.len(), commands, tenant: tenant.map(Box::from), answer };
        // Those who have gone away meanwhile may still be in the queue.
        self.waiting.try_send(read).map_err(|_| link.too_many())?;
        answered.await.map_err(|_| link.failed("the reading task is gone".to_owned()))?
    }
}

/// Takes whoever waits, and sends them off together; ends when nobody can come any more.
async fn take(link: Arc<Link>, mut readers: mpsc::Receiver<Read>) {
    let mut under_way = FuturesUnordered::new();
    let mut batch = Vec::with_capacity(BATCH_LEN_MAX);
    loop {
        tokio::select! {
            count = readers.recv_many(&mut batch, BATCH_LEN_MAX) => {
                if count == 0 {
                    break;
                }
                // Those whom the last answers have just woken may have more to ask.
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

/// Asks for all of a batch, and gives each reader its own.
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
        Ok(values) if values.len() == count => share_out(batch, values),
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

/// As [`Reads::ask`] on a Cluster, where every key may be on another server: one question each, at the same time, and the
/// sequence behind them.
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

/// The question for a tenant's sequence.
fn sequence(tenant: &str) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(keys::control(tenant, "seq"));
    command
}

fn share_out(batch: Vec<Read>, mut values: Vec<Value>) {
    let tenants = tenants(&batch);
    let sequences = values.split_off(values.len() - tenants.len());
    let mut values = values.into_iter();
    for Read { count, tenant, answer, .. } in batch {
        let sequence = tenant.and_then(|tenant| tenants.iter().position(|other| *other == tenant));
        let sequence = sequence.map(|place| sequences[place].clone());
        let values = values.by_ref().take(count).collect();
        // A reader that has gone away needs none.
        let _ = answer.send(Ok(Answered { values, sequence }));
    }
}

fn refuse(batch: Vec<Read>, error: impl Fn() -> TierError) {
    for read in batch {
        let _ = read.answer.send(Err(error()));
    }
}
