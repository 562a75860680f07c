//! Nodes of a fleet in one process: each a cache of its own over the same Redis and the same origin.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::body::{self, Body};
use sandbar::cache::{Cache, CacheLimits, CacheParts, PurgeReport, Roster};
use sandbar::clock::{Clock, SystemClock, Timestamp};
use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar::origin::Origin;
use sandbar::origin::loader::Loader;
use sandbar::policy::TenantPolicies;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar::tier::{BarrierStore, BreakerConfig, Tier};

use crate::origin::Gate;
use crate::scope;
use crate::wait::PATIENCE;

/// After how long without a message the nodes of [`hasty_fleet_config`] count as deaf.
pub const SILENCE: Duration = Duration::from_millis(500);

/// The machine's clock, which tests can put forward.
#[derive(Debug, Default)]
pub struct SteppedClock {
    ahead_ms: AtomicU64,
    passed_ms: AtomicU64,
}

impl SteppedClock {
    /// Puts the time of day forward, so that stored responses are so much older.
    pub fn step(&self, step: Duration) {
        self.ahead_ms.fetch_add(millis(step), Ordering::SeqCst);
    }

    /// Puts the monotonic clock forward, by which silence and deadlines are measured, as for a process that stood
    /// still.
    pub fn stand_still(&self, time: Duration) {
        self.passed_ms.fetch_add(millis(time), Ordering::SeqCst);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add(Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic().saturating_add(Duration::from_millis(self.passed_ms.load(Ordering::SeqCst)))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        SystemClock.sleep(duration)
    }
}

/// The origin of all nodes, which numbers its answers.
#[derive(Debug)]
pub struct Source {
    /// The clock of all nodes in front of this origin.
    pub clock: Arc<SteppedClock>,
    fetches: AtomicUsize,
    cache_control: Mutex<&'static str>,
    gate_of_next: Mutex<Option<Gate>>,
    gate_of_all: Mutex<Gate>,
    version: Mutex<Option<u64>>,
}

impl Source {
    /// An origin whose responses have this `Cache-Control`.
    pub fn new(cache_control: &'static str) -> Arc<Self> {
        let (gate_of_next, gate_of_all, version) = (Mutex::new(None), Mutex::new(Gate::closed()), Mutex::new(None));
        gate_of_all.lock().open();
        let (clock, fetches, cache_control) = (Arc::default(), AtomicUsize::new(0), Mutex::new(cache_control));
        Arc::new(Self { clock, fetches, cache_control, gate_of_next, gate_of_all, version })
    }

    /// From now on responses have this `Cache-Control`.
    pub fn says(&self, cache_control: &'static str) {
        *self.cache_control.lock() = cache_control;
    }

    /// From now on responses have this `x-version`; before, it is the number of the answer.
    pub fn version(&self, version: u64) {
        *self.version.lock() = Some(version);
    }

    /// Makes the next request wait for the gate that is returned; later ones don't.
    pub fn hold_next(&self) -> Gate {
        let gate = Gate::closed();
        *self.gate_of_next.lock() = Some(gate.clone());
        gate
    }

    /// Makes all requests from now on wait for the gate that is returned.
    pub fn hold_all(&self) -> Gate {
        let gate = Gate::closed();
        *self.gate_of_all.lock() = gate.clone();
        gate
    }

    /// Requests so far.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, body::BoxError> {
        let number = self.fetches.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate_of_next.lock().take().unwrap_or_else(|| self.gate_of_all.lock().clone());
        gate.passed().await;
        let cache_control = *self.cache_control.lock();
        let version = self.version.lock().unwrap_or(number as u64);
        let response = Response::builder().header("cache-control", cache_control);
        let response = response.header("surrogate-key", "all").header("x-version", version);
        let content = if request.method() == Method::GET { number.to_string() } else { String::new() };
        Ok(response.body(body::full(content))?)
    }
}

/// A node.
#[derive(Clone)]
pub struct Node {
    /// The node's cache.
    pub cache: Cache,
    /// The node's only tenant.
    pub tenant: Arc<Tenant>,
}

/// What a node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The number of the origin's answer, or an error.
    pub body: String,
    /// The status code.
    pub status: u16,
    /// The field `Cache-Status`.
    pub cache_status: String,
}

/// Fleet settings for tests that are not about deadlines: no deadline is so short that a busy machine would miss it.
pub fn fleet_config(url: &str) -> FleetConfig {
    FleetConfig {
        silence_max: PATIENCE,
        deaf_age_max: PATIENCE,
        lease: PATIENCE,
        member_timeout: PATIENCE * 2,
        confirm_deadline: PATIENCE,
        deadline: PATIENCE / 2,
        publish_deadline: PATIENCE / 2,
        ..hasty_fleet_config(url)
    }
}

/// Fleet settings for nodes that are to notice trouble soon, or that lose their network.
pub fn hasty_fleet_config(url: &str) -> FleetConfig {
    FleetConfig {
        heartbeat: Duration::from_millis(50),
        silence_max: SILENCE,
        deaf_age_max: SILENCE,
        partitions: 4,
        lease: Duration::from_millis(800),
        member_timeout: SILENCE * 2,
        confirm_deadline: SILENCE / 2,
        breaker: breaker(),
        ..FleetConfig::new(url)
    }
}

fn breaker() -> BreakerConfig {
    BreakerConfig { backoff_max: Duration::from_millis(100), ..BreakerConfig::default() }
}

/// The settings of a tenant with this consistency.
pub fn tenant(consistency: Consistency) -> TenantConfig {
    TenantConfig { name: "shop".into(), consistency, ..TenantConfig::default() }
}

impl Node {
    /// Starts a node on the Redis at `url` and waits until it hears the others.
    ///
    /// # Errors
    /// When it can't be started, or does not hear.
    pub async fn start(url: &str, consistency: Consistency, source: &Arc<Source>) -> anyhow::Result<Self> {
        Self::start_with(fleet_config(url), tenant(consistency), source).await
    }

    /// Starts a node with these settings.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(fleet: FleetConfig, tenant: TenantConfig, source: &Arc<Source>) -> anyhow::Result<Self> {
        Self::start_deaf(fleet, tenant, source)?.hears().await
    }

    /// Starts a node, and does not wait until it hears the others.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_deaf(fleet: FleetConfig, tenant: TenantConfig, source: &Arc<Source>) -> anyhow::Result<Self> {
        let clock = Arc::clone(&source.clock);
        let source = Arc::clone(source);
        let origin = Loader::new("source", move |request: Request<Body>| {
            let source = Arc::clone(&source);
            async move { source.answer(request).await }
        });
        Self::over(fleet, tenant, Arc::new(origin), clock)
    }

    /// Starts a node in front of any origin, and does not wait until it hears the others.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn over(
        fleet: FleetConfig,
        tenant: TenantConfig,
        origin: Arc<dyn Origin>,
        clock: Arc<SteppedClock>,
    ) -> anyhow::Result<Self> {
        let policies = TenantPolicies::native(&tenant.name);
        let tenant = Tenant::new(&tenant, policies, origin, clock.clone())?;
        let l2 = RedisConfig { breaker: breaker(), deadline: fleet.deadline, ..RedisConfig::new(&fleet.url) };
        let l2 = RedisTier::connect(&l2, clock.clone())?;
        let cache = Cache::new(CacheParts {
            tenants: Roster::new([Arc::clone(&tenant)]).expect("one tenant"),
            l2: Some(l2.clone()),
            barriers: Some(l2),
            clock,
            limits: CacheLimits::default(),
        });
        cache.join_fleet(&fleet)?;
        Ok(Self { cache, tenant })
    }

    /// Starts a node that is alone, with memory and this L2, in front of any origin.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn alone<L: Tier + BarrierStore>(
        tenant: TenantConfig,
        origin: Arc<dyn Origin>,
        clock: Arc<SteppedClock>,
        l2: Option<Arc<L>>,
    ) -> anyhow::Result<Self> {
        let policies = TenantPolicies::native(&tenant.name);
        let tenant = Tenant::new(&tenant, policies, origin, clock.clone())?;
        let cache = Cache::new(CacheParts {
            tenants: Roster::new([Arc::clone(&tenant)]).expect("one tenant"),
            l2: l2.clone().map(|l2| l2 as Arc<dyn Tier>),
            barriers: l2.map(|l2| l2 as Arc<dyn BarrierStore>),
            clock,
            limits: CacheLimits::default(),
        });
        Ok(Self { cache, tenant })
    }

    /// Waits until the node hears the others.
    ///
    /// # Errors
    /// When it does not.
    pub async fn hears(self) -> anyhow::Result<Self> {
        let heard = self.cache.fleet().expect("it has joined").bus().ready(PATIENCE).await;
        anyhow::ensure!(heard, "it does not hear: {:?}", self.cache.fleet_report());
        Ok(self)
    }

    /// Asks for a target.
    pub async fn get(&self, target: &str) -> Got {
        self.send(Method::GET, target).await
    }

    /// Sends a request without content.
    pub async fn send(&self, method: Method, target: &str) -> Got {
        self.ask(method, target, &[], body::empty()).await
    }

    /// Sends a request with these fields and this content.
    pub async fn ask(&self, method: Method, target: &str, fields: &[(&str, &str)], content: Body) -> Got {
        let request = Request::builder().method(method).uri(format!("http://h{target}"));
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(content).expect("a request");
        let (head, content) = self.cache.respond(&self.tenant, request).await.into_parts();
        let body = match content.collect().await {
            Ok(content) => String::from_utf8_lossy(&content.to_bytes()).into_owned(),
            Err(error) => format!("broken: {error}"),
        };
        let cache_status = head.headers.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or("");
        Got { body, status: head.status.as_u16(), cache_status: cache_status.to_owned() }
    }

    /// Purges a target.
    pub async fn purge(&self, target: &str) -> PurgeReport {
        self.purge_scope(scope::target(&format!("http://h{target}"))).await
    }

    /// Purges a scope.
    pub async fn purge_scope(&self, scope: Scope) -> PurgeReport {
        self.cache.purge(&self.tenant, &[Purge { scope, mode: PurgeMode::Hard }]).await
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("fleet", &self.cache.fleet_report()).finish_non_exhaustive()
    }
}

/// Asks all nodes at once, so many times each.
pub async fn ask_all(nodes: &[Node], target: &str, times: usize) -> Vec<Got> {
    let asks = nodes.iter().flat_map(|node| std::iter::repeat_n(node, times)).map(|node| {
        let (node, target) = (node.clone(), target.to_owned());
        tokio::spawn(async move { Ok::<_, Infallible>(node.get(&target).await) })
    });
    let asks: Vec<_> = asks.collect();
    let mut got = Vec::with_capacity(asks.len());
    for ask in asks {
        match ask.await {
            Ok(Ok(answer)) => got.push(answer),
            Err(error) => panic!("a request did not end: {error}"),
        }
    }
    got
}
