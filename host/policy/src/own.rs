//! Policies of the program that embeds the cache: values in its own code, bound and swapped like any other policy.
//!
//! A native policy runs without a budget of time or memory, as it is a part of the program. What it answers is clamped as
//! a guest's answer is, and a panic in it is a fault: it is counted, the native default answers, and repeated faults
//! quarantine the policy.
//!
//! The traits may still change until the contract between host and guests is frozen.

use std::any::Any;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_base::{Digest, Fault, panic_text};
use sandbar_guest::eviction::{Eviction, Knowledge, advance};
use sandbar_http::purge::Purge;
use sandbar_memory::eviction::{EvictionFactory, EvictionPolicy};
use sandbar_memory::native::NativeEviction;

use crate::freshness::{Fill, Freshness, FreshnessPolicy, Plan};
use crate::invalidation::{Event, Invalidation, InvalidationPolicy, Written, sensible};
use crate::ledger::Ledger;
use crate::{BindError, Role};

/// A native policy of the embedding program.
#[derive(Clone)]
pub struct Own {
    name: Arc<str>,
    policy: Policy,
    /// Tells the plans that this value, or a clone of it, has made from those of all others, in this process and before it;
    /// none for a policy that makes no plans.
    digest: Option<Digest>,
}

#[derive(Clone)]
enum Policy {
    Freshness(Arc<dyn Freshness>),
    Invalidation(Arc<dyn Invalidation>),
    Eviction(MakeEviction),
}

/// Makes the eviction policy of a shard from settings, the shard's capacity in bytes and a seed; its calls are counted.
type MakeEviction = fn(&str, u64, u64, &Arc<Ledger>) -> Result<Box<dyn EvictionPolicy>, String>;

impl Own {
    pub(crate) fn freshness(name: &str, policy: impl Freshness) -> Self {
        // Its keys are random, and no two are the same.
        let nonce = RandomState::new().hash_one(name);
        let digest = Some(Digest::of(format!("own\0{name}\0{nonce}").as_bytes()));
        Self { name: name.into(), policy: Policy::Freshness(Arc::new(policy)), digest }
    }

    pub(crate) fn invalidation(name: &str, policy: impl Invalidation) -> Self {
        Self { name: name.into(), policy: Policy::Invalidation(Arc::new(policy)), digest: None }
    }

    pub(crate) fn eviction<E: Eviction + Send + 'static>(name: &str) -> Self {
        let make: MakeEviction = |settings, capacity_bytes, seed, ledger| {
            let policy = E::configure(settings, capacity_bytes, seed)?;
            Ok(Box::new(OwnShard { policy, ledger: Arc::clone(ledger) }))
        };
        Self { name: name.into(), policy: Policy::Eviction(make), digest: None }
    }

    /// The role that it answers for.
    pub fn role(&self) -> Role {
        match self.policy {
            Policy::Freshness(_) => Role::Freshness,
            Policy::Invalidation(_) => Role::Invalidation,
            Policy::Eviction(_) => Role::Eviction,
        }
    }

    /// The name under which it is reported.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    pub(crate) fn open(&self, settings: &str, ledger: &Arc<Ledger>) -> Result<Opened, BindError> {
        let ledger = Arc::clone(ledger);
        if !settings.is_empty() && self.role() != Role::Eviction {
            return Err(BindError::Settings("a policy of the program's own takes none: make it with them".into()));
        }
        Ok(match &self.policy {
            Policy::Freshness(policy) => {
                Opened::Freshness(Box::new(OwnFreshness { policy: Arc::clone(policy), ledger }))
            }
            Policy::Invalidation(policy) => {
                Opened::Invalidation(Box::new(OwnInvalidation { policy: Arc::clone(policy), ledger }))
            }
            Policy::Eviction(make) => {
                let factory =
                    OwnEviction { name: Arc::clone(&self.name), settings: settings.to_owned(), make: *make, ledger };
                factory.try_settings()?;
                Opened::Eviction(Arc::new(factory))
            }
        })
    }
}

impl PartialEq for Own {
    /// Whether both are the same value, not only alike.
    fn eq(&self, other: &Self) -> bool {
        match (&self.policy, &other.policy) {
            (Policy::Freshness(one), Policy::Freshness(other)) => Arc::ptr_eq(one, other),
            (Policy::Invalidation(one), Policy::Invalidation(other)) => Arc::ptr_eq(one, other),
            (Policy::Eviction(_), Policy::Eviction(_)) => Arc::ptr_eq(&self.name, &other.name),
            _ => false,
        }
    }
}

impl Eq for Own {}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("name", &self.name).field("role", &self.role()).finish()
    }
}

/// A native policy that is ready to answer.
pub(crate) enum Opened {
    Freshness(Box<dyn FreshnessPolicy>),
    Invalidation(Box<dyn InvalidationPolicy>),
    Eviction(Arc<dyn EvictionFactory>),
}

struct OwnFreshness {
    policy: Arc<dyn Freshness>,
    ledger: Arc<Ledger>,
}

impl FreshnessPolicy for OwnFreshness {
    fn plan(&self, now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Result<Plan, Fault> {
        self.ledger.called();
        caught(|| self.policy.amend(now, fill, standard)).inspect_err(|fault| self.ledger.faulted(fault))
    }
}

struct OwnInvalidation {
    policy: Arc<dyn Invalidation>,
    ledger: Arc<Ledger>,
}

impl InvalidationPolicy for OwnInvalidation {
    fn purges(&self, now: Timestamp, written: &Written<'_>) -> Result<(Vec<Purge>, u64), Fault> {
        self.ledger.called();
        let purges = caught(|| self.policy.purges(now, written)).inspect_err(|fault| self.ledger.faulted(fault))?;
        Ok(sensible(purges.into_iter().map(Some).collect()))
    }

    fn event_purges(&self, now: Timestamp, event: &Event<'_>) -> Result<(Vec<Purge>, u64), Fault> {
        self.ledger.called();
        let purges = caught(|| self.policy.event_purges(now, event)).inspect_err(|fault| self.ledger.faulted(fault))?;
        Ok(sensible(purges.into_iter().map(Some).collect()))
    }
}

/// Makes the shards' instances of an eviction policy.
struct OwnEviction {
    name: Arc<str>,
    settings: String,
    make: MakeEviction,
    ledger: Arc<Ledger>,
}

impl OwnEviction {
    /// Has the policy take its settings once, for a shard that is thrown away.
    fn try_settings(&self) -> Result<(), BindError> {
        let tried = caught(|| (self.make)(&self.settings, TRIAL_CAPACITY_BYTES, 0, &self.ledger))?;
        tried.map(drop).map_err(|sentence| BindError::Settings(sentence.into()))
    }
}

/// Capacity of the shard for which a policy is tried when it is bound, in bytes.
const TRIAL_CAPACITY_BYTES: u64 = 64 << 20;

impl EvictionFactory for OwnEviction {
    fn name(&self) -> &str {
        &self.name
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        let made = caught(|| (self.make)(&self.settings, capacity_bytes, seed, &self.ledger));
        let made = made.and_then(|made| {
            made.map_err(|sentence| {
                Fault::nonsense(format!("it refuses a shard of {capacity_bytes} bytes: {sentence}"))
            })
        });
        made.inspect_err(|fault| self.ledger.faulted(fault))
    }

    fn faulted(&self, fault: &Fault) {
        self.ledger.faulted(fault);
    }

    fn is_trusted(&self) -> bool {
        self.ledger.is_trusted()
    }

    fn fallback(&self) -> Arc<dyn EvictionFactory> {
        NativeEviction::default_policy()
    }
}

struct OwnShard<E> {
    policy: E,
    ledger: Arc<Ledger>,
}

impl<E: Eviction + Send> EvictionPolicy for OwnShard<E> {
    fn advance(
        &mut self,
        now_ms: u64,
        events: &[u64],
        reclaim_bytes: u64,
        victims: &mut Vec<u32>,
    ) -> Result<(), Fault> {
        self.ledger.called();
        caught(|| advance(&mut self.policy, now_ms, events, reclaim_bytes, victims))
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        self.ledger.called();
        let named = caught(|| self.policy.order(after, limit))?;
        let most = named.len().min(limit as usize);
        slots.extend_from_slice(&named[..most]);
        Ok(())
    }

    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        self.ledger.called();
        caught(|| self.policy.hand_over().bounded())
    }

    fn take_over(&mut self, predecessor: &Knowledge) -> Result<(), Fault> {
        self.ledger.called();
        caught(|| self.policy.take_over(predecessor))
    }
}

/// Calls a policy; a panic in it is a fault.
fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| Fault::trap(format!("it panicked: {}", message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic_text(panic).unwrap_or("without a message")
}
