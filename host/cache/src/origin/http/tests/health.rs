//! Checks beside the traffic: addresses that fail them, and servers that answer them badly.

use tokio::sync::mpsc;

use super::addresses::{Named, over};
use super::*;

/// How a server answers checks.
#[derive(Clone, Copy, Debug)]
enum Answers {
    Status(u16),
    /// A good head, and content without an end.
    Endlessly,
    /// A redirect to the server itself.
    Redirects,
    /// A head that is larger than any may be.
    Hugely,
    /// Interim responses without an end.
    Interims,
    Never,
}

/// A server that answers checks as it is told at the moment, and tells of each.
struct Checked {
    at: std::net::SocketAddr,
    answers: Arc<parking_lot::Mutex<Answers>>,
    heads: mpsc::UnboundedReceiver<String>,
}

impl Checked {
    async fn start(answers: Answers) -> Self {
        let answers = Arc::new(parking_lot::Mutex::new(answers));
        let (told, (tell, heads)) = (Arc::clone(&answers), mpsc::unbounded_channel());
        let config = origin(move |mut stream, _| {
            let (told, tell) = (Arc::clone(&told), tell.clone());
            async move {
                let head = read_head(&mut stream).await?;
                let answers = *told.lock();
                let _ = tell.send(head);
                answer_check(&mut stream, answers).await
            }
        });
        let at = config.await.url.authority().as_str().parse().expect("an address");
        Self { at, answers, heads }
    }

    async fn head(&mut self) -> String {
        let head = tokio::time::timeout(Duration::from_secs(10), self.heads.recv()).await;
        head.expect("a check in time").expect("a check")
    }
}

async fn answer_check(stream: &mut TcpStream, answers: Answers) -> std::io::Result<()> {
    let head = match answers {
        Answers::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"),
        Answers::Endlessly => "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n".to_owned(),
        Answers::Redirects => "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
        Answers::Hugely => format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(4 * READ_BYTES)),
        Answers::Interims => String::new(),
        Answers::Never => return silence().await,
    };
    stream.write_all(head.as_bytes()).await?;
    loop {
        match answers {
            Answers::Endlessly => stream.write_all(&[b'x'; 4096]).await?,
            Answers::Interims => stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await?,
            _ => return Ok(()),
        }
    }
}

/// An origin over these servers that is checked often.
fn checked(servers: &[std::net::SocketAddr]) -> HttpOrigin {
    let mut check = HealthCheckConfig::new("/healthz?deep=1".parse().expect("a path"));
    (check.interval, check.timeout) = (Span::of(SHORT * 2), Span::of(SHORT * 2));
    let url = "http://app.internal/base".parse().expect("a URL");
    let http = HttpOrigin::new(&OriginConfig { url, health_check: Some(check), ..over(servers) }).expect("an origin");
    http.start();
    http
}

async fn until(http: &HttpOrigin, number: usize, is_healthy: bool) {
    let becomes = async {
        while http.report().addresses[number].healthy != is_healthy {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), becomes).await.expect("the checks find out");
}

#[tokio::test]
async fn requests_go_elsewhere_while_the_checks_of_an_address_fail() {
    let (mut sick, well) = (Checked::start(Answers::Status(503)).await, Checked::start(Answers::Status(204)).await);
    let http = checked(&[sick.at, well.at]);
    let head = sick.head().await;
    assert!(head.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n") && head.contains("host: app.internal\r\n"), "{head}");
    assert!(head.contains("user-agent: sandbar-health-check/"), "{head}");
    until(&http, 0, false).await;
    for _ in 0..20 {
        let response = http.fetch(get("http://shop.example/a")).await.expect("a response");
        assert_eq!(response.status(), 204, "of the other");
    }
    let report = http.report().addresses.swap_remove(0);
    assert_eq!(report.last_error.as_deref(), Some("a check was answered with 503 Service Unavailable"));
    assert!(!report.ejected && report.failures == 0, "{report:?}");
    *sick.answers.lock() = Answers::Status(200);
    until(&http, 0, true).await;
}

#[tokio::test]
async fn where_all_checks_fail_requests_go_on() {
    let sick = [Checked::start(Answers::Status(500)).await, Checked::start(Answers::Status(500)).await];
    let http = checked(&[sick[0].at, sick[1].at]);
    until(&http, 0, false).await;
    until(&http, 1, false).await;
    *sick[0].answers.lock() = Answers::Status(404);
    *sick[1].answers.lock() = Answers::Status(404);
    assert_eq!(http.fetch(get("http://shop.example/a")).await.expect("a response").status(), 404);
}

#[tokio::test]
async fn the_head_of_an_answer_decides_whatever_follows() {
    for good in [Answers::Endlessly, Answers::Redirects] {
        let mut server = Checked::start(good).await;
        let http = checked(&[server.at]);
        for _ in 0..4 {
            let head = server.head().await;
            assert!(head.starts_with("GET /healthz"), "a redirect is not followed: {head}");
        }
        assert!(http.report().addresses[0].healthy, "{good:?}");
    }
    for (bad, why) in [
        (Answers::Hugely, "too large"),
        (Answers::Never, "no answer within 300 ms"),
        (Answers::Interims, "no answer within 300 ms"),
    ] {
        let server = Checked::start(bad).await;
        let http = checked(&[server.at]);
        until(&http, 0, false).await;
        let error = http.report().addresses[0].last_error.clone().unwrap_or_default();
        assert!(error.contains(why), "{bad:?}: {error}");
    }
}

#[tokio::test]
async fn checks_end_with_their_origin() {
    let mut server = Checked::start(Answers::Never).await;
    let http = checked(&[server.at]);
    server.head().await;
    drop(http);
    tokio::time::sleep(SHORT * 6).await;
    assert!(server.heads.try_recv().is_err(), "nobody is checked any more");
}

#[tokio::test]
async fn without_the_setting_nothing_is_checked() {
    let server = Named::start("127.0.0.1", 0).await;
    let http = HttpOrigin::new(&over(&[server.at])).expect("an origin");
    http.start();
    tokio::time::sleep(SHORT).await;
    let report = http.report().addresses.swap_remove(0);
    assert!(report.healthy && report.requests == 0, "{report:?}");
}
