//! Origins with several addresses.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sandbar_base::clock::{Clock, ManualClock, Timestamp};

use super::*;

/// A server that answers each request with its address.
pub(super) struct Named {
    pub(super) at: SocketAddr,
    /// The status code that it answers with.
    pub(super) status: Arc<AtomicUsize>,
    /// Connections that were closed by the cache.
    closed: Arc<AtomicUsize>,
    _serving: tokio_util::task::AbortOnDropHandle<()>,
}

impl Named {
    pub(super) async fn start(ip: &str, port: u16) -> Self {
        let listener = TcpListener::bind((ip, port)).await.expect("a port");
        let (at, closed) = (listener.local_addr().expect("an address"), Arc::new(AtomicUsize::new(0)));
        let status = Arc::new(AtomicUsize::new(200));
        let (counted, answered) = (Arc::clone(&closed), Arc::clone(&status));
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (counted, answered) = (Arc::clone(&counted), Arc::clone(&answered));
                tokio::spawn(async move {
                    while read_message(&mut stream).await.is_ok() {
                        let (status, said) = (answered.load(Ordering::SeqCst), at.to_string());
                        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{said}", said.len());
                        stream.write_all(answer.as_bytes()).await?;
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, io::Error>(())
                });
            }
        });
        Self { at, status, closed, _serving: tokio_util::task::AbortOnDropHandle::new(serving) }
    }
}

/// Reads a head and the content that it announces.
async fn read_message(stream: &mut TcpStream) -> io::Result<()> {
    let head = read_head(stream).await?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await.map(drop)
}

/// An address that nobody listens at.
pub(super) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
}

pub(super) fn over(servers: &[SocketAddr]) -> OriginConfig {
    let servers = servers.iter().map(|at| at.to_string().parse().expect("a server")).collect();
    OriginConfig { servers, ..OriginConfig::new("http://app.internal".parse().expect("a URL")) }
}

pub(super) async fn said(http: &HttpOrigin) -> String {
    text(http.fetch(get("http://shop.example/a")).await.expect("a response")).await
}

#[tokio::test]
async fn several_servers_share_the_requests() {
    let servers = [Named::start("127.0.0.1", 0).await, Named::start("127.0.0.1", 0).await];
    let http = HttpOrigin::new(&over(&[servers[0].at, servers[1].at])).expect("an origin");
    let mut counts = HashMap::new();
    for _ in 0..60 {
        *counts.entry(said(&http).await).or_insert(0) += 1;
    }
    assert!(counts.len() == 2 && counts.values().all(|count| *count > 10), "{counts:?}");
    let report = http.report();
    assert_eq!(report.addresses.iter().map(|one| one.requests).sum::<u64>(), 60);
    assert!(report.addresses.iter().all(|one| one.running == 0 && one.failures == 0), "{report:?}");
}

#[tokio::test]
async fn the_host_is_that_of_the_url_whichever_server_is_asked() {
    let echo = echo_head().await;
    let at = echo.url.authority().as_str().parse().expect("a server");
    let url = "http://app.internal/base".parse().expect("a URL");
    let config = OriginConfig { servers: vec![at], host_header: HostHeader::Origin, ..OriginConfig::new(url) };
    let head = text(answer(&config, get("http://shop.example/a")).await.expect("a response")).await;
    assert!(head.starts_with("GET /base/a HTTP/1.1\r\n") && head.contains("host: app.internal\r\n"), "{head}");
}

#[tokio::test]
async fn a_request_that_finds_no_connection_goes_to_another_server_with_its_content() {
    let alive = Named::start("127.0.0.1", 0).await;
    let http = HttpOrigin::new(&over(&[nobody().await, alive.at])).expect("an origin");
    for number in 0..40 {
        let post = Request::post("http://shop.example/a").body(body::full(format!("content {number}"))).expect("one");
        assert_eq!(text(http.fetch(post).await.expect("a response")).await, alive.at.to_string());
    }
    let report = http.report();
    let dead = &report.addresses[0];
    assert!(dead.failures > 0 && dead.last_error.as_ref().is_some_and(|why| why.contains("refused")), "{report:?}");
}

#[tokio::test]
async fn where_all_are_dead_the_error_names_an_address() {
    let dead = [nobody().await, nobody().await];
    let error = failure(&over(&dead)).await;
    let names_one = dead.iter().any(|at| error.to_string().contains(&at.to_string()));
    assert!(matches!(error, OriginError::Connect { .. }) && names_one, "{error}");
}

#[tokio::test]
async fn a_server_that_hangs_gets_no_more_while_another_is_free() {
    let hangs = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        silence().await
    });
    let hangs = hangs.await.url.authority().as_str().parse().expect("an address");
    let alive = Named::start("127.0.0.1", 0).await;
    let http = HttpOrigin::new(&over(&[hangs, alive.at])).expect("an origin");
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut fetch = http.fetch(get("http://shop.example/a"));
        if tokio::time::timeout(SHORT * 2, &mut fetch).await.is_err() {
            held.push(fetch);
        }
    }
    assert!(held.len() <= 1, "{} requests wait for the server that hangs", held.len());
}

/// A resolver that says what a test has told it to say.
#[derive(Default)]
struct Told {
    answers: Mutex<HashMap<String, Vec<IpAddr>>>,
    asked: AtomicUsize,
    hangs: std::sync::atomic::AtomicBool,
}

impl Told {
    fn say(&self, name: &str, ips: &[&str]) {
        let ips = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        self.answers.lock().insert(name.to_owned(), ips);
    }
}

impl Resolve for Told {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        async move {
            if self.hangs.load(Ordering::SeqCst) {
                silence().await?;
            }
            tokio::task::yield_now().await;
            self.answers.lock().get(host).cloned().ok_or_else(|| io::Error::other("no such name"))
        }
        .boxed()
    }
}

/// Two servers at one port of two addresses, and an origin whose name leads to the first.
struct ByName {
    servers: [Named; 2],
    told: Arc<Told>,
    clock: Arc<ManualClock>,
    http: HttpOrigin,
}

const NAME: &str = "app.internal";
const IPS: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

impl ByName {
    async fn start() -> Self {
        let first = Named::start(IPS[0], 0).await;
        let port = first.at.port();
        let servers = [first, Named::start(IPS[1], port).await];
        let (told, clock) =
            (Arc::new(Told::default()), Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000))));
        told.say(NAME, &IPS[..1]);
        let config = OriginConfig::new(format!("http://{NAME}:{port}").parse().expect("a URL"));
        let injected = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&told) as Arc<dyn Resolve>);
        let http = HttpOrigin::within(&config, injected.0, injected.1).expect("an origin");
        Self { servers, told, clock, http }
    }

    /// Asks until the server of this number answers.
    async fn until(&self, number: usize) {
        let at = self.servers[number].at.to_string();
        let asking = async { while said(&self.http).await != at {} };
        tokio::time::timeout(Duration::from_secs(10), asking).await.expect("the server is asked");
    }
}

#[tokio::test]
async fn a_name_is_resolved_again_behind_a_request_and_kept_connections_follow() {
    let by_name = ByName::start().await;
    assert_eq!(said(&by_name.http).await, by_name.servers[0].at.to_string());
    by_name.told.say(NAME, &IPS[1..]);
    by_name.clock.advance(Duration::from_secs(26));
    assert_eq!(said(&by_name.http).await, by_name.servers[0].at.to_string());
    assert_eq!(by_name.told.asked.load(Ordering::SeqCst), 1, "it is not time yet: up to a tenth is taken off");
    by_name.clock.advance(Duration::from_secs(4));
    by_name.until(1).await;
    let closed = || by_name.servers[0].closed.load(Ordering::SeqCst) == 1;
    while !closed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(by_name.http.report().addresses.len(), 1);
}

#[tokio::test]
async fn all_addresses_of_a_name_are_asked() {
    let by_name = ByName::start().await;
    by_name.told.say(NAME, &IPS);
    by_name.until(0).await;
    by_name.until(1).await;
    assert_eq!(by_name.told.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_resolver_that_fails_keeps_the_last_answer_and_is_told_of() {
    let by_name = ByName::start().await;
    by_name.until(0).await;
    by_name.told.answers.lock().clear();
    by_name.clock.advance(Duration::from_secs(30));
    while by_name.http.report().resolver_failures == 0 {
        assert_eq!(said(&by_name.http).await, by_name.servers[0].at.to_string());
    }
    let report = by_name.http.report();
    assert_eq!(report.resolver_error.as_deref(), Some("app.internal: no such name"));
    by_name.told.say(NAME, &[]);
    by_name.clock.advance(Duration::from_secs(30));
    while by_name.http.report().resolver_failures == 1 {
        assert_eq!(said(&by_name.http).await, by_name.servers[0].at.to_string());
    }
    by_name.told.say(NAME, &IPS[1..]);
    by_name.clock.advance(Duration::from_secs(30));
    by_name.until(1).await;
    assert_eq!(by_name.http.report().resolver_error, None);
}

#[tokio::test]
async fn no_request_waits_for_a_renewal_unless_the_answer_is_very_old() {
    let by_name = ByName::start().await;
    by_name.until(0).await;
    by_name.told.hangs.store(true, Ordering::SeqCst);
    by_name.clock.advance(Duration::from_secs(30));
    for _ in 0..3 {
        assert_eq!(said(&by_name.http).await, by_name.servers[0].at.to_string());
    }
    assert_eq!(by_name.told.asked.load(Ordering::SeqCst), 2, "one renewal at a time");
    by_name.told.hangs.store(false, Ordering::SeqCst);
    by_name.told.say(NAME, &IPS[1..]);
    by_name.clock.advance(Duration::from_secs(300));
    assert_eq!(said(&by_name.http).await, by_name.servers[1].at.to_string(), "an address may be another's by now");
}

#[tokio::test]
async fn the_first_requests_wait_for_one_lookup_and_share_its_error() {
    let by_name = ByName::start().await;
    let first: Vec<_> = (0..5).map(|_| said(&by_name.http)).collect();
    futures_util::future::join_all(first).await;
    assert_eq!(by_name.told.asked.load(Ordering::SeqCst), 1);

    let unknown = ByName::start().await;
    unknown.told.answers.lock().clear();
    let asked = (0..5).map(|_| unknown.http.fetch(get("http://shop.example/a")));
    for answer in futures_util::future::join_all(asked).await {
        let error = answer.map(|_| ()).expect_err("no address");
        assert!(
            matches!(&error, OriginError::Connect { reason, .. } if reason == "app.internal: no such name"),
            "{error}"
        );
    }
    assert_eq!(unknown.told.asked.load(Ordering::SeqCst), 1);
    unknown.told.say(NAME, &IPS[..1]);
    assert_eq!(said(&unknown.http).await, unknown.servers[0].at.to_string(), "the next one asks again");
}
