//! The bounds of a freshness policy. A plan may be narrower than RFC 9111 in every respect; where it is wider, the
//! operator must have granted just that to the tenant, else the plan is clamped here, and the clamping is counted.

use std::collections::{BTreeSet, HashSet};

use super::freshness::{EarlyRefresh, Grant, LifetimeSource, Plan, Standard};

/// Surrogate keys of one entry that a policy adds.
const SURROGATE_KEYS_MAX: usize = 128;
/// Bytes of a surrogate key.
const SURROGATE_KEY_BYTES_MAX: usize = 256;
/// No time is longer: RFC 9111 section 1.2.2 lets a cache take 2^31 seconds for infinity.
const LONGEST_MS: u64 = (1 << 31) * 1_000;
const MILLION: u32 = 1_000_000;
/// A larger beta would refresh on every hit.
const BETA_MILLI_MAX: u32 = 1_000_000;

/// Whether a policy is to be asked at all: nothing forbids storing the response, or the operator has granted the tenant
/// to store despite each obstacle.
pub(super) fn may_store(standard: &Standard, grants: &BTreeSet<Grant>) -> bool {
    standard.obstacles.iter().all(|obstacle| obstacle.grant().is_some_and(|grant| grants.contains(&grant)))
}

/// The plan that the host will execute, and the number of parts in which it is narrower than the policy's plan.
pub(super) fn clamp(standard: &Standard, asked: Plan, grants: &BTreeSet<Grant>) -> (Plan, u64) {
    let mut clamps = Clamps(0);
    let (l1, l2) = storable(standard, &asked, grants, &mut clamps);
    let freshness_lifetime_ms = clamps.at_most(asked.freshness_lifetime_ms, longest_lifetime(standard, grants));
    let (while_revalidate, if_error) = longest_stale(standard, grants);
    let plan = Plan {
        l1,
        l2,
        freshness_lifetime_ms,
        stale_while_revalidate_ms: clamps.at_most(asked.stale_while_revalidate_ms, while_revalidate),
        stale_if_error_ms: clamps.at_most(asked.stale_if_error_ms, if_error),
        early_refresh: early_refresh(asked.early_refresh, freshness_lifetime_ms, &mut clamps),
        surrogate_keys: surrogate_keys(asked.surrogate_keys, &standard.plan.surrogate_keys, &mut clamps),
    };
    (plan, clamps.0)
}

/// Counts the parts of a plan that are clamped.
struct Clamps(u64);

impl Clamps {
    fn at_most<T: Ord>(&mut self, asked: T, longest: T) -> T {
        if asked > longest {
            self.0 += 1;
            longest
        } else {
            asked
        }
    }
}

/// Whether L1 and L2 may store the response: as in the standard plan or, where there are obstacles, if all are granted.
fn storable(standard: &Standard, asked: &Plan, grants: &BTreeSet<Grant>, clamps: &mut Clamps) -> (bool, bool) {
    let may = match standard.obstacles.is_empty() {
        true => (standard.plan.l1, standard.plan.l2),
        false => (may_store(standard, grants), may_store(standard, grants)),
    };
    (clamps.at_most(asked.l1, may.0), clamps.at_most(asked.l2, may.1))
}

/// An explicit lifetime is the upper bound. Where the origin gave none, a grant lets the policy make one up.
fn longest_lifetime(standard: &Standard, grants: &BTreeSet<Grant>) -> u64 {
    let is_open = match standard.lifetime {
        LifetimeSource::Explicit => false,
        LifetimeSource::Heuristic | LifetimeSource::Missing => grants.contains(&Grant::MissingLifetime),
    };
    if is_open { LONGEST_MS } else { standard.plan.freshness_lifetime_ms }
}

/// The longest windows of stale-while-revalidate and stale-if-error. Whatever is granted, `must-revalidate` forbids
/// serving a stale response (RFC 9111 section 5.2.2.2): no window; `no-cache` forbids serving one unvalidated (section
/// 5.2.2.4): no window that is longer than in the standard plan.
fn longest_stale(standard: &Standard, grants: &BTreeSet<Grant>) -> (u64, u64) {
    let plan = &standard.plan;
    if standard.directives.must_revalidate {
        (0, 0)
    } else if standard.directives.no_cache || !grants.contains(&Grant::Stale) {
        (plan.stale_while_revalidate_ms, plan.stale_if_error_ms)
    } else {
        (LONGEST_MS, LONGEST_MS)
    }
}

fn early_refresh(asked: EarlyRefresh, lifetime_ms: u64, clamps: &mut Clamps) -> EarlyRefresh {
    match asked {
        EarlyRefresh::Never => EarlyRefresh::Never,
        // A window that is longer than the lifetime means the whole lifetime: that widens nothing and is not counted.
        EarlyRefresh::Window { window_ms, odds_ppm } => {
            EarlyRefresh::Window { window_ms: window_ms.min(lifetime_ms), odds_ppm: clamps.at_most(odds_ppm, MILLION) }
        }
        EarlyRefresh::Xfetch { fetch_ms, beta_milli } => {
            EarlyRefresh::Xfetch { fetch_ms, beta_milli: clamps.at_most(beta_milli, BETA_MILLI_MAX) }
        }
    }
}

/// Each key at most once. Texts that can't be keys, and keys beyond the limit, are dropped and counted; but those that the
/// response has anyway stay, as purges by them are promised.
fn surrogate_keys(asked: Vec<String>, of_response: &[String], clamps: &mut Clamps) -> Vec<String> {
    let mut keys: Vec<String> = Vec::with_capacity(asked.len().min(SURROGATE_KEYS_MAX));
    let mut added = 0;
    let known: HashSet<&str> = of_response.iter().map(String::as_str).collect();
    let mut seen = HashSet::new();
    for key in asked {
        if seen.contains(&key) {
            continue;
        }
        if !known.contains(key.as_str()) {
            if added == SURROGATE_KEYS_MAX || !is_surrogate_key(&key) {
                clamps.0 += 1;
                continue;
            }
            added += 1;
        }
        seen.insert(key.clone());
        keys.push(key);
    }
    keys
}

/// 1 to 256 bytes of visible ASCII.
pub(super) fn is_surrogate_key(key: &str) -> bool {
    (1..=SURROGATE_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use sandbar_http::plan::Directives;

    use super::*;
    use crate::freshness::Obstacle;

    fn standard() -> Standard {
        let plan = Plan {
            l1: true,
            l2: true,
            freshness_lifetime_ms: 60_000,
            stale_while_revalidate_ms: 5_000,
            stale_if_error_ms: 9_000,
            ..Plan::default()
        };
        let directives = Directives::default();
        let initial_age = std::time::Duration::ZERO;
        Standard { plan, directives, initial_age, lifetime: LifetimeSource::Explicit, obstacles: vec![] }
    }

    fn forbidden(obstacles: &[Obstacle]) -> Standard {
        let plan = Plan { l1: false, l2: false, ..standard().plan };
        Standard { plan, obstacles: obstacles.to_vec(), ..standard() }
    }

    /// The clamped plan and how often it was clamped.
    fn check(standard: &Standard, grants: &[Grant], ask: impl FnOnce(&mut Plan)) -> (Plan, u64) {
        let mut asked = standard.plan.clone();
        ask(&mut asked);
        clamp(standard, asked, &grants.iter().copied().collect())
    }

    #[test]
    fn the_standard_plan_passes_unchanged() {
        assert_eq!(check(&standard(), &[], |_| {}), (standard().plan, 0));
    }

    #[test]
    fn a_narrower_plan_passes_unchanged() {
        let (plan, clamped) = check(&standard(), &[], |plan| {
            plan.l2 = false;
            plan.freshness_lifetime_ms = 1_000;
            plan.stale_while_revalidate_ms = 0;
            plan.stale_if_error_ms = 0;
        });
        assert_eq!((plan.l1, plan.l2, plan.freshness_lifetime_ms, clamped), (true, false, 1_000, 0));
    }

    #[test]
    fn an_explicit_lifetime_is_not_exceeded_whatever_is_granted() {
        let (plan, clamped) =
            check(&standard(), &[Grant::MissingLifetime, Grant::Stale], |plan| plan.freshness_lifetime_ms = 60_001);
        assert_eq!((plan.freshness_lifetime_ms, clamped), (60_000, 1));
    }

    #[test]
    fn a_lifetime_is_made_up_only_where_that_is_granted() {
        let mut standard = standard();
        for source in [LifetimeSource::Heuristic, LifetimeSource::Missing] {
            standard.lifetime = source;
            let ask = |plan: &mut Plan| plan.freshness_lifetime_ms = 3_600_000;
            assert_eq!(check(&standard, &[], ask).0.freshness_lifetime_ms, 60_000);
            let (plan, clamped) = check(&standard, &[Grant::MissingLifetime], ask);
            assert_eq!((plan.freshness_lifetime_ms, clamped), (3_600_000, 0));
        }
    }

    #[test]
    fn what_is_forbidden_is_stored_only_where_all_of_it_is_granted() {
        let both = forbidden(&[Obstacle::NoStore, Obstacle::SetCookie]);
        let ask = |plan: &mut Plan| plan.l1 = true;
        for grants in [&[][..], &[Grant::NoStore], &[Grant::SetCookie]] {
            let (plan, clamped) = check(&both, grants, ask);
            assert_eq!((plan.l1, clamped), (false, 1), "{grants:?}");
        }
        let (plan, clamped) = check(&both, &[Grant::NoStore, Grant::SetCookie], ask);
        assert_eq!((plan.l1, plan.l2, clamped), (true, false, 0));
    }

    #[test]
    fn nothing_allows_what_no_grant_covers() {
        let all = [Grant::MissingLifetime, Grant::NoStore, Grant::Private, Grant::SetCookie, Grant::Authorization];
        for obstacle in [Obstacle::Method, Obstacle::Status, Obstacle::RequestNoStore, Obstacle::VaryAny] {
            assert!(!check(&forbidden(&[obstacle]), &all, |plan| plan.l1 = true).0.stores(), "{obstacle:?}");
        }
    }

    #[test]
    fn stale_windows_grow_only_where_that_is_granted() {
        let ask = |plan: &mut Plan| (plan.stale_while_revalidate_ms, plan.stale_if_error_ms) = (70_000, 80_000);
        let windows = |(plan, clamped): (Plan, u64)| (plan.stale_while_revalidate_ms, plan.stale_if_error_ms, clamped);
        assert_eq!(windows(check(&standard(), &[], ask)), (5_000, 9_000, 2));
        assert_eq!(windows(check(&standard(), &[Grant::Stale], ask)), (70_000, 80_000, 0));
    }

    #[test]
    fn must_revalidate_forbids_stale_windows_and_no_cache_longer_ones() {
        let ask = |plan: &mut Plan| (plan.stale_while_revalidate_ms, plan.stale_if_error_ms) = (70_000, 80_000);
        let mut standard = standard();
        standard.directives.must_revalidate = true;
        let (plan, _) = check(&standard, &[Grant::Stale], ask);
        assert_eq!((plan.stale_while_revalidate_ms, plan.stale_if_error_ms), (0, 0));
        standard.directives = Directives { no_cache: true, ..Directives::default() };
        let (plan, _) = check(&standard, &[Grant::Stale], ask);
        assert_eq!((plan.stale_while_revalidate_ms, plan.stale_if_error_ms), (5_000, 9_000));
    }

    #[test]
    fn times_have_an_end() {
        let (plan, clamped) = check(&standard(), &[Grant::Stale], |plan| plan.stale_if_error_ms = u64::MAX);
        assert_eq!((plan.stale_if_error_ms, clamped), (LONGEST_MS, 1));
    }

    #[test]
    fn odds_are_at_most_certain() {
        let window = |odds_ppm| EarlyRefresh::Window { window_ms: 90_000, odds_ppm };
        let (plan, clamped) = check(&standard(), &[], |plan| plan.early_refresh = window(u32::MAX));
        assert_eq!(plan.early_refresh, EarlyRefresh::Window { window_ms: 60_000, odds_ppm: MILLION });
        assert_eq!(clamped, 1);
    }

    #[test]
    fn surrogate_keys_that_can_not_be_are_dropped() {
        let long = "k".repeat(SURROGATE_KEY_BYTES_MAX + 1);
        let (plan, clamped) = check(&standard(), &[], |plan| {
            plan.surrogate_keys = ["a", "", "b c", "a", "ü", "d\n", &long].map(str::to_owned).to_vec();
        });
        assert_eq!((plan.surrogate_keys, clamped), (vec!["a".to_owned()], 5));
        let (plan, clamped) = check(&standard(), &[], |plan| {
            plan.surrogate_keys = (0..SURROGATE_KEYS_MAX + 2).map(|number| number.to_string()).collect();
        });
        assert_eq!((plan.surrogate_keys.len(), clamped), (SURROGATE_KEYS_MAX, 2));
    }
}
