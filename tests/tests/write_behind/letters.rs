//! Dead letters: writes that the origin refuses.

use sandbar_tests::gateway::TENANT;
use sandbar_tests::wait::eventually;
use serde_json::Value;

use crate::shop::{CLASS, Shop};

async fn letters(shop: &Shop) -> anyhow::Result<Vec<Value>> {
    let found = shop.gateway.admin("GET", &format!("/tenants/{TENANT}/dead-letters"), "", "").await?;
    assert_eq!(found.status, 200, "{}", found.text());
    Ok(serde_json::from_slice::<Value>(&found.body)?["letters"].as_array().unwrap().clone())
}

#[tokio::test]
async fn a_write_that_is_refused_is_a_dead_letter_and_leaves_the_cache() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[], "good").await?;
    shop.nothing_is_held().await;
    shop.shelf.refuse(422);
    client.send("PUT", "/s/1", &[("authorization", "Bearer s3cret"), ("x-kind", "note")], "bad").await?;
    shop.nothing_is_held().await;
    assert_eq!(client.get("/s/1").await?.text(), "good");
    let found = letters(&shop).await?;
    assert_eq!(found.len(), 1);
    let letter = &found[0];
    assert_eq!(letter["method"], "PUT");
    assert_eq!(letter["url"], "http://shop.test/s/1");
    assert!(letter["reason"].as_str().unwrap().contains("422"), "{letter}");
    assert!(!letter.to_string().contains("s3cret") && letter.to_string().contains("note"), "{letter}");

    // Sent again once the origin takes it.
    shop.shelf.refuse(0);
    let seq = &letter["seq"];
    let path = format!("/tenants/{TENANT}/dead-letters/{seq}");
    let retried = shop.gateway.admin("POST", &format!("{path}/retry"), "application/json", "{}").await?;
    assert_eq!(retried.status, 200, "{}", retried.text());
    eventually("it is delivered", async || shop.shelf.kept("/s/1").as_deref() == Some("bad")).await;
    shop.nothing_is_held().await;
    assert!(letters(&shop).await?.is_empty());
    assert_eq!(client.get("/s/1").await?.text(), "bad");
    assert_eq!(shop.gateway.admin("POST", &format!("{path}/retry"), "application/json", "{}").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_letter_that_was_overtaken_is_sent_only_where_that_is_said_and_can_be_dropped() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let mut client = shop.client();
    shop.shelf.refuse(400);
    client.send("PUT", "/s/1", &[], "old").await?;
    shop.nothing_is_held().await;
    shop.shelf.refuse(0);
    client.send("PUT", "/s/1", &[], "new").await?;
    shop.nothing_is_held().await;
    let letter = &letters(&shop).await?[0];
    assert_eq!(letter["overtaken"], true);
    let path = format!("/tenants/{TENANT}/dead-letters/{}", letter["seq"]);
    let refused = shop.gateway.admin("POST", &format!("{path}/retry"), "application/json", "{}").await?;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(shop.gateway.admin("DELETE", &path, "", "").await?.status, 204);
    assert_eq!(shop.gateway.admin("DELETE", &path, "", "").await?.status, 404);
    assert!(letters(&shop).await?.is_empty());
    assert_eq!(shop.shelf.kept("/s/1").as_deref(), Some("new"));
    Ok(())
}

#[tokio::test]
async fn a_write_that_is_never_taken_is_a_dead_letter_in_the_end() -> anyhow::Result<()> {
    let journal = "[journal]\nretry_first = \"1ms\"\nretry_max = \"5ms\"\nretry_for = \"1s\"\n";
    let shop = Shop::start_with(journal, CLASS).await?;
    shop.shelf.refuse(500);
    shop.client().send("PUT", "/s/1", &[], "a").await?;
    eventually("it is given up", async || shop.counters().writes_dead == 1).await;
    assert!(letters(&shop).await?[0]["reason"].as_str().unwrap().contains("500"));
    Ok(())
}

#[tokio::test]
async fn whose_writes_are_refused_again_and_again_waits_for_the_origin() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    shop.shelf.refuse(403);
    let mut client = shop.client();
    for n in 0..16 {
        assert_eq!(client.send("PUT", &format!("/s/{n}"), &[], "x").await?.status, 202);
    }
    shop.nothing_is_held().await;
    assert_eq!(client.send("PUT", "/s/more", &[], "x").await?.status, 403, "the origin answers");
    assert_eq!((shop.counters().writes_distrusted, letters(&shop).await?.len()), (1, 16));
    Ok(())
}

#[tokio::test]
async fn a_redirect_does_not_take_a_write() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let mut client = shop.client();
    for (n, status) in [301, 302, 307, 308].into_iter().enumerate() {
        shop.shelf.refuse(status);
        client.send("PUT", &format!("/s/{n}"), &[], "a").await?;
        shop.nothing_is_held().await;
        assert_eq!(letters(&shop).await?.len(), n + 1, "{status}: perhaps a page to sign in at");
    }
    shop.shelf.refuse(303);
    client.send("PUT", "/s/other", &[], "a").await?;
    shop.nothing_is_held().await;
    assert_eq!((letters(&shop).await?.len(), shop.counters().writes_delivered), (4, 1));
    Ok(())
}

#[tokio::test]
async fn an_origin_that_is_away_for_too_long_is_no_clients_fault() -> anyhow::Result<()> {
    let journal = "[journal]\nretry_first = \"1ms\"\nretry_max = \"5ms\"\nretry_for = \"1s\"\n";
    let shop = Shop::start_with(journal, CLASS).await?;
    shop.shelf.refuse(503);
    let mut client = shop.client();
    for n in 0..20 {
        assert_eq!(client.send("PUT", &format!("/s/{n}"), &[], "x").await?.status, 202);
    }
    eventually("all are given up", async || shop.counters().writes_dead == 20).await;
    assert_eq!(client.send("PUT", "/s/more", &[], "x").await?.status, 202, "it is held all the same");
    Ok(())
}
