//! Which address a request goes to: of two that are drawn at random, the one with fewer requests under way (M.
//! Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
//!
//! A slow address so gets fewer requests without anything being measured, and nodes that know nothing of each other do
//! not all turn to the same address at once, as they would if each took the least busy of all.

use std::sync::Arc;

use super::endpoint::Endpoint;

/// Chooses an address for a request: one that is not left out and that the request was not at, where there is one.
/// Where all are left out, the request goes to any of them.
pub(super) fn choose(endpoints: &[Arc<Endpoint>], was_at: impl Fn(&Endpoint) -> bool) -> &Arc<Endpoint> {
    if let [only] = endpoints {
        return only;
    }
    let draw = |wanted: &dyn Fn(&Endpoint) -> bool| less_busy(endpoints, wanted);
    draw(&|one| !one.is_out() && !was_at(one))
        .or_else(|| draw(&|one| !was_at(one)))
        .or_else(|| draw(&|_| true))
        .unwrap_or(&endpoints[0])
}

/// Of two different wanted addresses that are drawn at random, the one with fewer requests under way.
fn less_busy<'a>(endpoints: &'a [Arc<Endpoint>], wanted: &dyn Fn(&Endpoint) -> bool) -> Option<&'a Arc<Endpoint>> {
    // Whether one is wanted may change meanwhile, so what was found may be less than what was counted.
    let all = || endpoints.iter().filter(|one| wanted(one));
    let count = all().count();
    if count < 2 {
        return all().next();
    }
    let first = fastrand::usize(..count);
    let second = (first + fastrand::usize(1..count)) % count;
    match (all().nth(first), all().nth(second)) {
        (Some(one), Some(other)) => Some(if other.running() < one.running() { other } else { one }),
        (one, other) => one.or(other),
    }
}
