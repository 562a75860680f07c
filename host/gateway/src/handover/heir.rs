//! The new process as the heir of the old one's cache, which has it make purges.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sandbar::barrier::Purge;
use sandbar::cache::PurgeReport;
use sandbar::heir::Heir;
use tokio::sync::oneshot;

use super::lines::Sender;
use super::message::{Order, ToNew};

/// The other end of the channel.
#[derive(Debug)]
pub(super) struct NewProcess {
    sender: Arc<Sender>,
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
    pub(super) fn new(sender: Arc<Sender>) -> Self {
        Self { sender, orders: Mutex::default() }
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

    async fn ask(&self, tenant: &str, purge: &Purge, sequence: u64) -> Result<PurgeReport, String> {
        let gone = || "the process that takes this one's place is gone".to_owned();
        let (id, answer) = self.order().ok_or_else(gone)?;
        let order = Order { id, tenant: tenant.to_owned(), purge: purge.clone(), sequence };
        if self.sender.send(&ToNew::Purge(order)).await.is_err() {
            self.orders.lock().waiting.remove(&id);
            return Err(gone());
        }
        answer.await.map_err(|_| gone())
    }
}

impl Heir for NewProcess {
    fn purge<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        sequence: u64,
    ) -> BoxFuture<'a, Result<PurgeReport, String>> {
        self.ask(tenant, purge, sequence).boxed()
    }
}
