//! Would the checker have noticed? What keeps a promise is switched off, and the broken promise must be found; with it, the
//! same course of events breaks none.

use std::time::Duration;

use redis::Commands;
use sandbar_tests::client::{Answer, Client};
use sandbar_tests::fault_proxy::Fault;
use sandbar_tests::history::faults::{Step, Trouble};
use sandbar_tests::history::{History, HistoryClock, Promise, Reach, Read, Rules, Run, Seen, Source, Violation, check};
use sandbar_tests::nodes::{FAULTS, HOST, Nodes, Setup};
use sandbar_tests::versions::{Serving, version_shown};
use sandbar_tests::wait::eventually;
use serde_json::json;

use crate::alone;
use crate::history::{SILENCE_MAX, judged, play, rules, setup};

const MODE: &str = "bus";
const PAGE: &str = "/p0/k1";
/// Behind the clock that is compared at each request, memory is given up when the silence is noticed: both are off.
const UNFENCED: &str = "no-self-fencing,ignore-gaps";

/// Trials in which a fault must be found at least once.
const SEEDS_MAX: u64 = 5;

fn without(fault: &str, setup: Setup) -> Setup {
    Setup { env: vec![(FAULTS.into(), fault.into())], ..setup }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fills_that_are_judged_as_of_their_end_are_found() -> anyhow::Result<()> {
    let _alone = alone().await;
    // No trouble at all but traffic.
    let (rest, lasts) = (Duration::from_millis(500), Duration::from_secs(2));
    let steps = [Step { rest, trouble: Trouble::Link(0, Fault::None), lasts, calm: true }];
    let usual = setup(MODE, SILENCE_MAX);
    // It takes a fetch that a purge overtakes, and somebody who asks before the next purge: on a busy machine not every seed
    // brings both.
    let mut found = None;
    for seed in 1..=SEEDS_MAX {
        let (verdict, _nodes) =
            judged(without("no-barriers", usual.clone()), &rules(MODE, SILENCE_MAX), seed, &steps).await?;
        if matches!(verdict, Err(Violation::Stale { .. })) {
            found = Some(seed);
            break;
        }
    }
    let found = found.unwrap_or_else(|| panic!("not noticed with any of {SEEDS_MAX} seeds"));
    // Nothing of it is in the program that is released, whatever its environment says.
    let released = Setup { env: vec![("SANDBAR_FAULTS".into(), "no-barriers".into())], ..usual };
    let (verdict, nodes) = judged(released, &rules(MODE, SILENCE_MAX), found, &steps).await?;
    assert!(verdict.is_ok(), "{}\n{}", verdict.expect_err("just seen"), nodes.logs());
    Ok(())
}

/// A client of node 1, which has the page in memory.
async fn in_memory(nodes: &Nodes) -> Client {
    let mut client = nodes[1].client(HOST);
    eventually("node 1 has it in memory", async || {
        client.get(PAGE).await.is_ok_and(|answer| answer.cache_status().value("detail") == Some("l1"))
    })
    .await;
    client
}

/// Notes that node 0 has just promised a version of the page everywhere; when that was.
fn promised(history: &mut History, version: u64, clock: HistoryClock) -> Duration {
    let (acknowledged, by) = (clock.now(), Run { node: 0, start: 1 });
    history.promises.push(Promise { page: 0, version, by, reach: Reach::Everywhere, acknowledged });
    acknowledged
}

/// Notes what a node has just answered to whom had asked it then.
fn read(
    history: &mut History,
    (node, source): (usize, Source),
    asked: Duration,
    answer: &Answer,
    clock: HistoryClock,
) -> anyhow::Result<()> {
    let (version, by) = (version_shown(PAGE, answer)?, Run { node, start: 1 });
    let (answered, seen) = (clock.now(), Seen::default());
    history.reads.push(Read { page: 0, version, by, source, asked, answered, seen });
    Ok(())
}

/// How a purge goes unheard: a page is purged at node 0 while node 1, which has it in memory, can't hear of it.
struct Unheard {
    mode: &'static str,
    silence_max: Duration,
    /// What ails node 1's link to Redis.
    link: Fault,
    /// Whether, and how, that is over when the purge is acknowledged.
    ends: Option<Trouble>,
    /// Whether node 1 stands still until the purge is acknowledged, and has been asked already when it goes on.
    stopped: bool,
}

impl Unheard {
    fn setup(&self) -> Setup {
        setup(self.mode, self.silence_max)
    }

    fn rules(&self) -> Rules {
        rules(self.mode, self.silence_max)
    }

    /// Plays it; node 1 is asked for the page when the promise holds there too.
    async fn play(&self, setup: Setup) -> anyhow::Result<(History, Nodes)> {
        let mut nodes = Nodes::start(setup).await?;
        // What is fetched before is given up when it begins to hear.
        nodes.all_hear().await;
        let (clock, mut history) = (HistoryClock::start(), History::default());
        let mut client = in_memory(&nodes).await;
        nodes.link(1).set(self.link);
        if self.stopped {
            nodes[1].pause()?;
        }
        let version = nodes.origin.change(PAGE);
        let purge = json!({ "scope": "key", "url": format!("http://{HOST}{PAGE}") });
        // Not before node 1 counts as gone, where every live node has to confirm it.
        eventually("it is purged", async || nodes[0].purge(&purge).await.is_ok_and(|answer| answer.status == 200))
            .await;
        let acknowledged = promised(&mut history, version, clock);
        if let Some(trouble) = self.ends {
            trouble.heal(&mut nodes).await?;
        }
        clock.is_past(acknowledged + self.rules().elsewhere.unwrap_or_default()).await;
        let asked = clock.now();
        let answer = tokio::spawn(async move { client.get(PAGE).await });
        if self.stopped {
            eventually("it has been asked", async || nodes[1].has_unread()).await;
            nodes[1].resume()?;
        }
        read(&mut history, (1, Source::L1), asked, &answer.await??, clock)?;
        Ok((history, nodes))
    }

    /// Without what `fault` switches off the promise is broken, and with it it is kept.
    async fn assert_found(&self, fault: &str) -> anyhow::Result<()> {
        let _alone = alone().await;
        let (history, nodes) = self.play(without(fault, self.setup())).await?;
        let verdict = check(&history, &self.rules());
        let found = matches!(verdict, Err(Violation::Stale { .. }));
        assert!(found, "{fault} was not noticed: {verdict:?}\n{}", nodes.logs());
        drop(nodes);
        let (history, nodes) = self.play(self.setup()).await?;
        let verdict = check(&history, &self.rules());
        assert!(verdict.is_ok(), "{}\n{}", verdict.expect_err("just seen"), nodes.logs());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gap_in_the_stream_that_is_ignored_is_found() -> anyhow::Result<()> {
    // It is back long before it would count as deaf: the gap alone tells.
    let (silence_max, ends) = (Duration::from_secs(3), Some(Trouble::Trimmed(1)));
    let gap = Unheard { mode: "bus", silence_max, link: Fault::Cut, ends, stopped: false };
    gap.assert_found("ignore-gaps").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_serves_although_it_is_deaf_is_found() -> anyhow::Result<()> {
    let deaf = Unheard { mode: "bus", silence_max: SILENCE_MAX, link: Fault::HalfOpen, ends: None, stopped: false };
    deaf.assert_found(UNFENCED).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_stood_still_and_does_not_mind_is_found() -> anyhow::Result<()> {
    let stopped =
        Unheard { mode: "write-all", silence_max: SILENCE_MAX, link: Fault::HalfOpen, ends: None, stopped: true };
    stopped.assert_found(UNFENCED).await
}

/// A page is written through node 0, which can't reach Redis just then, and nobody asks until node 0 says that all nodes know.
async fn untold(setup: Setup, rules: &Rules) -> anyhow::Result<(History, Nodes)> {
    let nodes = Nodes::start(setup).await?;
    nodes.all_hear().await;
    let (clock, mut history) = (HistoryClock::start(), History::default());
    let mut client = in_memory(&nodes).await;
    nodes.link(0).set(Fault::Cut);
    let written = nodes[0].client(HOST).send("PUT", PAGE, &[], "").await?;
    assert_eq!(written.cache_status().value("detail"), Some("purge-pending"));
    let version = nodes.origin.version(PAGE);
    nodes.link(0).set(Fault::None);
    eventually("all nodes know of it", async || nodes[0].purges_pending().await.is_ok_and(|pending| pending == 0))
        .await;
    let acknowledged = promised(&mut history, version, clock);
    clock.is_past(acknowledged + rules.elsewhere.unwrap_or_default()).await;
    let asked = clock.now();
    let answer = client.get(PAGE).await?;
    read(&mut history, (1, Source::L1), asked, &answer, clock)?;
    Ok((history, nodes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidation_of_a_write_that_is_not_tried_again_is_found() -> anyhow::Result<()> {
    let _alone = alone().await;
    // So long that node 1 does not drop the page by itself, as one that is deaf.
    let silence_max = Duration::from_secs(3);
    for mode in ["bus", "bus+write-through"] {
        let (usual, rules) = (setup(mode, silence_max), rules(mode, silence_max));
        let (history, nodes) = untold(without("no-retried-purges", usual.clone()), &rules).await?;
        let verdict = check(&history, &rules);
        assert!(matches!(verdict, Err(Violation::Stale { .. })), "{mode}: {verdict:?}\n{}", nodes.logs());
        drop(nodes);
        let (history, nodes) = untold(usual, &rules).await?;
        let verdict = check(&history, &rules);
        assert!(verdict.is_ok(), "{mode}: {}\n{}", verdict.expect_err("just seen"), nodes.logs());
    }
    Ok(())
}

/// A leader stands still while it fetches, another takes over and stores something newer, and then the first goes on:
/// what do those see who look into the shared tier before and after?
async fn overslept(setup: Setup) -> anyhow::Result<(History, Nodes)> {
    let slow = Serving { latency: Duration::from_millis(600), ..Serving::default() };
    let nodes = Nodes::start(Setup { nodes: 4, serving: slow, ..setup }).await?;
    nodes.all_hear().await;
    let (clock, mut history) = (HistoryClock::start(), History::default());
    let mut sleeper = nodes[0].client(HOST);
    let first = tokio::spawn(async move { sleeper.get(PAGE).await });
    eventually("the first asks the origin", async || nodes.origin.fetches(PAGE) == 1).await;
    nodes[0].pause()?;
    nodes.origin.change(PAGE);
    nodes.origin.serve(PAGE, Serving::default());
    // Its lease runs out: the next one fetches what is there by now.
    let second = nodes[1].client(HOST).get(PAGE).await?;
    assert_eq!((version_shown(PAGE, &second)?, nodes.origin.fetches(PAGE)), (2, 2));
    see(&nodes, 2, clock, &mut history).await?;
    let newer = shared(&nodes)?;
    nodes[0].resume()?;
    assert_eq!(version_shown(PAGE, &first.await??)?, 1, "its own client gets what it asked for, when it did");
    eventually("it has stored what it fetched, or was refused", async || {
        shared(&nodes).is_ok_and(|stored| stored != newer)
            || nodes[0].counter("fills_fenced").await.is_ok_and(|fenced| fenced == 1)
    })
    .await;
    see(&nodes, 3, clock, &mut history).await?;
    Ok((history, nodes))
}

/// The one entry that Redis has.
fn shared(nodes: &Nodes) -> anyhow::Result<Vec<u8>> {
    let mut redis = nodes.redis().connection()?;
    let keys: Vec<String> = redis.keys("sandbar:{default}:e:*")?;
    let [key] = &keys[..] else { anyhow::bail!("{keys:?}") };
    Ok(redis.get(key)?)
}

/// A node looks at the page for the first time.
async fn see(nodes: &Nodes, node: usize, clock: HistoryClock, history: &mut History) -> anyhow::Result<()> {
    // What has just been fetched may still be on its way to Redis.
    eventually("it is in the shared tier", async || shared(nodes).is_ok()).await;
    let asked = clock.now();
    let answer = nodes[node].client(HOST).get(PAGE).await?;
    assert_eq!(answer.cache_status().value("detail"), Some("redis"));
    read(history, (node, Source::L2), asked, &answer, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_holder_without_a_token_is_found() -> anyhow::Result<()> {
    let _alone = alone().await;
    // So long that it is not deafness which keeps the one that stood still from storing.
    let usual = setup(MODE, Duration::from_secs(60));
    let rules = Rules { elsewhere: None, l2_never_goes_back: true };
    let (history, nodes) = overslept(without("no-fencing", usual.clone())).await?;
    let verdict = check(&history, &rules);
    assert!(matches!(verdict, Err(Violation::WentBack { .. })), "{verdict:?}\n{}", nodes.logs());
    drop(nodes);
    let (history, nodes) = overslept(usual).await?;
    let verdict = check(&history, &rules);
    assert!(verdict.is_ok(), "{}\n{}", verdict.expect_err("just seen"), nodes.logs());
    eventually("it was refused", async || nodes[0].counter("fills_fenced").await.is_ok_and(|fenced| fenced == 1)).await;
    Ok(())
}

/// The origin's pages differ by visitor and don't say so, which no cache can get right: whoever asks next is given another's.
/// Where they do say so, all other trials have none such.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_made_for_another_are_found() -> anyhow::Result<()> {
    let _alone = alone().await;
    let (rest, lasts) = (Duration::from_millis(200), Duration::from_secs(1));
    let steps = [Step { rest, trouble: Trouble::Link(0, Fault::None), lasts, calm: false }];
    let mut nodes = Nodes::start(setup(MODE, SILENCE_MAX)).await?;
    nodes.all_hear().await;
    nodes.origin.say_no_vary();
    let history = play(&mut nodes, 1, &steps).await?;
    let Err(Violation::MadeForAnother { read }) = check(&history, &rules(MODE, SILENCE_MAX)) else {
        panic!("not noticed\n{}", nodes.logs())
    };
    assert!(read.seen.shows != read.seen.selects && read.seen.made_for.is_some(), "{read:?}");
    Ok(())
}
