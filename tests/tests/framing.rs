//! Requests whose end, whose host or whose fields two recipients could disagree on: none of them reaches the origin, and
//! nothing that follows them on their connection is taken for a request (RFC 9112 sections 2.2, 3.2, 5 to 7 and 11.2).

use std::time::Duration;

use sandbar_tests::client::raw;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request that must not be seen, on the same connection.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Each with the status code it is answered with.
const REFUSED: [(&str, &str, &str); 32] = [
    ("9112 3.2: no Host", "GET / HTTP/1.1\r\n\r\n", "400"),
    ("9112 3.2: two", "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "400"),
    ("9112 3.2: none that is valid", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n", "400"),
    ("9112 3.2: with user information", "GET / HTTP/1.1\r\nhost: x@a\r\n\r\n", "400"),
    ("9112 3.2.2: another host in the target", "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", "400"),
    ("9112 3.2.3: no tunnels", "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", "501"),
    (
        "9112 6.1: both lengths",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "400",
    ),
    (
        "9112 6.1: the other way round",
        "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
        "400",
    ),
    ("9110 8.6: two lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc", "400"),
    ("9110 8.6: a list", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 4\r\n\r\nabc", "400"),
    ("9110 8.6: a sign", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc", "400"),
    ("9110 8.6: another base", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x3\r\n\r\nabc", "400"),
    ("9110 8.6: negative", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\nabc", "400"),
    ("9110 8.6: too large", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\nabc", "4"),
    ("9112 6.1: not chunked", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\nabc", "400"),
    (
        "9112 6.1: chunked is not the last",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "9112 6.1: more than chunked",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "9112 7.1: chunked twice",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    ("9112 6.1: nearly chunked", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", "400"),
    (
        "9112 6.1: a coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "9112 7.1: the size is no number",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        "400",
    ),
    (
        "9112 7.1: a sign",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
        "400",
    ),
    (
        "9112 7.1: another base",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        "400",
    ),
    (
        "9112 7.1: the size overflows",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n",
        "400",
    ),
    ("9112 5.2: a folded line", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded: 2\r\n\r\n", "400"),
    ("9112 5.1: space before the colon", "GET / HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n", "400"),
    ("9112 2.2: a bare CR", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r2\r\n\r\n", "400"),
    ("9110 5.5: NUL", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\0\r\n\r\n", "400"),
    ("9110 5.1: no field name", "GET / HTTP/1.1\r\nhost: a\r\n: 1\r\n\r\n", "400"),
    ("9112 3: no request line", "nonsense\r\n\r\n", "400"),
    ("9112 2.3: no version of HTTP", "GET / HTTP/9.9\r\nhost: a\r\n\r\n", "400"),
    ("9112 3: a space in the target", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
];

async fn served() -> anyhow::Result<(Origin, TestGateway)> {
    let origin = Origin::start(|_| Reply::ok("a").field("cache-control", "max-age=60")).await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    Ok((origin, gateway))
}

async fn answers(gateway: &TestGateway, bytes: &str) -> anyhow::Result<String> {
    let answer = tokio::time::timeout(Duration::from_secs(20), raw(gateway.address(), bytes.as_bytes())).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_clear_is_refused_and_ends_its_connection() -> anyhow::Result<()> {
    let (origin, gateway) = served().await?;
    for (section, request, status) in REFUSED {
        let answer = answers(&gateway, &format!("{request}{HIDDEN}")).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{section}: {request:?}: {answer}");
        // What hyper itself can't read it answers itself.
        let by_hyper = !answer.contains("content-type");
        assert!(by_hyper || answer.contains("cache-status: sandbar;detail="), "{section}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{section}: {request:?}: {answer}");
        assert_eq!(origin.requests(), 0, "{section}: {request:?} let something through");
    }
    Ok(())
}

/// What comes after a good beginning can't be foreseen: the origin then gets a request that is broken off, and no answer of
/// it is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_goes_wrong_later_reaches_the_origin_broken_off() -> anyhow::Result<()> {
    let (origin, gateway) = served().await?;
    let late = "POST /w HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n0\r\n\r\n";
    let answer = answers(&gateway, &format!("{late}{HIDDEN}")).await?;
    assert!(!answer.contains("200 OK"), "{answer}");
    assert!(origin.seen().iter().all(|seen| seen.path() == "/w" && seen.body.is_none()), "{:?}", origin.seen());
    assert_eq!(gateway.tenant(TENANT).counters.values().stored, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_clear_is_answered() -> anyhow::Result<()> {
    let (origin, gateway) = served().await?;
    for (section, request) in [
        ("9112 3.2.2: absolute form", "GET http://a/abs HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        (
            "9112 3.2.2: in any case, with the scheme's port",
            "GET http://A:80/abs HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        ),
        ("9112 3.2: HTTP/1.0 with Host", "GET /abs HTTP/1.0\r\nhost: a\r\n\r\n"),
        ("9112 2.2: an empty line before it", "\r\nGET /abs HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    ] {
        let answer = answers(&gateway, request).await?;
        assert!(answer.contains(" 200 OK\r\n"), "{section}: {answer}");
    }
    assert_eq!(origin.requests(), 1, "all of them are for one key");
    // RFC 9112 section 3.2 makes `Host` a duty from HTTP/1.1 on. Who answers for every host answers one that is not named too,
    // under a name that nobody has.
    let answer = answers(&gateway, "GET /abs HTTP/1.0\r\n\r\n").await?;
    assert!(answer.contains(" 200 OK\r\n"), "it needs no host: {answer}");
    assert_eq!(origin.requests(), 2, "it has a key of its own");
    let answer = answers(&gateway, "GET /abs HTTP/1.1\r\nconnection: close\r\n\r\n").await?;
    assert!(answer.contains(" 400 "), "a host must be named somewhere: {answer}");
    Ok(())
}

/// RFC 9110 section 10.1.1, RFC 9112 sections 6.5 and 7.1: `Expect` is answered here; extensions of chunks and trailers end
/// here; what goes on is the content.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_content_of_a_chunked_request_goes_on_and_nothing_else() -> anyhow::Result<()> {
    let (origin, gateway) = served().await?;
    let mut stream = TcpStream::connect(gateway.address()).await?;
    stream
        .write_all(
            b"POST /w HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntrailer: x\r\nte: trailers\r\n\
              transfer-encoding: Chunked\r\nconnection: close\r\n\r\n",
        )
        .await?;
    let mut go_on = [0; 25];
    tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut go_on)).await??;
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"3;ext=1\r\nabc\r\n002\r\nde\r\n0\r\nx: 1\r\ncontent-length: 9\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen = origin.seen();
    assert_eq!(seen[0].body.as_deref(), Some(&b"abcde"[..]));
    for name in ["expect", "te", "trailer", "x", "content-length", "connection"] {
        assert_eq!(seen[0].field(name), None, "{name} reached the origin");
    }
    Ok(())
}
