//! Does a fleet keep its promises, whatever happens to it? Random traffic, random trouble, and a checker.
//!
//! A failure names its seed; `SANDBAR_SEED=n` plays that one alone. The seed decides what is asked, written, purged and
//! broken, and in which order; how it interleaves is the machine's.

use std::time::Duration;

use sandbar_tests::history::faults::{Step, plan, plan_alone, plan_on_cluster};
use sandbar_tests::history::traffic::{Mix, Traffic};
use sandbar_tests::history::{History, HistoryClock, Rules, Tally, Violation, check};
use sandbar_tests::nodes::{Nodes, SecondTier, Setup};

use crate::alone;

/// A node counts as deaf after this long, and serves what it fetches then for as long again.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(600);
/// How long a trial lasts.
const SPAN: Duration = Duration::from_secs(8);
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long nothing is written when a trouble is over: longer than any promise takes to hold.
const CALM: Duration = Duration::from_millis(1200);
/// Fetches take up to this: so long that purges come in between.
const LATENCY_MAX: Duration = Duration::from_millis(150);

/// How often a trial is played until enough was seen.
const ROUNDS_MAX: usize = 10;

/// Readers of all nodes.
const READERS: usize = 9;

/// A fleet whose one tenant promises this, and whose nodes count as deaf after so long without a word. A strategy for writes
/// follows a plus.
pub(crate) fn setup(consistency: &str, silence_max: Duration) -> Setup {
    let ms = |duration: Duration| format!("\"{}ms\"", duration.as_millis());
    let (heartbeat, silence, live) = (ms(HEARTBEAT), ms(silence_max), ms(silence_max * 5 / 2));
    let fleet = format!(
        "heartbeat = {heartbeat}\nsilence_max = {silence}\ndeaf_age_max = {silence}\nmember_timeout = {live}\n\
         confirm_deadline = \"500ms\"\nlease = \"1s\"\n"
    );
    let (consistency, strategy) = consistency.split_once('+').unwrap_or((consistency, "invalidate"));
    let versioned = "[[tenant.class]]\nname = \"all\"\npath = \"/**\"\nversion_field = \"x-version\"\n";
    let class = if consistency == "versioned" { versioned } else { "" };
    let tenant = format!("consistency = \"{consistency}\"\nstrategy = \"{strategy}\"\n{class}");
    Setup { tenant, deadline: Duration::from_millis(200), ..Setup::fleet(&fleet) }
}

/// What `docs/consistency.md` says of a mode.
pub(crate) fn rules(consistency: &str, silence_max: Duration) -> Rules {
    let elsewhere = match consistency.split('+').next().unwrap_or_default() {
        "eventual" => None,
        // Deaf after the one, and from then on nothing older than the other, which is the same here; a heartbeat until a
        // server that has lost its memory is noticed.
        "bus" | "versioned" => Some(silence_max + HEARTBEAT),
        "write-all" => Some(Duration::ZERO),
        other => panic!("nothing is known of {other}"),
    };
    Rules { elsewhere, l2_never_goes_back: consistency == "versioned" }
}

/// Plays one trial: traffic, and these steps.
pub(crate) async fn play(nodes: &mut Nodes, seed: u64, steps: &[Step]) -> anyhow::Result<History> {
    let clock = HistoryClock::start();
    nodes.origin.spread_latency(LATENCY_MAX);
    let traffic = Traffic::start(nodes, Mix { readers: READERS / nodes.all().len(), ..Mix::default() }, seed, clock);
    let mut emptied = Vec::new();
    for step in steps {
        clock.passes(step.rest).await;
        let began = clock.now();
        step.trouble.strike(nodes)?;
        clock.passes(step.lasts).await;
        traffic.calm(step.calm);
        step.trouble.heal(nodes).await?;
        emptied.extend(step.trouble.empties().then(|| (began, clock.now())));
        println!("seed {seed}: {:?} from {began:?} to {:?}", step.trouble, clock.now());
        if step.calm {
            clock.passes(CALM).await;
            traffic.calm(false);
        }
    }
    traffic.calm(true);
    clock.passes(CALM).await;
    let mut history = traffic.end().await?;
    history.emptied = emptied;
    Ok(history)
}

/// Plays a trial, and answers with what the checker says.
pub(crate) async fn judged(
    setup: Setup,
    rules: &Rules,
    seed: u64,
    steps: &[Step],
) -> anyhow::Result<(Result<Tally, Violation>, Nodes)> {
    let has_a_bus = setup.second_tier == SecondTier::Redis;
    let mut nodes = Nodes::start(setup).await?;
    if has_a_bus {
        nodes.all_hear().await;
    }
    let history = play(&mut nodes, seed, steps)
        .await
        .map_err(|error| anyhow::anyhow!("{error:#}; play it again with SANDBAR_SEED={seed}\n{}", nodes.logs()))?;
    Ok((check(&history, rules), nodes))
}

/// Masters of the Cluster, where it is one.
const MASTERS: usize = 3;

/// What the nodes share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Server,
    Cluster,
    /// It is one node with this.
    Alone(SecondTier),
}

/// Whether a trial has shown enough to be one.
const fn is_much(seen: &Tally) -> bool {
    seen.bound > seen.reads / 4 && seen.told_apart > seen.reads / 8 && seen.promises > 50
}

async fn trials(consistency: &str, on: On, seeds: impl IntoIterator<Item = u64>, span: Duration) -> anyhow::Result<()> {
    let _alone = alone().await;
    let only: Option<u64> = std::env::var("SANDBAR_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or_else(|| seeds.into_iter().collect(), |only| vec![only]);
    for seed in seeds {
        let setup = setup(consistency, SILENCE_MAX);
        let (setup, steps) = match on {
            On::Server => (setup, plan(seed, 3, span, CALM)),
            On::Alone(second_tier) => {
                (Setup { nodes: 1, links: false, second_tier, ..Setup::default() }, plan_alone(seed, span, CALM))
            }
            On::Cluster => {
                let setup = Setup { cluster_masters: MASTERS, links: false, ..setup };
                (setup, plan_on_cluster(seed, 3, MASTERS, span, CALM))
            }
        };
        // On a busy machine less happens in the same time.
        let mut seen = Tally::default();
        for _ in 0..ROUNDS_MAX {
            let (verdict, nodes) = judged(setup.clone(), &rules(consistency, SILENCE_MAX), seed, &steps).await?;
            let tally = verdict.map_err(|violation| {
                let again = format!("play it again with SANDBAR_SEED={seed}");
                anyhow::anyhow!("{consistency}: {violation}; {again}\n{}", nodes.logs())
            })?;
            println!("{consistency}, seed {seed}: {tally:?}");
            seen += tally;
            if is_much(&seen) {
                break;
            }
        }
        assert!(is_much(&seen), "too little was seen: {seen:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventual_keeps_its_promises_through_trouble() -> anyhow::Result<()> {
    trials("eventual", On::Server, [11], SPAN).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bus_keeps_its_promises_through_trouble() -> anyhow::Result<()> {
    trials("bus", On::Server, [22], SPAN).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versioned_keeps_its_promises_through_trouble() -> anyhow::Result<()> {
    trials("versioned", On::Server, [31], SPAN).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_all_keeps_its_promises_through_trouble() -> anyhow::Result<()> {
    trials("write-all", On::Server, [41], SPAN).await
}

/// What is written is fetched anew behind each write, whatever fails in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_through_keeps_the_promises_through_trouble() -> anyhow::Result<()> {
    trials("write-all+write-through", On::Server, [81], SPAN).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bus_keeps_its_promises_on_a_cluster_whose_masters_die() -> anyhow::Result<()> {
    trials("bus", On::Cluster, [51], SPAN).await
}

/// A node that is alone is its own fleet: what it has promised, it keeps after it was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_with_a_disk_keeps_its_promises_though_it_is_killed() -> anyhow::Result<()> {
    trials("write-all", On::Alone(SecondTier::Disk), [61], SPAN).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_with_memory_alone_keeps_its_promises_though_it_is_killed() -> anyhow::Result<()> {
    trials("write-all", On::Alone(SecondTier::Nothing), [71], SPAN / 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn promises_are_kept_for_minutes() -> anyhow::Result<()> {
    let through = ["bus+write-through", "write-all+write-through"];
    for consistency in ["eventual", "bus", "versioned", "write-all"].into_iter().chain(through) {
        trials(consistency, On::Server, 100..104, Duration::from_secs(20)).await?;
        trials(consistency, On::Cluster, 200..203, Duration::from_secs(20)).await?;
    }
    for second_tier in [SecondTier::Disk, SecondTier::Nothing] {
        trials("write-all", On::Alone(second_tier), 300..303, Duration::from_secs(20)).await?;
    }
    Ok(())
}
