//! A gateway in front of an origin that keeps what is put there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::Mutex;
use sandbar_tests::client::Client;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::{Gate, Origin, Reply, Seen};
use sandbar_tests::wait::eventually;

/// Sessions are written behind.
pub(crate) const CLASS: &str = "[[tenant.class]]\nname = \"session\"\npath = \"/s/**\"\nstrategy = \"write-behind\"\n";
/// Attempts follow each other at once.
pub(crate) const JOURNAL: &str = "[journal]\nretry_first = \"1ms\"\nretry_max = \"5ms\"\n";

/// What the origin keeps, and how it answers writes.
#[derive(Default)]
pub(crate) struct Shelf {
    kept: Mutex<BTreeMap<String, String>>,
    /// A status that writes are refused with; 0 for none.
    refuses: AtomicU16,
    /// The gate that writes wait for.
    gate: Mutex<Option<Gate>>,
}

impl Shelf {
    pub(crate) fn refuse(&self, status: u16) {
        self.refuses.store(status, Ordering::SeqCst);
    }

    /// Has writes from now on wait for a gate.
    pub(crate) fn hold(&self) -> Gate {
        let gate = Gate::closed();
        *self.gate.lock() = Some(gate.clone());
        gate
    }

    /// Has writes from now on wait for nothing; those that wait go on waiting.
    pub(crate) fn hold_no_more(&self) {
        *self.gate.lock() = None;
    }

    pub(crate) fn kept(&self, path: &str) -> Option<String> {
        self.kept.lock().get(path).cloned()
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let path = seen.path().to_owned();
        if seen.method == http::Method::GET || seen.method == http::Method::HEAD {
            return match self.kept(&path) {
                Some(text) => Reply::ok(text).field("cache-control", "max-age=600"),
                None => Reply::status(404).field("cache-control", "max-age=600"),
            };
        }
        let status = self.refuses.load(Ordering::SeqCst);
        let reply = if status > 0 {
            Reply::status(status)
        } else {
            let text = String::from_utf8_lossy(&seen.body.clone().unwrap_or_default()).into_owned();
            match seen.method.as_str() {
                "DELETE" => match self.kept.lock().remove(&path) {
                    Some(_) => Reply::status(204),
                    None => Reply::status(404),
                },
                "PATCH" => {
                    self.kept.lock().entry(path).or_default().push_str(&text);
                    Reply::status(204)
                }
                _ => {
                    self.kept.lock().insert(path, text);
                    Reply::status(204)
                }
            }
        };
        match &*self.gate.lock() {
            Some(gate) => reply.when(gate),
            None => reply,
        }
    }
}

pub(crate) struct Shop {
    pub(crate) gateway: TestGateway,
    pub(crate) origin: Origin,
    pub(crate) shelf: Arc<Shelf>,
}

impl Shop {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(JOURNAL, CLASS).await
    }

    pub(crate) async fn start_with(journal: &str, class: &str) -> anyhow::Result<Self> {
        let (origin, shelf) = origin().await?;
        let gateway = TestGateway::start(&format!("{journal}{}", one_tenant(&origin.url(), class))).await?;
        Ok(Self { gateway, origin, shelf })
    }

    pub(crate) fn client(&self) -> Client {
        self.gateway.client("shop.test")
    }

    pub(crate) fn counters(&self) -> sandbar::tenant::counters::CounterValues {
        self.gateway.tenant(TENANT).counters.values()
    }

    /// Writes that the origin has seen, as method, path and content.
    pub(crate) fn writes(&self) -> Vec<(String, String, String)> {
        writes(&self.origin)
    }

    /// Waits until nothing is held any more.
    pub(crate) async fn nothing_is_held(&self) {
        nothing_is_held(&self.gateway).await;
    }
}

/// Waits until nothing is held any more.
pub(crate) async fn nothing_is_held(gateway: &TestGateway) {
    eventually("nothing is held", async || {
        gateway.cache().journal_stats().is_none_or(|stats| stats.tenants.values().all(|of| of.pending == 0))
    })
    .await;
}

pub(crate) async fn origin() -> anyhow::Result<(Origin, Arc<Shelf>)> {
    let shelf = Arc::new(Shelf::default());
    let answering = Arc::clone(&shelf);
    Ok((Origin::start(move |seen| answering.answer(seen)).await?, shelf))
}

/// Writes that an origin has seen, as method, path and content.
pub(crate) fn writes(origin: &Origin) -> Vec<(String, String, String)> {
    let seen = origin.seen().into_iter().filter(|seen| !matches!(seen.method.as_str(), "GET" | "HEAD"));
    let text = |seen: &Seen| String::from_utf8_lossy(&seen.body.clone().unwrap_or_default()).into_owned();
    seen.map(|seen| (seen.method.to_string(), seen.path().to_owned(), text(&seen))).collect()
}
