//! Early refresh of fresh entries by hits: XFetch (VLDB 2015), RFC 8246 section 2.

use sandbar_http::entry::StoredResponse;
use sandbar_http::plan::EarlyRefresh::{self, Never, Window, Xfetch};
use sandbar_http::semantics::refresh_early;

use super::support::{at, stored};

/// A stored response that is fresh for 60 seconds, with this early refresh.
fn planned(early_refresh: EarlyRefresh) -> StoredResponse {
    let mut stored = stored(200, "Date: @0\nCache-Control: max-age=60");
    stored.plan.early_refresh = early_refresh;
    stored
}

#[test]
fn window_and_odds() {
    let half = Window { window_ms: 10_000, odds_ppm: 500_000 };
    for (plan, age_ms, random, expected) in [
        (Never, 59_999, 1e-12, false),
        (half, 49_999, 0.1, false),
        (half, 50_000, 0.1, true),
        (half, 50_000, 0.5, true),
        (half, 50_000, 0.500_001, false),
        (half, 59_999, 0.5, true),
        (half, 59_999, 1.0, false),
        (Window { window_ms: 10_000, odds_ppm: 0 }, 59_999, 1e-12, false),
        (Window { window_ms: 10_000, odds_ppm: 1_000_000 }, 50_000, 1.0, true),
        (Window { window_ms: 0, odds_ppm: 1_000_000 }, 59_999, 0.5, false),
        (Window { window_ms: u64::MAX, odds_ppm: 1_000_000 }, 0, 1.0, true),
    ] {
        assert_eq!(refresh_early(&planned(plan), at(age_ms), random), expected, "{plan:?} after {age_ms} ms, {random}");
    }
}

#[test]
fn xfetch() {
    // now - delta * beta * ln(random) >= expiry: with delta = 1 s and beta = 1, a draw of e^-n refreshes n seconds ahead.
    let plan = Xfetch { fetch_ms: 1000, beta_milli: 1000 };
    for (age_ms, random, expected) in [
        (59_000, (-1.0_f64).exp(), true),
        (58_999, (-1.0_f64).exp() * 1.0001, false),
        (50_000, (-10.0_f64).exp() * 0.9999, true),
        (50_000, (-9.0_f64).exp(), false),
        (59_999, 1.0, false),
        (60_000, 1.0, true),
        (0, f64::MIN_POSITIVE, true),
        (0, 0.0, true),
        (0, 0.5, false),
    ] {
        assert_eq!(refresh_early(&planned(plan), at(age_ms), random), expected, "after {age_ms} ms, {random}");
    }
    let eager = Xfetch { fetch_ms: 1000, beta_milli: 4000 };
    assert!(refresh_early(&planned(eager), at(56_000), (-1.0_f64).exp()), "beta scales");
    let free = Xfetch { fetch_ms: 0, beta_milli: 1000 };
    assert!(!refresh_early(&planned(free), at(59_999), 1e-300), "what costs nothing is not fetched ahead");
}

#[test]
fn xfetch_refreshes_as_often_as_it_should() {
    // One second ahead of expiry with delta = 1 s: P(refresh) = P(-ln u >= 1) = 1/e.
    let stored = planned(Xfetch { fetch_ms: 1000, beta_milli: 1000 });
    let draws = 100_000;
    let refreshed =
        (1..=draws).filter(|draw| refresh_early(&stored, at(59_000), f64::from(*draw) / f64::from(draws))).count();
    assert!((36_000..37_500).contains(&refreshed), "{refreshed}");
}

#[test]
fn immutable_is_not_refreshed() {
    let mut stored = planned(Window { window_ms: 60_000, odds_ppm: 1_000_000 });
    assert!(refresh_early(&stored, at(1), 0.5));
    stored.directives.immutable = true;
    assert!(!refresh_early(&stored, at(1), 0.5), "8246 2");
}
