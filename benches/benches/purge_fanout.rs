//! How long until every other node has forgotten what one has purged? Three nodes, each a process of its own, on one Redis
//! and one machine; clients keep all of them busy. A page changes at the origin and is purged at node 0, by its surrogate
//! key; meanwhile the page is asked for at the other two, over and over.
//!
//! Printed are the times from before the purge was sent until its acknowledgement had come, and until the slower of the
//! others was asked the first time that it did not show the old page any more (so the time of a request is part of it).
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

const PURGES: usize = 2000;
/// Between two purges: time for the page to be in all memories again.
const REST: Duration = Duration::from_millis(3);
/// Clients that ask for other pages all the time, and how long they rest in between.
const LOAD_CLIENTS: usize = 12;
const LOAD_REST: Duration = Duration::from_millis(2);
const PAGE: &str = "/purged/k1";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let setup = Setup { tenant: "consistency = \"bus\"\n".into(), links: false, ..Setup::fleet("") };
    let nodes = Nodes::start(setup).await?;
    nodes.all_hear().await;
    let addresses = nodes.addresses();
    // Numbers of another surrogate key than the page's: what is measured purges nothing of the load.
    let load =
        Steady::start(&addresses, LOAD_CLIENTS, LOAD_REST, |client, n| format!("/load{client}/k{}", n % 500 * 3));
    let admin = nodes[0].admin_address();
    let mut operator = Client::new(admin, &admin.to_string());
    let purge = serde_json::json!({ "scope": "surrogate-key", "key": surrogate_key(PAGE) }).to_string();
    let target = format!("/tenants/{TENANT}/purge");
    let (mut acknowledged, mut forgotten) = (Vec::new(), Vec::new());
    for _ in 0..PURGES {
        for address in &addresses {
            version_shown(PAGE, &Client::new(*address, HOST).get(PAGE).await?)?;
        }
        sleep(REST).await;
        let version = nodes.origin.change(PAGE);
        let began = Instant::now();
        let watching = [1, 2].map(|node| tokio::spawn(watch(addresses[node], version, began)));
        let answer = operator.send("POST", &target, &[], purge.clone()).await?;
        acknowledged.push(began.elapsed());
        anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        let mut slower = Duration::ZERO;
        for watching in watching {
            slower = slower.max(watching.await??);
        }
        forgotten.push(slower);
    }
    let load = load.end().await;
    anyhow::ensure!(load.errors.is_empty(), "{:?}", load.errors);
    println!("{} other requests meanwhile", load.answers);
    report("acknowledged", acknowledged);
    report("forgotten by all", forgotten);
    Ok(())
}

/// Asks for the page until it is shown at this version, and answers with when it was asked that time.
async fn watch(node: SocketAddr, version: u64, began: Instant) -> anyhow::Result<Duration> {
    let mut client = Client::new(node, HOST);
    client.connect().await?;
    loop {
        let asked = began.elapsed();
        if version_shown(PAGE, &client.get(PAGE).await?)? >= version {
            return Ok(asked);
        }
        anyhow::ensure!(asked < Duration::from_secs(10), "it is never forgotten");
    }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms of {}", at(50), at(99), at(100), times.len());
}
