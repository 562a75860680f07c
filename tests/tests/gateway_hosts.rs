//! Over real sockets: whose request it is, and which requests are none.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An origin that says its name and the host it was asked for.
async fn named(name: &'static str) -> anyhow::Result<Origin> {
    Origin::start(move |seen| {
        let said = format!("{name} for {}", seen.field("host").unwrap_or("nobody"));
        Reply::ok(said).field("cache-control", "max-age=60")
    })
    .await
}

fn tenant(name: &str, host: &str, origin: &Origin) -> String {
    format!("[[tenant]]\nname = \"{name}\"\nhosts = [\"{host}\"]\norigin = \"{}\"\n", origin.url())
}

/// Sends bytes and reads until the gateway closes the connection.
async fn raw(served: &TestGateway, bytes: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(served.address()).await?;
    stream.write_all(bytes.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn tenants_are_chosen_by_host_and_share_nothing() -> anyhow::Result<()> {
    let (shop, blog) = (named("shop").await?, named("blog").await?);
    let tenants = [tenant("shop", "shop.test", &shop), tenant("blog", "*.blog.test", &blog)].concat();
    let served = TestGateway::start(&format!("l2.kind = \"none\"\n{tenants}")).await?;
    for (host, expected) in [
        ("shop.test", "shop for shop.test"),
        ("SHOP.test:8080", "shop for"),
        ("a.blog.test", "blog for a.blog.test"),
        ("a.b.blog.test", "blog for a.b.blog.test"),
    ] {
        let answer = served.client(host).get("/same").await?;
        assert!(answer.text().starts_with(expected), "{host}: {}", answer.text());
    }
    let unknown = served.client("other.test").get("/same").await?;
    assert_eq!(unknown.status, 421);
    assert!(unknown.text().contains("no tenant of this gateway answers for the host \"other.test\""));
    Ok(())
}

#[tokio::test]
async fn a_head_that_is_too_large_or_too_slow_is_refused() -> anyhow::Result<()> {
    let origin = named("shop").await?;
    let limits = "[limits]\nhead_max = \"8KiB\"\nhead_deadline = \"300ms\"\n";
    let served = TestGateway::start(&format!("{limits}{}", one_tenant(&origin.url(), ""))).await?;
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    assert!(raw(&served, &large).await?.starts_with("HTTP/1.1 431 "));
    // Each ends by itself: the gateway closes what does not get on.
    for silent in ["", "G", "PRI * HTTP/2.0", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let answer = tokio::time::timeout(Duration::from_secs(20), raw(&served, silent)).await??;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{silent:?}: {answer}");
    }
    assert_eq!(origin.requests(), 0);
    Ok(())
}

#[tokio::test]
async fn http2_without_tls_is_answered_from_the_same_cache() -> anyhow::Result<()> {
    let origin = named("shop").await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let first = served.client("shop.test").get("/a").await?;

    let stream = TokioIo::new(TcpStream::connect(served.address()).await?);
    let (mut sender, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(driver);
    let request = http::Request::get("https://shop.test/a").body(Empty::<bytes::Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert!(answer.headers()["cache-status"].to_str()?.contains("hit"), "{:?}", answer.headers());
    assert_eq!(answer.into_body().collect().await?.to_bytes(), first.body);

    let mut mismatch = http::Request::get("http://shop.test/a").body(Empty::new())?;
    mismatch.headers_mut().insert("host", "other.test".parse()?);
    assert_eq!(sender.send_request(mismatch).await?.status(), 400);
    assert_eq!(origin.requests(), 1);
    Ok(())
}
