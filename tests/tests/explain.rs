//! Explaining: what the gateway says of a URL is what the next request gets, and asking changes nothing.

use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::eventually;
use serde_json::{Value, json};

const DISK: &str = "[l2]\nkind = \"disk\"\n";

async fn shop() -> anyhow::Result<Origin> {
    Origin::start(|seen| match seen.path() {
        "/varied" => Reply::ok(seen.field("accept-language").unwrap_or("-").to_owned())
            .field("cache-control", "max-age=600")
            .field("vary", "accept-language"),
        "/private" => Reply::ok("yours").field("cache-control", "private"),
        path => Reply::ok(path.to_owned())
            .field("cache-control", "max-age=600, stale-if-error=60")
            .field("surrogate-key", "all shoes")
            .field("etag", "\"1\""),
    })
    .await
}

async fn explained(gateway: &TestGateway, query: &str, fields: &[(&str, &str)]) -> anyhow::Result<Value> {
    let target = format!("/tenants/{TENANT}/explain?url=http://shop.test{query}");
    let answer = gateway.operator().get_with(&target, fields).await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

/// What the next request gets and from whom, and the states of L1 and of the disk.
fn told(explained: &Value) -> [&str; 4] {
    let (next, tiers) = (&explained["next"], &explained["tiers"]);
    let all = [&next["cache"], &next["by"], &tiers[0]["state"], &tiers[1]["state"]];
    all.map(|value| value.as_str().unwrap_or("-"))
}

#[tokio::test]
async fn it_says_what_the_next_request_gets_and_changes_nothing() -> anyhow::Result<()> {
    let origin = shop().await?;
    let class = "[[tenant.class]]\nname = \"items\"\npath = \"/items/**\"\nstrategy = \"write-through\"\n";
    let gateway = TestGateway::start(&one_tenant_over(DISK, &origin.url(), class)).await?;
    let mut client = gateway.client("shop.test");
    assert_eq!(told(&explained(&gateway, "/items/1", &[]).await?), ["fwd=uri-miss", "origin", "absent", "absent"]);
    assert_eq!(origin.requests(), 0);
    client.get("/items/1").await?;
    eventually("the disk has it", async || {
        explained(&gateway, "/items/1", &[]).await.is_ok_and(|explained| told(&explained)[3] == "visible")
    })
    .await;
    let (before, reads) = (gateway.tenant(TENANT).report(), gateway.tenant(TENANT).memory_stats().reads_noted);
    let hit = explained(&gateway, "/items/1", &[]).await?;
    assert_eq!(told(&hit), ["hit", "l1", "visible", "visible"]);
    assert_eq!((&hit["class"], &hit["strategy"]), (&json!("items"), &json!("write-through")));
    let entry = &hit["tiers"][0]["entry"];
    assert_eq!((&entry["status"], &entry["body_bytes"]), (&200.into(), &8.into()));
    assert_eq!(entry["surrogate_keys"], serde_json::json!(["all", "shoes"]));
    assert_eq!((&entry["freshness_lifetime_ms"], &entry["stale_if_error_ms"]), (&600_000.into(), &60_000.into()));
    assert!(entry["fresh_for_ms"].as_i64().is_some_and(|left| (590_000..=600_000).contains(&left)), "{entry}");
    let roles: Vec<_> = hit["policies"].as_array().into_iter().flatten().map(|policy| policy["role"].clone()).collect();
    assert!(roles.contains(&"freshness".into()) && roles.contains(&"eviction".into()), "{roles:?}");
    let insists = explained(&gateway, "/items/1", &[("ask-cache-control", "no-cache")]).await?;
    assert_eq!(told(&insists)[0], "fwd=request", "{insists}");
    assert_eq!(told(&explained(&gateway, "/items/1&method=post", &[]).await?)[0], "fwd=method");
    assert_eq!(told(&explained(&gateway, "/items/1&method=head", &[]).await?)[0], "hit");
    let after = gateway.tenant(TENANT).report();
    assert_eq!((after.counters, gateway.tenant(TENANT).memory_stats().reads_noted), (before.counters, reads));
    assert_eq!(origin.requests(), 1);

    // What it says comes true.
    gateway.drop_l1();
    assert_eq!(told(&explained(&gateway, "/items/1", &[]).await?), ["hit", "disk", "absent", "visible"]);
    assert!(!gateway.is_in_l1("shop.test", "/items/1"), "it was not promoted");
    assert_eq!(client.get("/items/1").await?.cache_status().value("detail"), Some("disk"));
    Ok(())
}

#[tokio::test]
async fn purges_that_hide_an_entry_are_named() -> anyhow::Result<()> {
    let origin = shop().await?;
    let gateway = TestGateway::start(&one_tenant_over(DISK, &origin.url(), "")).await?;
    let mut client = gateway.client("shop.test");
    client.get("/a").await?;
    eventually("the disk has it", async || {
        explained(&gateway, "/a", &[]).await.is_ok_and(|explained| told(&explained)[3] == "visible")
    })
    .await;
    let purge = |body: &'static str| gateway.admin("POST", "/tenants/default/purge", "application/json", body);
    purge(r#"{"scope":"surrogate-key","key":"shoes","mode":"soft"}"#).await?;
    let soft = explained(&gateway, "/a", &[]).await?;
    assert_eq!(told(&soft), ["fwd=stale", "origin", "soft-purged", "soft-purged"]);
    assert_eq!(
        soft["tiers"][1]["hidden_by"],
        serde_json::json!([{ "scope": { "surrogate-key": "shoes" }, "mode": "soft" }])
    );
    assert!(
        soft["next"]["why"].as_str().is_some_and(|why| why.contains("purged softly") && why.contains("304")),
        "{soft}"
    );
    assert_eq!(soft["next"]["stale_if_error"], true);
    purge(r#"{"scope":"everything"}"#).await?;
    let hard = explained(&gateway, "/a", &[]).await?;
    assert_eq!(told(&hard)[0], "fwd=uri-miss");
    assert_eq!(told(&hard)[3], "purged");
    assert_eq!(hard["tiers"][1]["hidden_by"][0], serde_json::json!({ "scope": "everything", "mode": "hard" }));
    Ok(())
}

#[tokio::test]
async fn variants_are_told_apart_by_the_fields_of_the_request_in_question() -> anyhow::Result<()> {
    let origin = shop().await?;
    let gateway = TestGateway::start(&one_tenant_over(DISK, &origin.url(), "")).await?;
    gateway.client("shop.test").get_with("/varied", &[("accept-language", "de")]).await?;
    let in_german = [("ask-accept-language", "de")];
    eventually("it is stored", async || {
        explained(&gateway, "/varied", &in_german).await.is_ok_and(|explained| told(&explained)[0] == "hit")
    })
    .await;
    let german = explained(&gateway, "/varied", &in_german).await?;
    assert_eq!(german["varies_by"], serde_json::json!([["accept-language"]]));
    let french = explained(&gateway, "/varied", &[("ask-accept-language", "fr")]).await?;
    assert_eq!(told(&french)[0], "fwd=vary-miss", "{french}");
    Ok(())
}

#[tokio::test]
async fn what_became_of_a_response_is_told() -> anyhow::Result<()> {
    let origin = shop().await?;
    let gateway = TestGateway::start(&one_tenant_over("[l2]\nkind = \"none\"\n", &origin.url(), "")).await?;
    let mut client = gateway.client("shop.test");
    // What has happened, and why or where; the newest last.
    let events = async |query: &str, fields: &[(&str, &str)]| {
        let explained = explained(&gateway, query, fields).await?;
        let events = explained["events"].as_array().into_iter().flatten().rev();
        let word = |event: &Value| {
            assert!(event["at_ms"].as_u64() > Some(1_000_000_000_000) && event["ago_ms"].is_u64(), "{event}");
            let why = event["why"].as_str().or(event["tier"].as_str()).unwrap_or_default();
            let other = if event["is_of_another_variant"] == true { " (other)" } else { "" };
            format!("{} {why}{other}", event["what"].as_str().unwrap_or_default())
        };
        anyhow::Ok(events.map(word).collect::<Vec<_>>())
    };
    assert_eq!(events("/a", &[]).await?, Vec::<String>::new());
    client.get("/a").await?;
    client.get("/private").await?;
    eventually("it is stored", async || events("/a", &[]).await.is_ok_and(|events| !events.is_empty())).await;
    assert_eq!(events("/private", &[]).await?, ["not-stored private"]);
    gateway.drop_l1();
    client.get("/a").await?;
    gateway.admin("POST", "/tenants/default/purge", "application/json", r#"{"scope":"everything"}"#).await?;
    eventually("it is swept", async || {
        events("/a", &[]).await.is_ok_and(|events| events == ["stored l1", "left cleared", "stored l1", "left purged"])
    })
    .await;
    client.get_with("/varied", &[("accept-language", "de")]).await?;
    client.get_with("/varied", &[("accept-language", "fr")]).await?;
    let german = [("ask-accept-language", "de")];
    eventually("both are stored", async || {
        events("/varied", &german).await.is_ok_and(|events| events == ["stored l1", "stored l1 (other)"])
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn nonsense_is_refused_with_a_reason() -> anyhow::Result<()> {
    let gateway = TestGateway::start(&one_tenant_over(DISK, &shop().await?.url(), "")).await?;
    for (target, status, part) in [
        ("/tenants/default/explain", 400, "url"),
        ("/tenants/default/explain?url=/a", 400, "is not the URL of an entry"),
        ("/tenants/default/explain?url=http://shop.test/&method=a%20b", 400, "is no method"),
        ("/tenants/default/explain?url=http://shop.test/&colour=1", 400, "colour"),
        ("/tenants/none/explain?url=http://shop.test/", 404, "there is no tenant"),
    ] {
        let answer = gateway.admin("GET", target, "", "").await?;
        assert_eq!(answer.status.as_u16(), status, "{target}: {}", answer.text());
        assert!(answer.text().contains(part), "{target}: {}", answer.text());
    }
    Ok(())
}
