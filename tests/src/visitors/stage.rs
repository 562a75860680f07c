//! Caches in this process, over each arrangement of tiers, and the visitors that ask them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::body::{self, Body};
use sandbar::cache::{Cache, CacheLimits, CacheParts, Roster};
use sandbar::clock::{Clock, SystemClock};
use sandbar::fleet::Attempt;
use sandbar::http::key::CacheKey;
use sandbar::origin::loader::Loader;
use sandbar::policy::TenantPolicies;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar::tier::BarrierStore;
use sandbar::tier::Tier;
use sandbar::tier::disk::{DiskConfig, DiskTier};
use sandbar::tier::redis::{RedisConfig, RedisTier};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::judge::{Wrong, judge};
use super::script::Script;
use super::{VISITOR, Visitor};
use crate::node::fleet_config;
use crate::redis_server::RedisServer;
use crate::wait::{PATIENCE, eventually};

/// After so many round trips to L2 and to the leases, every request that has come in waits for a fetch: before, it
/// looks into L2, tries for a lease, and looks again. Counting round trips, not time, holds on a busy machine too.
const SETTLES_AFTER_TRIPS: usize = 8;

/// An arrangement of tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiers {
    /// One node with L1 alone.
    Memory,
    /// One node with the embedded disk tier.
    Disk,
    /// One node on a Redis.
    Redis,
    /// Two nodes on one Redis, with leases and a bus.
    Fleet,
}

impl Tiers {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Disk, Self::Redis, Self::Fleet];
}

/// An origin, the caches in front of it, and what was found wrong so far.
pub struct Stage {
    /// The arrangement of the tiers.
    pub tiers: Tiers,
    /// The origin of the pages.
    pub origin: Arc<Script>,
    nodes: Vec<Node>,
    heard_when_answered: AtomicUsize,
    complaints: Mutex<Vec<String>>,
    _redis: Option<RedisServer>,
    _dir: TempDir,
}

#[derive(Clone)]
struct Node {
    number: usize,
    cache: Cache,
    tenant: Arc<Tenant>,
    l2: Option<Arc<dyn Tier>>,
}

/// A tier and a store of barriers, which may be the same.
type Halves = (Option<Arc<dyn Tier>>, Option<Arc<dyn BarrierStore>>);

/// What a visitor got.
#[derive(Clone)]
pub struct Got {
    /// The visitor.
    pub visitor: Visitor,
    /// Number of the node that answered.
    pub node: usize,
    /// How many requests the origin had heard when the visitor asked: answers of a lower number were under way before.
    pub heard_before: usize,
    /// Its status code.
    pub status: u16,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its content; where it broke off, what went wrong.
    pub body: Bytes,
}

impl Got {
    /// The first value of a field; empty where there is none that is text.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The field `Cache-Status`.
    pub fn cache_status(&self) -> String {
        self.field("cache-status").to_owned()
    }

    /// Whether the cache answered without the origin.
    pub fn is_hit(&self) -> bool {
        self.field("cache-status").contains(";hit")
    }
}

impl fmt::Debug for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let (who, node) = (&self.visitor.name, self.node);
        write!(f, "{who} got {} from node {node}, {:?}, {body:?}", self.status, self.fields)
    }
}

impl Stage {
    /// Sets a stage up whose tenant has the default settings.
    ///
    /// # Errors
    /// When a tier can't be had.
    pub async fn raise(tiers: Tiers) -> anyhow::Result<Self> {
        Self::raise_with(tiers, TenantConfig::default()).await
    }

    /// Sets a stage up with these settings of the tenant, without retries and breaker.
    ///
    /// # Errors
    /// As [`Self::raise`], or when the settings are wrong.
    pub async fn raise_with(tiers: Tiers, mut config: TenantConfig) -> anyhow::Result<Self> {
        config.protect.retry.times_max = sandbar::setting::Count::of(0);
        config.protect.breaker.enabled = false;
        let dir = tempfile::tempdir()?;
        let redis = matches!(tiers, Tiers::Redis | Tiers::Fleet).then(RedisServer::start).transpose()?;
        let origin = Arc::<Script>::default();
        let mut nodes = Vec::new();
        for number in 0..if tiers == Tiers::Fleet { 2 } else { 1 } {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let (l2, barriers) = match &redis {
                Some(redis) => halves(RedisTier::connect(&redis_config(&redis.url()), Arc::clone(&clock))?),
                None if tiers == Tiers::Disk => {
                    let config = DiskConfig { read_deadline: PATIENCE, ..DiskConfig::new(dir.path(), 8 << 20) };
                    halves(DiskTier::open(&config, Arc::clone(&clock))?)
                }
                None => (None, None),
            };
            if let Some(l2) = &l2 {
                let key = [CacheKey::new("", "", "")];
                eventually("the tier below answers", async || l2.get(&key).await.is_ok()).await;
            }
            let tenant = tenant(&config, &origin, &clock)?;
            let tenants = Roster::new([Arc::clone(&tenant)]).expect("one tenant");
            let limits = CacheLimits::default();
            let cache = Cache::new(CacheParts { tenants, l2: l2.clone(), barriers, clock, limits });
            if let Some(redis) = redis.as_ref().filter(|_| tiers == Tiers::Fleet) {
                cache.join_fleet(&fleet_config(&redis.url()))?;
                let heard = cache.fleet().expect("it has joined").bus().ready(PATIENCE).await;
                anyhow::ensure!(heard, "it does not hear: {:?}", cache.fleet_report());
            }
            nodes.push(Node { number, cache, tenant, l2 });
        }
        let (heard_when_answered, complaints) = (AtomicUsize::new(0), Mutex::default());
        Ok(Self { tiers, origin, nodes, heard_when_answered, complaints, _redis: redis, _dir: dir })
    }

    /// Has a visitor ask, and waits until all work behind the answer has ended.
    pub async fn ask(&self, node: usize, target: &str, visitor: &Visitor) -> Got {
        let heard_before = self.origin.heard();
        let got = self.nodes[node % self.nodes.len()].ask(target, visitor.clone(), heard_before).await;
        self.settled().await;
        got
    }

    /// Has visitors ask at once, at the nodes in turn: all of them wait before the origin answers any.
    pub async fn together(&self, target: &str, visitors: &[Visitor]) -> Vec<Got> {
        self.one_after_the_other(target, &[visitors]).await
    }

    /// Like [`Self::together`], in several waves: each wave waits before the next one asks, and all before the origin
    /// answers.
    pub async fn one_after_the_other(&self, target: &str, waves: &[&[Visitor]]) -> Vec<Got> {
        let gate = self.origin.hold();
        let (heard, come_in) = (self.origin.heard(), self.come_in());
        let mut asking = Vec::new();
        for (number, visitor) in waves.iter().flat_map(|wave| wave.iter().enumerate()) {
            if number == 0 && !asking.is_empty() {
                self.all_wait(&asking, come_in, heard).await;
            }
            let node = self.nodes[asking.len() % self.nodes.len()].clone();
            let (target, visitor, heard_before) = (target.to_owned(), visitor.clone(), self.origin.heard());
            asking.push(tokio::spawn(async move { node.ask(&target, visitor, heard_before).await }));
        }
        self.all_wait(&asking, come_in, heard).await;
        self.heard_when_answered.store(self.origin.heard(), Ordering::SeqCst);
        gate.open();
        let mut got = Vec::with_capacity(asking.len());
        for asking in asking {
            got.push(asking.await.expect("a visitor who does not panic"));
        }
        self.settled().await;
        got
    }

    /// How many requests the origin had heard in all when it began to answer the visitors that last asked together.
    pub fn heard_when_answered(&self) -> usize {
        self.heard_when_answered.load(Ordering::SeqCst)
    }

    /// How many requests have come to the nodes so far.
    fn come_in(&self) -> u64 {
        self.nodes.iter().map(|node| node.tenant.counters.values().requests).sum()
    }

    /// Waits until all who have asked wait for a fetch, with one request at the origin if it has to be asked at all.
    /// Before them `come_in` requests had come in, and the origin had heard `heard`.
    async fn all_wait(&self, asking: &[JoinHandle<Got>], come_in: u64, heard: usize) {
        eventually("all have come in", async || self.come_in() == come_in + asking.len() as u64).await;
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
        if self.tiers == Tiers::Memory {
            return;
        }
        for node in &self.nodes {
            for _ in 0..SETTLES_AFTER_TRIPS {
                node.round_trip().await;
            }
        }
        let has_come = async || self.origin.heard() > heard || asking.iter().any(JoinHandle::is_finished);
        eventually("somebody asks the origin, or has an answer", has_come).await;
    }

    /// Empties every L1, as a restart does; the tiers below keep their entries.
    pub fn forget(&self) {
        for node in &self.nodes {
            node.tenant.clear_memory();
        }
    }

    /// Waits until all fills and writes have ended.
    pub async fn settled(&self) {
        let under_way = || self.nodes.iter().map(|node| node.cache.under_way()).sum::<usize>();
        eventually("all is stored", async || under_way() == 0).await;
    }

    /// Checks that an answer was for the visitor who got it.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn judge(&self, got: &Got) -> Result<(), Box<Wrong>> {
        judge(&self.origin.log(), got)
    }

    /// Notes a complaint where `is_so` is false; the test goes on.
    pub fn expect(&self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.complaints.lock().push(what());
        }
    }

    /// All complaints, with one for each node that has counted an answer twice.
    pub fn complaints(&self) -> Vec<String> {
        let counted = self.nodes.iter().map(|node| node.tenant.counters.values());
        let twice = counted.filter(|counted| counted.answered() > counted.requests);
        let said = self.complaints.lock().clone();
        said.into_iter().chain(twice.map(|counted| format!("an answer was counted twice: {counted:?}"))).collect()
    }
}

/// A tenant whose origin is the script.
fn tenant(config: &TenantConfig, origin: &Arc<Script>, clock: &Arc<dyn Clock>) -> anyhow::Result<Arc<Tenant>> {
    let script = Arc::clone(origin);
    let loader = Loader::new("script", move |request: Request<Body>| {
        let script = Arc::clone(&script);
        async move { script.answer(request).await }
    });
    let policies = TenantPolicies::native(&config.name);
    Ok(Tenant::new(config, policies, Arc::new(loader), Arc::clone(clock))?)
}

/// Settings with a long deadline: on a busy machine calls would exceed the default of 100 ms without any fault.
fn redis_config(url: &str) -> RedisConfig {
    RedisConfig { deadline: PATIENCE, ..RedisConfig::new(url) }
}

/// A tier in its two uses, as [`CacheParts`] takes it.
fn halves<T: Tier + BarrierStore>(l2: Arc<T>) -> Halves {
    (Some(Arc::clone(&l2) as Arc<dyn Tier>), Some(l2))
}

impl Node {
    /// A round trip to the tier below and to the leases, queued behind all calls before it.
    async fn round_trip(&self) {
        let nothing = CacheKey::new("", "", "");
        if let Some(l2) = &self.l2 {
            let _ = l2.get(std::slice::from_ref(&nothing)).await;
        }
        if let Some(fleet) = self.cache.fleet()
            && let Attempt::Mine(lease) = fleet.leases().try_acquire(&nothing, PATIENCE).await
        {
            lease.release().await;
        }
    }

    async fn ask(&self, target: &str, visitor: Visitor, heard_before: usize) -> Got {
        let mut request = Request::builder().method(&visitor.method).uri(format!("http://shop.test{target}"));
        request = request.header(VISITOR, &visitor.name);
        for (name, value) in &visitor.fields {
            request = request.header(*name, value);
        }
        let request = request.body(body::empty()).expect("a request");
        let answering = async {
            let (head, content) = self.cache.respond(&self.tenant, request).await.into_parts();
            (head, content.collect().await)
        };
        let answer = tokio::time::timeout(PATIENCE, answering).await;
        let (head, content) = answer.unwrap_or_else(|_| panic!("{} waits for ever for {target}", visitor.name));
        let body = match content {
            Ok(content) => content.to_bytes(),
            Err(error) => format!("broken: {error}").into(),
        };
        let (status, fields) = (head.status.as_u16(), head.headers);
        Got { visitor, node: self.number, heard_before, status, fields, body }
    }
}
