//! A rolling restart: every node in turn, under load, behind a balancer.

use std::time::Duration;

use sandbar_tests::crowd::Steady;
use sandbar_tests::nodes::{Nodes, Setup};
use sandbar_tests::versions::version_shown;

use crate::alone;

const PAGES: u64 = 60;
/// How long a node may take to end what is under way.
const STOP_MAX: Duration = Duration::from_secs(20);

fn page(n: u64) -> String {
    format!("/p{}/k{}", n % 4, n % PAGES)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restart_loses_nothing_but_warmth() -> anyhow::Result<()> {
    let _alone = alone().await;
    let mut nodes = Nodes::start(Setup::fleet("")).await?;
    for n in 0..PAGES {
        version_shown(&page(n), &nodes[0].client("shop.test").get(&page(n)).await?)?;
    }
    let fetched = nodes.origin.fetches_of_all();
    let clients = Steady::start(&nodes.addresses(), 12, Duration::from_millis(3), |client, n| page(client as u64 + n));
    for node in 0..3 {
        clients.each_is_answered(20).await;
        nodes[node].stop(STOP_MAX).await?;
        clients.each_is_answered(20).await;
        nodes[node].restart().await?;
    }
    // Each client turns to each node with every third request, and walks over all pages.
    clients.each_is_answered(3 * PAGES).await;
    let seen = clients.end().await;
    assert!(seen.errors.is_empty(), "{:?}\n{}", seen.errors, nodes.logs());
    assert!(seen.answers > 500, "{} answers", seen.answers);
    assert!(seen.from_l2 >= 2 * PAGES, "each started cold and found its pages in L2: {} times", seen.from_l2);
    // A node that has just started does without L2 until it is connected: a page or two may be fetched again.
    let again = nodes.origin.fetches_of_all() - fetched;
    assert!(again <= PAGES / 4, "{again} of {PAGES} pages were fetched again");
    Ok(())
}
