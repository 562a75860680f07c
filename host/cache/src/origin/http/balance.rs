//! Which address a request goes to: of two that are drawn at random, the one with fewer requests under way (M.
//! Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
//!
//! A slow address so gets fewer requests without anything being measured, and nodes that know nothing of each other do
//! not all turn to the same address at once, as they would if each took the least busy of all.

use std::sync::Arc;

use super::endpoint::Endpoint;

/// Chooses an address for a request; one that it has not been at, where there is one.
pub(super) fn choose(endpoints: &[Arc<Endpoint>], was_at: impl Fn(&Endpoint) -> bool) -> &Arc<Endpoint> {
    if let [only] = endpoints {
        return only;
    }
    let draw = |wanted: &dyn Fn(&Endpoint) -> bool| less_busy(endpoints, wanted);
    draw(&|one| !was_at(one)).or_else(|| draw(&|_| true)).unwrap_or(&endpoints[0])
}

/// Of two different wanted addresses that are drawn at random, the one with fewer requests under way.
fn less_busy<'a>(endpoints: &'a [Arc<Endpoint>], wanted: &dyn Fn(&Endpoint) -> bool) -> Option<&'a Arc<Endpoint>> {
    let all = || endpoints.iter().filter(|one| wanted(one));
    let count = all().count();
    let first = (count > 0).then(|| fastrand::usize(..count))?;
    if count == 1 {
        return all().next();
    }
    let second = (first + fastrand::usize(1..count)) % count;
    let (one, other) = (all().nth(first)?, all().nth(second)?);
    Some(if other.running() < one.running() { other } else { one })
}
