//! Responses of an origin that can't be believed, byte by byte: two lengths, codings that nobody asked for, protocols,
//! parts and 304s that nobody asked for, parts that are not what they say, and no end of interim responses (RFC 9112
//! section 6; RFC 9110 sections 8.6, 14.4, 15.2 and 15.3.7). What is wrong is refused whole, or cut where it shows; none of
//! it is stored or shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbar_tests::client::raw;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::wait::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An origin that sends the same bytes to every request, then waits for the next one.
struct Scripted {
    url: String,
    requests: Arc<AtomicUsize>,
    /// Those on which a request came.
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    async fn says(answer: impl Into<String>) -> anyhow::Result<Self> {
        let answer = answer.into();
        Self::answers(move |_| answer.clone()).await
    }

    /// Answers by the head of the request.
    async fn answers(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (requests, connections) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (answer, asked, used) = (Arc::new(answer), Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&used)));
            }
        });
        Ok(Self { url, requests, connections })
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<impl Fn(&str) -> String>,
    asked: Arc<AtomicUsize>,
    used: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    for request in 0.. {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        asked.fetch_add(1, Ordering::SeqCst);
        used.fetch_add(usize::from(request == 0), Ordering::SeqCst);
        stream.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes()).await?;
    }
    Ok(())
}

/// The answer to a GET with these field lines, whole or broken off.
async fn get(gateway: &TestGateway, fields: &str) -> anyhow::Result<String> {
    let request = format!("GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n{fields}\r\n");
    let answer = tokio::time::timeout(Duration::from_secs(20), raw(gateway.address(), request.as_bytes())).await??;
    Ok(String::from_utf8(answer)?)
}

fn content(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, content)| content)
}

/// Each with the field lines of the request.
const REFUSED: [(&str, &str, &str); 19] = [
    (
        "9112 6.1: the coded bytes are no content",
        "",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "9112 6.1: on two lines",
        "",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "9112 6.1: unknown, with a length",
        "",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: xchunked\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9112 7.1: chunked twice",
        "",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "9112 6.1: a coding in HTTP/1.0",
        "",
        "HTTP/1.0 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "9112 6.3: two lengths",
        "",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    ),
    ("9112 6.3: no number", "", "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: +5\r\n\r\nhello"),
    (
        "9110 7.8: nobody asked",
        "",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
    ),
    (
        "9110 7.8: the class does not allow it, so nobody asked",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello",
    ),
    ("9110 15.4.5: nobody asked", "", "HTTP/1.1 304 Not Modified\r\ncache-control: max-age=60\r\netag: \"a\"\r\n\r\n"),
    (
        "9110 15.3.7: nobody asked",
        "",
        "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\ncontent-range: bytes 0-4/10\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 15.3.7: which?",
        "Range: bytes=0-4\r\n",
        "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 14.4: none there is",
        "Range: bytes=0-4\r\n",
        "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\ncontent-range: bytes 0-4/4\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 14.4: two",
        "Range: bytes=0-4\r\n",
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-4/10\r\ncontent-range: bytes 1-5/10\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 14.4: shorter than its label",
        "Range: bytes=0-9\r\n",
        "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\ncontent-range: bytes 0-9/20\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 14.4: longer than its label",
        "Range: bytes=0-3\r\n",
        "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\ncontent-range: bytes 0-3/20\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 15.3.7: another range",
        "Range: bytes=0-4\r\n",
        "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\ncontent-range: bytes 10-14/20\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 15.3.7.2: several parts under one label",
        "Range: bytes=0-4\r\n",
        "HTTP/1.1 206 Partial Content\r\ncontent-type: multipart/byteranges; boundary=x\r\ncontent-range: bytes 0-4/20\r\ncontent-length: 5\r\n\r\nhello",
    ),
    (
        "9110 15.3.7.2: several parts that nobody asked for",
        "",
        "HTTP/1.1 206 Partial Content\r\ncontent-type: multipart/byteranges; boundary=x\r\ncontent-length: 5\r\n\r\nhello",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_believed_is_refused_and_forgotten() -> anyhow::Result<()> {
    for (section, fields, answer) in REFUSED {
        let origin = Scripted::says(answer).await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
        for times in 1..=2 {
            let got = get(&gateway, fields).await?;
            assert!(got.starts_with("HTTP/1.1 502 "), "{section}: {got}");
            assert!(!got.contains("hello"), "{section}: {got}");
            assert!(origin.requests() >= times, "{section}: it was stored");
        }
        assert!(!gateway.is_in_l1("shop.test", "/a"), "{section}");
    }
    Ok(())
}

/// An answer that is refused is nothing that another request to the same origin would answer for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_named_and_neither_asked_again_nor_held_against_the_origin() -> anyhow::Result<()> {
    let origin = Scripted::says("HTTP/1.1 206 Partial Content\r\ncontent-length: 5\r\n\r\nhello").await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
    for times in 1..=40 {
        let got = get(&gateway, "Range: bytes=0-4\r\n").await?;
        assert!(got.contains("detail=origin-unsound"), "{times}: {got}");
        assert_eq!(origin.requests(), times);
    }
    assert_eq!(gateway.tenant(TENANT).counters.values().origin_errors, 40);
    Ok(())
}

/// Both lengths: what is there counts, for the one who caused the fetch, for those who wait and for later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_lengths_the_one_that_is_there_counts() -> anyhow::Result<()> {
    const BODY: &str = "\r\n\r\nb\r\nhello world\r\n0\r\n\r\n";
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 500\r\ntransfer-encoding: chunked",
        "content-length: 5\r\ncontent-length: 6\r\ntransfer-encoding: chunked",
    ] {
        let origin = Scripted::says(format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n{lengths}{BODY}")).await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
        let (one, other, h2) = tokio::join!(get(&gateway, ""), get(&gateway, ""), get_over_h2(&gateway));
        assert_eq!(h2?, "hello world", "{lengths}");
        eventually("it is stored", async || gateway.is_in_l1("shop.test", "/a")).await;
        let asked = origin.requests();
        for got in [one?, other?, get(&gateway, "").await?] {
            assert!(got.contains("hello world"), "{lengths}: {got}");
            let said = got.contains("content-length: 11\r\n") || got.contains("transfer-encoding: chunked\r\n");
            assert!(said && !got.contains("content-length: 5"), "{lengths}: {got}");
        }
        assert_eq!(get_over_h2(&gateway).await?, "hello world", "{lengths}");
        assert_eq!(origin.requests(), asked, "{lengths}: it is a hit by now");
    }
    Ok(())
}

async fn get_over_h2(gateway: &TestGateway) -> anyhow::Result<String> {
    let stream = TokioIo::new(TcpStream::connect(gateway.address()).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    let request = http::Request::get("http://shop.test/a").body(http_body_util::Empty::<bytes::Bytes>::new())?;
    let content = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(content.to_vec())?)
}

/// RFC 9112 section 6.3: after both lengths, and after content that a 204 can't have, nobody knows what comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_leaves_doubt_is_not_used_again() -> anyhow::Result<()> {
    for (answer, connections) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 1),
        ("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", 3),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 3),
    ] {
        let origin = Scripted::says(answer).await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
        for _ in 0..3 {
            assert!(get(&gateway, "").await?.starts_with("HTTP/1.1 20"), "{answer}");
        }
        assert_eq!(origin.connections.load(Ordering::SeqCst), connections, "{answer}");
    }
    Ok(())
}

/// RFC 9112 section 8: what a client of HTTP/1.0 gets without a length is whole unless its connection is reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_no_chunks_learns_that_content_broke_off() -> anyhow::Result<()> {
    for (end, is_whole) in [("0\r\n\r\n", true), ("zz\r\n", false)] {
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n{end}");
        let origin = Scripted::says(answer).await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
        let mut stream = TcpStream::connect(gateway.address()).await?;
        stream.write_all(b"GET /a HTTP/1.0\r\nHost: shop.test\r\n\r\n").await?;
        let mut got = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut got)).await?;
        assert_eq!(read.is_ok(), is_whole, "{end}: {read:?} {}", String::from_utf8_lossy(&got));
    }
    Ok(())
}

/// RFC 9112 section 5.1: white space before a colon is taken out of a response, and hides nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn white_space_before_a_colon_is_taken_out() -> anyhow::Result<()> {
    for (fields, expected) in [
        ("x-a : 1\r\ncontent-length \t: 5\r\n\r\nhello", "hello"),
        ("transfer-encoding : chunked\r\ncontent-length: 50\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("content-length: 5\r\ncontent-length : 6\r\n\r\nhello!", "origin-broken\n"),
        ("cache-control : private\r\ncontent-length: 5\r\n\r\nhello", "hello"),
    ] {
        let origin = Scripted::says(format!("HTTP/1.1 200 OK\r\netag: \"a\"\r\n{fields}")).await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
        for times in 1..=2 {
            let got = get(&gateway, "").await?;
            assert!(got.ends_with(expected) || got.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{fields}: {got}");
            assert!(!got.contains(" :") && !got.contains("\t:"), "{fields}: {got}");
            assert!(origin.requests() >= times || !fields.contains("private"), "{fields}: it was stored");
        }
    }
    Ok(())
}

/// A part whose length nobody announced is found out at its end, or past it: its client is cut off, and nothing is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_not_as_long_as_its_label_is_broken_off() -> anyhow::Result<()> {
    for label in ["0-9/20", "0-3/20"] {
        let origin = Scripted::says(format!(
            "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\netag: \"a\"\r\ncontent-range: bytes {label}\r\n\
             transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ))
        .await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
        for times in 1..=2 {
            let got = get(&gateway, "Range: bytes=0-9\r\n").await?;
            assert!(got.is_empty() || got.starts_with("HTTP/1.1 206 "), "{label}: {got}");
            let announced = got.split_once("content-length: ").and_then(|(_, rest)| rest.split_once("\r\n"));
            let whole = announced
                .map_or_else(|| got.ends_with("0\r\n\r\n"), |(length, _)| length.parse() == Ok(content(&got).len()));
            assert!(!whole, "{label}: {got}");
            assert_eq!(origin.requests(), times, "{label}: it was stored");
        }
    }
    Ok(())
}

/// Where the rest of a stored part can't be believed, who asks for the whole gets it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_is_fetched_where_the_rest_of_a_part_is_unsound() -> anyhow::Result<()> {
    let part = "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\netag: \"a\"\r\ncontent-range: bytes ";
    let origin = Scripted::answers(move |head| match head.to_ascii_lowercase() {
        head if head.contains("range: bytes=0-4\r\n") => format!("{part}0-4/10\r\ncontent-length: 5\r\n\r\n01234"),
        head if head.contains("range: bytes=5-\r\n") => format!("{part}5-9/10\r\ncontent-length: 4\r\n\r\n5678"),
        _ => "HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 10\r\n\r\n0123456789".to_owned(),
    })
    .await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
    assert!(get(&gateway, "Range: bytes=0-4\r\n").await?.ends_with("01234"));
    eventually("it is stored", async || gateway.is_in_l1("shop.test", "/a")).await;
    let whole = get(&gateway, "").await?;
    assert!(whole.starts_with("HTTP/1.1 200 ") && whole.ends_with("0123456789"), "{whole}");
    assert_eq!(origin.requests(), 3);
    Ok(())
}

/// A 206 that nobody asked for and that is the whole is a 200 in all but name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_the_whole_is_the_whole() -> anyhow::Result<()> {
    let origin = Scripted::says(
        "HTTP/1.1 206 Partial Content\r\ncache-control: max-age=60\r\ncontent-range: bytes 0-4/5\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
    for _ in 0..2 {
        let got = get(&gateway, "").await?;
        assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("hello") && !got.contains("content-range"), "{got}");
        eventually("it is stored", async || gateway.is_in_l1("shop.test", "/a")).await;
    }
    assert_eq!(origin.requests(), 1);
    Ok(())
}

/// RFC 9110 section 15.2 sets no bound to them; one request must end all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_responses_come_to_an_end() -> anyhow::Result<()> {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
    let large = format!("HTTP/1.1 103 Early Hints\r\nx: {}\r\n\r\n", "x".repeat(30_000));
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
    for (interims, expected) in [
        (hints.repeat(32), "HTTP/1.1 200 "),
        (hints.repeat(33), "HTTP/1.1 502 "),
        (large.repeat(2), "HTTP/1.1 200 "),
        (large.repeat(3), "HTTP/1.1 502 "),
    ] {
        let origin = Scripted::says(format!("{interims}{last}")).await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, "")).await?;
        let got = get(&gateway, "").await?;
        let (_, response) = got.rsplit_once("HTTP/1.1 ").expect("a response");
        assert!(format!("HTTP/1.1 {response}").starts_with(expected), "{} bytes before it: {got}", interims.len());
    }
    Ok(())
}

/// An origin that goes on for ever is left: its connection is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_sends_them_for_ever_is_left() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (left, mut was_left) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let left = left.clone();
            tokio::spawn(async move {
                if stream.read_u8().await.is_ok() {
                    while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {}
                    let _ = left.send(());
                }
            });
        }
    });
    let gateway = TestGateway::start(&one_tenant(&url, "")).await?;
    let got = get(&gateway, "").await?;
    assert!(got.contains("HTTP/1.1 502 ") && got.contains("detail=origin-unsound"), "{got}");
    tokio::time::timeout(Duration::from_secs(20), was_left.recv()).await?.expect("its connection is closed");
    assert!(was_left.try_recv().is_err(), "and it is not asked again");
    Ok(())
}
