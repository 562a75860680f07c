//! A thousand clients at once: how often is the origin asked?

use std::time::Duration;

use http::StatusCode;
use sandbar_tests::crowd::{Asked, at_once, at_once_as};
use sandbar_tests::nodes::{Nodes, Setup};
use sandbar_tests::versions::{Serving, VISITOR, shown, version_shown};
use sandbar_tests::wait::eventually;
use tokio::task::JoinHandle;

use crate::alone;

const CLIENTS: usize = 1000;
const PAGE: &str = "/p0/k1";
/// How long others wait for a node that has died.
const LEASE_MS: u64 = 2000;
/// How long requests wait for another's fetch: time for a lease to run out, and for a fetch, on a busy machine.
const WAITER_DEADLINE_S: u64 = 40;

async fn fleet() -> anyhow::Result<Nodes> {
    let tenant = format!("waiter_deadline = \"{WAITER_DEADLINE_S}s\"\n");
    let setup = Setup::fleet(&format!("lease = \"{LEASE_MS}ms\"\n"));
    let nodes = Nodes::start(Setup { tenant, ..setup }).await?;
    nodes.all_hear().await;
    Ok(nodes)
}

/// All were answered with a true copy of this version.
fn assert_answered(asked: &[Asked], version: u64, nodes: &Nodes) {
    for asked in asked {
        let shown = asked.answer.as_ref().map(|answer| version_shown(PAGE, answer));
        let right = matches!(shown, Ok(Ok(shown)) if shown == version);
        assert!(right, "node {}: {shown:?}\n{}", asked.node, nodes.logs());
    }
}

/// How many requests have come to the nodes that run.
async fn come(nodes: &Nodes) -> u64 {
    let mut come = 0;
    for node in nodes.all() {
        come += node.counter("requests").await.unwrap_or_default();
    }
    come
}

/// The crowd asks, and all of it is there: whoever is to wait waits.
async fn crowd(nodes: &Nodes) -> JoinHandle<anyhow::Result<Vec<Asked>>> {
    let (before, addresses) = (come(nodes).await, nodes.addresses());
    let asking = tokio::spawn(async move { at_once(&addresses, CLIENTS, PAGE).await });
    eventually("all have come", async || come(nodes).await == before + CLIENTS as u64).await;
    asking
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cold_key_is_fetched_once() -> anyhow::Result<()> {
    let _alone = alone().await;
    let nodes = fleet().await?;
    let gate = nodes.origin.hold(PAGE);
    let asking = crowd(&nodes).await;
    gate.open();
    assert_answered(&asking.await??, 1, &nodes);
    assert_eq!(nodes.origin.fetches(PAGE), 1, "{:?}", nodes.origin.fetches_by_door(PAGE));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_expired_key_is_fetched_once_more() -> anyhow::Result<()> {
    let _alone = alone().await;
    let nodes = fleet().await?;
    nodes.origin.serve(PAGE, Serving { max_age_s: 4, ..Serving::default() });
    for node in nodes.all() {
        assert_eq!(version_shown(PAGE, &node.client("shop.test").get(PAGE).await?)?, 1);
    }
    assert_eq!(nodes.origin.fetches(PAGE), 1, "the others found it in L2");
    nodes.origin.serve(PAGE, Serving::default());
    nodes.origin.change(PAGE);
    let gate = nodes.origin.hold(PAGE);
    for node in nodes.all() {
        eventually("it has expired", async || {
            let kept = node.client("shop.test").get_with(PAGE, &[("cache-control", "only-if-cached")]).await;
            kept.is_ok_and(|kept| kept.status == StatusCode::GATEWAY_TIMEOUT)
        })
        .await;
    }
    let asking = crowd(&nodes).await;
    gate.open();
    assert_answered(&asking.await??, 2, &nodes);
    assert_eq!(nodes.origin.fetches(PAGE), 2, "{:?}", nodes.origin.fetches_by_door(PAGE));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_that_is_killed_costs_one_fetch_more() -> anyhow::Result<()> {
    let _alone = alone().await;
    let mut nodes = fleet().await?;
    let gate = nodes.origin.hold(PAGE);
    let asking = crowd(&nodes).await;
    eventually("the origin is asked", async || nodes.origin.fetches(PAGE) > 0).await;
    let leader = nodes.origin.fetches_by_door(PAGE).iter().position(|fetches| *fetches > 0).expect("somebody asked");
    nodes[leader].kill();
    gate.open();
    let asked: Vec<Asked> = asking.await??.into_iter().filter(|asked| asked.node != leader).collect();
    assert_eq!(asked.len(), CLIENTS - CLIENTS.div_ceil(3) + usize::from(leader != 0));
    assert_answered(&asked, 1, &nodes);
    assert!(nodes.origin.fetches(PAGE) <= 2, "{:?}", nodes.origin.fetches_by_door(PAGE));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_node_fetches_once() -> anyhow::Result<()> {
    let _alone = alone().await;
    let nodes = fleet().await?;
    nodes.redis().pause()?;
    let gate = nodes.origin.hold(PAGE);
    let asking = crowd(&nodes).await;
    gate.open();
    assert_answered(&asking.await??, 1, &nodes);
    assert!(nodes.origin.fetches(PAGE) <= 3, "{:?}", nodes.origin.fetches_by_door(PAGE));
    nodes.redis().resume()?;
    Ok(())
}

/// Visitors who differ by their cookie, with many connections each, all at once.
const VISITORS: usize = 6;
const ANOTHER_FOR_EACH: &str = "/p0/cookie1";
const FOR_EACH_ALONE: &str = "/p0/private1";

fn visitor(client: usize) -> Vec<(&'static str, String)> {
    let name = format!("visitor{}", client / 3 % VISITORS);
    vec![("cookie", format!("u={name}")), (VISITOR, name)]
}

/// Each was shown their own page at this version.
fn assert_each_has_their_own(page: &str, asked: &[Asked], own: impl Fn(usize) -> String, nodes: &Nodes) {
    let mut wrong = Vec::new();
    for asked in asked {
        let shown = asked.answer.as_ref().map(|answer| shown(page, answer));
        match shown {
            Ok(Ok(shown)) if shown.variant == own(asked.client) => {}
            other => wrong.push(format!("client {} of node {}: {other:?}", asked.client, asked.node)),
        }
    }
    let first = wrong.iter().take(3).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{page}: {} of {}: {first:?}\n{}", wrong.len(), asked.len(), nodes.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_crowd_has_their_own_page_cold_and_after_all_nodes_have_restarted() -> anyhow::Result<()> {
    const CROWD: usize = 300;
    let _alone = alone().await;
    let serving = Serving { latency: Duration::from_millis(300), ..Serving::default() };
    let setup = Setup::fleet(&format!("lease = \"{LEASE_MS}ms\"\n"));
    let tenant = format!("waiter_deadline = \"{WAITER_DEADLINE_S}s\"\n");
    let mut nodes = Nodes::start(Setup { serving, tenant, ..setup }).await?;
    nodes.all_hear().await;
    let by_cookie = |client: usize| format!("<u=visitor{}>", client / 3 % VISITORS);
    for round in ["cold", "after a restart", "after another"] {
        let asked = at_once_as(&nodes.addresses(), CROWD, ANOTHER_FOR_EACH, visitor).await?;
        assert_each_has_their_own(ANOTHER_FOR_EACH, &asked, by_cookie, &nodes);
        let fetches = nodes.origin.fetches(ANOTHER_FOR_EACH);
        assert!(fetches as usize <= VISITORS + 1, "{round}: {fetches} fetches of {VISITORS} variants");
        for node in 0..nodes.all().len() {
            nodes[node].stop(Duration::from_secs(20)).await?;
            nodes[node].restart().await?;
        }
        nodes.all_hear().await;
    }
    let alone = |client: usize| format!("<visitor{}>", client / 3 % VISITORS);
    let asked = at_once_as(&nodes.addresses(), CROWD / 3, FOR_EACH_ALONE, visitor).await?;
    assert_each_has_their_own(FOR_EACH_ALONE, &asked, alone, &nodes);
    Ok(())
}
