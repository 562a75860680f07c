//! Runs scenarios against the tower layer: the origin is a service, and time is stepped.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::body::{self, Body};
use sandbar::clock::{ManualClock, Timestamp};
use sandbar::tenant::config::TenantConfig;
use sandbar::{CacheService, Sandbar};
use tower::{Layer, Service, service_fn};

use super::scenario::{Got, Says, Scenario, Step, fields, judge};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Real time within which an answer comes: who waits for the stepped clock by mistake fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Origin {
    says: Mutex<Option<Says>>,
    heard: Mutex<Vec<HeaderMap>>,
}

impl Origin {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
        self.heard.lock().push(request.headers().clone());
        let _ = request.into_body().collect().await;
        let Some(Says::Response { status, fields: said, body: content }) = self.says.lock().take() else {
            return Err(std::io::Error::other("nothing to say"));
        };
        let mut response = Response::new(body::full(content));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = fields(said, START);
        Ok(response)
    }
}

async fn answered(mut service: CacheService, step: &Step) -> Got {
    let content = if matches!(step.method, "GET" | "HEAD" | "TRACE") { body::empty() } else { body::full("content") };
    let mut request = Request::new(content);
    *request.method_mut() = step.method.parse().unwrap();
    *request.uri_mut() = format!("http://h{}", step.target).parse().unwrap();
    *request.headers_mut() = fields(step.with, START);
    let response = service.call(request).await.unwrap_or_else(|never| match never {});
    let (head, content) = response.into_parts();
    let body = content.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    Got { status: head.status.as_u16(), fields: head.headers, body: body.map_err(|error| error.to_string()) }
}

/// Runs them all, each on a cache of its own with these settings.
pub(crate) async fn run(config: &TenantConfig, scenarios: &[Scenario]) {
    let mut config = config.clone();
    // The pause before a retry would wait for the stepped clock.
    config.protect.retry.times_max = sandbar::setting::Count::of(0);
    for Scenario { about, steps } in scenarios {
        let (origin, clock) = (Arc::new(Origin::default()), Arc::new(ManualClock::starting_at(START)));
        let asked = Arc::clone(&origin);
        let sandbar = Sandbar::builder().native_only().tenant(config.clone()).clock(Arc::clone(&clock) as _);
        let service =
            sandbar.build().unwrap().layer().layer(service_fn(move |request| Arc::clone(&asked).answer(request)));
        for (number, step) in steps.iter().enumerate() {
            clock.advance(step.after);
            *origin.says.lock() = step.says.clone();
            let about = format!("{about}, over the layer, step {number}");
            let got = tokio::time::timeout(PATIENCE, answered(service.clone(), step)).await;
            let got = got.unwrap_or_else(|_| panic!("no answer: {about}"));
            // Lets what goes on behind the answer end.
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
            let heard = std::mem::take(&mut *origin.heard.lock());
            judge(&about, step, START, &got, &heard);
        }
    }
}
