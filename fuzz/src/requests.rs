//! A conversation made of any bytes through the whole request path: clients that ask what they like, an origin that says
//! what it likes. The fuzz target runs it on what the fuzzer makes up, an ordinary test on the saved corpus.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use sandbar::body::{self, Body};
use sandbar::clock::{ManualClock, Timestamp};
use sandbar::{CacheService, Sandbar};
use tower::{Layer, Service, service_fn};

/// Exchanges in one conversation at most.
const EXCHANGES_MAX: usize = 24;

/// One exchange: what the client asks, what the origin would say, and the pause before it.
struct Exchange {
    method: Method,
    target: String,
    asked: HeaderMap,
    status: StatusCode,
    said: HeaderMap,
    content: Vec<u8>,
    pause: Duration,
}

/// What the origin would say next, and the targets of the bodies that it gave so far: each has its exchange's number.
#[derive(Default)]
struct Said {
    next: VecDeque<(usize, StatusCode, HeaderMap, Vec<u8>)>,
    bodies: HashMap<Vec<u8>, String>,
}

/// Has a conversation and checks what must hold of each: every request is answered, with an outcome, and counted once,
/// and a whole body is one that the origin gave for this very target.
///
/// # Panics
/// When it does not hold.
pub(crate) fn converse(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let said = Arc::new(Mutex::new(Said::default()));
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_767_225_600_000)));
        let origin = Arc::clone(&said);
        let sandbar = Sandbar::builder().native_only().clock(Arc::clone(&clock) as _).build();
        let service = sandbar
            .expect("the default settings")
            .layer()
            .layer(service_fn(move |request| answer(Arc::clone(&origin), request)));
        for (number, exchange) in exchanges(bytes).into_iter().enumerate() {
            clock.advance(exchange.pause);
            check(&service, &said, number, exchange).await;
        }
        all_are_counted(&service);
    });
}

/// Every answer is counted once, by where it came from, and once by what `Cache-Status` says of it.
fn all_are_counted(service: &CacheService) {
    let counted = service.cache().tenants().all()[0].counters.values();
    assert_eq!(counted.answered(), counted.requests, "{counted:?}");
    assert_eq!(counted.answers.values().sum::<u64>(), counted.requests, "{counted:?}");
    assert!(counted.hits_stale <= counted.hits_l1 && counted.stale_soft_deadline <= counted.stale_if_error);
}

async fn answer(said: Arc<Mutex<Said>>, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
    let mut said = said.lock().expect("nobody panicked");
    let Some((_, status, fields, content)) = said.next.front().cloned() else {
        return Err(std::io::Error::other("nothing to say"));
    };
    said.bodies.insert(content.clone(), request.uri().path_and_query().map_or("/", |t| t.as_str()).to_owned());
    let mut response = Response::new(body::full(content));
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    Ok(response)
}

async fn check(service: &CacheService, said: &Arc<Mutex<Said>>, number: usize, exchange: Exchange) {
    let Exchange { method, target, asked, status, said: fields, content, .. } = exchange;
    said.lock().expect("nobody panicked").next = VecDeque::from([(number, status, fields, content)]);
    let mut request = Request::new(body::empty());
    let Ok(uri) = format!("http://h{target}").parse() else { return };
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = asked;
    let response: Result<_, Infallible> = service.clone().call(request).await;
    let Ok(response) = response;
    let (head, body) = response.into_parts();
    let refused = head.status == StatusCode::BAD_REQUEST && !head.headers.contains_key("cache-status");
    assert!(refused || head.headers.contains_key("cache-status"), "every answer says how it came about");
    let received = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
    let whole = head.status == StatusCode::OK && method == Method::GET;
    if whole && !received.is_empty() {
        let said = said.lock().expect("nobody panicked");
        let of = said.bodies.get(&received).expect("a whole body is one that the origin gave");
        assert_eq!(*of, target, "and gave for this target");
    }
    if let Some(age) =
        head.headers.get("age").filter(|_| head.headers["cache-status"].as_bytes().starts_with(b"sandbar;hit"))
    {
        assert!(age.to_str().is_ok_and(|age| age.parse::<u32>().is_ok()), "Age of a hit is a number");
    }
}

/// Exchanges are separated by a NUL byte, what is asked and what is said by an empty line.
fn exchanges(bytes: &[u8]) -> Vec<Exchange> {
    bytes
        .split(|byte| *byte == 0)
        .take(EXCHANGES_MAX)
        .enumerate()
        .map(|(number, part)| exchange(number, part))
        .collect()
}

fn exchange(number: usize, bytes: &[u8]) -> Exchange {
    const METHODS: [Method; 8] =
        [Method::GET, Method::GET, Method::GET, Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::OPTIONS];
    const STATUSES: [u16; 16] = [200, 200, 200, 200, 200, 206, 301, 304, 404, 410, 416, 500, 503, 504, 299, 599];
    let (knobs, rest) = bytes.split_at(bytes.len().min(4));
    let knob = |index: usize| knobs.get(index).copied().unwrap_or(0) as usize;
    let cut = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
    let (asked, said) = rest.split_at(cut);
    Exchange {
        method: METHODS[knob(0) % METHODS.len()].clone(),
        target: ["/a", "/b", "/a?q=1"][knob(1) % 3].to_owned(),
        asked: fields(asked),
        status: StatusCode::from_u16(STATUSES[knob(2) % STATUSES.len()]).unwrap_or_default(),
        said: fields(said),
        content: format!("body {number:02}").into_bytes(),
        pause: Duration::from_secs(1 << (knob(3) % 12)),
    }
}

/// Fields from bytes, a line each; lines that are no fields are skipped, and fields that would contradict the body.
fn fields(bytes: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(32) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value)
            && name != "content-length"
            && name != "transfer-encoding"
        {
            fields.append(name, value);
        }
    }
    fields
}
