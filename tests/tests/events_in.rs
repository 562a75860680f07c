//! Events of other systems: the tenant's invalidation policy says what they make invalid, and that is purged.

use sandbar::Sandbar;
use sandbar::clock::Timestamp;
use sandbar::http::purge::Purge;
use sandbar::policy::Binding;
use sandbar::policy::invalidation::{Event, Invalidation, Written};
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::client::Answer;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use serde_json::{Value, json};

/// An origin whose products have surrogate keys.
async fn origin() -> anyhow::Result<Origin> {
    Origin::start(|seen| {
        let key = seen.path().trim_start_matches('/').replace('/', "-");
        Reply::ok(format!("{} of {}", seen.number, seen.path()))
            .field("cache-control", "max-age=600")
            .field("surrogate-key", key)
    })
    .await
}

fn event_map() -> Value {
    json!({ "events": {
        "product.*": { "keys": ["product-{/id}"], "urls": ["http://shop.test/list/{/list}"] },
        "all": { "prefixes": ["/"] },
    } })
}

async fn bind(gateway: &TestGateway, stock: &str, settings: Value) -> anyhow::Result<()> {
    let body = json!({ "stock": stock, "settings": settings }).to_string();
    let path = format!("/tenants/{TENANT}/policies/invalidation");
    let answer = gateway.admin("PUT", &path, "application/json", body).await?;
    anyhow::ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

async fn tell(gateway: &TestGateway, topic: &str, payload: &str) -> anyhow::Result<Answer> {
    gateway.admin("POST", &format!("/tenants/{TENANT}/events/{topic}"), "application/json", payload.to_owned()).await
}

#[tokio::test]
async fn an_event_purges_what_the_policy_maps_it_to_and_nothing_else() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    bind(&gateway, "event-map", event_map()).await?;
    let mut client = gateway.client("shop.test");
    let all = ["/product/7", "/product/8", "/list/new"];
    for path in all {
        client.get(path).await?;
        assert!(client.get(path).await?.is_hit(), "{path}");
    }
    let told = tell(&gateway, "product.changed", r#"{"id": 7, "list": "new"}"#).await?;
    assert_eq!(
        (told.status.as_u16(), serde_json::from_slice::<Value>(&told.body)?["recorded"].as_u64()),
        (200, Some(2))
    );
    let mut hits = Vec::new();
    for path in all {
        hits.push(client.get(path).await?.is_hit());
    }
    assert_eq!(hits, [false, true, false]);
    assert_eq!(serde_json::from_slice::<Value>(&tell(&gateway, "order.made", "{}").await?.body)?["recorded"], 0);
    tell(&gateway, "all", "").await?;
    assert!(!client.get("/product/8").await?.is_hit());
    let counters = gateway.tenant(TENANT).counters.values();
    assert_eq!((counters.events, counters.events_unanswered), (3, 0));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_said() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let none = tell(&gateway, "product.changed", "{}").await?;
    assert_eq!(none.status, 409);
    assert!(none.text().contains("event-map"), "{}", none.text());
    bind(&gateway, "event-map", event_map()).await?;
    assert_eq!(tell(&gateway, "a%20b", "").await?.status, 400);
    assert_eq!(tell(&gateway, &"x".repeat(257), "").await?.status, 400);
    assert_eq!(tell(&gateway, "x", &"x".repeat((256 << 10) + 1)).await?.status, 413);
    assert_eq!(tell(&gateway, "x", &"x".repeat(256 << 10)).await?.status, 200);
    assert_eq!(gateway.admin("POST", "/tenants/none/events/x", "", "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_write_purges_along_the_tree_of_paths() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    bind(&gateway, "rest-tree", Value::Null).await?;
    let mut client = gateway.client("shop.test");
    let all = [
        "/shops/1/products/7",
        "/shops/1/products/7/notes",
        "/shops/1/products?page=2",
        "/shops/1/products/8",
        "/shops/1",
    ];
    for path in all {
        client.get(path).await?;
    }
    client.send("PUT", "/shops/1/products/7", &[], "new").await?;
    let mut hits = Vec::new();
    for path in all {
        hits.push(client.get(path).await?.is_hit());
    }
    assert_eq!(hits, [false, false, false, true, true]);
    Ok(())
}

/// Fails at the first event, and purges everything at the next.
struct Hesitant(std::sync::atomic::AtomicBool);

impl Invalidation for Hesitant {
    fn purges(&self, _: Timestamp, _: &Written<'_>) -> Vec<Purge> {
        Vec::new()
    }

    fn event_purges(&self, _: Timestamp, event: &Event<'_>) -> Vec<Purge> {
        assert!(self.0.swap(true, std::sync::atomic::Ordering::SeqCst), "not at the first: {}", event.topic);
        vec![Purge::everything()]
    }
}

#[tokio::test]
async fn a_policy_that_fails_has_the_event_sent_again() -> anyhow::Result<()> {
    let sandbar = Sandbar::builder().native_only().tenant(TenantConfig::named("shop")).build()?;
    sandbar.bind("shop", Binding::invalidation("hesitant", Hesitant(false.into()))).await?;
    let values = sandbar.values::<u64>("shop", "prices")?;
    values.put("a", 7).await?;
    let failed = sandbar.event("shop", "changed", b"").await.map(drop).expect_err("its policy has failed");
    assert!(failed.to_string().contains("send it again"), "{failed}");
    assert!(values.get("a").await?.into_value().is_some(), "nothing is purged for a policy that says nothing");
    assert_eq!(sandbar.event("shop", "changed", b"").await?.recorded, 1);
    assert!(values.get("a").await?.into_value().is_none());
    assert!(sandbar.event("none", "changed", b"").await.is_err());
    Ok(())
}
