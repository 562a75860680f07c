//! Runs a replay: drives a trace through the simulator of the memory tier, and measures.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sandbar_base::clock::{Clock, SystemClock, Timestamp, thread_cpu_time};
use sandbar_memory::eviction::EvictionFactory;
use sandbar_memory::simulator::{Policy, Request as Simulated, Sample, Simulator, Swap};
use sandbar_memory::{Facts, MemoryConfig};
use sandbar_policy::{BindError, Engine, EngineConfig, TenantPolicies};

use super::capacity::{Capacity, Unit};
use super::error::ReplayError;
use super::policy::PolicyChoice;
use super::row::Row;
use super::trace::{Request, Trace};

/// How many requests are replayed between two reports of progress.
const PROGRESS_REQUESTS: usize = 1 << 17;

/// How a trace is replayed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Shards, rounded up to a power of two.
    pub shards: usize,
    /// How many reads reach the policy together. With 1 the policy is told of each event at once.
    pub read_buffer_len: usize,
    /// Seed of what is random in the policies.
    pub seed: u64,
    /// What an entry is charged beside its size, in bytes.
    pub entry_overhead_bytes: u64,
    /// Policies to swap to on the way, each before the request of that number (from 0). Of several for the same request
    /// the last is bound. The cache stays warm as it does in production.
    pub swaps: Vec<(u64, PolicyChoice)>,
    /// The part of the keys that is replayed, above 0 and at most 1, in a cache that is smaller by as much. It rises where
    /// that cache would hold too few entries ([`Sample`]). Swaps count the requests of the sample.
    pub sample_rate: f64,
    /// The engine that runs guests; made when it is first needed.
    pub engine: OnceLock<Arc<Engine>>,
}

impl Default for Replay {
    /// One shard and batches of one event, as in textbook simulators.
    fn default() -> Self {
        Self {
            shards: 1,
            read_buffer_len: 1,
            seed: 1,
            entry_overhead_bytes: 0,
            swaps: vec![],
            sample_rate: 1.0,
            engine: OnceLock::new(),
        }
    }
}

impl Replay {
    /// Checks that a policy could be replayed: it exists, has the role and takes its settings.
    ///
    /// # Errors
    /// When the policy can't be bound.
    pub fn check(&self, policy: &PolicyChoice) -> Result<(), ReplayError> {
        self.eviction(policy).map(drop)
    }

    /// Replays a trace under a policy. Calls `progress` with the number of requests since its last call.
    ///
    /// # Errors
    /// When the policy can't be bound, or fails on the way: then with its first fault.
    pub fn run(
        &self,
        trace: &Trace,
        policy: &PolicyChoice,
        unit: Unit,
        capacity: Capacity,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Row, ReplayError> {
        self.run_with(trace, (policy.name(), self.eviction(policy)?), unit, capacity, progress)
    }

    /// Like [`Self::run`], with a name and a factory of the caller's instead of a policy that is bound.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(
        &self,
        trace: &Trace,
        (name, eviction): (&str, Arc<dyn EvictionFactory>),
        unit: Unit,
        capacity: Capacity,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Row, ReplayError> {
        let capacity = capacity.resolve(trace, unit);
        let sample = self.sample(trace, unit, capacity);
        let config = self.memory_config(sample.capacity(capacity), unit);
        let mut simulator = Simulator::new(&config, Policy::shared(name, eviction), self.swaps()?);
        // All work is done by this thread, whose processor time leaves out whatever else runs on the machine.
        let started = thread_cpu_time();
        drive(&mut simulator, (trace, sample), unit, progress)?;
        let elapsed = thread_cpu_time().saturating_sub(started);
        let (served, stats) = (simulator.served(), simulator.stats());
        let requests = served.requests;
        let requested_bytes: u64 = trace.requests().iter().map(|request| request.size_bytes).sum();
        Ok(Row {
            policy: name.to_owned(),
            unit,
            capacity,
            sample_rate: sample.rate(),
            requests,
            misses: served.misses,
            object_miss_ratio: sample.miss_ratio(served.misses, trace.requests().len() as u64),
            byte_miss_ratio: sample.miss_ratio(served.missed_bytes, requested_bytes),
            evictions: stats.evicted_by_policy + stats.evicted_by_host,
            ns_per_request: elapsed.as_nanos() as f64 / requests.max(1) as f64,
        })
    }

    /// The factory of a policy's instances, as a guest or compiled in.
    ///
    /// # Errors
    /// When the policy can't be bound.
    pub fn eviction(&self, policy: &PolicyChoice) -> Result<Arc<dyn EvictionFactory>, ReplayError> {
        let policies = if policy.binding().native {
            TenantPolicies::native("replay")
        } else {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            TenantPolicies::open(self.engine()?, "replay", &[], BTreeSet::new(), None, clock)
                .map_err(|error| bind_error(policy, error.reason))?
        };
        let prepared = policies.prepare(policy.binding().clone()).map_err(|error| bind_error(policy, error))?;
        Ok(prepared.eviction().expect("the role is eviction"))
    }

    /// The sample of the keys that is replayed.
    fn sample(&self, trace: &Trace, unit: Unit, capacity: u64) -> Sample {
        if self.sample_rate >= 1.0 {
            return Sample::ALL;
        }
        let keys = trace.unique_keys();
        let weight = match unit {
            Unit::Entries => 1,
            Unit::Bytes => trace.working_set_bytes() / keys.max(1) + self.entry_overhead_bytes,
        };
        Sample::of(self.sample_rate, keys.min(capacity / weight.max(1)))
    }

    fn memory_config(&self, capacity_bytes: u64, unit: Unit) -> MemoryConfig {
        MemoryConfig {
            capacity_bytes,
            shards: Some(self.shards),
            read_buffer_len: self.read_buffer_len,
            seed: self.seed,
            entry_overhead_bytes: if unit == Unit::Bytes { self.entry_overhead_bytes } else { 0 },
        }
    }

    fn swaps(&self) -> Result<Vec<Swap>, ReplayError> {
        let swap = |(before, policy): &(u64, PolicyChoice)| {
            Ok(Swap { before: *before, to: Policy::shared(policy.name(), self.eviction(policy)?) })
        };
        self.swaps.iter().map(swap).collect()
    }

    fn engine(&self) -> Result<Arc<Engine>, ReplayError> {
        if let Some(engine) = self.engine.get() {
            return Ok(Arc::clone(engine));
        }
        let engine = Engine::new(&engine_config())?;
        Ok(Arc::clone(self.engine.get_or_init(|| engine)))
    }
}

/// Drives the trace through the simulator, and reports progress.
fn drive(
    simulator: &mut Simulator,
    (trace, sample): (&Trace, Sample),
    unit: Unit,
    progress: &mut dyn FnMut(u64),
) -> Result<(), ReplayError> {
    let of = trace.requests().len() as u64;
    for piece in trace.requests().chunks(PROGRESS_REQUESTS) {
        let sampled = piece.iter().filter(|request| sample.contains(trace.key(request.key)));
        let simulated = sampled.map(|request| simulated(trace, request, unit));
        simulator.run(simulated).map_err(|error| ReplayError::of(error, of))?;
        progress(piece.len() as u64);
    }
    Ok(())
}

/// A request of the trace as the simulator takes it.
#[inline]
fn simulated(trace: &Trace, request: &Request, unit: Unit) -> Simulated {
    let weight_bytes = if unit == Unit::Bytes { request.size_bytes } else { 1 };
    Simulated {
        key: trace.key(request.key),
        now: Timestamp::from_millis(request.time_ms),
        size_bytes: request.size_bytes,
        facts: Facts { weight_bytes, fetch_cost_us: u64::from(request.cost_us), ..Facts::default() },
    }
}

/// Settings of the engine. A replay has the machine to itself, so guests are not throttled; and they may have much
/// memory, as with entries that weigh 1 a policy takes more than its shard's capacity in bytes.
fn engine_config() -> EngineConfig {
    EngineConfig {
        call_budget: Duration::from_secs(10),
        core_share_percent: 0,
        instances_max: 64,
        memory_bytes: 1 << 30,
        ..EngineConfig::default()
    }
}

fn bind_error(policy: &PolicyChoice, error: BindError) -> ReplayError {
    ReplayError::Bind { policy: policy.name().to_owned(), error }
}
