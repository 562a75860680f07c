//! What does a hit in L2 cost, beside what the storage below it costs anyway?
//!
//! `redis/bare`: the same client library, 64 `GET`s in flight on one connection, nothing done with the answers.
//! `redis/hit`: the tier, 64 hits in flight: bounded read, purge sequence, deadline, checksum, decoding.
//! The two take turns first, fifteen rounds of 20,000 each, and the ratio of their medians is printed: on a machine that is
//! not idle, figures that were not measured in turn can't be compared.
//! `redis/…-batched`: 64 keys in one pipeline. `disk/hit`: 64 hits in flight in the embedded tier, in the page cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use redis::aio::MultiplexedConnection;
use sandbar::clock::{Clock, SystemClock};
use sandbar::http::key::CacheKey;
use sandbar::tier::Tier;
use sandbar::tier::disk::{DiskConfig, DiskTier};
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar_tests::entries::{body, entry, key};
use sandbar_tests::redis_server::RedisServer;
use tokio::runtime::Runtime;
use tokio::time::Instant;

const IN_FLIGHT: u64 = 64;
const KEYS: u64 = 10_000;
const ROUND: u64 = 20_000;
const BODY_BYTES: usize = 4096;

fn l2_hit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let keys: Arc<Vec<CacheKey>> = Arc::new((0..KEYS).map(|n| key("bench", n)).collect());
    redis_hit(criterion, &runtime, &keys);
    disk_hit(criterion, &runtime, &keys);
}

fn redis_hit(criterion: &mut Criterion, runtime: &Runtime, keys: &Arc<Vec<CacheKey>>) {
    let server = RedisServer::start().expect("redis-server");
    // Under a bench's load a call may take longer than in a cache.
    let config = RedisConfig { deadline: Duration::from_secs(5), ..RedisConfig::new(server.url()) };
    let (tier, connection) = runtime.block_on(async {
        let tier = RedisTier::connect(&config, Arc::new(SystemClock)).expect("a URL");
        assert!(tier.ready(Duration::from_secs(10)).await);
        fill(&*tier, keys).await;
        let client = redis::Client::open(server.url()).expect("a URL");
        let connecting = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(5)));
        (tier, client.get_multiplexed_async_connection_with_config(&connecting).await.expect("a connection"))
    });
    let names: Arc<Vec<String>> =
        Arc::new(keys.iter().map(|key| format!("sandbar:{{bench}}:e:{:032x}", key.hash().0)).collect());

    let bare_round = || {
        let (connection, names) = (connection.clone(), Arc::clone(&names));
        runtime.block_on(in_flight(ROUND, move |n| bare(connection.clone(), Arc::clone(&names), n)))
    };
    let hit_round = || {
        let (tier, keys) = (Arc::clone(&tier), Arc::clone(keys));
        runtime.block_on(in_flight(ROUND, move |n| hit(Arc::clone(&tier), Arc::clone(&keys), n)))
    };
    in_turn("64 in flight", bare_round, hit_round);
    let bare_round = || runtime.block_on(bare_batches(connection.clone(), &names, ROUND / IN_FLIGHT));
    let hit_round = || runtime.block_on(batches(&*tier, keys, ROUND / IN_FLIGHT));
    in_turn("64 in one pipeline", bare_round, hit_round);

    let mut group = criterion.benchmark_group("redis");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare", |bencher| {
        bencher.iter_custom(|iterations| {
            let (connection, names) = (connection.clone(), Arc::clone(&names));
            runtime.block_on(in_flight(iterations, move |n| bare(connection.clone(), Arc::clone(&names), n)))
        });
    });
    group.bench_function("hit", |bencher| {
        bencher.iter_custom(|iterations| {
            let (tier, keys) = (Arc::clone(&tier), Arc::clone(keys));
            runtime.block_on(in_flight(iterations, move |n| hit(Arc::clone(&tier), Arc::clone(&keys), n)))
        });
    });
    group.throughput(Throughput::Elements(IN_FLIGHT));
    group.bench_function("bare-batched", |bencher| {
        bencher.iter_custom(|iterations| runtime.block_on(bare_batches(connection.clone(), &names, iterations)));
    });
    group.bench_function("hit-batched", |bencher| {
        bencher.iter_custom(|iterations| runtime.block_on(batches(&*tier, keys, iterations)));
    });
    group.finish();
}

fn disk_hit(criterion: &mut Criterion, runtime: &Runtime, keys: &Arc<Vec<CacheKey>>) {
    let dir = tempfile::tempdir().expect("a directory");
    let tier = DiskTier::open(&DiskConfig::new(dir.path(), 1 << 30), Arc::new(SystemClock)).expect("a disk");
    runtime.block_on(fill(&*tier, keys));
    let mut group = criterion.benchmark_group("disk");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hit", |bencher| {
        bencher.iter_custom(|iterations| {
            let (tier, keys) = (Arc::clone(&tier), Arc::clone(keys));
            runtime.block_on(in_flight(iterations, move |n| hit(Arc::clone(&tier), Arc::clone(&keys), n)))
        });
    });
    group.finish();
}

/// Prints what a bare read and a hit cost, measured in turn: in elapsed time, and in processor time of this process.
fn in_turn(how: &str, bare: impl Fn() -> Duration, hit: impl Fn() -> Duration) {
    let rounds: Vec<[Duration; 4]> = (0..15)
        .map(|_| {
            let ((bare, bare_cpu), (hit, hit_cpu)) = (with_cpu(&bare), with_cpu(&hit));
            [bare, hit, bare_cpu, hit_cpu]
        })
        .collect();
    let median = |column: usize| {
        let mut figures: Vec<Duration> = rounds.iter().map(|round| round[column]).collect();
        figures.sort();
        figures[figures.len() / 2].as_secs_f64() * 1e6 / f64::from(u32::try_from(ROUND).expect("small"))
    };
    let [bare, hit, bare_cpu, hit_cpu] = [0, 1, 2, 3].map(median);
    println!("redis, {how}: bare {bare:.2} us, hit {hit:.2} us, ratio {:.2}", hit / bare);
    println!("    processor time here: bare {bare_cpu:.2} us, hit {hit_cpu:.2} us, {:.2} more", hit_cpu - bare_cpu);
}

fn with_cpu(round: impl Fn() -> Duration) -> (Duration, Duration) {
    let before = cpu_time();
    let took = round();
    (took, cpu_time().saturating_sub(before))
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

async fn fill(tier: &dyn Tier, keys: &[CacheKey]) {
    let now = SystemClock.now();
    for (n, key) in (0..).zip(keys) {
        let entry = entry(key, body(n, BODY_BYTES), 0, now);
        tier.put(key, entry, now.saturating_add(Duration::from_secs(3600))).await.expect("stored");
    }
}

async fn hit<T: Tier + ?Sized>(tier: Arc<T>, keys: Arc<Vec<CacheKey>>, n: u64) {
    let key = &keys[place(n)..=place(n)];
    let found = tier.get_with_sequence("bench", key).await.expect("an answer");
    assert!(found.entries[0].is_some());
}

async fn bare(mut connection: MultiplexedConnection, names: Arc<Vec<String>>, n: u64) {
    let value: Vec<u8> = redis::cmd("GET").arg(&names[place(n)]).query_async(&mut connection).await.expect("an answer");
    assert!(value.len() > BODY_BYTES);
}

async fn bare_batches(mut connection: MultiplexedConnection, names: &[String], iterations: u64) -> Duration {
    let began = Instant::now();
    for round in 0..iterations {
        let mut pipeline = redis::pipe();
        for n in 0..IN_FLIGHT {
            pipeline.get(&names[place(round * IN_FLIGHT + n)]);
        }
        let values: Vec<Vec<u8>> = pipeline.query_async(&mut connection).await.expect("an answer");
        assert_eq!(values.len() as u64, IN_FLIGHT);
    }
    began.elapsed()
}

async fn batches(tier: &dyn Tier, keys: &[CacheKey], iterations: u64) -> Duration {
    let began = Instant::now();
    for round in 0..iterations {
        let keys: Vec<CacheKey> = (0..IN_FLIGHT).map(|n| keys[place(round * IN_FLIGHT + n)].clone()).collect();
        let found = tier.get_with_sequence("bench", &keys).await.expect("an answer");
        assert!(found.entries.iter().all(Option::is_some));
    }
    began.elapsed()
}

/// Runs `iterations` of `work`, 64 at the same time, and answers with how long that took.
async fn in_flight<F>(iterations: u64, work: impl Fn(u64) -> F + Clone + Send + 'static) -> Duration
where
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (next, work) = (Arc::clone(&next), work.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= iterations {
                        break;
                    }
                    work(n).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("no hit was missed");
    }
    began.elapsed()
}

/// The index of a key, another one for each `n`.
fn place(n: u64) -> usize {
    usize::try_from(n.wrapping_mul(2_654_435_761) % KEYS).expect("small")
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4));
    targets = l2_hit
}
criterion_main!(benches);
