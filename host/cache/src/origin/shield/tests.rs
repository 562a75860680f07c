//! The protection as a whole, over an origin that does as it is told. Time is stepped.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use sandbar_base::clock::{ManualClock, Timestamp};
use tokio::sync::oneshot;

use super::*;
use crate::setting::{Count, Key, Span};

const SECOND: Duration = Duration::from_secs(1);

/// What the origin does with a request.
enum Does {
    Answers(u16),
    Fails(fn() -> OriginError),
    /// Answers when it is told to.
    Waits(oneshot::Receiver<()>),
    /// Answers with a body that sends a part and then fails.
    BreaksOff,
    /// Reads the request's content to its end, and answers with this; where it breaks off, not at all.
    TakesUpload(u16),
    /// Answers with a part at once, then reads the request's content, and fails when it is told to.
    AnswersEarly(oneshot::Receiver<()>),
}

#[derive(Default)]
struct Script {
    does: Mutex<VecDeque<Does>>,
    request: AtomicUsize,
}

impl Origin for Script {
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        self.request.fetch_add(1, Ordering::SeqCst);
        let does = self.does.lock().pop_front().unwrap_or(Does::Answers(200));
        Box::pin(async move {
            match does {
                Does::Answers(status) => {
                    Ok(Response::builder().status(status).body(body::full("body")).expect("a response"))
                }
                Does::Fails(error) => Err(error()),
                Does::Waits(told) => {
                    let _ = told.await;
                    Ok(Response::new(body::full("late")))
                }
                Does::TakesUpload(status) => {
                    request.into_body().collect().await.map_err(|_| broken())?;
                    Ok(Response::builder().status(status).body(body::empty()).expect("a response"))
                }
                Does::AnswersEarly(told) => {
                    let part = futures_util::stream::iter([Ok(http_body::Frame::data("part".into()))]);
                    let upload = request.into_body();
                    let rest = futures_util::stream::once(async move {
                        tokio::select! {
                            _ = upload.collect() => {}
                            _ = told => {}
                        }
                        Err(body::BoxError::from("broken"))
                    });
                    let stream = futures_util::StreamExt::chain(part, rest);
                    Ok(Response::new(body::boxed(http_body_util::StreamBody::new(stream))))
                }
                Does::BreaksOff => {
                    let parts = [Ok(http_body::Frame::data("part".into())), Err(body::BoxError::from("broken"))];
                    let stream = futures_util::stream::iter(parts);
                    Ok(Response::new(body::boxed(http_body_util::StreamBody::new(stream))))
                }
            }
        })
    }
}

struct Scene {
    shield: Arc<Shield>,
    script: Arc<Script>,
    clock: Arc<ManualClock>,
}

impl Scene {
    fn new(config: ProtectConfig, does: impl IntoIterator<Item = Does>) -> Self {
        let script = Arc::new(Script { does: Mutex::new(does.into_iter().collect()), ..Script::default() });
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000_000)));
        let (origin, counters) = (Arc::clone(&script) as _, Arc::default());
        let shield = Shield::new("shop", origin, &config, 30 * SECOND, Arc::clone(&clock) as _, counters);
        Self { shield: Arc::new(shield), script, clock }
    }

    fn request(&self) -> usize {
        self.script.request.load(Ordering::SeqCst)
    }

    /// The head of the response at once; the body is held.
    fn now(&self, request: Request<Body>) -> Result<Response<Body>, OriginError> {
        self.shield.fetch(request).now_or_never().expect("it does not wait")
    }

    fn refusal(&self, request: Request<Body>) -> Refusal {
        match self.now(request) {
            Err(OriginError::Refused { refusal, .. }) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Starts a request that waits.
    fn start(&self, request: Request<Body>) -> tokio::task::JoinHandle<Result<u16, &'static str>> {
        let shield = Arc::clone(&self.shield);
        tokio::spawn(async move {
            match shield.fetch(request).await {
                Ok(response) => Ok(response.status().as_u16()),
                Err(error) => Err(error.reason()),
            }
        })
    }
}

fn get() -> Request<Body> {
    Request::get("http://shop.test/").body(body::empty()).expect("a request")
}

fn refresh() -> Request<Body> {
    let mut request = get();
    request.extensions_mut().insert(Urgency::Background);
    request
}

fn unreachable() -> OriginError {
    OriginError::Connect { origin: "o".into(), reason: "refused".into() }
}

fn broken() -> OriginError {
    OriginError::Broken { origin: "o".into(), reason: "reset".into() }
}

fn late() -> OriginError {
    OriginError::Deadline { origin: "o".into(), what: "first-byte", deadline_ms: 1 }
}

async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

/// One request at a time, one that waits, no retries.
fn narrow() -> ProtectConfig {
    let retry = RetryConfig { times_max: Count::of(0), ..RetryConfig::default() };
    ProtectConfig { requests_max: Count::of(1), queue_max: Count::of(1), retry, ..ProtectConfig::default() }
}

#[tokio::test]
async fn a_body_counts_until_it_has_ended() {
    let scene = Scene::new(narrow(), []);
    let held = scene.now(get()).expect("a response");
    let waiting = scene.start(get());
    settle().await;
    let stats = scene.shield.stats();
    assert_eq!((stats.running, stats.waiting, scene.request()), (1, 1, 1));
    assert_eq!(scene.refusal(get()), Refusal::QueueFull);
    assert_eq!(held.into_body().collect().await.expect("a body").to_bytes(), "body");
    assert_eq!(waiting.await.expect("no panic"), Ok(200));
    assert_eq!((scene.shield.stats().running, scene.request()), (0, 2));
}

#[tokio::test]
async fn a_turn_that_does_not_come_in_time_is_given_up() {
    let scene = Scene::new(narrow(), []);
    let held = scene.now(get()).expect("a response");
    let waiting = scene.start(get());
    settle().await;
    scene.clock.advance(SECOND);
    assert_eq!(waiting.await.expect("no panic"), Err("origin-queue-deadline"));
    assert_eq!(scene.shield.stats().waiting, 0);
    drop(held);
    assert_eq!(scene.shield.stats().running, 0, "a body that is let go has ended");
}

#[tokio::test]
async fn refreshes_are_dropped_first_and_clients_first_served() {
    let scene = Scene::new(ProtectConfig { requests_max: Count::of(2), ..narrow() }, []);
    let _client = scene.now(get()).expect("a response");
    let held = scene.now(refresh()).expect("there was room");
    assert_eq!(scene.refusal(refresh()), Refusal::Background);
    let waiting = scene.start(get());
    settle().await;
    drop(held);
    assert_eq!(waiting.await.expect("no panic"), Ok(200));
    let stats = scene.shield.stats();
    assert_eq!((stats.refused["origin-background"], stats.refused_clients()), (1, 0));
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    let put = || Request::put("http://h/").body(body::full("x")).expect("a request");
    let post = || Request::post("http://h/").body(body::empty()).expect("a request");
    let delete = || Request::delete("http://h/").body(body::empty()).expect("a request");
    type Case = (&'static str, fn() -> Request<Body>, Does, usize);
    let cases: [Case; 8] = [
        ("no connection", get, Does::Fails(unreachable), 2),
        ("no byte came", get, Does::Fails(broken), 2),
        ("idempotent though unsafe", delete, Does::Fails(broken), 2),
        ("a deadline: it has too much to do", get, Does::Fails(late), 1),
        ("503: so it says itself", get, Does::Answers(503), 1),
        ("not idempotent (RFC 9110 section 9.2.2)", post, Does::Fails(broken), 1),
        ("content can't be sent twice", put, Does::Fails(unreachable), 1),
        ("a byte came", get, Does::BreaksOff, 1),
    ];
    for (case, request, does, expected) in cases {
        let pause = Span::of(Duration::ZERO);
        let config =
            ProtectConfig { retry: RetryConfig { pause, ..RetryConfig::default() }, ..ProtectConfig::default() };
        let scene = Scene::new(config, [does]);
        let answer = scene.now(request());
        if let Ok(response) = answer {
            let _ = response.into_body().collect().await;
        }
        assert_eq!(scene.request(), expected, "{case}");
        assert_eq!(
            scene.shield.counters.requests.load(std::sync::atomic::Ordering::Relaxed),
            expected as u64,
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_retry_waits_a_moment_and_gives_up_after_as_many_as_it_may() {
    let retry = RetryConfig { times_max: Count::of(2), pause: Span::of(SECOND), ..RetryConfig::default() };
    let scene = Scene::new(
        ProtectConfig { retry, ..ProtectConfig::default() },
        [Does::Fails(broken), Does::Fails(broken), Does::Fails(broken)],
    );
    let asking = scene.start(get());
    settle().await;
    assert_eq!(scene.request(), 1, "it pauses");
    for _ in 0..2 {
        scene.clock.advance(2 * SECOND);
        settle().await;
    }
    assert_eq!(asking.await.expect("no panic"), Err("origin-broken"));
    assert_eq!((scene.request(), scene.shield.stats().retries), (3, 2));
}

#[tokio::test]
async fn an_origin_that_is_down_is_asked_a_tenth_more_at_most() {
    let retry = RetryConfig { pause: Span::of(Duration::ZERO), burst: Count::of(1), ..RetryConfig::default() };
    let breaker = BreakerConfig { enabled: false, ..BreakerConfig::default() };
    let config = ProtectConfig { retry, breaker, ..ProtectConfig::default() };
    let scene = Scene::new(config, (0..2000).map(|_| Does::Fails(unreachable)));
    (0..1000).for_each(|_| drop(scene.now(get())));
    assert!((1100..=1101).contains(&scene.request()), "{}", scene.request());
    let stats = scene.shield.stats();
    assert_eq!(stats.retries + stats.retries_denied, 1000);
}

#[tokio::test]
async fn an_origin_that_fails_is_left_alone_and_tried_again() {
    let breaker = BreakerConfig { requests_min: Count::of(4), probes: Count::of(2), ..BreakerConfig::default() };
    let errors = [Does::Answers(500), Does::Fails(late), Does::Answers(504), Does::Fails(unreachable)];
    let scene = Scene::new(ProtectConfig { breaker, requests_max: Count::of(100), ..narrow() }, errors);
    (0..4).for_each(|_| drop(scene.now(get())));
    assert_eq!(scene.shield.stats().breaker, "open");
    let Err(error) = scene.now(get()) else { panic!("it is open") };
    assert_eq!((error.reason(), scene.request()), ("origin-open", 4));
    let after = error.retry_after().expect("it knows when");
    assert!((SECOND / 2..=SECOND).contains(&after), "{after:?}");

    scene.clock.advance(SECOND);
    let (first, told) = oneshot::channel();
    let (second, told_too) = oneshot::channel();
    scene.script.does.lock().extend([Does::Waits(told), Does::Waits(told_too)]);
    let probes = [scene.start(get()), scene.start(get())];
    settle().await;
    assert_eq!((scene.shield.stats().breaker, scene.refusal(get())), ("half-open", Refusal::BreakerOpen));
    assert_eq!(scene.request(), 6, "two probes");
    let _ = (first.send(()), second.send(()));
    for probe in probes {
        assert_eq!(probe.await.expect("no panic"), Ok(200));
    }
    assert_eq!(scene.shield.stats().breaker, "closed");
    assert!(scene.now(get()).is_ok());
}

#[tokio::test]
async fn bodies_that_break_off_open_the_breaker_too() {
    let breaker = BreakerConfig { requests_min: Count::of(8), ..BreakerConfig::default() };
    let scene = Scene::new(ProtectConfig { breaker, ..narrow() }, (0..8).map(|_| Does::BreaksOff));
    for _ in 0..8 {
        if let Ok(response) = scene.now(get()) {
            assert!(response.into_body().collect().await.is_err());
        }
    }
    assert_eq!(scene.shield.stats().breaker, "open");
}

#[tokio::test]
async fn a_probe_that_is_given_up_makes_room_for_another() {
    let breaker = BreakerConfig { requests_min: Count::of(1), probes: Count::of(1), ..BreakerConfig::default() };
    let scene = Scene::new(ProtectConfig { breaker, requests_max: Count::of(9), ..narrow() }, [Does::Answers(500)]);
    drop(scene.now(get()));
    scene.clock.advance(SECOND);
    let (_never, told) = oneshot::channel();
    scene.script.does.lock().push_back(Does::Waits(told));
    let probe = scene.start(get());
    settle().await;
    assert_eq!(scene.refusal(get()), Refusal::BreakerOpen);
    probe.abort();
    let _ = probe.await;
    assert_eq!(scene.now(get()).expect("a probe").status(), 200);
    assert_eq!(scene.shield.stats().breaker, "closed");
}

#[tokio::test]
async fn a_fetch_ends_at_its_hard_deadline_and_a_write_does_not() {
    for (request, expected) in [
        (get(), Some(Err("origin-timeout"))),
        (Request::post("http://h/").body(body::empty()).expect("a request"), None),
    ] {
        let (tell, told) = oneshot::channel();
        let scene = Scene::new(narrow(), [Does::Waits(told)]);
        let fetch = scene.start(request);
        settle().await;
        scene.clock.advance(30 * SECOND);
        settle().await;
        assert_eq!(fetch.is_finished(), expected.is_some());
        let _ = tell.send(());
        assert_eq!(fetch.await.expect("no panic"), expected.unwrap_or(Ok(200)));
        assert_eq!(scene.shield.stats().running, 0);
    }
}

#[tokio::test]
async fn an_adaptive_limit_follows_the_origin() {
    let config = ProtectConfig { adaptive: true, requests_min: Count::of(2), requests_max: Count::of(100), ..narrow() };
    let scene = Scene::new(config, []);
    assert_eq!(scene.shield.stats().limit, 2, "it measures");
    (0..50).for_each(|_| drop(scene.now(get())));
    assert_eq!(scene.shield.stats().limit, 14, "it begins in the middle");
    scene.script.does.lock().extend((0..200).map(|_| Does::Answers(503)));
    (0..20).for_each(|_| drop(scene.now(get())));
    assert!(scene.shield.stats().limit < 10, "{}", scene.shield.stats().limit);
}

/// Content whose first part is there; then it breaks off, or does not go on.
fn upload(method: &str, breaks_off: bool) -> Request<Body> {
    let parts =
        [Some(Ok(http_body::Frame::data("part".into()))), breaks_off.then(|| Err(body::BoxError::from("reset")))];
    let content = futures_util::stream::iter(parts.into_iter().flatten());
    let content = futures_util::StreamExt::chain(content, futures_util::stream::pending());
    let content = body::boxed(http_body_util::StreamBody::new(content));
    Request::builder().method(method).uri("http://shop.test/").body(content).expect("a request")
}

fn from(mut request: Request<Body>, connection: u64) -> Request<Body> {
    let address = std::net::IpAddr::from([192, 0, 2, u8::try_from(connection).unwrap_or(0)]);
    request.extensions_mut().insert(Client::new(connection, address));
    request
}

#[tokio::test]
async fn what_a_client_spoils_is_no_failure_of_the_origin() {
    let scene = Scene::new(ProtectConfig::default(), (0..100).map(|_| Does::TakesUpload(200)));
    for (method, times) in [("POST", 50), ("PUT", 25), ("GET", 25)] {
        for _ in 0..times {
            let error = scene.now(upload(method, true)).expect_err("its content broke off");
            assert!(matches!(error, OriginError::Client(ClientFault::BadUpload { .. })), "{error}");
            assert_eq!((error.fault(), error.reason()), (Fault::Client, "bad-body"));
        }
    }
    let (stats, counted) = (scene.shield.stats(), counted(&scene));
    assert_eq!((stats.breaker, stats.running, stats.retries + stats.retries_denied), ("closed", 0, 0));
    assert_eq!(counted, (0, 100), "errors and faults of clients");
}

/// Errors of the origin, and faults of its clients.
fn counted(scene: &Scene) -> (u64, u64) {
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let counters = &scene.shield.counters;
    (of(&counters.errors), of(&counters.client_faults))
}

#[tokio::test]
async fn an_upload_that_does_not_go_on_is_late_and_that_is_no_failure_of_the_origin() {
    // A deadline of the whole fetch, where there is one, is no earlier.
    for method in ["POST", "GET"] {
        let scene = Scene::new(narrow(), [Does::TakesUpload(200)]);
        let late = scene.start(upload(method, false));
        settle().await;
        for _ in 0..35 {
            scene.clock.advance(SECOND);
            settle().await;
        }
        assert_eq!(late.await.expect("no panic"), Err("late-body"), "{method}");
        let (stats, counted) = (scene.shield.stats(), counted(&scene));
        assert_eq!((stats.running, counted), (0, (0, 1)), "{method}");
    }
}

#[tokio::test]
async fn a_probe_is_given_back_while_its_client_keeps_it_waiting() {
    let breaker = BreakerConfig { requests_min: Count::of(1), probes: Count::of(1), ..BreakerConfig::default() };
    let scene = Scene::new(
        ProtectConfig { breaker, requests_max: Count::of(9), ..narrow() },
        [Does::Answers(500), Does::TakesUpload(200), Does::Answers(200)],
    );
    drop(scene.now(get()));
    scene.clock.advance(SECOND);
    let slow = scene.start(upload("POST", false));
    settle().await;
    assert_eq!(scene.refusal(get()), Refusal::BreakerOpen, "the probe is under way");
    scene.clock.advance(LAGS_FROM);
    settle().await;
    assert_eq!(scene.now(get()).expect("a probe").status(), 200);
    assert_eq!(scene.shield.stats().breaker, "closed");
    slow.abort();
    let _ = slow.await;
    assert_eq!((scene.shield.stats().breaker, scene.shield.stats().running), ("closed", 0));
    // A probe that its client spoils is given back too.
    scene.script.does.lock().extend([Does::Answers(500), Does::TakesUpload(200)]);
    drop(scene.now(get()));
    scene.clock.advance(2 * SECOND);
    assert!(scene.now(upload("POST", true)).is_err());
    assert_eq!(scene.now(get()).expect("a probe").status(), 200);
    assert_eq!(scene.shield.stats().breaker, "closed");
}

#[tokio::test]
async fn a_response_that_is_not_read_is_cut_in_time() {
    let scene = Scene::new(narrow(), []);
    let unread = scene.now(get()).expect("a response");
    settle().await;
    for _ in 0..34 {
        scene.clock.advance(SECOND);
        settle().await;
    }
    let stats = scene.shield.stats();
    assert_eq!((stats.running, stats.places_lost), (0, 1));
    let error = unread.into_body().collect().await.expect_err("it is not whole");
    assert!(ClientFault::ended(&error), "{error}");
    assert_eq!(scene.shield.watcher.breaker.lock().opened(), 0);
    assert!(scene.now(get()).is_ok());
}

#[tokio::test]
async fn a_body_that_breaks_off_while_the_client_keeps_the_origin_waiting_is_no_failure() {
    let breaker = BreakerConfig { requests_min: Count::of(1), ..BreakerConfig::default() };
    for (lag, expected) in [(SECOND, "closed"), (Duration::ZERO, "open")] {
        let (tell, told) = oneshot::channel();
        let scene = Scene::new(ProtectConfig { breaker: breaker.clone(), ..narrow() }, [Does::AnswersEarly(told)]);
        let mut content = scene.now(upload("POST", false)).expect("a response").into_body();
        assert!(content.frame().await.expect("a part").is_ok());
        assert!(content.frame().now_or_never().is_none(), "the client is waited for");
        scene.clock.advance(lag);
        let _ = tell.send(());
        assert!(content.frame().await.expect("an end").is_err());
        assert_eq!(scene.shield.stats().breaker, expected);
    }
}

#[tokio::test]
async fn one_client_can_not_shut_the_origin_for_others() {
    let config = ProtectConfig { requests_max: Count::of(8), queue_max: Count::of(8), ..narrow() };
    let scene = Scene::new(config, []);
    let _unread: Vec<_> = (0..8).map(|_| scene.now(from(get(), 1)).expect("there is room")).collect();
    let _waiting: Vec<_> = (0..8).map(|_| scene.start(from(get(), 1))).collect();
    settle().await;
    scene.clock.advance(SECOND / 2);
    for visitor in 2..10 {
        let answer = scene.now(from(get(), visitor)).expect("the place of one that lies");
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "body");
        scene.clock.advance(SECOND / 10);
    }
    let stats = scene.shield.stats();
    assert_eq!((stats.refused_clients(), stats.breaker), (0, "closed"), "nobody had to go: the first one's wait on");
}

#[tokio::test]
async fn the_time_that_a_client_takes_is_not_the_origins_latency() {
    let config = ProtectConfig { adaptive: true, requests_min: Count::of(2), requests_max: Count::of(100), ..narrow() };
    let scene = Scene::new(config, []);
    (0..50).for_each(|_| drop(scene.now(get())));
    let limit = scene.shield.stats().limit;
    for _ in 0..20 {
        scene.script.does.lock().push_back(Does::TakesUpload(200));
        let (send, sent) = oneshot::channel::<()>();
        let content = futures_util::stream::once(async move {
            let _ = sent.await;
            Ok::<_, body::BoxError>(http_body::Frame::data("all".into()))
        });
        let request = Request::post("http://shop.test/").body(body::boxed(http_body_util::StreamBody::new(content)));
        let slow = scene.start(request.expect("a request"));
        settle().await;
        scene.clock.advance(2 * SECOND);
        let _ = send.send(());
        assert_eq!(slow.await.expect("no panic"), Ok(200));
    }
    assert!(scene.shield.stats().limit >= limit, "{} after {limit}", scene.shield.stats().limit);
}

#[test]
fn settings_that_can_not_work_are_refused_by_name() {
    let check = |change: fn(&mut ProtectConfig), key: &str| {
        let mut config = ProtectConfig::default();
        change(&mut config);
        assert_eq!(config.check().expect_err("it can't work").0, Key::from(key));
    };
    assert_eq!(ProtectConfig::default().check(), Ok(()));
    check(|config| (config.adaptive, config.requests_min) = (true, Count::of(2000)), "requests_min");
    check(|config| config.breaker.pause_max = Span::of(Duration::from_millis(1)), "breaker.pause_max");
}
