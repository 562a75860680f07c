//! Redis trouble under load: no client notices more than a moment, and nobody has to restart anything.

use std::time::Duration;

use sandbar_tests::crowd::{Seen, Steady};
use sandbar_tests::fault_proxy::Fault;
use sandbar_tests::nodes::{Nodes, Setup};
use sandbar_tests::versions::{Serving, version_shown};
use sandbar_tests::wait::eventually;
use tokio::time::sleep;

use crate::alone;

const CLIENTS: usize = 16;
const REST: Duration = Duration::from_millis(4);
/// Deadline of a call of Redis here.
const DEADLINE: Duration = Duration::from_millis(200);
/// So many answers to each client are a while.
const A_WHILE: u64 = 50;
/// How often each node tries to connect anew, at least, while there is trouble.
const TRIES: u64 = 3;

async fn fleet(setup: Setup) -> anyhow::Result<Nodes> {
    Nodes::start(Setup { nodes: 2, deadline: DEADLINE, ..setup }).await
}

/// Clients that want something else most of the time: L1 has little to say.
fn load(nodes: &Nodes) -> Steady {
    Steady::start(&nodes.addresses(), CLIENTS, REST, |client, n| {
        if n % 4 == 0 { format!("/p0/k{}", n % 32) } else { format!("/p{client}/k{n}") }
    })
}

fn assert_unnoticed(seen: &Seen, what: &str, nodes: &Nodes) {
    assert!(seen.errors.is_empty(), "{what}: {:?}\n{}", seen.errors, nodes.logs());
    assert!(seen.answers > 3 * CLIENTS as u64, "{what}: only {} answers", seen.answers);
}

/// Lets trouble last: nobody is held up by it, whose requests run into several deadlines before Redis is left alone, and while
/// nodes try to connect again and again.
async fn go_through(nodes: &Nodes, clients: &Steady) {
    let before = [0, 1].map(|node| nodes.link(node).called());
    clients.each_is_answered(A_WHILE).await;
    for (node, before) in before.into_iter().enumerate() {
        eventually("it tries to connect", async || nodes.link(node).called() >= before + TRIES).await;
    }
    clients.each_is_answered(A_WHILE).await;
}

/// Waits until what one node has fetched is what another finds in L2.
async fn heals(nodes: &Nodes, what: &str) {
    let mut round = 0;
    eventually(&format!("L2 is used again: {what}"), async || {
        round += 1;
        let page = format!("/{}/k{round}", what.replace(' ', "-"));
        let _ = nodes[0].client("shop.test").get(&page).await;
        eventually("it is stored", async || nodes[0].has_stored_all().await.unwrap_or(false)).await;
        let answer = nodes[1].client("shop.test").get(&page).await;
        answer.is_ok_and(|answer| answer.cache_status().value("detail") == Some("redis"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_be_away_die_come_back_empty_talk_nonsense_and_be_slow() -> anyhow::Result<()> {
    let _alone = alone().await;
    let mut nodes = fleet(Setup { redis_up: false, ..Setup::default() }).await?;

    let clients = load(&nodes);
    go_through(&nodes, &clients).await;
    assert_unnoticed(&clients.end().await, "down at the start", &nodes);
    nodes.redis_mut().restart()?;
    heals(&nodes, "down at the start").await;

    let clients = load(&nodes);
    clients.each_is_answered(A_WHILE).await;
    nodes.redis_mut().kill();
    go_through(&nodes, &clients).await;
    nodes.redis_mut().restart_empty()?;
    clients.each_is_answered(A_WHILE).await;
    assert_unnoticed(&clients.end().await, "killed and back empty", &nodes);
    heals(&nodes, "killed and back empty").await;

    for (what, fault) in [
        ("nonsense", Fault::Garbage),
        ("two seconds late", Fault::Delay(Duration::from_secs(2))),
        ("half open", Fault::HalfOpen),
        ("cut", Fault::Cut),
    ] {
        let clients = load(&nodes);
        clients.each_is_answered(A_WHILE).await;
        (0..2).for_each(|node| nodes.link(node).set(fault));
        go_through(&nodes, &clients).await;
        (0..2).for_each(|node| nodes.link(node).set(Fault::None));
        clients.each_is_answered(A_WHILE).await;
        assert_unnoticed(&clients.end().await, what, &nodes);
        heals(&nodes, what).await;
    }
    Ok(())
}

/// Bytes of a page while Redis is away.
const PAGE_BYTES: usize = 16 << 10;

/// Asks for pages that nobody has asked for, without Redis, and says by how much the nodes have grown when the outage is over
/// that `lasts`, given how many have been fetched.
async fn growth_during_an_outage(lasts: impl AsyncFnOnce(&dyn Fn() -> u64)) -> anyhow::Result<i64> {
    let share = "l1 = \"8MiB\"\n";
    let serving = Serving { page_bytes: PAGE_BYTES, ..Serving::default() };
    let nodes = fleet(Setup { serving, tenant: share.into(), ..Setup::default() }).await?;
    let resident = || -> anyhow::Result<u64> {
        nodes.all().iter().map(|node| node.process()?.resident_bytes()).sum::<anyhow::Result<u64>>()
    };
    // L1 is full before it begins, and so is whatever else fills up once.
    let clients = load(&nodes);
    eventually("L1 is full", async || nodes.origin.fetches_of_all() > 4000).await;
    assert_unnoticed(&clients.end().await, "before the outage", &nodes);
    let before = resident()?;
    nodes.redis().pause()?;
    let clients = Steady::start(&nodes.addresses(), CLIENTS, REST, |client, n| format!("/outage{client}/k{n}"));
    let fetched = nodes.origin.fetches_of_all();
    lasts(&|| nodes.origin.fetches_of_all() - fetched).await;
    let seen = clients.end().await;
    let after = resident()?;
    nodes.redis().resume()?;
    assert_unnoticed(&seen, "during the outage", &nodes);
    let version = version_shown("/p0/k1", &nodes[0].client("shop.test").get("/p0/k1").await?)?;
    assert_eq!(version, 1);
    heals(&nodes, "after the outage").await;
    let growth = i64::try_from(after)? - i64::try_from(before)?;
    println!("{} answers without Redis; {before} bytes resident before, {growth} more after", seen.answers);
    Ok(growth)
}

/// What two nodes may grow by during an outage however long: twice what entries on their way to Redis are allowed, would
/// they all be held.
const GROWTH_BYTES_MAX: i64 = 64 << 20;
/// Would they all be held, so many pages were twice that.
const PAGES_OF_AN_OUTAGE: u64 = 2 * GROWTH_BYTES_MAX as u64 / PAGE_BYTES as u64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_in_a_short_outage() -> anyhow::Result<()> {
    let _alone = alone().await;
    let growth = growth_during_an_outage(async |fetched| {
        eventually("the origin is asked all the same", async || fetched() > PAGES_OF_AN_OUTAGE).await;
    });
    let growth = growth.await?;
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes more than a minute"]
async fn memory_stays_bounded_in_an_outage_of_a_minute() -> anyhow::Result<()> {
    let _alone = alone().await;
    let growth = growth_during_an_outage(async |_| sleep(Duration::from_secs(60)).await).await?;
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more");
    Ok(())
}
