//! The loop of a replay.

use std::ops::Range;
use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_memory::eviction::EvictionFactory;
use sandbar_memory::{Facts, Memory};

use super::capacity::Unit;
use super::run::ReplayError;
use super::trace::Trace;
use super::watched::FirstFault;

/// Requests after which progress is told.
const PROGRESS_REQUESTS: usize = 1 << 17;

/// A change of the policy.
pub(super) struct Swap {
    /// The request before which it is made, from 0.
    pub(super) before: usize,
    /// What is bound then.
    pub(super) to: Arc<dyn EvictionFactory>,
}

/// Goes through the trace in pieces that end where progress is told or the policy changes. Answers with the misses and
/// their bytes.
///
/// # Errors
/// With the first fault of a policy, right after it.
pub(super) fn drive(
    trace: &Trace,
    unit: Unit,
    memory: &Memory<()>,
    swaps: &[Swap],
    failed: &FirstFault,
    progress: &mut dyn FnMut(u64),
) -> Result<(u64, u64), ReplayError> {
    let (mut misses, mut missed_bytes) = (0, 0);
    let (mut at, mut swaps) = (0, swaps.iter().peekable());
    let requests = trace.requests();
    while at < requests.len() {
        while let Some(Swap { to, .. }) = swaps.next_if(|swap| swap.before <= at) {
            let now = Timestamp::from_millis(requests[at].time_ms);
            let swapped = memory.swap_eviction(Arc::clone(to), now);
            swapped.map_err(|fault| ReplayError::Swap { policy: to.name().to_owned(), fault })?;
        }
        let next_swap = swaps.peek().map_or(requests.len(), |swap| swap.before);
        let end = next_swap.min(at + PROGRESS_REQUESTS).min(requests.len());
        let served = serve(trace, at..end, unit, memory, failed);
        (misses, missed_bytes) = (misses + served.misses, missed_bytes + served.missed_bytes);
        if let Some((policy, fault)) = failed.get() {
            let (policy, fault) = (policy.clone(), fault.clone());
            return Err(ReplayError::Faulted { policy, request: served.end as u64, of: requests.len() as u64, fault });
        }
        progress((end - at) as u64);
        at = end;
    }
    Ok((misses, missed_bytes))
}

/// What a piece of the trace came to.
struct Served {
    misses: u64,
    missed_bytes: u64,
    /// The number of the request after the last one that was served, from 0.
    end: usize,
}

/// The loop that is measured: a read, and an insert where it missed. It ends with the first fault.
fn serve(trace: &Trace, requests: Range<usize>, unit: Unit, memory: &Memory<()>, failed: &FirstFault) -> Served {
    let mut served = Served { misses: 0, missed_bytes: 0, end: requests.start };
    for request in &trace.requests()[requests] {
        let (key, now) = (trace.key(request.key), Timestamp::from_millis(request.time_ms));
        let is_hit = memory.get(key, now).is_some();
        if !is_hit {
            served.misses += 1;
            served.missed_bytes += request.size_bytes;
            let weight_bytes = if unit == Unit::Bytes { request.size_bytes } else { 1 };
            let facts = Facts { weight_bytes, fetch_cost_us: u64::from(request.cost_us), ..Facts::default() };
            memory.insert(key, (), facts, now);
        }
        served.end += 1;
        if failed.get().is_some() {
            break;
        }
    }
    served
}
