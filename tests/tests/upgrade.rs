//! Connections that switch to another protocol (RFC 9110 section 7.8), over real sockets with scripted clients and origins.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbar::tenant::counters::CounterValues;
use sandbar_tests::client::Client;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::wait::{eventually, in_time};
use sandbar_tests::web_socket::{CLASS, SWITCHED, handshake, read_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;

/// What came to the origin on one connection: the head of the first request, and the connection after it.
struct Asked {
    head: String,
    stream: TcpStream,
}

impl Asked {
    fn has(&self, line: &str) -> bool {
        self.head.lines().any(|one| one.eq_ignore_ascii_case(line))
    }
}

/// An origin that hands each connection to the test once a request is there.
struct Scripted {
    url: String,
    connections: mpsc::UnboundedReceiver<Asked>,
}

impl Scripted {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (hand_over, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let hand_over = hand_over.clone();
                tokio::spawn(async move {
                    let head = read_until(&mut stream, "\r\n\r\n").await?;
                    hand_over.send(Asked { head, stream }).map_err(|_| anyhow::anyhow!("the test is over"))
                });
            }
        });
        Ok(Self { url, connections })
    }

    async fn asked(&mut self) -> anyhow::Result<Asked> {
        let asked = in_time("a request", self.connections.recv()).await;
        asked.ok_or_else(|| anyhow::anyhow!("the origin is gone"))
    }
}

/// All that comes until the other side ends.
async fn read_to_end(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut read = Vec::new();
    in_time("the end", stream.read_to_end(&mut read)).await?;
    Ok(String::from_utf8(read)?)
}

async fn client(gateway: &TestGateway, request: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(gateway.address()).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

fn counters(gateway: &TestGateway) -> CounterValues {
    gateway.tenant(TENANT).counters.values()
}

/// A client, a gateway and an origin that have switched.
async fn tunnel(more: &str) -> anyhow::Result<(TestGateway, Scripted, TcpStream, TcpStream)> {
    let mut origin = Scripted::start().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url, &format!("{more}{CLASS}"))).await?;
    let mut client = client(&gateway, &handshake("/live/1", "")).await?;
    let mut asked = origin.asked().await?;
    asked.stream.write_all(SWITCHED.as_bytes()).await?;
    let answer = read_until(&mut client, "\r\n\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    Ok((gateway, origin, client, asked.stream))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_allows_it_joins_client_and_origin() -> anyhow::Result<()> {
    let mut origin = Scripted::start().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url, CLASS)).await?;
    // What the client sends before it has its answer belongs to the new protocol once that is spoken.
    let mut client =
        client(&gateway, &format!("{}early ", handshake("/live/1", "Origin: http://shop.test\r\n"))).await?;
    let mut asked = origin.asked().await?;
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "host: shop.test",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version: 13",
        "origin: http://shop.test",
    ] {
        assert!(asked.has(line), "{line}: {}", asked.head);
    }
    // The first bytes of the new protocol come with the answer.
    asked.stream.write_all(format!("{SWITCHED}first").as_bytes()).await?;
    let answer = read_until(&mut client, "\r\n\r\n").await?;
    for part in ["HTTP/1.1 101 ", "connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-accept: abc=\r\n"]
    {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert_eq!(read_until(&mut client, "first").await?, "first");
    client.write_all(b"late").await?;
    assert_eq!(read_until(&mut asked.stream, "late").await?, "early late");

    let tenant = gateway.tenant(TENANT);
    assert_eq!((tenant.tunnels.open(), counters(&gateway).tunnels), (1, 1));
    assert_eq!(tenant.report().origin.running, 1, "it holds its place at the origin");
    let metrics = Client::new(gateway.admin_address(), "localhost").get("/metrics").await?.text().to_owned();
    assert!(metrics.contains("sandbar_tunnels_open{tenant=\"default\"} 1"), "{metrics}");

    // Each direction ends by itself.
    client.shutdown().await?;
    assert_eq!(read_to_end(&mut asked.stream).await?, "");
    asked.stream.write_all(b"after that").await?;
    drop(asked);
    assert_eq!(read_to_end(&mut client).await?, "after that");
    eventually("the tunnel is over", async || tenant.tunnels.open() == 0).await;
    eventually("its place is free", async || tenant.report().origin.running == 0).await;
    assert!(!gateway.is_in_l1("shop.test", "/live/1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_ends_or_breaks_ends_the_tunnel() -> anyhow::Result<()> {
    let (gateway, _origin, mut client, mut at_origin) = tunnel("").await?;
    at_origin.write_all(b"last words").await?;
    at_origin.shutdown().await?;
    assert_eq!(read_to_end(&mut client).await?, "last words");
    client.write_all(b"heard").await?;
    drop(client);
    assert_eq!(read_to_end(&mut at_origin).await?, "heard");
    eventually("the tunnel is over", async || gateway.tenant(TENANT).tunnels.open() == 0).await;
    Ok(())
}

/// What the origin says instead goes to the client as it is, and is neither stored nor shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_does_not_switch_answers_as_it_likes() -> anyhow::Result<()> {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nplain", "HTTP/1.1 200 OK"),
        (
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nplain",
            "upgrade: websocket\r\n",
        ),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nplain", "HTTP/1.1 403 Forbidden"),
    ] {
        let mut origin = Scripted::start().await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, CLASS)).await?;
        // The next request on that connection is one: it is checked, and its forbidden field does not go on.
        let next = "GET /live/2 HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-Host: evil\r\n\r\n";
        let mut client = client(&gateway, &format!("{}{next}", handshake("/live/1", ""))).await?;
        let mut asked = origin.asked().await?;
        asked.stream.write_all(answer.as_bytes()).await?;
        let got = read_until(&mut client, "plain").await?;
        assert!(got.contains(expected) && got.contains("fwd=request"), "{got}");
        let mut second = origin.asked().await?;
        assert!(second.head.starts_with("GET /live/2 ") && !second.head.contains("evil"), "{}", second.head);
        second.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext").await?;
        read_until(&mut client, "next").await?;
        assert!(!gateway.is_in_l1("shop.test", "/live/1"));
        assert_eq!(gateway.tenant(TENANT).tunnels.open(), 0);
    }
    Ok(())
}

/// RFC 9110 section 7.8: `Upgrade` may be ignored; what is left is a plain request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elsewhere_it_is_a_plain_request() -> anyhow::Result<()> {
    let plain = "GET /live/1 HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\n\r\n".to_owned();
    let old = handshake("/live/1", "").replace("HTTP/1.1", "HTTP/1.0");
    let post = handshake("/live/1", "Content-Length: 0\r\n").replace("GET ", "POST ");
    for (why, request) in [
        ("the class does not allow it", handshake("/other", "")),
        ("the class does not allow that one", handshake("/live/1", "").replace("Upgrade: websocket", "Upgrade: h2c")),
        ("Connection does not name it", plain),
        ("HTTP/1.0 has none", old),
        ("no WebSocket is opened by POST", post),
    ] {
        let mut origin = Scripted::start().await?;
        let gateway = TestGateway::start(&one_tenant(&origin.url, CLASS)).await?;
        let mut client = client(&gateway, &request).await?;
        let mut asked = origin.asked().await?;
        assert!(!asked.head.to_ascii_lowercase().contains("\r\nupgrade:"), "{why}: {}", asked.head);
        asked.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain").await?;
        assert!(read_until(&mut client, "plain").await?.contains(" 200 OK\r\n"), "{why}");
    }
    Ok(())
}

/// RFC 8441 is not offered, and CONNECT opens nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_has_no_tunnels() -> anyhow::Result<()> {
    let origin = Scripted::start().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url, CLASS)).await?;
    let stream = TokioIo::new(TcpStream::connect(gateway.address()).await?);
    let (mut sender, mut connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    let request = http::Request::connect("shop.test:80").body(http_body_util::Empty::<bytes::Bytes>::new())?;
    let answering = sender.send_request(request);
    let answer = tokio::select! {
        answer = answering => answer?,
        ended = &mut connection => anyhow::bail!("the connection ended: {ended:?}"),
    };
    assert_eq!(answer.status(), 501);
    assert!(!connection.is_extended_connect_protocol_enabled(), "SETTINGS_ENABLE_CONNECT_PROTOCOL is off");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_more_than_may_be() -> anyhow::Result<()> {
    let (gateway, mut origin, first, at_origin) = tunnel("[tenant.tunnels]\nmax = 1\n").await?;
    let mut second = client(&gateway, &handshake("/live/2", "Connection: close\r\n")).await?;
    let refused = read_until(&mut second, "tunnels-full\n").await?;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert_eq!(counters(&gateway).tunnels_refused, 1);
    drop((first, at_origin));
    eventually("the first is over", async || gateway.tenant(TENANT).tunnels.open() == 0).await;
    let mut third = client(&gateway, &handshake("/live/3", "")).await?;
    origin.asked().await?.stream.write_all(SWITCHED.as_bytes()).await?;
    assert!(read_until(&mut third, "\r\n\r\n").await?.starts_with("HTTP/1.1 101 "));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_in_which_nothing_moves_is_ended() -> anyhow::Result<()> {
    let (gateway, _origin, mut client, mut at_origin) = tunnel("[tenant.tunnels]\nidle_deadline = \"1s\"\n").await?;
    assert_eq!(read_to_end(&mut client).await?, "");
    assert_eq!(read_to_end(&mut at_origin).await?, "");
    eventually("it is counted", async || counters(&gateway).tunnels_idle == 1).await;
    Ok(())
}

/// Tunnels would never end by themselves: a node that stops ends them first, and has nothing to cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_ends_them() -> anyhow::Result<()> {
    let (gateway, _origin, mut client, mut at_origin) = tunnel("").await?;
    let drained = gateway.into_gateway().shutdown(Duration::from_secs(20)).await;
    assert!(drained, "nothing had to be cut");
    assert_eq!(read_to_end(&mut client).await?, "");
    assert_eq!(read_to_end(&mut at_origin).await?, "");
    Ok(())
}

/// A gateway that is dropped stops at once, and its tunnels with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dropped_ends_them() -> anyhow::Result<()> {
    let (gateway, _origin, mut client, mut at_origin) = tunnel("").await?;
    drop(gateway);
    assert_eq!(read_to_end(&mut client).await?, "");
    assert_eq!(read_to_end(&mut at_origin).await?, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_at_a_unix_socket_is_joined_to_its_client_too() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("app.sock");
    let listener = UnixListener::bind(&path)?;
    let at = format!("origin = {{ url = \"http://app\", servers = [\"unix:{}\"] }}", path.display());
    let tenant = format!("[[tenant]]\nname = \"{TENANT}\"\nhosts = [\"*\"]\n{at}\n{CLASS}");
    let gateway = TestGateway::start(&format!("[l2]\nkind = \"none\"\n{tenant}")).await?;
    let running = || gateway.tenant(TENANT).report().origin_at.addresses[0].running;
    let mut client = client(&gateway, &handshake("/live/1", "")).await?;
    let mut origin = loop {
        let (mut stream, _) = listener.accept().await?;
        // The gateway has connected once before, to see whether the origin is there.
        if let Ok(head) = read_until(&mut stream, "\r\n\r\n").await {
            anyhow::ensure!(head.to_ascii_lowercase().contains("host: shop.test\r\n"), "{head}");
            break stream;
        }
    };
    origin.write_all(SWITCHED.as_bytes()).await?;
    read_until(&mut client, "\r\n\r\n").await?;
    client.write_all(b"ping.").await?;
    assert_eq!(read_until(&mut origin, ".").await?, "ping.");
    origin.write_all(b"pong.").await?;
    assert_eq!(read_until(&mut client, ".").await?, "pong.");
    assert_eq!(running(), 1, "the request is at the address for as long as the connection lasts");
    drop((client, origin));
    eventually("the address has no request", async || running() == 0).await;
    Ok(())
}
