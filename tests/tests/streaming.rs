//! Bodies under way: many who ask at once, origins that break off, clients that go away.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbar_tests::client::raw;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::wait::eventually;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const HOST: &str = "shop.test";

/// Bytes that can be told from any shifted or cut copy of themselves.
fn pattern(bytes: usize) -> Bytes {
    (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

async fn http2(gateway: &TestGateway) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(gateway.gateway().listen_addr()).await?;
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn request(target: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://{HOST}{target}")).body(Empty::new()).expect("a request")
}

/// A thousand requests at once, over ten connections.
async fn a_thousand(
    gateway: &TestGateway,
    target: &str,
) -> anyhow::Result<JoinSet<anyhow::Result<Response<Incoming>>>> {
    let mut requests = JoinSet::new();
    for _ in 0..10 {
        let client = http2(gateway).await?;
        for _ in 0..100 {
            let (mut client, request) = (client.clone(), request(target));
            requests.spawn(async move {
                client.ready().await?;
                Ok(client.send_request(request).await?)
            });
        }
    }
    Ok(requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_first_requests_are_one_fetch() -> anyhow::Result<()> {
    const BODY_BYTES: usize = 50_000;
    const FIRST_BYTES: usize = 1000;
    let (head, rest) = (Gate::closed(), Gate::closed());
    let (held, held_rest) = (head.clone(), rest.clone());
    let origin = Origin::start(move |_| {
        Reply::ok(pattern(BODY_BYTES))
            .field("cache-control", "max-age=60")
            .when(&held)
            .rest_when(FIRST_BYTES, &held_rest)
    })
    .await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let requests = a_thousand(&gateway, "/popular").await?;
    let counters = &gateway.tenant(TENANT).counters;
    eventually("all requests are in", async || counters.values().requests == 1000).await;
    head.open();

    // Everybody has the first bytes while the origin still holds the rest back.
    let mut bodies = Vec::new();
    for response in requests.join_all().await {
        let mut body = response?.into_body();
        let first = body.frame().await.expect("a first frame")?.into_data().expect("data");
        assert_eq!(first, pattern(BODY_BYTES)[..first.len()]);
        assert!(first.len() <= FIRST_BYTES);
        bodies.push((first.len(), body));
    }
    rest.open();
    for (had, body) in bodies {
        assert_eq!(body.collect().await?.to_bytes(), pattern(BODY_BYTES)[had..]);
    }
    assert_eq!(origin.requests(), 1);
    let values = counters.values();
    assert_eq!((values.fetched, values.fetched + values.collapsed + values.hits_l1), (1, 1000));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_breaks_off_leaves_nothing_that_looks_complete() -> anyhow::Result<()> {
    let origin = Origin::start(|request| {
        let reply = Reply::ok(pattern(200_000)).field("cache-control", "max-age=60");
        match (request.path(), request.number) {
            ("/announced", 0) => reply.breaks_off_after(100_000),
            ("/chunked", _) if request.field("x-break").is_some() => reply.chunked().breaks_off_after(100_000),
            _ => reply,
        }
    })
    .await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    for (round, (target, breaks)) in [("/announced", ""), ("/chunked", "x-break: 1\r\n")].into_iter().enumerate() {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{breaks}\r\n");
        let answer = raw(gateway.gateway().listen_addr(), request.as_bytes()).await.unwrap_or_default();
        assert!(answer.len() < 150_000 && !answer.ends_with(b"0\r\n\r\n"), "{target}: the answer looks complete");
        eventually("the fill is over", async || gateway.tenant(TENANT).counters.values().bodies_broken > round as u64)
            .await;
        assert!(!gateway.is_in_l1(HOST, target), "{target}: half a body was stored");

        let answer = gateway.client(HOST).get(target).await?;
        assert!(!answer.is_hit(), "{target}: {}", answer.cache_status().as_str());
        assert_eq!(answer.body, pattern(200_000), "{target}");
        let answer = gateway.client(HOST).get(target).await?;
        assert!(answer.is_hit(), "{target}: the whole body is stored");
        assert_eq!(answer.body, pattern(200_000), "{target}");
        assert_eq!(origin.requests_for(target), 2);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_cancels_nobody_elses_fill() -> anyhow::Result<()> {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin =
        Origin::start(move |_| Reply::ok(pattern(300_000)).field("cache-control", "max-age=60").rest_when(1000, &held))
            .await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let (mut leader, mut waiter) = (gateway.client(HOST), gateway.client(HOST));
    let gone = leader.open("GET", "/a", &[], "").await?;
    let kept = waiter.open("GET", "/a", &[], "").await?;
    drop(gone);
    leader.hang_up();
    gate.open();
    assert_eq!(kept.into_body().collect().await?.to_bytes(), pattern(300_000));

    // Nor the last one's: what was begun is finished and stored.
    let gone = gateway.client(HOST).open("GET", "/b", &[], "").await?;
    drop(gone);
    eventually("the fill ended without a client", async || gateway.is_in_l1(HOST, "/b")).await;
    let answer = gateway.client(HOST).get("/b").await?;
    assert!(answer.is_hit());
    assert_eq!(answer.body, pattern(300_000));
    assert_eq!(origin.requests(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_slows_nobody() -> anyhow::Result<()> {
    let body = pattern(8 << 20);
    let sent = body.clone();
    let origin = Origin::start(move |_| Reply::ok(sent.clone()).field("cache-control", "max-age=60")).await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut stuck = gateway.client(HOST);
    let unread = stuck.open("GET", "/large", &[], "").await?;
    let mut client = gateway.client(HOST);
    let read = tokio::time::timeout(Duration::from_secs(20), client.get("/large")).await;
    assert_eq!(read.expect("in time")?.body, body);
    assert_eq!(origin.requests(), 1);
    // The one who took his time still gets all of it.
    assert_eq!(unread.into_body().collect().await?.to_bytes(), body);
    Ok(())
}

/// A body of unknown length that outgrows its bound is only passed through: nobody joins any more, who is within the window
/// follows, and who falls out of it is cut and counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_falls_behind_a_body_that_is_too_large_is_cut_and_counted() -> anyhow::Result<()> {
    const BODY_BYTES: usize = 48 << 20;
    let (gate, sent) = (Gate::closed(), pattern(BODY_BYTES));
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Reply::ok(sent.clone()).chunked().field("cache-control", "max-age=60").rest_when(1000, &held)
    })
    .await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "body_max = \"1MiB\"")).await?;
    let (mut fast, mut stuck) = (gateway.client(HOST), gateway.client(HOST));
    let leader = fast.open("GET", "/large", &[], "").await?;
    let waiter = stuck.open("GET", "/large", &[], "").await?;
    assert_eq!(origin.requests(), 1, "they share a fetch");
    gate.open();
    assert_eq!(leader.into_body().collect().await?.to_bytes(), pattern(BODY_BYTES));
    let counters = &gateway.tenant(TENANT).counters;
    eventually("the waiter is counted", async || counters.values().waiters_cut == 1).await;
    assert!(waiter.into_body().collect().await.is_err(), "what it got must not look whole");
    assert_eq!((counters.values().too_large, counters.values().stored), (1, 0));
    // The next one makes a fetch of its own.
    assert!(!gateway.client(HOST).get("/large").await?.is_hit());
    assert_eq!(origin.requests(), 2);
    Ok(())
}
