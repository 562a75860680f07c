//! What does a hit of 1 KiB cost as a tower layer, from the request to the last byte of the response: beside the gateway's own
//! front on the same hit, and beside other caches that are tower layers?
//!
//! `--count NAME --requests N` answers N requests and reads no clock: under valgrind, the instructions that more requests add
//! are what one costs (`scripts/layer-cost` counts them). Without it all contenders take turns, and the table shows the
//! median of eleven rounds, in nanoseconds, with the least and the most.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use sandbar::Sandbar;
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt};

const HOST: &str = "bench.test";
const TARGET: &str = "/1024";
const CONTENT: [u8; 1024] = [b'x'; 1024];
const FRESH: &str = "max-age=86400";
const ROUNDS: usize = 11;

/// Answers a request, and reads the answer to its end; `None` where something has to be waited for.
type Answer = Box<dyn FnMut(Request<Incoming>) -> Option<Bytes>>;

/// Makes a contender that has been asked once.
type Make = fn(&Runtime) -> Answer;

/// The contenders by name.
const CONTENDERS: [(&str, Make); 4] = [
    ("layer", layer),
    ("front", front),
    ("http-cache-tower-server", http_cache),
    ("axum-response-cache", axum_response_cache),
];

/// The service behind the layers.
async fn page<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder().header("cache-control", FRESH).header("content-length", CONTENT.len());
    Ok(response.body(Full::from(CONTENT.to_vec())).expect("a response"))
}

/// The content of a hit, for which nothing is waited.
fn at_once<B: Body<Data = Bytes>, E>(response: impl Future<Output = Result<Response<B>, E>>) -> Option<Bytes> {
    read(response).now_or_never()
}

async fn read<B: Body<Data = Bytes>, E>(response: impl Future<Output = Result<Response<B>, E>>) -> Bytes {
    let response = response.await.ok().expect("a response");
    response.into_body().collect().await.ok().expect("all of its content").to_bytes()
}

fn layer(runtime: &Runtime) -> Answer {
    let tenant = TenantConfig { hosts: vec![HOST.to_owned()], ..TenantConfig::named("bench") };
    let _within = runtime.enter();
    let sandbar = Sandbar::builder().tenant(tenant).build().expect("a cache");
    let service = sandbar.layer().layer(tower::service_fn(page));
    runtime.block_on(async { read(service.clone().oneshot(request().await)).await });
    Box::new(move |request| at_once(service.clone().oneshot(request)))
}

fn front(runtime: &Runtime) -> Answer {
    let gateway = runtime.block_on(async {
        let origin = Origin::start(|_| Reply::ok(CONTENT.to_vec()).field("cache-control", FRESH)).await;
        // Both run until the program ends.
        let origin = Box::leak(Box::new(origin.expect("an origin")));
        let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await;
        Box::leak(Box::new(gateway.expect("a gateway")))
    });
    let service = gateway.gateway().answering(SocketAddr::from(([127, 0, 0, 1], 9))).expect("there is memory");
    runtime.block_on(async { read(service.call(request().await)).await });
    Box::new(move |request| at_once(service.call(request)))
}

fn http_cache(runtime: &Runtime) -> Answer {
    let manager = http_cache::MokaManager::default();
    let service = http_cache_tower_server::ServerCacheLayer::new(manager).layer(tower::service_fn(page::<Incoming>));
    runtime.block_on(async { read(service.clone().oneshot(request().await)).await });
    Box::new(move |request| at_once(service.clone().oneshot(request)))
}

fn axum_response_cache(runtime: &Runtime) -> Answer {
    let page = tower::service_fn(|request: Request<axum::body::Body>| async move {
        let Ok(response) = page(request).await;
        Ok::<_, Infallible>(response.map(axum::body::Body::new))
    });
    let service = axum_response_cache::CacheLayer::with_lifespan(Duration::from_secs(86_400)).layer(page);
    let ask = move |request: Request<Incoming>| service.clone().oneshot(request.map(axum::body::Body::new));
    runtime.block_on(async { read(ask(request().await)).await });
    Box::new(move |request| at_once(ask(request)))
}

/// Requests as a server gets them.
async fn requests(count: usize) -> Vec<Request<Incoming>> {
    let (client, server) = tokio::io::duplex(16 << 10);
    let (taken, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(
        TokioIo::new(server),
        service_fn(move |request| {
            taken.send(request).expect("they are taken");
            async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
        }),
    );
    tokio::spawn(serving);
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.expect("a connection");
    tokio::spawn(connection);
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let request = Request::get(TARGET).header("host", HOST).header("user-agent", "bench/1").header("accept", "*/*");
        sender.ready().await.expect("the connection is kept");
        sender.send_request(request.body(Empty::<Bytes>::new()).expect("a request")).await.expect("an answer");
        all.push(requests.recv().await.expect("a request"));
    }
    all
}

async fn request() -> Request<Incoming> {
    requests(1).await.pop().expect("one")
}

/// Answers the requests.
#[inline(never)]
fn run(answer: &mut Answer, requests: Vec<Request<Incoming>>) {
    for request in requests {
        black_box(answer(request).expect("a hit is there at once"));
    }
}

/// A contender that has stored the response.
fn ready(runtime: &Runtime, name: &str) -> Answer {
    let make = CONTENDERS.iter().find(|(one, _)| *one == name).map(|(_, make)| make);
    let mut answer = make.unwrap_or_else(|| panic!("{name} is no contender"))(runtime);
    // The first answer may be stored a moment after it was read.
    loop {
        let request = runtime.block_on(request());
        let _within = runtime.enter();
        if answer(request).is_some_and(|content| content == CONTENT[..]) {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn main() {
    let (mut count, mut of) = (20_000, None);
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{word} takes a value"));
        match word.as_str() {
            "--count" => of = Some(value),
            "--requests" => count = value.parse().expect("a number of requests"),
            other => panic!("{other} is not known"),
        }
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    if let Some(name) = of {
        let mut answer = ready(&runtime, &name);
        let requests = runtime.block_on(requests(count));
        let _within = runtime.enter();
        return run(&mut answer, requests);
    }
    let mut contenders: Vec<_> =
        CONTENDERS.iter().map(|(name, _)| (*name, ready(&runtime, name), Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (_, answer, rounds) in &mut contenders {
            let requests = runtime.block_on(requests(count));
            let _within = runtime.enter();
            let began = tokio::time::Instant::now();
            run(answer, requests);
            rounds.push(began.elapsed().as_nanos() as f64 / count as f64);
        }
    }
    for (name, _, mut rounds) in contenders {
        rounds.sort_by(f64::total_cmp);
        println!("{name:24} {:6.0} ns ({:.0} to {:.0})", rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1]);
    }
}
