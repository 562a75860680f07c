//! What clients do wrong is their own fault: it is answered as such, the origin's protection does not hear of it, and no
//! client holds what others wait for.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

type Content = UnsyncBoxBody<Bytes, std::io::Error>;

/// How many times each thing is done wrong: more than the breaker needs to open.
const TIMES: usize = 30;

/// A large response that is never stored.
const LARGE: &str = "/large";
const LARGE_BYTES: usize = 16 << 20;

async fn origin() -> Origin {
    let answer = |path: &str| match path {
        LARGE => Reply::ok(vec![b'x'; LARGE_BYTES]).field("cache-control", "no-store"),
        _ => Reply::ok("fine").field("cache-control", "max-age=60"),
    };
    Origin::start(move |request| answer(request.path())).await.unwrap()
}

async fn gateway(origin: &Origin, protect: &str) -> TestGateway {
    TestGateway::start(&one_tenant(&origin.url(), &format!("[tenant.protect]\n{protect}"))).await.unwrap()
}

/// Sends these bytes, then sends no more, or resets the connection; what is answered. So many have been `said` to the gateway.
async fn says(gateway: &TestGateway, said: &AtomicU64, bytes: &[u8], then: Then) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let said = said.fetch_add(1, Ordering::SeqCst) + 1;
    match then {
        Then::Waits => {}
        Then::Closes => stream.shutdown().await.unwrap(),
        Then::Resets => {
            // It is counted, or answered with what was expected, `100 Continue`.
            let come = async || {
                gateway.tenant(TENANT).counters.values().requests >= said
                    || stream.peek(&mut [0]).now_or_never().is_some_and(|bytes| bytes.is_ok())
            };
            eventually("it is there before the reset overtakes it", come).await;
            stream.set_zero_linger().unwrap();
            return String::new();
        }
    }
    let mut answer = vec![0; 512];
    let read = timeout(PATIENCE, stream.read(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Waits,
    Closes,
    Resets,
}

/// Others are served, and nothing of it is held against the origin.
async fn assert_unharmed(gateway: &TestGateway, case: &str) {
    let mut visitor = gateway.client("shop.test");
    for number in 0..10 {
        let answer = visitor.get(&format!("/of-others/{number}")).await.unwrap();
        assert_eq!(answer.status, 200, "{case}: {:?}", answer.cache_status());
    }
    let tenant = gateway.tenant(TENANT);
    let stats = tenant.origin.stats();
    assert_eq!((stats.breaker, stats.breaker_opened, stats.retries), ("closed", 0, 0), "{case}");
    assert_eq!(tenant.counters.values().origin_errors, 0, "{case}");
}

/// Nothing is left under way.
async fn assert_all_given_back(gateway: &TestGateway, case: &str) {
    let what = format!("{case}: places are given back");
    eventually(&what, async || gateway.tenant(TENANT).origin.stats().running == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_their_clients_spoil_are_no_failures_of_the_origin() {
    let origin = origin().await;
    let chunked = "host: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let sized = "host: a\r\ncontent-length: 100\r\n\r\n";
    let cases = [
        ("a chunk without its end", format!("POST /x HTTP/1.1\r\n{chunked}3\r\nabcX0\r\n\r\n"), Then::Waits, "400"),
        (
            "a second chunk without a size",
            format!("POST /x HTTP/1.1\r\n{chunked}3\r\nabc\r\nzz\r\n"),
            Then::Waits,
            "400",
        ),
        (
            "the same of a GET, whose content goes nowhere",
            format!("GET /x HTTP/1.1\r\n{chunked}3\r\nabc\r\nzz\r\n"),
            Then::Waits,
            "",
        ),
        ("a PUT that is closed", format!("PUT /x HTTP/1.1\r\n{sized}0123"), Then::Closes, "400"),
        ("HTTP/1.0, closed", format!("POST /x HTTP/1.0\r\n{sized}0123"), Then::Closes, "400"),
        ("chunked, closed", format!("POST /x HTTP/1.1\r\n{chunked}3\r\nabc\r\n"), Then::Closes, "400"),
        (
            "a trailer that is none",
            format!("POST /x HTTP/1.1\r\n{chunked}3\r\nabc\r\n0\r\n\0: x\r\n\r\n"),
            Then::Waits,
            "",
        ),
        ("sized, reset", format!("POST /x HTTP/1.1\r\n{sized}0123"), Then::Resets, ""),
        ("chunked, reset", format!("POST /x HTTP/1.1\r\n{chunked}3\r\nabc\r\n"), Then::Resets, ""),
        ("expected and never sent", format!("POST /x HTTP/1.1\r\nexpect: 100-continue\r\n{sized}"), Then::Resets, ""),
        ("a GET that is given up", "GET /gone HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), Then::Resets, ""),
        ("a HEAD that is given up", "HEAD /gone HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), Then::Resets, ""),
        ("a response that is not read", format!("GET {LARGE} HTTP/1.1\r\nhost: a\r\n\r\n"), Then::Resets, ""),
    ];
    for (case, request, then, status) in cases {
        let gateway = gateway(&origin, "").await;
        let said = AtomicU64::new(0);
        let answers = stream::iter(0..TIMES)
            .map(|_| says(&gateway, &said, request.as_bytes(), then))
            .buffer_unordered(6)
            .collect::<Vec<_>>();
        for answer in answers.await {
            assert!(answer.is_empty() || answer.contains(status), "{case}: {answer}");
        }
        assert_unharmed(&gateway, case).await;
        assert_all_given_back(&gateway, case).await;
    }
}

async fn h2(address: SocketAddr, window: Option<u32>) -> SendRequest<Content> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (client, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A request over HTTP/2 with these parts of content, of which the last may be an error; where it is none, more is to come.
fn upload(length: Option<usize>, parts: Vec<Result<&'static str, ()>>) -> Request<Content> {
    let frames = parts.into_iter().map(|part| match part {
        Ok(part) => Ok(Frame::data(Bytes::from_static(part.as_bytes()))),
        Err(()) => Err(std::io::Error::other("given up")),
    });
    let content = StreamBody::new(stream::iter(frames.collect::<Vec<_>>()).chain(stream::pending()));
    let mut request = Request::post("http://a/upload");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(content.boxed_unsync()).unwrap()
}

fn get(target: &str) -> Request<Content> {
    let content = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(format!("http://a{target}")).body(content).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_are_no_failures_of_the_origin() {
    let origin = origin().await;
    let gateway = gateway(&origin, "").await;
    let mut client = h2(gateway.address(), None).await;
    for _ in 0..TIMES {
        for request in [upload(None, vec![Ok("abc"), Err(())]), upload(Some(100), vec![Ok("abc"), Err(())])] {
            if client.ready().await.is_err() {
                // Too many resets at once end the connection.
                client = h2(gateway.address(), None).await;
            }
            let answer = timeout(PATIENCE, client.send_request(request)).await.expect("an answer in time");
            assert!(answer.is_err() || answer.unwrap().status() == 400);
        }
        // Given up before it is answered.
        if client.ready().await.is_ok() {
            drop(client.send_request(get("/given-up")));
        }
    }
    // Those may all have been reset before they were read. One that is under way already is not.
    let mut client = h2(gateway.address(), None).await;
    client.ready().await.unwrap();
    let sending = client.send_request(upload(None, vec![Ok("abc")]));
    let tenant = gateway.tenant(TENANT);
    eventually("it is under way", async || tenant.origin.stats().running > 0).await;
    drop(sending);
    eventually("it is the client's fault", async || tenant.counters.values().client_faults > 0).await;
    assert_unharmed(&gateway, "h2").await;
    assert_all_given_back(&gateway, "h2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_does_not_go_on_is_answered_408_and_gives_its_place_back() {
    let origin = origin().await;
    let gateway = gateway(&origin, "progress_deadline = \"1s\"\nprogress_min = \"100B\"").await;
    let mut client = h2(gateway.address(), None).await;
    let mut answers = Vec::new();
    for _ in 0..TIMES {
        client.ready().await.unwrap();
        answers.push(tokio::spawn(client.send_request(upload(Some(1000), vec![Ok("abc")]))));
    }
    for answer in answers {
        let answer = timeout(PATIENCE, answer).await.expect("an answer in time").unwrap().unwrap();
        assert_eq!(answer.status(), 408);
    }
    client.ready().await.unwrap();
    let trickled = stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"x"))), ()))
    });
    let trickle = Request::post("http://a/upload").body(StreamBody::new(trickled).boxed_unsync()).unwrap();
    let answer = timeout(PATIENCE, client.send_request(trickle)).await.expect("an answer in time").unwrap();
    assert_eq!(answer.status(), 408, "a byte now and then is no progress");
    assert_all_given_back(&gateway, "slow uploads").await;
    assert_unharmed(&gateway, "slow uploads").await;
}

/// Asks for it on so many streams of one connection and reads nothing of it.
async fn unread(gateway: &TestGateway, streams: usize) -> (SendRequest<Content>, Vec<Response<Incoming>>) {
    let mut client = h2(gateway.address(), Some(1024)).await;
    let mut responses = Vec::new();
    for _ in 0..streams {
        client.ready().await.unwrap();
        responses.push(client.send_request(get(LARGE)).await.unwrap());
    }
    (client, responses)
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_a_client_that_does_not_read_go_to_others_at_once() {
    let origin = origin().await;
    let gateway = gateway(&origin, "requests_max = 8\nqueue_max = 8").await;
    let _unread = unread(&gateway, 8).await;
    assert_eq!(gateway.tenant(TENANT).origin.stats().running, 8);
    assert_unharmed(&gateway, "unread").await;
    let stats = gateway.tenant(TENANT).origin.stats();
    assert_eq!(stats.running, 7, "one had to yield, the others are served on");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_a_client_that_does_not_send_go_to_others_at_once() {
    let origin = origin().await;
    let gateway = gateway(&origin, "requests_max = 8\nqueue_max = 8").await;
    let mut client = h2(gateway.address(), None).await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        client.ready().await.unwrap();
        answers.push(tokio::spawn(client.send_request(upload(Some(1000), vec![Ok("abc")]))));
    }
    eventually("all places are taken", async || gateway.tenant(TENANT).origin.stats().running == 8).await;
    assert_unharmed(&gateway, "unsent").await;
    assert_eq!(gateway.tenant(TENANT).origin.stats().running, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_of_one_address_do_not_hold_all_places_for_long() {
    let origin = origin().await;
    let gateway = gateway(&origin, "requests_max = 8\nqueue_max = 8\nqueue_deadline = \"10s\"").await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(format!("GET {LARGE} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        streams.push(stream);
    }
    eventually("all places are taken", async || gateway.tenant(TENANT).origin.stats().running == 8).await;
    assert_unharmed(&gateway, "many connections").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_loses_its_place_in_time_and_its_response_is_cut() {
    let origin = origin().await;
    let gateway = gateway(&origin, "progress_deadline = \"1s\"").await;
    let (_client, mut responses) = unread(&gateway, 3).await;
    assert_all_given_back(&gateway, "unread").await;
    assert_unharmed(&gateway, "unread").await;
    let cut = responses.remove(0).into_body().collect();
    assert!(timeout(PATIENCE, cut).await.expect("it ends").is_err(), "what is not whole does not look whole");
}
