//! How long until no other node serves a page that one node has purged? Three nodes, each a process of its own, on one
//! Redis and one machine; clients keep all of them busy. A page changes at the origin and is purged at node 0, by its
//! surrogate key; meanwhile the page is asked for at the other two, over and over.
//!
//! Two times are printed, both from before the purge was sent: until its acknowledgement had come, and until the slower
//! of the other nodes was sent the first request that it did not answer with the old page (so the time of a request,
//! and the rest between two, are part of that time). How busy the machine was is printed too: where no processor is
//! free, the times are mostly spent waiting for one.
//!
//! `cargo build --release && cargo bench -p sandbar-benches --bench purge_fanout`

use std::net::SocketAddr;
use std::time::Duration;

use sandbar_tests::client::Client;
use sandbar_tests::crowd::Steady;
use sandbar_tests::gateway::TENANT;
use sandbar_tests::nodes::{HOST, Nodes, Setup};
use sandbar_tests::versions::{surrogate_key, version_shown};
use tokio::time::{Instant, sleep};

const PURGES: usize = 1000;
/// Between two purges: time for the page to be in all memories again.
const REST: Duration = Duration::from_millis(3);
const PAGE: &str = "/purged/k1";

/// The load beside the purges.
struct Load {
    name: &'static str,
    /// Clients that ask for other pages all the time, and how long they rest in between.
    clients: usize,
    rest: Duration,
    /// How long the clients that watch the page rest in between.
    watch_rest: Duration,
}

const LOADS: [Load; 3] = [
    Load { name: "no other load", clients: 0, rest: Duration::ZERO, watch_rest: Duration::from_millis(1) },
    Load { name: "moderate load", clients: 12, rest: Duration::from_millis(10), watch_rest: Duration::from_millis(1) },
    Load { name: "all they can take", clients: 12, rest: Duration::from_millis(2), watch_rest: Duration::ZERO },
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let setup = Setup { tenant: "consistency = \"bus\"\n".into(), links: false, ..Setup::fleet("") };
    let nodes = Nodes::start(setup).await?;
    nodes.all_hear().await;
    for load in &LOADS {
        under(load, &nodes).await?;
    }
    Ok(())
}

async fn under(load: &Load, nodes: &Nodes) -> anyhow::Result<()> {
    let addresses = nodes.addresses();
    // Pages whose numbers give them another surrogate key than the purged page's: the purges reach nothing of the load.
    let clients =
        Steady::start(&addresses, load.clients, load.rest, |client, n| format!("/load{client}/k{}", n % 500 * 3));
    let admin = nodes[0].admin_address();
    let mut operator = Client::new(admin, &admin.to_string());
    let purge = serde_json::json!({ "scope": "surrogate-key", "key": surrogate_key(PAGE) }).to_string();
    let target = format!("/tenants/{TENANT}/purge");
    let (mut acknowledged, mut forgotten) = (Vec::new(), Vec::new());
    let (started, before) = (Instant::now(), Processors::now()?);
    for _ in 0..PURGES {
        for address in &addresses {
            version_shown(PAGE, &Client::new(*address, HOST).get(PAGE).await?)?;
        }
        sleep(REST).await;
        let version = nodes.origin.change(PAGE);
        let began = Instant::now();
        let rest = load.watch_rest;
        let watching = [1, 2].map(|node| tokio::spawn(watch(addresses[node], version, began, rest)));
        let answer = operator.send("POST", &target, &[], purge.clone()).await?;
        acknowledged.push(began.elapsed());
        anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        let mut slower = Duration::ZERO;
        for watching in watching {
            slower = slower.max(watching.await??);
        }
        forgotten.push(slower);
    }
    let (took, busy) = (started.elapsed(), Processors::now()?.busy_percent_since(&before));
    let seen = clients.end().await;
    anyhow::ensure!(seen.errors.is_empty(), "{:?}", seen.errors);
    let name = load.name;
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let rate = seen.answers as f64 / took.as_secs_f64();
    println!("{name}: {rate:.0} other requests a second, processors {busy:.0} % busy");
    report("acknowledged", acknowledged);
    report("forgotten by all", forgotten);
    Ok(())
}

/// Asks for the page until it is shown at this version; answers with the time from `began` to that last request.
async fn watch(node: SocketAddr, version: u64, began: Instant, rest: Duration) -> anyhow::Result<Duration> {
    let mut client = Client::new(node, HOST);
    client.connect().await?;
    loop {
        let asked = began.elapsed();
        if version_shown(PAGE, &client.get(PAGE).await?)? >= version {
            return Ok(asked);
        }
        anyhow::ensure!(asked < Duration::from_secs(10), "it is never forgotten");
        if !rest.is_zero() {
            sleep(rest).await;
        }
    }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("    {what}: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms of {}", at(50), at(99), at(100), times.len());
}

/// What the machine's processors have done since it came up, in ticks.
struct Processors {
    idle: u64,
    all: u64,
}

impl Processors {
    fn now() -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let ticks: Vec<u64> = ticks.take(8).map(str::parse).collect::<Result<_, _>>()?;
        // User, nice, system, idle, waiting for a disk, …
        Ok(Self { idle: ticks.iter().skip(3).take(2).sum(), all: ticks.iter().sum() })
    }

    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    fn busy_percent_since(&self, before: &Self) -> f64 {
        let (idle, all) = (self.idle - before.idle, self.all - before.all);
        100.0 - 100.0 * idle as f64 / all.max(1) as f64
    }
}
