//! The new process as the heir of the old one's cache, which has it make purges.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sandbar::barrier::Purge;
use sandbar::cache::{Heir, PurgeReport};
use tokio::sync::{Semaphore, oneshot};

use super::lines::Sender;
use super::message::{Order, ToNew};

/// How long a purge may wait for the new process, which may still be opening a large disk tier. Past it the purge is
/// handed on behind its answer.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// How many orders may be on their way into the channel.
const SENDS_MAX: usize = 64;

/// The other end of the channel.
#[derive(Debug)]
pub(super) struct NewProcess {
    sender: Arc<Sender>,
    sends: Arc<Semaphore>,
    answer_deadline: Duration,
    orders: Mutex<Orders>,
}

/// Purges that the new process has not answered yet.
#[derive(Debug, Default)]
struct Orders {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<PurgeReport>>,
    is_gone: bool,
}

impl NewProcess {
    pub(super) fn new(sender: Arc<Sender>, answer_deadline: Duration) -> Self {
        Self { sender, sends: Arc::new(Semaphore::new(SENDS_MAX)), answer_deadline, orders: Mutex::default() }
    }

    /// Notes the answer to an order.
    pub(super) fn answered(&self, id: u64, report: PurgeReport) {
        if let Some(waiting) = self.orders.lock().waiting.remove(&id) {
            let _ = waiting.send(report);
        }
    }

    /// Notes that the process is gone: nobody waits for it any longer.
    pub(super) fn is_gone(&self) {
        let mut orders = self.orders.lock();
        orders.is_gone = true;
        orders.waiting.clear();
    }

    fn order(&self) -> Option<(u64, oneshot::Receiver<PurgeReport>)> {
        let (sender, answer) = oneshot::channel();
        let mut orders = self.orders.lock();
        if orders.is_gone {
            return None;
        }
        orders.last += 1;
        let id = orders.last;
        orders.waiting.insert(id, sender);
        Some((id, answer))
    }

    async fn ask(
        &self,
        tenant: &str,
        purge: &Purge,
        sequence: u64,
        is_for_others: bool,
    ) -> Result<PurgeReport, String> {
        let gone = || "the process that takes this one's place is gone".to_owned();
        let (id, answer) = self.order().ok_or_else(gone)?;
        let order = Order { id, tenant: tenant.to_owned(), purge: purge.clone(), sequence, is_for_others };
        let asking = async {
            let permit = Arc::clone(&self.sends).acquire_owned().await.map_err(|_| gone())?;
            let sender = Arc::clone(&self.sender);
            // In a task of its own: a line that has begun is sent whole, however long that takes.
            tokio::spawn(async move {
                // Where it can't be sent, the process is gone, and so is the wait for its answer.
                let _ = sender.send(&ToNew::Purge(order)).await;
                drop(permit);
            });
            answer.await.map_err(|_| gone())
        };
        let answered = tokio::time::timeout(self.answer_deadline, asking).await;
        self.orders.lock().waiting.remove(&id);
        answered.unwrap_or_else(|_| Err("the process that takes this one's place is not ready yet".to_owned()))
    }
}

impl Heir for NewProcess {
    fn purge<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        sequence: u64,
        is_for_others: bool,
    ) -> BoxFuture<'a, Result<PurgeReport, String>> {
        self.ask(tenant, purge, sequence, is_for_others).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::lines::{Receiver, split};
    use super::*;

    fn pair(answer_deadline: Duration) -> (NewProcess, Receiver) {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (sender, receiver) = (split(here).expect("a channel").0, split(there).expect("a channel").1);
        (NewProcess::new(Arc::new(sender), answer_deadline), receiver)
    }

    #[tokio::test]
    async fn a_purge_waits_for_its_own_answer_and_not_for_ever() {
        let (process, mut receiver) = pair(ANSWER_DEADLINE);
        let everything = Purge::everything();
        let (report, ()) = tokio::join!(process.ask("shop", &everything, 7, true), async {
            let Ok(Some(ToNew::Purge(order))) = receiver.next().await else { panic!("an order") };
            assert_eq!((order.tenant.as_str(), order.sequence, order.is_for_others), ("shop", 7, true));
            process.answered(order.id + 1, PurgeReport::default());
            process.answered(order.id, PurgeReport { recorded: 1, ..PurgeReport::default() });
        });
        assert_eq!(report.map(|report| report.recorded), Ok(1));
        let (process, _receiver) = pair(Duration::ZERO);
        let late = process.ask("shop", &everything, 8, true).await.expect_err("nobody answers");
        assert!(late.contains("not ready yet"), "{late}");
        assert!(process.orders.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_process_that_is_gone() {
        let (process, _receiver) = pair(ANSWER_DEADLINE);
        let everything = Purge::everything();
        let (waiting, ()) = tokio::join!(process.ask("shop", &everything, 1, true), async { process.is_gone() });
        assert!(waiting.is_err() && process.ask("shop", &everything, 2, true).await.is_err());
    }
}
