//! What does a hit cost a client, from the first byte of its request to the last of the answer, over the loopback
//! interface? One keep-alive connection that waits for each answer, and 32 of them at once.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sandbar_tests::client::Client;
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const HOST: &str = "bench.test";
const BODIES_BYTES: [usize; 3] = [100, 10_000, 100_000];
const CONNECTIONS: u64 = 32;

struct Stage {
    runtime: Runtime,
    gateway: TestGateway,
    _origin: Origin,
}

/// A gateway that has one target per body size in L1.
fn stage() -> Stage {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (gateway, _origin) = runtime.block_on(async {
        let reply = |path: &str| Reply::ok(vec![b'x'; path[1..].parse().unwrap_or(0)]);
        let origin = Origin::start(move |request| reply(request.path()).field("cache-control", "max-age=86400")).await;
        let origin = origin.expect("an origin");
        let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await.expect("a gateway");
        let mut client = gateway.client(HOST);
        for bytes in BODIES_BYTES {
            client.get(&format!("/{bytes}")).await.expect("a first answer");
            let hit = client.get(&format!("/{bytes}")).await.expect("a second answer");
            assert!(hit.is_hit() && hit.body.len() == bytes);
        }
        (gateway, origin)
    });
    Stage { runtime, gateway, _origin }
}

async fn hits(mut client: Client, target: String, count: u64) {
    for _ in 0..count {
        black_box(client.get(&target).await.expect("a hit"));
    }
}

/// Time for `count` hits in all, divided among the connections.
async fn timed(gateway: &TestGateway, target: &str, connections: u64, count: u64) -> Duration {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = gateway.client(HOST);
        client.get(target).await.expect("a connection");
        clients.push(client);
    }
    let start = tokio::time::Instant::now();
    let mut tasks = JoinSet::new();
    for (index, client) in (0_u64..).zip(clients) {
        let share = count / connections + u64::from(index < count % connections);
        tasks.spawn(hits(client, target.to_owned(), share));
    }
    tasks.join_all().await;
    start.elapsed()
}

fn gateway_hit(criterion: &mut Criterion) {
    let stage = stage();
    for connections in [1, CONNECTIONS] {
        let mut group = criterion.benchmark_group(format!("gateway_hit/{connections}_connections"));
        for bytes in BODIES_BYTES {
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new("body_bytes", bytes), |bencher| {
                bencher.iter_custom(|count| {
                    stage.runtime.block_on(timed(&stage.gateway, &format!("/{bytes}"), connections, count))
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, gateway_hit);
criterion_main!(benches);
