//! What stays while gateways, settings and tenants change.

use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::Origin;

use crate::shop::{CLASS, JOURNAL, Shop, nothing_is_held, origin, writes};

fn settings(origin: &Origin, class: &str) -> String {
    format!("{JOURNAL}drain = \"0s\"\n{}", one_tenant(&origin.url(), class))
}

#[tokio::test]
async fn what_is_held_survives_a_restart_and_is_read_after_it() -> anyhow::Result<()> {
    let (mut origin, shelf) = origin().await?;
    let gateway = TestGateway::start(&settings(&origin, CLASS)).await?;
    origin.stop();
    let mut client = gateway.client("shop.test");
    for key in 0..20 {
        assert_eq!(client.send("PUT", &format!("/s/{key}"), &[], format!("value {key}")).await?.status, 202);
    }
    let gateway = gateway.restart().await?;
    let mut client = gateway.client("shop.test");
    assert_eq!(client.get("/s/7").await?.text(), "value 7");
    origin.restart().await?;
    nothing_is_held(&gateway).await;
    assert!((0..20).all(|key| shelf.kept(&format!("/s/{key}")) == Some(format!("value {key}"))));
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_stops_delivers_first() -> anyhow::Result<()> {
    let shop = Shop::start_with(&format!("{JOURNAL}drain = \"30s\"\n"), CLASS).await?;
    let gate = shop.shelf.hold();
    shop.client().send("PUT", "/s/1", &[], "a").await?;
    let Shop { gateway, origin: _origin, shelf } = shop;
    let shutting = tokio::spawn(gateway.shut());
    gate.open();
    shutting.await?;
    assert_eq!(shelf.kept("/s/1").as_deref(), Some("a"));
    Ok(())
}

#[tokio::test]
async fn what_is_held_is_delivered_whatever_strategy_its_class_has_by_then() -> anyhow::Result<()> {
    let (origin, shelf) = origin().await?;
    let gateway = TestGateway::start(&settings(&origin, "")).await?;
    assert!(!gateway.cache().has_journal(), "there is none where none is needed");
    gateway.reload(&settings(&origin, CLASS)).await?;
    let gate = shelf.hold();
    let mut client = gateway.client("shop.test");
    assert_eq!(client.send("PUT", "/s/1", &[], "a").await?.status, 202);
    gateway.reload(&settings(&origin, "")).await?;
    assert_eq!(client.get("/s/1").await?.text(), "a");
    gate.open();
    nothing_is_held(&gateway).await;
    assert_eq!(shelf.kept("/s/1").as_deref(), Some("a"));
    assert_eq!(client.send("PUT", "/s/1", &[], "b").await?.status, 204, "the origin answers");
    Ok(())
}

#[tokio::test]
async fn what_a_removed_tenant_is_owed_never_reaches_the_next_one_of_its_name() -> anyhow::Result<()> {
    let (file, _) = origin().await?;
    let (mut first, first_shelf) = origin().await?;
    let (second, second_shelf) = origin().await?;
    let gateway = TestGateway::start(&settings(&file, "")).await?;
    let made = |origin: &Origin| {
        let class = serde_json::json!({ "name": "s", "path": "/s/**", "strategy": "write-behind" });
        serde_json::json!({ "hosts": ["made.test"], "origin": origin.url(), "class": [class] }).to_string()
    };
    let put = async |origin: &Origin| -> anyhow::Result<()> {
        let answer = gateway.admin("PUT", "/tenants/made", "application/json", made(origin)).await?;
        assert!(answer.status.is_success(), "{}", answer.text());
        Ok(())
    };
    put(&first).await?;
    first.stop();
    let mut client = gateway.client("made.test");
    assert_eq!(client.send("PUT", "/s/1", &[], "for the first").await?.status, 202);
    assert_eq!(gateway.admin("DELETE", "/tenants/made", "", "").await?.status, 200);
    put(&second).await?;
    assert_eq!(client.get("/s/1").await?.status, 404, "it reads nothing of the one before");
    assert_eq!(client.send("PUT", "/s/1", &[], "for the second").await?.status, 202);
    first.restart().await?;
    nothing_is_held(&gateway).await;
    assert_eq!(first_shelf.kept("/s/1").as_deref(), Some("for the first"), "its own origin gets what it is owed");
    assert_eq!(second_shelf.kept("/s/1").as_deref(), Some("for the second"));
    assert_eq!(writes(&second).len(), 1);
    Ok(())
}

#[tokio::test]
async fn metrics_and_stats_tell_of_what_is_held() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let gate = shop.shelf.hold();
    shop.client().send("PUT", "/s/1", &[], "a").await?;
    let metrics = shop.gateway.admin("GET", "/metrics", "", "").await?.text();
    for line in [
        "sandbar_journal_writes{} 1".to_owned(),
        "sandbar_journal_dead_letters{} 0".to_owned(),
        format!("sandbar_writes_held_total{{tenant=\"{TENANT}\"}} 1"),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    gate.open();
    shop.nothing_is_held().await;
    Ok(())
}
