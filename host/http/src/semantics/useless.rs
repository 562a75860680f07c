//! When a stored response becomes useless: neither fresh nor usable when stale nor worth keeping for validation.

use std::time::Duration;

use sandbar_base::Timestamp;

use super::validator::can_be_validated;
use crate::entry::StoredResponse;

/// When a stored response is of no further use: when its freshness lifetime and the longer of its stale windows are
/// over. Where it can be validated, not before `keep_for_validation` after its lifetime: a 304 is much cheaper than the
/// whole response.
pub fn useless_after(stored: &StoredResponse, keep_for_validation: Duration) -> Timestamp {
    let stale_ms = stored.plan.stale_while_revalidate_ms.max(stored.plan.stale_if_error_ms);
    let window = Duration::from_millis(stale_ms);
    let kept =
        if can_be_validated(stored.status, &stored.fields, stored.received) { keep_for_validation } else { window };
    stored.expires().saturating_add(window.max(kept))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderValue, StatusCode};
    use sandbar_base::memory_budget::Content;

    use super::*;
    use crate::plan::{Directives, EarlyRefresh, Plan};

    fn stored(fields: &[(&'static str, &'static str)], stale_if_error_secs: u64) -> StoredResponse {
        let plan = Plan {
            l1: true,
            l2: true,
            freshness_lifetime_ms: 60_000,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: stale_if_error_secs * 1000,
            early_refresh: EarlyRefresh::Never,
            surrogate_keys: Vec::new(),
        };
        StoredResponse {
            key: Arc::from("k"),
            status: StatusCode::OK,
            fields: fields.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect(),
            body: Content::default(),
            parts: None,
            requested: Timestamp::from_millis(0),
            received: Timestamp::from_millis(0),
            initial_age: Duration::ZERO,
            fetch_time: Duration::ZERO,
            plan,
            directives: Directives::default(),
            sequence: 0,
            policy: None,
            version: None,
        }
    }

    #[test]
    fn what_can_be_validated_is_of_use_for_longer() {
        let keep = Duration::from_secs(600);
        for (fields, stale_if_error_secs, useless_after_secs) in [
            (&[][..], 0, 60),
            (&[], 100, 160),
            (&[("etag", "\"a\"")], 0, 660),
            (&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], 100, 660),
            (&[("etag", "\"a\"")], 1000, 1060),
        ] {
            let stored = stored(fields, stale_if_error_secs);
            assert_eq!(useless_after(&stored, keep), Timestamp::from_millis(useless_after_secs * 1000), "{fields:?}");
        }
    }
}
