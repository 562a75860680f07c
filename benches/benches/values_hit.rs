//! What does a hit in L1 cost a program that keeps values, beside moka's `get`?
//!
//! `values_hit/moka`: a hit in `moka::sync::Cache`, which gives a clone of an `Arc`.
//! `values_hit/sandbar`: `Values::get`: the tenant, the key's text and hash, L1 with its eviction policy, the barriers' verdict,
//! freshness, counters. One thread, 1,000 keys.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sandbar::Sandbar;
use tokio::runtime::Runtime;

const KEYS: usize = 1000;

fn values_hit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let keys: Vec<String> = (0..KEYS).map(|n| format!("product/{n}")).collect();
    let mut group = criterion.benchmark_group("values_hit");
    group.throughput(Throughput::Elements(KEYS as u64));

    let moka = moka::sync::Cache::new(KEYS as u64 * 2);
    keys.iter().for_each(|key| moka.insert(key.clone(), Arc::new([7_u64; 8])));
    group.bench_function("moka", |bencher| {
        bencher.iter(|| keys.iter().for_each(|key| assert!(black_box(moka.get(key)).is_some())));
    });

    let _entered = runtime.enter();
    let sandbar = Sandbar::builder().native_only().build().expect("a cache in memory");
    let values = sandbar.values::<[u64; 8]>("default", "products").expect("a name");
    runtime.block_on(async {
        for key in &keys {
            values.put(key, [7_u64; 8]).await.expect("it is stored");
        }
    });
    group.bench_function("sandbar", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                for key in &keys {
                    assert!(black_box(values.get(key).await.expect("a key").into_value()).is_some());
                }
            });
        });
    });
    group.finish();
}

criterion_group!(benches, values_hit);
criterion_main!(benches);
