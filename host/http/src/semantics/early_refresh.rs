//! Early refresh: whether a hit refreshes an entry that is still fresh, so that no request has to wait once it is
//! stale.

use std::time::Duration;

use sandbar_base::Timestamp;

use crate::entry::StoredResponse;
use crate::plan::EarlyRefresh;

/// Whether this hit on a fresh entry starts a refresh; `random` is uniform in (0, 1].
///
/// XFetch (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015): refresh
/// when `now - delta * beta * ln(random) >= expiry`.
pub fn refresh_early(stored: &StoredResponse, now: Timestamp, random: f64) -> bool {
    // RFC 8246 section 2: proxies "SHOULD skip conditionally revalidating fresh responses" that are immutable.
    if stored.directives.immutable {
        return false;
    }
    match stored.plan.early_refresh {
        EarlyRefresh::Never => false,
        EarlyRefresh::Window { window_ms, odds_ppm } => {
            left(stored, now) <= Duration::from_millis(window_ms) && random * 1e6 <= f64::from(odds_ppm)
        }
        EarlyRefresh::Xfetch { fetch_ms, beta_milli } => {
            let beta = f64::from(beta_milli) / 1000.0;
            let ahead_ms = -f64::from(fetch_ms) * beta * random.clamp(f64::MIN_POSITIVE, 1.0).ln();
            ahead_ms >= left(stored, now).as_secs_f64() * 1000.0
        }
    }
}

fn left(stored: &StoredResponse, now: Timestamp) -> Duration {
    Duration::from_millis(stored.plan.freshness_lifetime_ms).saturating_sub(stored.age(now))
}
