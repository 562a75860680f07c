//! The harness itself: a test that trusts it must be able to.

use futures_util::FutureExt;
use sandbar_tests::client::{Client, raw};
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::wait::eventually;

#[tokio::test]
async fn an_origin_answers_as_told_and_counts() -> anyhow::Result<()> {
    let origin = Origin::start(|request| match request.path() {
        "/twice" => Reply::status(404).field("x-a", "1").field("x-a", "2"),
        _ => Reply::ok(format!("{} {:?}", request.number, request.field("x-asked"))).chunked(),
    })
    .await?;
    let mut client = Client::new(origin.address(), "shop.test");
    let answer = client.get_with("/", &[("x-asked", "so")]).await?;
    assert_eq!(answer.text(), "0 Some(\"so\")");
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    let answer = client.get("/twice").await?;
    assert_eq!((answer.status.as_u16(), answer.fields.get_all("x-a").iter().count()), (404, 2));
    assert_eq!((origin.requests(), origin.requests_for("/twice")), (2, 1));
    assert_eq!(origin.seen()[0].field("host"), Some("shop.test"));
    Ok(())
}

#[tokio::test]
async fn an_origin_breaks_off_where_told() -> anyhow::Result<()> {
    let reply = || Reply::ok(vec![b'x'; 100_000]);
    let origin = Origin::start(move |request| match request.path() {
        "/none" => Reply::none(),
        "/chunked" => reply().chunked().breaks_off_after(70_000),
        _ => reply().breaks_off_after(70_000),
    })
    .await?;
    assert!(Client::new(origin.address(), "shop.test").get("/none").await.is_err());
    for path in ["/announced", "/chunked"] {
        let answer = raw(origin.address(), format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await?;
        let sent = answer.iter().filter(|byte| **byte == b'x').count();
        assert_eq!(sent, 70_000, "{path}");
        assert!(!answer.ends_with(b"0\r\n\r\n"), "{path}: the end must be missing");
    }
    Ok(())
}

#[tokio::test]
async fn a_gate_holds_the_rest_back() -> anyhow::Result<()> {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("first, second").rest_when(5, &held)).await?;
    let mut client = Client::new(origin.address(), "shop.test");
    let response = client.open("GET", "/", &[], "").await?;
    let mut body = response.into_body();
    let first = http_body_util::BodyExt::frame(&mut body).await.expect("a frame")?;
    assert_eq!(first.into_data().expect("data"), "first");
    eventually("the rest waits", async || gate.waiting() == 1).await;
    let early = http_body_util::BodyExt::frame(&mut body).now_or_never();
    assert!(early.is_none(), "the rest came although the gate is closed");
    gate.open();
    let rest = http_body_util::BodyExt::collect(body).await?.to_bytes();
    assert_eq!(rest, ", second");
    Ok(())
}

#[tokio::test]
async fn a_stopped_origin_refuses_and_comes_back() -> anyhow::Result<()> {
    let mut origin = Origin::start(|_| Reply::ok("here")).await?;
    let mut client = Client::new(origin.address(), "shop.test");
    client.get("/").await?;
    origin.stop();
    assert!(client.get("/").await.is_err());
    origin.restart().await?;
    assert_eq!(client.get("/").await?.text(), "here");
    assert_eq!(origin.requests(), 2);
    Ok(())
}
