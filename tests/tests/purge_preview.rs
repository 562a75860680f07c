//! What a purge would reach, as it is said before it is made.

use std::sync::Arc;

use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::cache::Reach;
use sandbar_tests::gateway::{TestGateway, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::settled;
use serde_json::{Value, json};

/// A gateway in front of pages whose surrogate keys are the first letters of their paths.
async fn started(l2: &str, more: &str) -> anyhow::Result<TestGateway> {
    let origin = Origin::start(|seen| {
        let page = Reply::ok("a page of some bytes").field("cache-control", "max-age=600");
        let page = page.field("surrogate-key", &seen.path()[1..2]);
        if seen.path().contains("vary") { page.field("vary", "accept-language") } else { page }
    })
    .await?;
    let gateway =
        TestGateway::start(&one_tenant_over(&format!("[l2]\nkind = \"{l2}\"\n"), &origin.url(), more)).await?;
    // It ends with the program.
    std::mem::forget(origin);
    Ok(gateway)
}

async fn ask(gateway: &TestGateway, paths: &[&str]) -> anyhow::Result<()> {
    let mut client = gateway.client("shop.test");
    for path in paths {
        assert_eq!(client.get(path).await?.status, 200);
    }
    settled(gateway.cache()).await;
    Ok(())
}

async fn preview(gateway: &TestGateway, purges: &Value) -> anyhow::Result<Value> {
    let answer =
        gateway.admin("POST", "/tenants/default/purge/preview", "application/json", purges.to_string()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

fn entries(preview: &Value) -> (u64, Option<u64>) {
    (preview["l1"]["entries"].as_u64().expect("a number"), preview["l2_at_least"]["entries"].as_u64())
}

#[tokio::test]
async fn it_says_what_each_scope_reaches_and_changes_nothing() -> anyhow::Result<()> {
    let gateway = started("disk", "").await?;
    ask(&gateway, &["/a/1", "/a/2", "/b/1", "/a/1"]).await?;
    let before = gateway.cache().tenant("default").expect("it").memory_stats();
    for (purge, expected) in [
        (json!({"scope": "everything"}), 3),
        (json!({"scope": "surrogate-key", "key": "a"}), 2),
        (json!({"scope": "prefix", "prefix": "/b"}), 1),
        (json!({"scope": "key", "url": "http://shop.test/a/1", "mode": "soft"}), 1),
        (json!([{"scope": "surrogate-key", "key": "a"}, {"scope": "prefix", "prefix": "/a"}]), 2),
        (json!({"scope": "surrogate-key", "key": "none"}), 0),
    ] {
        let found = preview(&gateway, &purge).await?;
        assert_eq!(entries(&found), (expected, Some(expected)), "{purge}: {found}");
        assert_eq!(found["hottest"].as_array().map(Vec::len), Some(expected as usize), "{purge}: {found}");
        assert_eq!((found["l1"]["bytes"].as_u64() > Some(100), &found["is_everything"]), (expected > 0, &json!(false)));
    }
    let after = gateway.cache().tenant("default").expect("it").memory_stats();
    assert_eq!(
        (after.entries, after.insertions),
        (before.entries, before.insertions),
        "nothing is purged, nothing promoted"
    );
    assert_eq!(gateway.client("shop.test").get("/a/1").await?.text(), "a page of some bytes");
    Ok(())
}

#[tokio::test]
async fn what_is_purged_is_not_reached_again_and_memory_alone_has_no_l2() -> anyhow::Result<()> {
    let gateway = started("none", "").await?;
    ask(&gateway, &["/a/1", "/a/2"]).await?;
    let everything = json!({"scope": "everything"});
    assert_eq!(entries(&preview(&gateway, &everything).await?), (2, None));
    let purged = gateway
        .admin("POST", "/tenants/default/purge", "application/json", r#"{"scope":"key","url":"http://shop.test/a/1"}"#)
        .await?;
    assert_eq!(purged.status, 200);
    assert_eq!(entries(&preview(&gateway, &everything).await?), (1, None), "whether it is swept yet or not");
    Ok(())
}

#[tokio::test]
async fn each_variant_counts_and_the_hottest_come_first() -> anyhow::Result<()> {
    let gateway = started("disk", "policy.eviction = { stock = \"lru\", native = true }\n").await?;
    let mut client = gateway.client("shop.test");
    for language in ["de", "en"] {
        client.send("GET", "/vary", &[("accept-language", language)], "").await?;
        settled(gateway.cache()).await;
    }
    ask(&gateway, &["/b/1", "/b/2", "/b/3", "/b/1"]).await?;
    let found = preview(&gateway, &json!({"scope": "everything"})).await?;
    assert_eq!(entries(&found), (5, Some(5)), "{found}");
    assert_eq!(found["hottest"][0]["url"], "http://shop.test/b/1", "{found}");
    assert_eq!(found["hottest"][4]["url"], "http://shop.test/vary", "{found}");
    Ok(())
}

#[tokio::test]
async fn nobody_sees_what_another_tenant_has() -> anyhow::Result<()> {
    let gateway =
        started("disk", "[[tenant]]\nname = \"other\"\nhosts = [\"other.test\"]\norigin = \"http://127.0.0.1:1\"\n")
            .await?;
    ask(&gateway, &["/a/1"]).await?;
    let answer =
        gateway.admin("POST", "/tenants/other/purge/preview", "application/json", r#"{"scope":"everything"}"#).await?;
    assert_eq!(serde_json::from_slice::<Value>(&answer.body)?["l1"]["entries"], 0);
    let gone =
        gateway.admin("POST", "/tenants/none/purge/preview", "application/json", r#"{"scope":"everything"}"#).await?;
    let wrong = gateway.admin("POST", "/tenants/other/purge/preview", "application/json", r#"{"scope":"all"}"#).await?;
    assert_eq!((gone.status.as_u16(), wrong.status.as_u16()), (404, 400));
    Ok(())
}

#[tokio::test]
async fn more_scopes_than_are_remembered_are_said_to_reach_everything() -> anyhow::Result<()> {
    let gateway = started("disk", "").await?;
    ask(&gateway, &["/a/1"]).await?;
    let (cache, tenant) = (gateway.cache(), gateway.cache().tenant("default").expect("it"));
    let prefix =
        |number: usize| sandbar_http::key::TargetPrefix::new(None, &format!("/none/{number}/")).expect("a prefix");
    let scopes =
        |many: usize| (0..many).map(|number| Purge { scope: Scope::Prefix(prefix(number)), mode: PurgeMode::Hard });
    let few: Vec<_> = scopes(256).collect();
    let found = cache.preview_purge(&tenant, &few).await?;
    assert_eq!((found.l1, found.is_everything), (Reach::default(), false));
    let many: Vec<_> = scopes(257).collect();
    let found = cache.preview_purge(&tenant, &many).await?;
    assert_eq!((found.l1.entries, found.is_everything), (1, true));
    cache.purge(&Arc::clone(&tenant), &many).await;
    assert_eq!(cache.preview_purge(&tenant, &[Purge::everything()]).await?.l1, Reach::default(), "and it does");
    Ok(())
}
