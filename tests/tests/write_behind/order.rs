//! The order in which the origin gets writes.

use std::collections::HashSet;

use sandbar_tests::wait::eventually;

use crate::shop::{CLASS, JOURNAL, Shop};

fn contents(shop: &Shop, path: &str) -> Vec<String> {
    shop.writes().into_iter().filter(|(_, at, _)| at == path).map(|(.., content)| content).collect()
}

#[tokio::test]
async fn later_writes_absorb_those_that_were_not_sent_yet() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let gate = shop.shelf.hold();
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[], "1").await?;
    eventually("the first is under way", async || gate.waiting() > 0).await;
    for n in 2..6 {
        client.send("PUT", "/s/1", &[], n.to_string()).await?;
        assert_eq!(client.get("/s/1").await?.text(), n.to_string());
    }
    gate.open();
    shop.nothing_is_held().await;
    assert_eq!(contents(&shop, "/s/1"), ["1", "5"]);
    Ok(())
}

#[tokio::test]
async fn a_class_can_have_every_write_sent() -> anyhow::Result<()> {
    let shop = Shop::start_with(JOURNAL, &format!("{CLASS}absorb = false\n")).await?;
    let gate = shop.shelf.hold();
    let mut client = shop.client();
    for n in 0..5 {
        client.send("PUT", "/s/1", &[], n.to_string()).await?;
    }
    gate.open();
    shop.nothing_is_held().await;
    assert_eq!(contents(&shop, "/s/1"), ["0", "1", "2", "3", "4"]);
    Ok(())
}

#[tokio::test]
async fn a_write_is_tried_until_it_is_taken_and_the_origin_can_tell_that_it_is_one() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    shop.shelf.refuse(503);
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[], "a").await?;
    client.send("PUT", "/s/2", &[("idempotency-key", "\"mine\"")], "b").await?;
    eventually("both were tried thrice", async || ["/s/1", "/s/2"].iter().all(|path| contents(&shop, path).len() > 2))
        .await;
    assert_eq!(client.get("/s/1").await?.text(), "a");
    shop.shelf.refuse(0);
    shop.nothing_is_held().await;
    let keys = |path: &str| -> HashSet<String> {
        let seen =
            shop.origin.seen().into_iter().filter(|seen| seen.path() == path && seen.method == http::Method::PUT);
        seen.map(|seen| seen.field("idempotency-key").unwrap_or_default().to_owned()).collect()
    };
    assert_eq!((keys("/s/1").len(), keys("/s/2")), (1, HashSet::from(["\"mine\"".to_owned()])));
    assert_ne!(keys("/s/1"), HashSet::from([String::new()]));
    assert!(shop.counters().writes_retried >= 4);
    Ok(())
}

#[tokio::test]
async fn a_conditional_write_waits_for_held_ones_and_goes_to_the_origin() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let gate = shop.shelf.hold();
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[], "held").await?;
    let mut other = shop.client();
    let conditional = tokio::spawn(async move { other.send("PUT", "/s/1", &[("if-match", "*")], "second").await });
    eventually("the first is under way", async || gate.waiting() > 0).await;
    gate.open();
    let answer = conditional.await??;
    assert_eq!((answer.status.as_u16(), answer.cache_status().value("fwd")), (204, Some("method")));
    assert_eq!(contents(&shop, "/s/1"), ["held", "second"]);
    Ok(())
}

#[tokio::test]
async fn a_write_that_has_to_wait_too_long_is_told_when_to_come_again() -> anyhow::Result<()> {
    let shop = Shop::start_with(JOURNAL, &format!("fetch_soft_deadline = \"50ms\"\n{CLASS}")).await?;
    let gate = shop.shelf.hold();
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[], "held").await?;
    let late = client.send("DELETE", "/s/1", &[("if-match", "\"a\"")], "").await?;
    assert_eq!((late.status.as_u16(), late.field("retry-after")), (503, Some("1")));
    assert_eq!(late.cache_status().value("detail"), Some("behind-held-writes"));
    gate.open();
    shop.nothing_is_held().await;
    assert_eq!(contents(&shop, "/s/1"), ["held"], "the other one never reached the origin");
    Ok(())
}

#[tokio::test]
async fn writers_at_once_leave_what_the_last_one_has_written() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let mut client = shop.client();
        writers.spawn(async move {
            for n in 0..25 {
                let path = format!("/s/{}", (writer + n) % 4);
                assert_eq!(client.send("PUT", &path, &[], format!("{writer} {n}")).await.unwrap().status, 202);
            }
        });
    }
    writers.join_all().await;
    let mut client = shop.client();
    let mut read = Vec::new();
    for key in 0..4 {
        read.push(client.get(&format!("/s/{key}")).await?.text());
    }
    shop.nothing_is_held().await;
    for (key, read) in read.into_iter().enumerate() {
        assert_eq!(shop.shelf.kept(&format!("/s/{key}")), Some(read), "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_has_another_ones_write_taken_away() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let gate = shop.shelf.hold();
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[], "first").await?;
    eventually("the first is under way", async || gate.waiting() > 0).await;
    let alice = [("authorization", "Bearer alice")];
    client.send("PUT", "/s/1", &alice, "hers").await?;
    client.send("PUT", "/s/1", &[("authorization", "Bearer mallory")], "refused").await?;
    client.send("PUT", "/s/1", &[("x-api-key", "k")], "no").await?;
    client.send("PUT", "/s/1", &[("x-api-key", "k")], "no either").await?;
    gate.open();
    shop.nothing_is_held().await;
    assert_eq!(contents(&shop, "/s/1"), ["first", "hers", "refused", "no either"]);
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_slow_holds_no_other_up() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let gate = shop.shelf.hold();
    let mut client = shop.client();
    client.send("PUT", "/s/slow", &[], "1").await?;
    eventually("it is under way", async || gate.waiting() > 0).await;
    shop.shelf.hold_no_more();
    for n in 0..20 {
        client.send("PUT", &format!("/s/{n}"), &[], "2").await?;
    }
    eventually("the others have arrived", async || (0..20).all(|n| shop.shelf.kept(&format!("/s/{n}")).is_some()))
        .await;
    assert_eq!(gate.waiting(), 1);
    gate.open();
    shop.nothing_is_held().await;
    Ok(())
}
