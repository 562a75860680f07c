//! Clients that read, write and purge at random, and note what they saw. At each reader several visitors ask for the
//! same page at the same moment, each in its own way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::askers::{Asking, Noted};
use super::{History, HistoryClock, Page, Promise, Reach, Read, Run};
use crate::client::{Answer, Client};
use crate::gateway::TENANT;
use crate::nodes::{HOST, Nodes};
use crate::versions::{VERSION, Versions, surrogate_key};

/// How long a client waits for an answer: longer than any deadline in the nodes, shorter than a stop may last.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many visitors of one reader ask for a page at the same moment at most.
const AT_ONCE: usize = 3;

/// What the traffic is made of.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Pages, named `/p<n % 4>/<kind><n>`, the kinds of [`crate::versions::Kind`] in turn.
    pub pages: usize,
    /// Readers of each node.
    pub readers: usize,
    /// Clients that write, through any node.
    pub writers: usize,
    /// Clients that change pages at the origin directly, and then purge them at any node.
    pub purgers: usize,
}

impl Default for Mix {
    fn default() -> Self {
        Self { pages: 12, readers: 2, writers: 1, purgers: 2 }
    }
}

/// Running traffic.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    calm: Arc<AtomicBool>,
    clients: JoinSet<anyhow::Result<History>>,
    lost: Arc<AtomicU64>,
}

/// What all clients have in common.
struct World {
    clock: HistoryClock,
    pages: Vec<String>,
    doors: Vec<Door>,
    origin: Arc<Versions>,
    stop: Arc<AtomicBool>,
    calm: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

/// A node as its clients know it: its addresses, and how often it was started.
struct Door {
    listen: SocketAddr,
    admin: SocketAddr,
    starts: Arc<AtomicU32>,
}

/// The kinds of the pages, in turn; see [`crate::versions::Kind`].
const KINDS: [&str; 12] =
    ["k", "cookie", "k", "language", "account", "cookie", "welcome", "private", "k", "cookie", "language", "k"];

/// Names of the pages.
pub fn pages(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("/p{}/{}{n}", n % 4, KINDS[n % KINDS.len()])).collect()
}

impl Traffic {
    /// Starts the traffic. Times are those of `clock`; the clients' choices follow from `seed`, their interleaving does
    /// not.
    pub fn start(nodes: &Nodes, mix: Mix, seed: u64, clock: HistoryClock) -> Self {
        let (stop, calm) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let lost = Arc::<AtomicU64>::default();
        let doors = nodes.all().iter();
        let doors =
            doors.map(|node| Door { listen: node.address(), admin: node.admin_address(), starts: node.starts() });
        let world = Arc::new(World {
            clock,
            pages: pages(mix.pages),
            doors: doors.collect(),
            origin: Arc::clone(&nodes.origin),
            stop: Arc::clone(&stop),
            calm: Arc::clone(&calm),
            lost: Arc::clone(&lost),
        });
        let mut clients = JoinSet::new();
        let mut seeds = Rng::with_seed(seed);
        let mut rng = || Rng::with_seed(seeds.u64(..));
        for node in 0..world.doors.len() {
            for _ in 0..mix.readers {
                clients.spawn(read(Arc::clone(&world), node, rng()));
            }
        }
        for _ in 0..mix.writers {
            clients.spawn(write(Arc::clone(&world), rng()));
        }
        for _ in 0..mix.purgers {
            clients.spawn(purge(Arc::clone(&world), rng()));
        }
        Self { stop, calm, clients, lost }
    }

    /// Sets whether no client writes or purges for now, so that a purge that was missed is not covered up by later
    /// ones.
    pub fn calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::Relaxed);
    }

    /// Ends the traffic, and returns what its clients saw.
    ///
    /// # Errors
    /// When an answer had an error status, or was no true copy of any version.
    pub async fn end(mut self) -> anyhow::Result<History> {
        self.stop.store(true, Ordering::Relaxed);
        let mut history = History::default();
        while let Some(seen) = self.clients.join_next().await {
            history.merge(seen??);
        }
        Ok(history)
    }

    /// Requests without an answer, as their node was stopped or killed.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl World {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn run(&self, node: usize) -> Run {
        Run { node, start: self.doors[node].starts.load(Ordering::SeqCst) }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Rests for a while, and for as long as it is calm.
    async fn rest(&self, ms: u64) {
        self.clock.passes(Duration::from_millis(ms)).await;
        while self.goes_on() && self.calm.load(Ordering::Relaxed) {
            self.clock.passes(Duration::from_millis(10)).await;
        }
    }

    /// Waits for an answer of a node; none where none came, or where the node was started meanwhile.
    async fn ask(&self, node: usize, asking: impl Future<Output = anyhow::Result<Answer>>) -> Option<(Run, Answer)> {
        let run = self.run(node);
        if let Ok(Ok(answer)) = timeout(PATIENCE, asking).await
            && run == self.run(node)
        {
            return Some((run, answer));
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        None
    }
}

async fn read(world: Arc<World>, node: usize, mut rng: Rng) -> anyhow::Result<History> {
    let mut history = History::default();
    let client = || Client::new(world.doors[node].listen, HOST);
    let mut clients: [Client; AT_ONCE] = std::array::from_fn(|_| client());
    let mut held: Vec<Option<String>> = vec![None; world.pages.len()];
    while world.goes_on() {
        let page = rng.usize(..world.pages.len());
        // One to several visitors ask at the same moment.
        let several = rng.usize(1..=AT_ONCE);
        let asking: Vec<Asking> = (0..several).map(|_| Asking::any(&mut rng, held[page].as_deref())).collect();
        let each =
            clients.iter_mut().zip(&asking).map(|(client, asking)| read_once(&world, node, page, client, asking));
        let mut lost = false;
        for read in join_all(each).await {
            match read.with_context(|| format!("node {node}"))? {
                Some((read, tag)) => {
                    history.reads.push(read);
                    held[page] = tag;
                }
                None => lost = true,
            }
        }
        world.clock.passes(Duration::from_millis(if lost { 20 } else { rng.u64(1..8) })).await;
    }
    Ok(history)
}

/// One visitor's read, and the entity tag of the answer; none where no answer came.
async fn read_once(
    world: &World,
    node: usize,
    page: Page,
    client: &mut Client,
    asking: &Asking,
) -> anyhow::Result<Option<(Read, Option<String>)>> {
    let (name, asked) = (&world.pages[page], world.now());
    let version_then = world.origin.version(name);
    let Some((by, answer)) = world.ask(node, asking.ask(client, name)).await else {
        client.hang_up();
        return Ok(None);
    };
    let noted = Noted { page, by, asked, answered: world.now(), version_then };
    Ok(Some((asking.read(name, &answer, noted)?, answer.field("etag").map(str::to_owned))))
}

async fn write(world: Arc<World>, mut rng: Rng) -> anyhow::Result<History> {
    let mut history = History::default();
    while world.goes_on() {
        let (page, node) = (rng.usize(..world.pages.len()), rng.usize(..world.doors.len()));
        let mut client = Client::new(world.doors[node].listen, HOST);
        let answer = world.ask(node, client.send("PUT", &world.pages[page], &[], "")).await;
        if let Some((by, answer)) = answer
            && answer.status == 200
        {
            let version = answer.field(VERSION).and_then(|version| version.parse().ok()).context("no version")?;
            // The origin has accepted the write in any case; `detail` tells whether the other nodes know of its purge.
            let pending = answer.cache_status().value("detail") == Some("purge-pending");
            let (reach, acknowledged) = (if pending { Reach::Here } else { Reach::Everywhere }, world.now());
            history.promises.push(Promise { page, version, by, reach, acknowledged });
        }
        world.rest(rng.u64(20..80)).await;
    }
    Ok(history)
}

async fn purge(world: Arc<World>, mut rng: Rng) -> anyhow::Result<History> {
    let mut history = History::default();
    while world.goes_on() {
        let (page, node) = (rng.usize(..world.pages.len()), rng.usize(..world.doors.len()));
        let (scope, reached) = scope(&world.pages, page, &mut rng);
        for page in &reached {
            world.origin.change(&world.pages[*page]);
        }
        let versions: Vec<(Page, u64)> =
            reached.iter().map(|page| (*page, world.origin.version(&world.pages[*page]))).collect();
        let admin = world.doors[node].admin;
        let mut client = Client::new(admin, &admin.to_string());
        let target = format!("/tenants/{TENANT}/purge");
        let answer = world.ask(node, client.send("POST", &target, &[], scope.to_string())).await;
        if let Some((by, answer)) = answer {
            let acknowledged = world.now();
            let reach = match answer.status.as_u16() {
                200 => Reach::Everywhere,
                // Done on this node, but not recorded for the others, as the answer says.
                202 | 503 => Reach::Here,
                other => anyhow::bail!("a purge was answered with {other}: {}", answer.text()),
            };
            let promises =
                versions.into_iter().map(|(page, version)| Promise { page, version, by, reach, acknowledged });
            history.promises.extend(promises);
        }
        world.rest(rng.u64(20..80)).await;
    }
    Ok(history)
}

/// A random purge whose scope holds `page`, and all pages in that scope.
fn scope(pages: &[String], page: Page, rng: &mut Rng) -> (Value, Vec<Page>) {
    let path = &pages[page];
    let all_with = |has: &dyn Fn(&String) -> bool| (0..pages.len()).filter(|n| has(&pages[*n])).collect::<Vec<_>>();
    match rng.u8(..10) {
        0..4 => (json!({ "scope": "key", "url": format!("http://{HOST}{path}") }), vec![page]),
        4..7 => {
            let key = surrogate_key(path);
            let reached = all_with(&|other| surrogate_key(other) == key);
            (json!({ "scope": "surrogate-key", "key": key }), reached)
        }
        7..9 => {
            let prefix = format!("{}/", path.rsplit_once('/').map_or("", |(folder, _)| folder));
            let reached = all_with(&|other| other.starts_with(&prefix));
            (json!({ "scope": "prefix", "prefix": prefix }), reached)
        }
        _ => (json!({ "scope": "everything" }), (0..pages.len()).collect()),
    }
}
