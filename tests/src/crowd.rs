//! Many clients that ask at the same moment, and many that go on asking.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::balancer::Balancer;
use crate::client::{Answer, Client};
use crate::nodes::HOST;
use crate::versions::version_shown;
use crate::wait::eventually;

/// One request and its answer.
#[derive(Debug)]
pub struct Asked {
    /// Number of the client that asked.
    pub client: usize,
    /// Number of the node that was asked.
    pub node: usize,
    /// The node's answer.
    pub answer: anyhow::Result<Answer>,
}

/// Asks for a page with so many clients at once, spread evenly over the nodes; each has a connection of its own, made
/// before.
///
/// # Errors
/// When a client can't connect.
pub async fn at_once(nodes: &[SocketAddr], clients: usize, page: &str) -> anyhow::Result<Vec<Asked>> {
    at_once_as(nodes, clients, page, |_| Vec::new()).await
}

/// Like [`at_once`], client `n` with the fields `fields(n)`.
///
/// # Errors
/// As [`at_once`].
pub async fn at_once_as(
    nodes: &[SocketAddr],
    clients: usize,
    page: &str,
    fields: impl Fn(usize) -> Vec<(&'static str, String)>,
) -> anyhow::Result<Vec<Asked>> {
    let gate = Arc::new(Barrier::new(clients));
    let mut asking = JoinSet::new();
    for n in 0..clients {
        let node = n % nodes.len();
        let mut client = Client::new(nodes[node], HOST);
        client.connect().await?;
        let (gate, page, fields) = (Arc::clone(&gate), page.to_owned(), fields(n));
        asking.spawn(async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            gate.wait().await;
            let answer = client.get_with(&page, &fields).await;
            Asked { client: n, node, answer }
        });
    }
    Ok(asking.join_all().await)
}

/// Clients that ask for one page after the other, each through a [`Balancer`], until they are told to stop.
pub struct Steady {
    stop: Arc<AtomicBool>,
    /// By client, how many requests have ended.
    asked: Arc<[AtomicU64]>,
    clients: JoinSet<Seen>,
}

/// What steady clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Answers that were true copies of their pages.
    pub answers: u64,
    /// Those of these answers that came from the shared tier.
    pub from_l2: u64,
    /// What was wrong with all other answers; twenty for each client at most.
    pub errors: Vec<String>,
}

impl Steady {
    /// Starts so many clients. Client `c` asks for page `page(c, n)` in its `n`-th request, and waits for `rest` in
    /// between.
    pub fn start(
        nodes: &[SocketAddr],
        clients: usize,
        rest: Duration,
        page: impl Fn(usize, u64) -> String + Clone + Send + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let asked: Arc<[AtomicU64]> = (0..clients).map(|_| AtomicU64::new(0)).collect();
        let mut asking = JoinSet::new();
        for client in 0..clients {
            let (mut balancer, page) = (Balancer::new(nodes, HOST, client), page.clone());
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            asking.spawn(async move {
                let mut seen = Seen::default();
                while !stop.load(Ordering::Relaxed) {
                    let page = page(client, asked[client].load(Ordering::Relaxed));
                    seen.note(&page, balancer.get(&page).await);
                    asked[client].fetch_add(1, Ordering::Relaxed);
                    sleep(rest).await;
                }
                seen
            });
        }
        Self { stop, asked, clients: asking }
    }

    /// Waits until each client has asked so many times more and has been answered, so that no client is held up.
    ///
    /// # Panics
    /// When a client is.
    pub async fn each_is_answered(&self, times: u64) {
        let asked = || self.asked.iter().map(|asked| asked.load(Ordering::Relaxed));
        // The next answer may be to a request from before this call, so one more is waited for.
        let enough: Vec<u64> = asked().map(|before| before + 1 + times).collect();
        eventually("each client is answered", async || asked().zip(&enough).all(|(now, enough)| now >= *enough)).await;
    }

    /// Stops the clients, and returns what they saw.
    pub async fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await.into_iter().fold(Seen::default(), Seen::with)
    }
}

impl Seen {
    fn note(&mut self, page: &str, answer: anyhow::Result<Answer>) {
        match answer.and_then(|answer| version_shown(page, &answer).map(|_| answer)) {
            Ok(answer) => {
                self.answers += 1;
                self.from_l2 += u64::from(answer.cache_status().value("detail") == Some("redis"));
            }
            Err(error) if self.errors.len() < 20 => self.errors.push(format!("{error:#}")),
            Err(_) => {}
        }
    }

    fn with(mut self, other: Self) -> Self {
        self.errors.extend(other.errors);
        let (answers, from_l2) = (self.answers + other.answers, self.from_l2 + other.from_l2);
        Self { answers, from_l2, errors: self.errors }
    }
}
