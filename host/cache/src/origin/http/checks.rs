//! Checks of an origin's addresses beside the traffic: a GET request each, on a connection that is made for it and
//! closed behind it. The head of the response decides: its content is not read, and a redirect is not followed.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use http::{Request, header};
use sandbar_base::clock::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::config::HealthCheckConfig;
use super::endpoint::Endpoint;
use super::reason::reason;
use super::servers::Servers;
use super::upload::Upload;
use crate::body;

/// Checks of one origin that are under way at the same time.
const CHECKS_MAX: usize = 16;

/// The name by which the checks can be told from other requests.
const USER_AGENT: &str = concat!("sandbar-health-check/", env!("CARGO_PKG_VERSION"));

/// The checks of an origin, which end when this is dropped.
pub(super) struct Checks {
    _task: AbortOnDropHandle<()>,
}

impl Checks {
    /// Begins to check. Each round checks all addresses, and the next one begins a while after it has ended.
    pub(super) fn begin(servers: Arc<Servers>, config: HealthCheckConfig) -> Self {
        let task = tokio::spawn(async move {
            loop {
                // Where no name leads anywhere, the resolver's failure is told of already.
                let addresses = servers.addresses().await.unwrap_or_default();
                let each: Vec<_> = addresses.iter().map(|one| check(&servers, one, &config).boxed()).collect();
                stream::iter(each).for_each_concurrent(CHECKS_MAX, |check| check).await;
                // Nodes of a fleet that were started together do not check together for long.
                servers.clock.sleep(config.interval.get().mul_f64(0.9 + fastrand::f64() / 5.0)).await;
            }
        });
        Self { _task: AbortOnDropHandle::new(task) }
    }
}

async fn check(servers: &Servers, endpoint: &Endpoint, config: &HealthCheckConfig) {
    let result = ask(servers, endpoint, config).await;
    let (origin, address) = (&servers.config.url, &endpoint.address);
    match endpoint.health.note(result.is_ok(), config) {
        Some(false) => {
            let reason = result.as_ref().err().map(String::as_str).unwrap_or_default();
            tracing::warn!(%origin, %address, reason, "an address of the origin is unhealthy: requests go elsewhere");
        }
        Some(true) => tracing::info!(%origin, %address, "an address of the origin is healthy again"),
        None => {}
    }
    if let Err(why) = result {
        endpoint.check_failed(why);
    }
}

async fn ask(servers: &Servers, endpoint: &Endpoint, config: &HealthCheckConfig) -> Result<(), String> {
    let url = &servers.config.url;
    let uri = url.at_root(config.path.get().clone()).ok_or("its path can't be joined to the URL")?;
    let request =
        Request::get(uri).header(header::HOST, url.authority().as_str()).header(header::USER_AGENT, USER_AGENT);
    let request = request.body(Upload::new(body::empty(), false).0).map_err(|error| error.to_string())?;
    let asking = endpoint.fresh.request(request);
    match timeout(&*servers.clock, config.timeout.get(), asking).await {
        Ok(Ok(response)) if config.expect.contains(response.status()) => Ok(()),
        Ok(Ok(response)) => Err(format!("a check was answered with {}", response.status())),
        Ok(Err(error)) => Err(format!("a check failed: {}", reason(&error))),
        Err(_) => Err(format!("a check had no answer within {} ms", config.timeout.get().as_millis())),
    }
}
