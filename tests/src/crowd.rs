//! Many clients at the same moment, and many that go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::balancer::Balancer;
use crate::client::{Answer, Client};
use crate::nodes::HOST;
use crate::versions::version_shown;

/// What became of one request.
#[derive(Debug)]
pub struct Asked {
    /// Which client asked.
    pub client: usize,
    /// Which node was asked.
    pub node: usize,
    /// What it answered.
    pub answer: anyhow::Result<Answer>,
    /// How long that took.
    pub took: Duration,
}

/// Asks for a page with so many clients at once, each on a connection of its own that is there already, spread evenly
/// over the nodes.
///
/// # Errors
/// When a client can't connect.
pub async fn at_once(nodes: &[SocketAddr], clients: usize, page: &str) -> anyhow::Result<Vec<Asked>> {
    at_once_as(nodes, clients, page, |_| Vec::new()).await
}

/// The same, client `n` with the fields `fields(n)`.
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
            let began = Instant::now();
            let answer = client.get_with(&page, &fields).await;
            Asked { client: n, node, answer, took: began.elapsed() }
        });
    }
    Ok(asking.join_all().await)
}

/// Clients that ask for one page after the other, each as a load balancer would have it, until they are told to stop.
pub struct Steady {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Seen>,
}

/// What steady clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// True copies of pages.
    pub answers: u64,
    /// Of these, the ones from the shared tier.
    pub from_l2: u64,
    /// Anything else.
    pub errors: Vec<String>,
    /// The longest that an answer took.
    pub slowest: Duration,
}

impl Steady {
    /// Lets so many clients begin. Client `c` asks for page `page(c, n)` in its `n`-th request, and rests in between.
    pub fn start(
        nodes: &[SocketAddr],
        clients: usize,
        rest: Duration,
        page: impl Fn(usize, u64) -> String + Clone + Send + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let mut asking = JoinSet::new();
        for client in 0..clients {
            let (balancer, stop, page) = (Balancer::new(nodes, HOST, client), Arc::clone(&stop), page.clone());
            asking.spawn(go_on(balancer, rest, stop, move |n| page(client, n)));
        }
        Self { stop, clients: asking }
    }

    /// Ends it, and answers with what they saw.
    pub async fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await.into_iter().fold(Seen::default(), Seen::with)
    }
}

async fn go_on(mut balancer: Balancer, rest: Duration, stop: Arc<AtomicBool>, page: impl Fn(u64) -> String) -> Seen {
    let mut seen = Seen::default();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let page = page(n);
        let began = Instant::now();
        let answer = balancer.get(&page).await;
        seen.slowest = seen.slowest.max(began.elapsed());
        match answer.and_then(|answer| version_shown(&page, &answer).map(|_| answer)) {
            Ok(answer) => {
                seen.answers += 1;
                seen.from_l2 += u64::from(answer.cache_status().value("detail") == Some("redis"));
            }
            Err(error) if seen.errors.len() < 20 => seen.errors.push(format!("{error:#}")),
            Err(_) => {}
        }
        n += 1;
        sleep(rest).await;
    }
    seen
}

impl Seen {
    fn with(mut self, other: Self) -> Self {
        self.errors.extend(other.errors);
        let (answers, from_l2) = (self.answers + other.answers, self.from_l2 + other.from_l2);
        Self { answers, from_l2, slowest: self.slowest.max(other.slowest), errors: self.errors }
    }
}
