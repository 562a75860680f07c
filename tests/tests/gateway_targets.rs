//! Over real sockets: which forms of a target are answered, under which identity, and what reaches every tier.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbar_tests::gateway::{TestGateway, one_tenant, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply, Seen};
use sandbar_tests::wait::settled;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An origin that says what it was asked, and by whom.
async fn echo() -> anyhow::Result<Origin> {
    Origin::start(|seen| Reply::ok(told(seen)).field("cache-control", "max-age=60")).await
}

fn told(seen: &Seen) -> String {
    let host = seen.field("host").unwrap_or("nobody");
    format!("{} {} {host} #{}", seen.method, seen.uri, seen.number)
}

/// Sends a request, its lines parted by `|`, and reads until the gateway closes the connection.
async fn raw(served: &TestGateway, lines: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(served.address()).await?;
    stream.write_all(format!("{}\r\nconnection: close\r\n\r\n", lines.replace('|', "\r\n")).as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn purge(served: &TestGateway, purge: &str) -> anyhow::Result<u16> {
    let answer = served.admin("POST", "/tenants/default/purge", "application/json", purge.to_owned()).await?;
    Ok(answer.status.as_u16())
}

#[tokio::test]
async fn what_is_no_target_or_no_host_is_refused() -> anyhow::Result<()> {
    let origin = echo().await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    for (section, lines) in [
        ("9112 3.2.4", "GET * HTTP/1.1|host: a.test"),
        ("9112 3.2.4", "HEAD * HTTP/1.1|host: a.test"),
        ("9112 3.2.4", "POST * HTTP/1.1|host: a.test|content-length: 0"),
        ("9112 3.2.3", "GET a.test:80 HTTP/1.1|host: a.test"),
        ("9112 3.2.3", "GET a.test HTTP/1.1|host: a.test"),
        ("9112 3.2.1", "GET ?x HTTP/1.1|host: a.test"),
        ("9110 4.2", "GET ftp://a.test/ HTTP/1.1|host: a.test"),
        ("9110 4.2.4", "GET http://u@a.test/ HTTP/1.1|host: a.test"),
        ("9110 4.2.4", "GET / HTTP/1.1|host: u@a.test"),
        ("3986 3.2.3", "GET / HTTP/1.1|host: a.test:80a"),
        ("3986 3.2.3", "GET / HTTP/1.1|host: a.test:+80"),
        ("3986 3.2.3", "GET / HTTP/1.1|host: a.test:99999"),
        ("3986 3.2.3", "GET http://a.test:99999/ HTTP/1.1|host: a.test:99999"),
        ("3986 3.2.3", "GET http://a.test:+80/ HTTP/1.1|host: a.test"),
        ("3986 3.2.2", "GET http://a.test*/ HTTP/1.1|host: a.test"),
        ("3986 3.2.2", "GET / HTTP/1.1|host: a.test, b.test"),
        ("3986 3.2.2", "GET / HTTP/1.1|host: [::g]"),
        ("3986 3.2.2", "GET / HTTP/1.1|host: ."),
        ("3986 3.2.2", "GET / HTTP/1.1|host:"),
        ("9112 3.2", "GET / HTTP/1.1|x: 1"),
        ("9112 3.2", "GET / HTTP/1.1|host: a.test|host: a.test"),
        ("9112 3.2", "GET / HTTP/1.0|host: a.test|host: b.test"),
        ("9112 3.2.2", "GET http://a.test/ HTTP/1.1|host: b.test"),
    ] {
        let answer = raw(&served, lines).await?;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
            "{section}: {lines}: {answer}"
        );
    }
    assert_eq!(origin.requests(), 0, "none of it reaches the origin");
    Ok(())
}

#[tokio::test]
async fn one_resource_has_one_entry_and_every_purge_reaches_it() -> anyhow::Result<()> {
    let origin = echo().await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let spellings = [
        "GET /?x HTTP/1.1|host: a.test",
        "GET http://a.test?x HTTP/1.1|host: a.test",
        "GET http://a.test/?x HTTP/1.1|host: A.test:80",
        "GET HTTP://A.TEST:080?x HTTP/1.1|host: a.test:",
        "GET https://a.test.?x#f HTTP/1.1|host: a.test",
        "GET http://a.test?x HTTP/1.0",
    ];
    for purged in [
        r#"{"scope":"key","url":"http://a.test/?x"}"#,
        r#"{"scope":"key","url":"HTTP://A.test:080?x"}"#,
        r#"{"scope":"prefix","prefix":"/"}"#,
        r#"{"scope":"prefix","prefix":"http://A.test.:080"}"#,
        r#"{"scope":"prefix","prefix":"http://a.test?x"}"#,
    ] {
        let first = raw(&served, spellings[0]).await?;
        let body = first.rsplit("\r\n").next().unwrap_or_default().to_owned();
        assert!(body.starts_with("GET /?x a.test #"), "{first}");
        for spelling in spellings {
            let answer = raw(&served, spelling).await?;
            assert!(answer.contains("sandbar;hit") && answer.ends_with(&body), "{spelling}: {answer}");
        }
        assert_eq!(purge(&served, purged).await?, 200);
        let after = raw(&served, spellings[1]).await?;
        assert!(!after.contains("sandbar;hit") && !after.ends_with(&body), "{purged}: {after}");
    }
    Ok(())
}

#[tokio::test]
async fn asking_the_server_as_a_whole_goes_on_as_it_is() -> anyhow::Result<()> {
    let origin = echo().await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let answer = raw(&served, "OPTIONS * HTTP/1.1|host: A.test:80").await?;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("OPTIONS * a.test #0"), "9112 3.2.4: {answer}");
    let answer = raw(&served, "OPTIONS * HTTP/1.1|host: a.test|max-forwards: 0").await?;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("max-forwards"), "9110 7.6.2: {answer}");
    let answer = raw(&served, "OPTIONS / HTTP/1.1|host: a.test").await?;
    assert!(answer.ends_with("OPTIONS / a.test #1"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn who_names_no_host_is_answered_under_a_name_that_nobody_has() -> anyhow::Result<()> {
    let origin = echo().await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let first = raw(&served, "GET /a HTTP/1.0|x: 1").await?;
    assert!(first.contains(" 200 ") && first.contains("GET /a no-host.invalid #0"), "9112 3.2: {first}");
    assert!(raw(&served, "GET /a HTTP/1.0|x: 1").await?.contains("sandbar;hit"));
    assert!(raw(&served, "GET /a HTTP/1.0|host: a.test").await?.contains("GET /a a.test #1"));

    let named =
        format!("l2.kind = \"none\"\n[[tenant]]\nhosts = [\"a.test\", \"*.b.test\"]\norigin = \"{}\"\n", origin.url());
    let answer = raw(&TestGateway::start(&named).await?, "GET /a HTTP/1.0|x: 1").await?;
    assert!(answer.contains(" 400 ") && answer.contains("no-host"), "nobody answers for all hosts: {answer}");
    Ok(())
}

#[tokio::test]
async fn what_http2_clients_split_reaches_the_origin_whole() -> anyhow::Result<()> {
    let origin = Origin::start(|seen| {
        let lines: Vec<_> = seen.fields.get_all("cookie").iter().filter_map(|line| line.to_str().ok()).collect();
        let told =
            ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"].map(|name| seen.field(name).unwrap_or("-"));
        Reply::ok(format!("{} | {}", lines.join(" | "), told.join(" ")))
            .field("cache-control", "max-age=60")
            .field("vary", "cookie")
    })
    .await?;
    let settings = format!("[gateway]\nscheme = \"https\"\n{}", one_tenant(&origin.url(), ""));
    let served = TestGateway::start(&settings).await?;
    let stream = TokioIo::new(TcpStream::connect(served.address()).await?);
    let (mut sender, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(driver);
    let request = http::Request::get("http://shop.test/").header("cookie", "a=1").header("cookie", "session=x; b=2");
    let answer = sender.send_request(request.body(Empty::<bytes::Bytes>::new())?).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    assert_eq!(body, "a=1; session=x; b=2 | 127.0.0.1 shop.test https", "9113 8.2.3");
    settled(served.cache()).await;
    let same = served.client("shop.test").get_with("/", &[("cookie", "a=1; session=x; b=2")]).await?;
    assert!(same.is_hit(), "one variant: {:?}", same.fields);
    Ok(())
}

#[tokio::test]
async fn many_response_fields_pass_up_to_a_bound() -> anyhow::Result<()> {
    let origin = Origin::start(|seen| {
        let fields: usize = seen.path().trim_start_matches('/').parse().unwrap_or(0);
        (0..fields).fold(Reply::ok("x").field("cache-control", "max-age=60"), |reply, n| {
            reply.field("link", format!("</{n}>"))
        })
    })
    .await?;
    for l2 in ["[l2]\nkind = \"none\"\n", "[l2]\nkind = \"disk\"\n"] {
        let served = TestGateway::start(&one_tenant_over(l2, &origin.url(), "")).await?;
        for fields in [90, 150, 400] {
            for stored in [false, true, true] {
                let answer = served.client("a.test").get(&format!("/{fields}")).await?;
                let links = answer.fields.get_all("link").iter().count();
                assert_eq!((answer.status.as_u16(), links, answer.is_hit()), (200, fields, stored), "{fields}");
                settled(served.cache()).await;
                if stored && !l2.contains("none") {
                    served.drop_l1();
                }
            }
        }
        assert_eq!(served.client("a.test").get("/600").await?.status, 502, "past fields_max");
    }
    Ok(())
}

#[tokio::test]
async fn a_head_that_shows_another_validator_reaches_every_tier() -> anyhow::Result<()> {
    for in_l1 in [true, false] {
        let origin = Origin::start(|seen| {
            let version = if seen.number == 0 { "a" } else { "b" };
            let reply = Reply::ok(if seen.method == "HEAD" { "" } else { version });
            reply.field("cache-control", "max-age=60").field("etag", format!("\"{version}\""))
        })
        .await?;
        let served = TestGateway::start(&one_tenant_over("[l2]\nkind = \"disk\"\n", &origin.url(), "")).await?;
        let mut client = served.client("a.test");
        assert_eq!(client.get("/").await?.text(), "a");
        settled(served.cache()).await;
        if !in_l1 {
            served.drop_l1();
        }
        let head = client.send("HEAD", "/", &[("cache-control", "no-cache")], "").await?;
        assert_eq!(head.fields["etag"], "\"b\"");
        let got = client.get("/").await?;
        assert_eq!((got.text(), got.is_hit()), ("b".to_owned(), false), "9111 4.3.5: {in_l1}: {:?}", got.fields);
        assert_eq!(origin.requests(), 3);
    }
    Ok(())
}
