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
/// A request asks Redis at most so often one after the other: L2, the lease, L2 again, and its variants.
const CALLS_MAX: u32 = 4;
/// What a busy machine may add to an answer.
const SLACK: Duration = Duration::from_secs(8);
/// How long a phase of trouble lasts: several deadlines, and several tries to connect.
const PHASE: Duration = Duration::from_millis(1500);

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
    assert!(seen.slowest < DEADLINE * CALLS_MAX + SLACK, "{what}: an answer took {:?}", seen.slowest);
}

/// Waits until what one node has fetched is what another finds in L2.
async fn heals(nodes: &Nodes, what: &str) {
    let mut round = 0;
    eventually(&format!("L2 is used again: {what}"), async || {
        round += 1;
        let page = format!("/{}/k{round}", what.replace(' ', "-"));
        let _ = nodes[0].client("shop.test").get(&page).await;
        sleep(Duration::from_millis(50)).await;
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
    sleep(PHASE).await;
    assert_unnoticed(&clients.end().await, "down at the start", &nodes);
    nodes.redis_mut().restart()?;
    heals(&nodes, "down at the start").await;

    let clients = load(&nodes);
    sleep(PHASE / 2).await;
    nodes.redis_mut().kill();
    sleep(PHASE).await;
    nodes.redis_mut().restart_empty()?;
    sleep(PHASE / 2).await;
    assert_unnoticed(&clients.end().await, "killed and back empty", &nodes);
    heals(&nodes, "killed and back empty").await;

    for (what, fault) in [
        ("nonsense", Fault::Garbage),
        ("two seconds late", Fault::Delay(Duration::from_secs(2))),
        ("half open", Fault::HalfOpen),
        ("cut", Fault::Cut),
    ] {
        let clients = load(&nodes);
        sleep(PHASE / 4).await;
        (0..2).for_each(|node| nodes.link(node).set(fault));
        sleep(PHASE).await;
        (0..2).for_each(|node| nodes.link(node).set(Fault::None));
        sleep(PHASE / 4).await;
        assert_unnoticed(&clients.end().await, what, &nodes);
        heals(&nodes, what).await;
    }
    Ok(())
}

/// Asks for pages that nobody has asked for, without Redis, and says by how much the nodes have grown meanwhile.
async fn growth_during_an_outage(lasts: Duration) -> anyhow::Result<i64> {
    let share = "l1 = \"8MiB\"\n";
    let serving = Serving { page_bytes: 16 << 10, ..Serving::default() };
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
    sleep(lasts).await;
    let seen = clients.end().await;
    let after = resident()?;
    nodes.redis().resume()?;
    assert_unnoticed(&seen, "during the outage", &nodes);
    let version = version_shown("/p0/k1", &nodes[0].client("shop.test").get("/p0/k1").await?)?;
    assert_eq!(version, 1);
    heals(&nodes, "after the outage").await;
    let growth = i64::try_from(after)? - i64::try_from(before)?;
    println!(
        "{} answers in {lasts:?} without Redis, none later than {:?}; {before} bytes resident before, {growth} more after",
        seen.answers, seen.slowest
    );
    Ok(growth)
}

/// What two nodes may grow by during an outage however long: twice what entries on their way to Redis are allowed, would
/// they all be held.
const GROWTH_BYTES_MAX: i64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_in_a_short_outage() -> anyhow::Result<()> {
    let _alone = alone().await;
    let growth = growth_during_an_outage(Duration::from_secs(4)).await?;
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes more than a minute"]
async fn memory_stays_bounded_in_an_outage_of_a_minute() -> anyhow::Result<()> {
    let _alone = alone().await;
    let growth = growth_during_an_outage(Duration::from_secs(60)).await?;
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more");
    Ok(())
}
