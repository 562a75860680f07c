//! Caches in this process over each arrangement of tiers, and visitors before them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::body::{self, Body};
use sandbar::cache::{Cache, CacheLimits, CacheParts};
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

/// Whoever has come in waits after as many round trips to what they ask before: a look into L2, a lease, another look. These
/// take as long as they do on a machine with other things to do.
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

/// An origin, caches before it, and what is to be said of them.
pub struct Stage {
    /// How its tiers are arranged.
    pub tiers: Tiers,
    /// Where pages come from.
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

/// A tier, and where barriers outlive the process.
type Halves = (Option<Arc<dyn Tier>>, Option<Arc<dyn BarrierStore>>);

/// What a visitor got.
#[derive(Clone)]
pub struct Got {
    /// Who.
    pub visitor: Visitor,
    /// From which node.
    pub node: usize,
    /// How many requests the origin had heard when they asked: answers of a lower number were under way before.
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

    /// What the cache says of it.
    pub fn cache_status(&self) -> String {
        self.field("cache-status").to_owned()
    }

    /// Whether the origin was not asked for it.
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
    /// Sets one up, its tenant with the default settings.
    ///
    /// # Errors
    /// When a tier can't be had.
    pub async fn raise(tiers: Tiers) -> anyhow::Result<Self> {
        Self::raise_with(tiers, TenantConfig::default()).await
    }

    /// Sets one up with these settings of the tenant. Neither retries nor the breaker come in between.
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
            let tenants = vec![Arc::clone(&tenant)];
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

    /// A visitor asks, and all that goes on behind the answer ends.
    pub async fn ask(&self, node: usize, target: &str, visitor: &Visitor) -> Got {
        let heard_before = self.origin.heard();
        let got = self.nodes[node % self.nodes.len()].ask(target, visitor.clone(), heard_before).await;
        self.settled().await;
        got
    }

    /// Visitors ask at once, turn about at each node: all are there before the origin answers any of them.
    pub async fn together(&self, target: &str, visitors: &[Visitor]) -> Vec<Got> {
        self.one_after_the_other(target, &[visitors]).await
    }

    /// The same in several waves: each wave is waiting before the next one comes, and all before the origin answers.
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

    /// How many requests the origin had heard in all when it began to answer those who last asked together.
    pub fn heard_when_answered(&self) -> usize {
        self.heard_when_answered.load(Ordering::SeqCst)
    }

    /// How many requests have come to the nodes so far.
    fn come_in(&self) -> u64 {
        self.nodes.iter().map(|node| node.tenant.counters.values().requests).sum()
    }

    /// Lets whoever has asked come to where they wait: one of them at the origin, if it has to be asked at all. So many
    /// requests had come in before them, and the origin had heard so many.
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

    /// Empties every L1, as a restart does: the tiers below keep what they have.
    pub fn forget(&self) {
        for node in &self.nodes {
            node.tenant.clear_memory();
        }
    }

    /// Waits until all is stored that is to be.
    pub async fn settled(&self) {
        let under_way = || self.nodes.iter().map(|node| node.cache.under_way()).sum::<usize>();
        eventually("all is stored", async || under_way() == 0).await;
    }

    /// Whether an answer was for the one who got it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, got: &Got) -> Result<(), Box<Wrong>> {
        judge(&self.origin.log(), got)
    }

    /// Holds it against the stage where something is not so; the scene goes on.
    pub fn expect(&self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.complaints.lock().push(what());
        }
    }

    /// What was not so; nor may an answer be counted twice.
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

/// On a machine with other things to do, the default deadline of 100 ms would be trouble by itself.
fn redis_config(url: &str) -> RedisConfig {
    RedisConfig { deadline: PATIENCE, ..RedisConfig::new(url) }
}

/// A tier as what it is to a cache.
fn halves<T: Tier + BarrierStore>(l2: Arc<T>) -> Halves {
    (Some(Arc::clone(&l2) as Arc<dyn Tier>), Some(l2))
}

impl Node {
    /// To the tier below and to what gives leases, behind all that was asked there before.
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
