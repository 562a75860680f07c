//! What readers get while a write is held, and after.

use sandbar_tests::wait::eventually;

use crate::shop::{CLASS, JOURNAL, Shop};

#[tokio::test]
async fn a_write_is_answered_before_the_origin_has_it_and_read_at_once() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let mut client = shop.client();
    assert_eq!(client.get("/s/1").await?.status, 404, "and that is stored");
    let gate = shop.shelf.hold();
    let held = client.send("PUT", "/s/1", &[("content-type", "text/plain")], "first").await?;
    assert_eq!((held.status.as_u16(), held.cache_status().value("detail")), (202, Some("held")));

    let read = client.get("/s/1").await?;
    assert_eq!((read.status.as_u16(), read.text().as_str()), (200, "first"));
    assert!(read.is_hit() && read.cache_status().value("detail") == Some("held"), "{}", read.cache_status().as_str());
    assert_eq!((read.field("content-type"), read.field("cache-control")), (Some("text/plain"), Some("no-store")));
    let part = client.get_with("/s/1", &[("range", "bytes=1-2")]).await?;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "ir"));
    let etag = read.field("etag").unwrap().to_owned();
    assert_eq!(client.get_with("/s/1", &[("if-none-match", &etag)]).await?.status, 304);
    assert_eq!(client.get_with("/s/1", &[("cache-control", "no-cache")]).await?.text(), "first");
    assert_eq!(client.get_with("/s/1", &[("cache-control", "only-if-cached")]).await?.text(), "first");
    let head = client.send("HEAD", "/s/1", &[], "").await?;
    assert_eq!((head.status.as_u16(), head.text().as_str(), head.field("content-length")), (200, "", Some("5")));

    gate.open();
    shop.nothing_is_held().await;
    assert_eq!(shop.shelf.kept("/s/1").as_deref(), Some("first"));
    let after = client.get("/s/1").await?;
    assert!(!after.is_hit(), "what was stored before the write went with it");
    assert_eq!((after.status.as_u16(), after.text().as_str()), (200, "first"));
    assert!(client.get("/s/1").await?.is_hit());
    let counters = shop.counters();
    assert_eq!((counters.writes_held, counters.writes_delivered, counters.reads_held), (1, 1, 6));
    assert_eq!(counters.answered(), counters.requests);
    Ok(())
}

#[tokio::test]
async fn what_was_deleted_is_not_there_although_the_origin_has_it() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[], "first").await?;
    shop.nothing_is_held().await;
    assert_eq!(client.get("/s/1").await?.text(), "first");
    let gate = shop.shelf.hold();
    assert_eq!(client.send("DELETE", "/s/1", &[], "").await?.status, 202);
    assert_eq!(client.get("/s/1").await?.status, 404);
    gate.open();
    shop.nothing_is_held().await;
    assert_eq!((shop.shelf.kept("/s/1"), client.get("/s/1").await?.status.as_u16()), (None, 404));

    // What is not there to be deleted is deleted; and what was stored meanwhile goes.
    client.send("PUT", "/s/2", &[], "again").await?;
    shop.nothing_is_held().await;
    client.get("/s/2").await?;
    shop.shelf.refuse(404);
    client.send("DELETE", "/s/2", &[], "").await?;
    shop.nothing_is_held().await;
    assert!(!client.get("/s/2").await?.is_hit());
    assert_eq!(shop.counters().writes_dead, 0);
    Ok(())
}

#[tokio::test]
async fn a_write_with_credentials_is_shown_to_nobody_else() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    shop.shelf.refuse(503);
    let (mut alice, mut mallory) = (shop.client(), shop.client());
    let own = [("authorization", "Bearer alice")];
    assert_eq!(alice.send("PUT", "/s/1", &own, "secret").await?.status, 202);
    assert_eq!(alice.get_with("/s/1", &own).await?.text(), "secret");
    for others in
        [&[][..], &[("authorization", "Bearer mallory")], &[("cookie", "a=b"), ("authorization", "Bearer alice")]]
    {
        let read = mallory.get_with("/s/1", others).await?;
        assert_eq!(read.status, 404, "{others:?}: what the origin says");
        assert!(!read.text().contains("secret"));
    }
    shop.shelf.refuse(0);
    shop.nothing_is_held().await;
    assert_eq!(shop.shelf.kept("/s/1").as_deref(), Some("secret"));
    Ok(())
}

#[tokio::test]
async fn sessions_that_are_keyed_by_their_cookie_are_held_apart() -> anyhow::Result<()> {
    let shop = Shop::start_with(JOURNAL, &format!("key.cookies = [\"sid\"]\n{CLASS}")).await?;
    shop.shelf.refuse(503);
    let mut client = shop.client();
    for sid in ["sid=a", "sid=b"] {
        assert_eq!(client.send("PUT", "/s/me", &[("cookie", sid)], sid.to_owned()).await?.status, 202);
    }
    for sid in ["sid=a", "sid=b"] {
        assert_eq!(client.get_with("/s/me", &[("cookie", sid)]).await?.text(), sid);
    }
    assert_eq!(client.get("/s/me").await?.status, 404);
    shop.shelf.refuse(0);
    shop.nothing_is_held().await;
    let kept: std::collections::BTreeSet<_> = shop.writes().into_iter().map(|(.., content)| content).collect();
    assert_eq!(kept.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_encoding_that_a_reader_does_not_know_is_not_sent_to_it() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    shop.shelf.refuse(503);
    let mut client = shop.client();
    client.send("PUT", "/s/1", &[("content-encoding", "br")], "packed").await?;
    let read = client.get_with("/s/1", &[("accept-encoding", "gzip, br")]).await?;
    assert_eq!((read.text().as_str(), read.field("content-encoding")), ("packed", Some("br")));
    assert_eq!(read.field("vary").map(str::to_lowercase).as_deref(), Some("accept-encoding"));
    assert_eq!(client.get("/s/1").await?.status, 404, "the origin is asked");
    shop.shelf.refuse(0);
    shop.nothing_is_held().await;
    Ok(())
}

#[tokio::test]
async fn a_blind_write_is_held_and_readers_get_what_was_there() -> anyhow::Result<()> {
    let shop = Shop::start_with(JOURNAL, &format!("{CLASS}blind = [\"PATCH\"]\nheld_status = 204\n")).await?;
    let mut client = shop.client();
    assert_eq!(client.send("PUT", "/s/1", &[], "a").await?.status, 204);
    shop.nothing_is_held().await;
    assert_eq!(client.get("/s/1").await?.text(), "a");
    let gate = shop.shelf.hold();
    for more in ["b", "c"] {
        assert_eq!(client.send("PATCH", "/s/1", &[], more).await?.status, 204);
    }
    assert_eq!(client.get("/s/1").await?.text(), "a");
    gate.open();
    shop.nothing_is_held().await;
    assert_eq!(client.get("/s/1").await?.text(), "abc", "no blind write absorbs another");
    // Not declared blind: the origin answers.
    assert_eq!(client.send("POST", "/s/1", &[], "x").await?.cache_status().value("fwd"), Some("method"));
    eventually("it was posted", async || shop.writes().iter().any(|(method, ..)| method == "POST")).await;
    Ok(())
}
