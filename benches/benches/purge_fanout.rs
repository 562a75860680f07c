//! How long until every other node has heard of a purge? Three nodes on one machine and one Redis; one of them purges 500
//! times a second, while the other two and a crowd of L2 reads keep the server busy. Printed are the times from before the
//! publishing until the slower of the two listeners was called, and until the acknowledgement.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sandbar::barrier::{Barrier, Purge, PurgeMode, Scope};
use sandbar::clock::{Clock, SystemClock};
use sandbar::fleet::{Fleet, FleetConfig, Listener, Lost, Partition};
use sandbar::tier::Tier;
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar_tests::entries::{body, entry, key};
use sandbar_tests::redis_server::RedisServer;
use tokio::time::{Instant, interval, sleep};

const PURGES: u64 = 5000;
const EVERY: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Heard(Mutex<Vec<Instant>>);

impl Listener for Heard {
    fn purged(&self, _tenant: &str, _barrier: &Barrier) {
        self.0.lock().push(Instant::now());
    }

    fn lost(&self, partition: Partition, why: Lost) {
        println!("partition {} lost: {}", partition.index, why.as_str());
    }
}

#[tokio::main]
async fn main() {
    let server = RedisServer::start().expect("redis-server");
    let config = FleetConfig { silence_max: Duration::from_secs(30), ..FleetConfig::new(server.url()) };
    let heard: Vec<Arc<Heard>> = (0..3).map(|_| Arc::default()).collect();
    let nodes: Vec<Fleet> = heard
        .iter()
        .map(|heard| Fleet::start(&config, Arc::clone(heard) as _, Arc::new(SystemClock)).expect("a URL"))
        .collect();
    for node in &nodes {
        assert!(node.bus().ready(Duration::from_secs(30)).await);
    }
    let load = tokio::spawn(load(server.url()));
    let (mut began, mut acknowledged) = (Vec::new(), Vec::new());
    let mut ticks = interval(EVERY);
    for sequence in 0..PURGES {
        ticks.tick().await;
        let purge = Purge { scope: Scope::SurrogateKey(format!("product-{sequence}")), mode: PurgeMode::Hard };
        let barrier = Barrier { purge, sequence, raised: SystemClock.now() };
        let start = Instant::now();
        nodes[0].bus().publish("shop", &barrier).await.expect("published");
        began.push(start);
        acknowledged.push(start.elapsed());
    }
    while heard[1..].iter().any(|heard| heard.0.lock().len() < began.len()) {
        sleep(Duration::from_millis(10)).await;
    }
    load.abort();
    let (one, other) = (heard[1].0.lock(), heard[2].0.lock());
    let fanned: Vec<Duration> =
        began.iter().zip(one.iter().zip(&*other)).map(|(began, (a, b))| (*a).max(*b).duration_since(*began)).collect();
    report("acknowledged", acknowledged);
    report("heard by all", fanned);
}

/// Reads from L2 as fast as one connection takes them, eight at a time.
async fn load(url: String) {
    let tier = RedisTier::connect(&RedisConfig::new(url), Arc::new(SystemClock)).expect("a URL");
    assert!(tier.ready(Duration::from_secs(30)).await);
    let (key, now) = (key("news", 1), SystemClock.now());
    let stored = entry(&key, body(1, 4096), 0, now);
    tier.put(&key, stored, now.saturating_add(Duration::from_secs(3600))).await.expect("stored");
    let keys = vec![key; 8];
    loop {
        let _ = tier.get_with_sequence("news", &keys).await;
    }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms of {}", at(50), at(99), at(100), times.len());
}
