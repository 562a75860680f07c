//! Interim responses (RFC 9110 section 15.2) on the wire: from the origin to the client whose request it was.

use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::Gate;
use sandbar_tests::wait::{eventually, in_time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x\r\nX: hop\r\n\r\n";
const HINTS_PASSED: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\ndone";
const LARGE_BYTES: usize = 8 << 20;
/// What the kernel keeps for a client that does not read, at least.
const BUFFER_BYTES: usize = 32 << 10;

/// An origin that answers `/large` with a large body, and all else with a 100, a 102 and a 103 at once and the response when
/// the gate is open.
async fn origin(gate: &Gate) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let gate = gate.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, gate.clone()));
        }
    });
    Ok(url)
}

async fn answer(mut stream: TcpStream, gate: Gate) -> anyhow::Result<()> {
    loop {
        let head = read_until(&mut stream, "\r\n\r\n").await?;
        if head.starts_with("GET /large ") {
            let fields =
                format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {LARGE_BYTES}\r\n\r\n");
            stream.write_all(fields.as_bytes()).await?;
            stream.write_all(&vec![b'x'; LARGE_BYTES]).await?;
            continue;
        }
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n").await?;
        stream.write_all(HINTS.as_bytes()).await?;
        gate.passed().await;
        stream.write_all(FINAL.as_bytes()).await?;
    }
}

/// Reads up to and including `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> anyhow::Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(in_time("the next byte", stream.read_u8()).await?);
    }
    Ok(String::from_utf8(read)?)
}

async fn client(gateway: &TestGateway, requests: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(gateway.address()).await?;
    stream.write_all(requests.as_bytes()).await?;
    Ok(stream)
}

fn get(target: &str, version: &str) -> String {
    format!("GET {target} HTTP/{version}\r\nHost: shop.test\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_come_before_the_response_to_whom_caused_it_and_to_nobody_else() -> anyhow::Result<()> {
    let gate = Gate::closed();
    let gateway = TestGateway::start(&one_tenant(&origin(&gate).await?, "")).await?;
    let mut first = client(&gateway, &get("/a", "1.1")).await?;
    assert_eq!(read_until(&mut first, "\r\n\r\n").await?, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_eq!(
        read_until(&mut first, "\r\n\r\n").await?,
        HINTS_PASSED,
        "while the origin still holds the response back"
    );
    let mut waiter = client(&gateway, &get("/a", "1.1")).await?;
    let counters = &gateway.tenant(TENANT).counters;
    eventually("the second request is in", async || counters.values().requests == 2).await;
    gate.open();
    for stream in [&mut first, &mut waiter] {
        let response = read_until(stream, "done").await?;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(!response.contains("link"), "{response}");
    }
    eventually("it is stored", async || gateway.is_in_l1("shop.test", "/a")).await;
    first.write_all(get("/a", "1.1").as_bytes()).await?;
    assert!(read_until(&mut first, "done").await?.starts_with("HTTP/1.1 200 OK\r\n"), "a hit has none");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_not_overtaken_and_a_write_has_them_too() -> anyhow::Result<()> {
    let gate = Gate::closed();
    gate.open();
    let gateway = TestGateway::start(&one_tenant(&origin(&gate).await?, "")).await?;
    for round in 0..50 {
        let mut stream = client(&gateway, &get(&format!("/{round}"), "1.1")).await?;
        let all = read_until(&mut stream, "done").await?;
        assert!(all.starts_with(&format!("HTTP/1.1 102 Processing\r\n\r\n{HINTS_PASSED}HTTP/1.1 200 OK\r\n")), "{all}");
    }
    let post = "POST /w HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n";
    let all = read_until(&mut client(&gateway, post).await?, "done").await?;
    assert!(all.contains(HINTS_PASSED), "{all}");
    Ok(())
}

/// RFC 9110 section 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_can_not_take_them_gets_none() -> anyhow::Result<()> {
    let gate = Gate::closed();
    gate.open();
    let url = origin(&gate).await?;
    let gateway = TestGateway::start(&one_tenant(&url, "")).await?;
    let all = read_until(&mut client(&gateway, &get("/a", "1.0")).await?, "done").await?;
    assert!(all.starts_with("HTTP/1.0 200 OK\r\n") || all.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");

    let off = format!("[gateway]\ninterim_responses = false\n{}", one_tenant(&url, ""));
    let gateway = TestGateway::start(&off).await?;
    let all = read_until(&mut client(&gateway, &get("/a", "1.1")).await?, "done").await?;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
    Ok(())
}

/// A client that sends two requests at once and reads nothing until its buffer is full of the first response: the hints of the
/// second come behind that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_never_break_into_another_response() -> anyhow::Result<()> {
    let gate = Gate::closed();
    gate.open();
    let gateway = TestGateway::start(&one_tenant(&origin(&gate).await?, "")).await?;
    let mut stream = client(&gateway, &format!("{}{}", get("/large", "1.1"), get("/a", "1.1"))).await?;
    let mut unread = vec![0; BUFFER_BYTES];
    let is_full = async || stream.peek(&mut unread).await.is_ok_and(|bytes| bytes == BUFFER_BYTES);
    eventually("its buffer is full", is_full).await;
    let head = read_until(&mut stream, "\r\n\r\n").await?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&LARGE_BYTES.to_string()), "{head}");
    let mut body = vec![0; LARGE_BYTES];
    stream.read_exact(&mut body).await?;
    assert!(body.iter().all(|byte| *byte == b'x'), "something broke into the body");
    let all = read_until(&mut stream, "done").await?;
    assert!(all.starts_with(&format!("HTTP/1.1 102 Processing\r\n\r\n{HINTS_PASSED}HTTP/1.1 200 OK\r\n")), "{all}");
    Ok(())
}
