//! Traffic that was recorded in front of a gateway replays as it was: as many requests, as many misses.

use sandbar_gateway::replay::{Capacity, PolicyChoice, Replay, Trace, Unit};
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::eventually;

/// The origin lives as long as it is held.
async fn shop() -> anyhow::Result<(Origin, TestGateway)> {
    let origin = Origin::start(|seen| match seen.path() {
        "/basket" => Reply::ok("yours alone").field("cache-control", "private"),
        path => Reply::ok(format!("{path} {}", "x".repeat(500))).field("cache-control", "max-age=600"),
    })
    .await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    Ok((origin, gateway))
}

async fn visit(gateway: &TestGateway) -> anyhow::Result<()> {
    eventually("the recording has begun", async || gateway.tenant(TENANT).recording_point.is_open()).await;
    let mut client = gateway.client("shop.test");
    for round in 0..3 {
        for product in 0..40 - round * 10 {
            client.get(&format!("/product/{product}")).await?;
        }
        client.get("/basket").await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_recorded_replays_as_it_was() -> anyhow::Result<()> {
    let (_origin, gateway) = shop().await?;
    let path = format!("/tenants/{TENANT}/record?seconds=8");
    let recording = gateway.admin("POST", &path, "text/csv", "");
    let (recorded, visited) = tokio::join!(recording, visit(&gateway));
    visited?;
    let text = recorded?.text();
    let (rows, end) = text.split_once('#').expect("a last line");
    assert_eq!(end.trim(), "recorded 90 dropped 0");

    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), rows)?;
    let trace = Trace::open(file.path(), &mut |_| ())?;
    let counters = gateway.tenant(TENANT).counters.values();
    let baskets = 3;
    assert_eq!(trace.requests().len() as u64, counters.requests - baskets, "what is stored for nobody is left out");
    let lru = "lru".parse::<PolicyChoice>().map_err(anyhow::Error::msg)?.native();
    let row = Replay::default().run(&trace, &lru, Unit::Entries, Capacity::Absolute(1_000), &mut |_| ())?;
    assert_eq!(row.misses, counters.misses_l1 - baskets);
    assert!(trace.requests().iter().all(|request| request.size_bytes > 500 && request.cost_us > 0));
    assert!(!gateway.tenant(TENANT).recording_point.is_open(), "the recording is over");
    Ok(())
}

#[tokio::test]
async fn a_sample_and_a_second_recording() -> anyhow::Result<()> {
    let (_origin, gateway) = shop().await?;
    let path = format!("/tenants/{TENANT}/record?seconds=4&sample=4");
    let recording = gateway.admin("POST", &path, "text/csv", "");
    let second = async {
        eventually("the recording has begun", async || gateway.tenant(TENANT).recording_point.is_open()).await;
        let second = gateway.admin("POST", &path, "text/csv", "").await;
        visit(&gateway).await?;
        second
    };
    let (recorded, second) = tokio::join!(recording, second);
    let (recorded, second) = (recorded?.text(), second?);
    assert_eq!(second.status, 409, "{}", second.text());
    let rows = recorded.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count() - 1;
    assert!((1..60).contains(&rows), "about a quarter of 90: {rows}");
    for (query, status) in [("seconds=0", 400), ("seconds=86401", 400), ("sample=0", 400), ("other=1", 400)] {
        let answer = gateway.admin("POST", &format!("/tenants/{TENANT}/record?{query}"), "text/csv", "").await?;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
    let nobody = gateway.admin("POST", "/tenants/nobody/record", "text/csv", "").await?;
    assert_eq!(nobody.status, 404);
    Ok(())
}
