//! What does the purge of a surrogate key cost that a million entries have: its caller, and those who read meanwhile?
//!
//! All entries are values in memory, of one tenant; 1,000 others of the same tenant are read all the time. A round is a pair: a
//! window in which nothing is purged, and one that begins with the purge and ends when its sweep has freed every entry. At
//! each acknowledgement some thousand keys are asked for, and behind the sweep all million: none may be found. `--redis` puts a Redis behind it, which the purge
//! is recorded in before it is acknowledged (the entries are in there too, so filling takes minutes).
//!
//! `cargo bench -p sandbar-benches --bench purge_sweep [-- --redis]`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use sandbar::Sandbar;
use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::tenant::config::TenantConfig;
use sandbar::values::{Fresh, Keep, Values};
use sandbar_tests::redis_server::RedisServer;
use tokio::time::{Instant, sleep};

const ENTRIES: usize = 1_000_000;
const HOT: usize = 1000;
const PAIRS: usize = 9;
const READERS: usize = 16;
/// How long a reader rests between two reads.
const REST: Duration = Duration::from_millis(1);
const GIB: u64 = 1 << 30;
const TENANT: &str = "default";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let redis = std::env::args().any(|argument| argument == "--redis").then(RedisServer::start).transpose()?;
    let tenant = TenantConfig { l1: "1GiB".parse()?, ..TenantConfig::named(TENANT) };
    let mut builder = Sandbar::builder().native_only().memory_bytes(4 * GIB).tenant(tenant);
    if let Some(redis) = &redis {
        builder = builder.redis(redis.url());
    }
    let sandbar = builder.build()?;
    let day = Keep::fresh_for(Duration::from_secs(86_400));
    let values: Values<u64> = sandbar.values(TENANT, "records")?;
    let (hot, tagged) = (values.keeping(day.clone()), values.keeping(day.surrogate_key("all")));
    for key in 0..HOT {
        hot.put(format!("hot/{key}"), Fresh::value(key as u64)).await?;
    }
    let (mut acknowledged, mut swept, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    println!("pair  acknowledged  swept after  p99 of reads: without, with  ratio");
    let mut window = Duration::from_secs(1);
    for pair in 1..=PAIRS {
        fill(&tagged).await?;
        let without = reads_during(&hot, sleep(window)).await?;
        let (mut told, mut took) = (Duration::ZERO, Duration::ZERO);
        let with = reads_during(&hot, async {
            (told, took) = purge(&sandbar, &tagged).await;
        })
        .await?;
        none_is_left(&tagged, 1).await?;
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        println!("{pair:4}  {told:>12.2?}  {took:>11.2?}  {without:.2?}, {with:.2?}  {ratio:.2}");
        window = took;
        acknowledged.push(told.as_secs_f64() * 1e3);
        swept.push(took.as_secs_f64() * 1e3);
        ratios.push(ratio);
    }
    println!(
        "medians: acknowledged {:.2} ms, swept {:.0} ms, p99 of reads {:.2} times",
        median(acknowledged),
        median(swept),
        median(ratios)
    );
    Ok(())
}

/// Puts all entries, from several tasks.
async fn fill(tagged: &Values<u64>) -> anyhow::Result<()> {
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let tagged = tagged.clone();
            tokio::spawn(async move {
                for key in (task..ENTRIES).step_by(64) {
                    tagged.put(key.to_le_bytes(), Fresh::value(key as u64)).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Purges them: how long until it was acknowledged, and until the last entry had left memory.
async fn purge(sandbar: &Sandbar, tagged: &Values<u64>) -> (Duration, Duration) {
    let began = Instant::now();
    let purge = Purge { scope: Scope::SurrogateKey("all".into()), mode: PurgeMode::Hard };
    let report = sandbar.purge(TENANT, &[purge]).await.expect("the tenant is there");
    let acknowledged = began.elapsed();
    assert_eq!((report.recorded, report.pending), (1, 0), "{report:?}");
    none_is_left(tagged, 211).await.expect("at the acknowledgement");
    while sandbar.stats().tenants.iter().any(|tenant| tenant.memory.entries > HOT as u64) {
        sleep(Duration::from_millis(5)).await;
    }
    (acknowledged, began.elapsed())
}

/// The 99th percentile of how long reads of the hot values take while `meanwhile` goes on.
async fn reads_during(hot: &Values<u64>, meanwhile: impl Future<Output = ()>) -> anyhow::Result<Duration> {
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (hot, is_over) = (hot.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in reader.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("hot/{}", n * 7 % HOT);
                    let began = Instant::now();
                    let found = hot.get(&key).await?.into_value();
                    times.push(began.elapsed());
                    ensure!(found.is_some(), "{key} is gone");
                    sleep(REST).await;
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    meanwhile.await;
    is_over.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for reader in readers {
        times.extend(reader.await??);
    }
    times.sort_unstable();
    ensure!(times.len() > 100, "too few reads: {}", times.len());
    Ok(times[times.len() * 99 / 100])
}

/// Asks for every `step`th of them.
async fn none_is_left(tagged: &Values<u64>, step: usize) -> anyhow::Result<()> {
    for key in (0..ENTRIES).step_by(step) {
        ensure!(tagged.get(key.to_le_bytes()).await?.into_value().is_none(), "{key} is served after its purge");
    }
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
