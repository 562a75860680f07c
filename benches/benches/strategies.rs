//! What does each strategy for writes cost, and what do readers see? Two nodes in one process, on one Redis, in front of an origin
//! that takes 10 ms for each request. Writers and readers ask both nodes for the same targets; each strategy has the same time.
//!
//! A read is *stale* where it shows an older version than one whose write had been acknowledged before the read began; how
//! stale it is counts from that acknowledgement.
//!
//! `cargo bench -p sandbar-benches --bench strategies`; the table goes to `docs/strategies.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::body::{self, Body};
use sandbar::consistency::Consistency;
use sandbar::origin::{Origin, OriginError};
use sandbar::setting::Span;
use sandbar::strategy::Strategy;
use sandbar::tenant::config::{ClassConfig, TenantConfig};
use sandbar_tests::node::{Node, fleet_config};
use sandbar_tests::redis_server::RedisServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const NODES: usize = 2;
const TARGETS: usize = 100;
const WRITERS: usize = 4;
const READERS: usize = 16;
/// Half of the time that the origin takes: a request counts in its middle.
const HALF: Duration = Duration::from_millis(5);
const WARM_UP: Duration = Duration::from_secs(2);
const LASTS: Duration = Duration::from_secs(10);
/// Writers rest between two writes: there are some 5 reads of a target for each write of it.
const WRITERS_REST: Duration = Duration::from_millis(30);
const READERS_REST: Duration = Duration::from_millis(5);

/// A strategy as it is compared: its name, the class, and the lifetime that the origin gives.
type Case = (&'static str, fn(&mut ClassConfig), &'static str);

const CASES: [Case; 6] = [
    ("`ttl`, lifetime 1 s", |class| class.strategy = Some(Strategy::Ttl), "max-age=1"),
    (
        "`ttl`, `ttl_invalidates = false`, 1 s",
        |class| (class.strategy, class.ttl_invalidates) = (Some(Strategy::Ttl), Some(false)),
        "max-age=1",
    ),
    ("`invalidate`, `bus`", |class| class.consistency = Some(Consistency::Bus), "max-age=600"),
    ("`invalidate`, `write-all`", |class| class.consistency = Some(Consistency::WriteAll), "max-age=600"),
    (
        "`write-through`, `bus`",
        |class| (class.strategy, class.consistency) = (Some(Strategy::WriteThrough), Some(Consistency::Bus)),
        "max-age=600",
    ),
    (
        "`write-through` with `put_lifetime`, `bus`",
        |class| {
            (class.strategy, class.consistency) = (Some(Strategy::WriteThrough), Some(Consistency::Bus));
            class.put_lifetime = Some(Span::of(Duration::from_secs(600)));
        },
        "max-age=600",
    ),
];

/// The origin, and what has been acknowledged of it.
struct Shelf {
    cache_control: &'static str,
    /// By target, the number of writes that it has taken.
    versions: [AtomicUsize; TARGETS],
    /// By target, when each version was acknowledged; the first is there from the beginning.
    acknowledged: [Mutex<Vec<Option<Instant>>>; TARGETS],
    reads: AtomicUsize,
}

impl Shelf {
    fn new(cache_control: &'static str) -> Self {
        let began = Instant::now();
        Self {
            cache_control,
            versions: std::array::from_fn(|_| AtomicUsize::new(0)),
            acknowledged: std::array::from_fn(|_| Mutex::new(vec![Some(began)])),
            reads: AtomicUsize::new(0),
        }
    }

    /// How long before `asked` a newer version than this one had been acknowledged; none where none had.
    fn stale_by(&self, target: usize, version: usize, asked: Instant) -> Option<Duration> {
        let acknowledged = self.acknowledged[target].lock();
        let newer = acknowledged.iter().skip(version + 1).flatten().min()?;
        asked.checked_duration_since(*newer).filter(|late| !late.is_zero())
    }
}

impl Origin for Shelf {
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        Box::pin(async move {
            let target: usize = request.uri().path()[1..].parse().expect("a target's number");
            let writes = *request.method() != Method::GET;
            let _sent = request.into_body().collect().await;
            sleep(HALF).await;
            let version = match writes {
                true => 1 + self.versions[target].fetch_add(1, Ordering::SeqCst),
                false => self.versions[target].load(Ordering::SeqCst),
            };
            self.reads.fetch_add(usize::from(!writes), Ordering::Relaxed);
            sleep(HALF).await;
            let response = Response::builder().header("etag", format!("\"{version}\""));
            let response = response.header("cache-control", self.cache_control);
            Ok(response.body(body::full(vec![b'x'; 1024])).expect("a response"))
        })
    }
}

/// What was seen in the time that counts.
#[derive(Default)]
struct Seen {
    writes: Vec<Duration>,
    reads: Vec<Duration>,
    hits: usize,
    stale: Vec<Duration>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    println!(
        "| strategy | writes/s | write p50 / p99 | reads/s | read p50 / p99 | hits | stale reads | stale by, p50 / p99 | origin reads per write |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for case in CASES {
        run(case).await?;
    }
    Ok(())
}

async fn run((name, class, cache_control): Case) -> anyhow::Result<()> {
    let (server, shelf) = (RedisServer::start()?, Arc::new(Shelf::new(cache_control)));
    let mut all = ClassConfig { name: "all".into(), path: "/**".into(), ..ClassConfig::default() };
    class(&mut all);
    let tenant = TenantConfig { name: "shop".into(), classes: vec![all], ..TenantConfig::default() };
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let config = sandbar::fleet::FleetConfig {
            silence_max: Duration::from_secs(1),
            member_timeout: Duration::from_secs(2),
            ..fleet_config(&server.url())
        };
        nodes.push(Node::over(config, tenant.clone(), shelf.clone(), Arc::default())?.hears().await?);
    }
    sleep(WARM_UP).await;
    let (counts, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for client in 0..WRITERS + READERS {
        let (node, shelf) = (nodes[client % NODES].clone(), Arc::clone(&shelf));
        clients.spawn(ask(client, node, shelf, Arc::clone(&counts), Arc::clone(&over)));
    }
    sleep(WARM_UP).await;
    let reads_before = shelf.reads.load(Ordering::Relaxed);
    counts.store(true, Ordering::SeqCst);
    sleep(LASTS).await;
    let origin_reads = shelf.reads.load(Ordering::Relaxed) - reads_before;
    over.store(true, Ordering::SeqCst);
    let mut seen = Seen::default();
    while let Some(client) = clients.join_next().await {
        let client = client??;
        seen.writes.extend(client.writes);
        seen.reads.extend(client.reads);
        seen.stale.extend(client.stale);
        seen.hits += client.hits;
    }
    report(name, seen, origin_reads);
    Ok(())
}

/// A client that writes, or reads, until it is over.
async fn ask(
    client: usize,
    node: Node,
    shelf: Arc<Shelf>,
    counts: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
) -> anyhow::Result<Seen> {
    let (mut seen, mut random) = (Seen::default(), fastrand::Rng::with_seed(client as u64));
    let writes = client < WRITERS;
    while !over.load(Ordering::SeqCst) {
        let target = random.usize(..TARGETS);
        let (method, content) = match writes {
            true => (Method::PUT, body::full(vec![b'x'; 1024])),
            false => (Method::GET, body::empty()),
        };
        let request = Request::builder().method(method).uri(format!("http://h/{target}")).body(content)?;
        let asked = Instant::now();
        let answer = node.cache.respond(&node.tenant, request).await;
        let (took, counted) = (asked.elapsed(), counts.load(Ordering::SeqCst));
        let version: usize = answer.headers()["etag"].to_str()?.trim_matches('"').parse()?;
        if writes {
            let mut acknowledged = shelf.acknowledged[target].lock();
            let len = acknowledged.len().max(version + 1);
            acknowledged.resize(len, None);
            acknowledged[version] = Some(Instant::now());
            drop(acknowledged);
            seen.writes.extend(counted.then_some(took));
        } else if counted {
            seen.reads.push(took);
            seen.hits += usize::from(answer.headers()["cache-status"].to_str()?.contains("hit"));
            seen.stale.extend(shelf.stale_by(target, version, asked));
        }
        let _sent = answer.into_body().collect().await;
        sleep(if writes { WRITERS_REST } else { READERS_REST }).await;
    }
    Ok(seen)
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn report(name: &str, mut seen: Seen, origin_reads: usize) {
    let spread = |times: &mut Vec<Duration>| {
        times.sort();
        let at = |percent: usize| {
            let time = times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
            time.as_secs_f64() * 1e3
        };
        format!("{:.2} / {:.2} ms", at(50), at(99))
    };
    let (writes, reads, stale) = (seen.writes.len(), seen.reads.len(), seen.stale.len());
    let a_second = |count: usize| count as f64 / LASTS.as_secs_f64();
    println!(
        "| {name} | {:.0} | {} | {:.0} | {} | {:.1} % | {:.2} % | {} | {:.1} |",
        a_second(writes),
        spread(&mut seen.writes),
        a_second(reads),
        spread(&mut seen.reads),
        100.0 * seen.hits as f64 / reads.max(1) as f64,
        100.0 * stale as f64 / reads.max(1) as f64,
        if stale == 0 { "–".to_owned() } else { spread(&mut seen.stale) },
        origin_reads as f64 / writes.max(1) as f64,
    );
}
