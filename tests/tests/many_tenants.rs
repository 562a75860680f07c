//! Ten thousand tenants that are added, served and removed while the program runs: what each of them costs, and that nothing of
//! them is left.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use sandbar::Sandbar;
use sandbar::body::{self, Body, BoxError};
use sandbar::clock::{Clock, SystemClock};
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::process::resident_bytes;
use sandbar_tests::wait::{eventually, settled};
use tower::{Layer, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What an idle tenant may cost at most.
const TENANT_BYTES_MAX: u64 = 64 << 10;

/// What the process takes.
#[derive(Clone, Copy, Debug)]
struct Taken {
    resident_bytes: u64,
    threads: usize,
    files: usize,
}

fn taken() -> Taken {
    let count = |of: &str| fs::read_dir(format!("/proc/self/{of}")).expect("Linux").count();
    let resident_bytes = resident_bytes(std::process::id()).expect("Linux");
    Taken { resident_bytes, threads: count("task"), files: count("fd") }
}

/// How long it takes to find the tenants of hosts: exact ones, those of a wildcard, and of nobody.
fn look_up(sandbar: &Sandbar, tenants: usize) -> Duration {
    let hosts: Vec<String> = (0..1000)
        .flat_map(|n| {
            let number = n * tenants / 1000;
            [format!("t{number}.example"), format!("a.b.w{number}.example"), format!("nobody{n}.test")]
        })
        .collect();
    // The first round warms up.
    let rounds = (0..20).map(|_| {
        let began = SystemClock.monotonic();
        for (index, host) in hosts.iter().enumerate() {
            assert_eq!(sandbar.cache().tenant_at(host).is_some(), index % 3 < 2, "{host}");
        }
        SystemClock.monotonic() - began
    });
    rounds.min().expect("rounds")
}

async fn is_answered(sandbar: &Sandbar, host: &str) -> Result<(), BoxError> {
    let service = sandbar.layer().layer(service_fn(|_: Request<Body>| async {
        Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(body::full("page"))?)
    }));
    let response = service.oneshot(Request::get(format!("http://{host}/")).body(body::empty())?).await?;
    assert_eq!((response.status().as_u16(), response.into_body().collect().await?.to_bytes()), (200, "page".into()));
    Ok(())
}

async fn add(sandbar: &Sandbar, number: usize) -> Result<(), BoxError> {
    let name = format!("t{number}");
    let hosts = vec![format!("{name}.example"), format!("*.w{number}.example")];
    // Every other one lives on the common rest of L1.
    let l1 = if number.is_multiple_of(2) { "64KiB" } else { "0" };
    let config = TenantConfig { hosts, l1: l1.parse()?, ..TenantConfig::named(&name) };
    Ok(sandbar.put_tenant(config).await?)
}

/// Tenants of the round in which the process makes what it makes once.
const WARM_UP: usize = 500;

/// Adds, serves and removes so many tenants, twice after a warm-up: what the first of the two leaves is what was set up once.
async fn come_and_go(tenants: usize) -> Result<(), BoxError> {
    let dir = tempfile::tempdir()?;
    let first = TenantConfig { hosts: vec!["first.example".into()], ..TenantConfig::named("first") };
    let builder = Sandbar::builder().tenant(first).native_only().data_dir(dir.path().join("data"));
    let sandbar = builder.disk(dir.path().join("l2"), 256 << 20).build()?;
    let mut after_first = None;
    for (round, tenants) in [WARM_UP, tenants, tenants].into_iter().enumerate() {
        let before = taken();
        let began = SystemClock.monotonic();
        let few = tenants / 100;
        for number in 0..few {
            add(&sandbar, number).await?;
        }
        let among_few = look_up(&sandbar, few);
        for number in few..tenants {
            add(&sandbar, number).await?;
        }
        let (added, idle) = (SystemClock.monotonic() - began, taken());
        let among_many = look_up(&sandbar, tenants);
        let each = idle.resident_bytes.saturating_sub(before.resident_bytes) / tenants as u64;
        assert!(each <= TENANT_BYTES_MAX || round == 0, "{each} bytes a tenant");
        // Threads that block come and go with their work; there is none for each tenant.
        assert!(idle.threads <= before.threads + 32 && idle.files <= before.files + 8, "{before:?} {idle:?}");
        let began = SystemClock.monotonic();
        for number in 0..tenants {
            is_answered(&sandbar, &format!("t{number}.example")).await?;
        }
        let served = SystemClock.monotonic() - began;
        settled(sandbar.cache()).await;
        let one = Arc::downgrade(&sandbar.tenant("t1")?);
        let began = SystemClock.monotonic();
        for number in 0..tenants {
            sandbar.remove_tenant(&format!("t{number}")).await?;
        }
        settled(sandbar.cache()).await;
        let removed = SystemClock.monotonic() - began;
        assert!(one.upgrade().is_none() && sandbar.cache().tenants().len() == 1);
        let commons = sandbar.cache().commons_stats();
        assert_eq!((commons.given_bytes, commons.tenants, commons.holders), (0, 0, 0));
        assert!(
            sandbar.cache().tenant_at("t1.example").is_none() && sandbar.cache().tenant_at("x.w1.example").is_none()
        );
        is_answered(&sandbar, "first.example").await?;
        let bound =
            after_first.map_or(before.resident_bytes + (64 << 20), |after: Taken| after.resident_bytes + (16 << 20));
        eventually("memory and threads are given back", async || {
            // The allocator gives back what has been free for ten seconds, while it is being used.
            is_answered(&sandbar, "first.example").await.expect("an answer");
            let now = taken();
            now.resident_bytes < bound && now.threads <= before.threads + 32
        })
        .await;
        let after = taken();
        assert!(after.files <= before.files + 8, "{before:?} {after:?}");
        if round > 0 {
            after_first = Some(after);
        }
        println!(
            "round {round}, {tenants} tenants: {each} bytes each; added in {added:?}, served in {served:?}, removed in \
             {removed:?}; 3,000 hosts found in {among_few:?} among {few}, in {among_many:?} ({:.1} times as long) among all; before {before:?}, with \
             them {idle:?}, after {after:?}",
            among_many.as_secs_f64() / among_few.as_secs_f64()
        );
    }
    Ok(())
}

#[tokio::test]
async fn five_hundred_tenants_leave_nothing() -> Result<(), BoxError> {
    come_and_go(500).await
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn ten_thousand_tenants_leave_nothing() -> Result<(), BoxError> {
    come_and_go(10_000).await
}
