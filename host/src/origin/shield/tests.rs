//! The protection as a whole, over an origin that does as it is told. Time is stepped.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::*;
use crate::clock::{ManualClock, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

/// What the origin does with a request.
enum Does {
    Answers(u16),
    Fails(fn() -> OriginError),
    /// Answers when it is told to.
    Waits(oneshot::Receiver<()>),
    /// Answers with a body that sends a part and then fails.
    BreaksOff,
}

#[derive(Default)]
struct Script {
    does: Mutex<VecDeque<Does>>,
    asked: AtomicUsize,
}

impl Origin for Script {
    fn fetch(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
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

    fn asked(&self) -> usize {
        self.script.asked.load(Ordering::SeqCst)
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
    let retry = RetryConfig { times_max: 0, ..RetryConfig::default() };
    ProtectConfig { requests_max: 1, queue_max: 1, retry, ..ProtectConfig::default() }
}

#[tokio::test]
async fn a_body_counts_until_it_has_ended() {
    let scene = Scene::new(narrow(), []);
    let held = scene.now(get()).expect("a response");
    let waiting = scene.start(get());
    settle().await;
    let stats = scene.shield.stats();
    assert_eq!((stats.running, stats.waiting, scene.asked()), (1, 1, 1));
    assert_eq!(scene.refusal(get()), Refusal::QueueFull);
    assert_eq!(held.into_body().collect().await.expect("a body").to_bytes(), "body");
    assert_eq!(waiting.await.expect("no panic"), Ok(200));
    assert_eq!((scene.shield.stats().running, scene.asked()), (0, 2));
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
    let scene = Scene::new(ProtectConfig { requests_max: 2, ..narrow() }, []);
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
        let pause = Duration::ZERO;
        let config =
            ProtectConfig { retry: RetryConfig { pause, ..RetryConfig::default() }, ..ProtectConfig::default() };
        let scene = Scene::new(config, [does]);
        let answer = scene.now(request());
        if let Ok(response) = answer {
            let _ = response.into_body().collect().await;
        }
        assert_eq!(scene.asked(), expected, "{case}");
        assert_eq!(scene.shield.counters.values().origin_requests, expected as u64, "{case}");
    }
}

#[tokio::test]
async fn a_retry_waits_a_moment_and_gives_up_after_as_many_as_it_may() {
    let retry = RetryConfig { times_max: 2, pause: SECOND, ..RetryConfig::default() };
    let scene = Scene::new(
        ProtectConfig { retry, ..ProtectConfig::default() },
        [Does::Fails(broken), Does::Fails(broken), Does::Fails(broken)],
    );
    let asking = scene.start(get());
    settle().await;
    assert_eq!(scene.asked(), 1, "it pauses");
    for _ in 0..2 {
        scene.clock.advance(2 * SECOND);
        settle().await;
    }
    assert_eq!(asking.await.expect("no panic"), Err("origin-broken"));
    assert_eq!((scene.asked(), scene.shield.stats().retries), (3, 2));
}

#[tokio::test]
async fn an_origin_that_is_down_is_asked_a_tenth_more_at_most() {
    let retry = RetryConfig { pause: Duration::ZERO, burst: 1, ..RetryConfig::default() };
    let breaker = BreakerConfig { enabled: false, ..BreakerConfig::default() };
    let config = ProtectConfig { retry, breaker, ..ProtectConfig::default() };
    let scene = Scene::new(config, (0..2000).map(|_| Does::Fails(unreachable)));
    (0..1000).for_each(|_| drop(scene.now(get())));
    assert!((1100..=1101).contains(&scene.asked()), "{}", scene.asked());
    let stats = scene.shield.stats();
    assert_eq!(stats.retries + stats.retries_denied, 1000);
}

#[tokio::test]
async fn an_origin_that_fails_is_left_alone_and_tried_again() {
    let breaker = BreakerConfig { requests_min: 4, probes: 2, ..BreakerConfig::default() };
    let errors = [Does::Answers(500), Does::Fails(late), Does::Answers(504), Does::Fails(unreachable)];
    let scene = Scene::new(ProtectConfig { breaker, requests_max: 100, ..narrow() }, errors);
    (0..4).for_each(|_| drop(scene.now(get())));
    assert_eq!(scene.shield.stats().breaker, "open");
    let Err(error) = scene.now(get()) else { panic!("it is open") };
    assert_eq!((error.reason(), scene.asked()), ("origin-open", 4));
    let after = error.retry_after().expect("it knows when");
    assert!((SECOND / 2..=SECOND).contains(&after), "{after:?}");

    scene.clock.advance(SECOND);
    let (first, told) = oneshot::channel();
    let (second, told_too) = oneshot::channel();
    scene.script.does.lock().extend([Does::Waits(told), Does::Waits(told_too)]);
    let probes = [scene.start(get()), scene.start(get())];
    settle().await;
    assert_eq!((scene.shield.stats().breaker, scene.refusal(get())), ("half-open", Refusal::BreakerOpen));
    assert_eq!(scene.asked(), 6, "two probes");
    let _ = (first.send(()), second.send(()));
    for probe in probes {
        assert_eq!(probe.await.expect("no panic"), Ok(200));
    }
    assert_eq!(scene.shield.stats().breaker, "closed");
    assert!(scene.now(get()).is_ok());
}

#[tokio::test]
async fn bodies_that_break_off_open_the_breaker_too() {
    let breaker = BreakerConfig { requests_min: 8, ..BreakerConfig::default() };
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
    let breaker = BreakerConfig { requests_min: 1, probes: 1, ..BreakerConfig::default() };
    let scene = Scene::new(ProtectConfig { breaker, requests_max: 9, ..narrow() }, [Does::Answers(500)]);
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
    let config = ProtectConfig { adaptive: true, requests_min: 2, requests_max: 100, ..narrow() };
    let scene = Scene::new(config, []);
    assert_eq!(scene.shield.stats().limit, 2, "it measures");
    (0..50).for_each(|_| drop(scene.now(get())));
    assert_eq!(scene.shield.stats().limit, 14, "it begins in the middle");
    scene.script.does.lock().extend((0..200).map(|_| Does::Answers(503)));
    (0..20).for_each(|_| drop(scene.now(get())));
    assert!(scene.shield.stats().limit < 10, "{}", scene.shield.stats().limit);
}

#[test]
fn settings_that_can_not_work_are_refused_by_name() {
    let check = |change: fn(&mut ProtectConfig), key: &str| {
        let mut config = ProtectConfig::default();
        change(&mut config);
        assert_eq!(config.check().expect_err("it can't work").0, key);
    };
    assert_eq!(ProtectConfig::default().check(), Ok(()));
    check(|config| config.requests_max = 0, "requests_max");
    check(|config| (config.adaptive, config.requests_min) = (true, 2000), "requests_min");
    check(|config| config.breaker.probes = 0, "breaker.probes");
    check(|config| config.breaker.pause_max = Duration::ZERO, "breaker.pause_max");
    check(|config| config.retry.share_percent = 101, "retry.share_percent");
}
