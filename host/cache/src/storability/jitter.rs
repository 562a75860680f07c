//! Jitter on freshness lifetimes: what was fetched together (after a deploy, a purge, a restart) expires one by one.
//!
//! A lifetime is only ever shortened, so RFC 9111 is never exceeded. By how much follows from the key and the time of
//! the fill: the plan is stored with the entry, so all tiers and nodes agree, and a replan gives the same jitter.

use std::time::Duration;

use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyHash;
use sandbar_policy::freshness::Plan;

/// The plan with up to `percent` of what is left of its lifetime at `received` taken off.
pub(super) fn jittered(plan: Plan, key: KeyHash, received: Timestamp, initial_age: Duration, percent: u32) -> Plan {
    let initial_age_ms = u64::try_from(initial_age.as_millis()).unwrap_or(u64::MAX);
    let left_ms = plan.freshness_lifetime_ms.saturating_sub(initial_age_ms);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a u64")]
    let off_ms = (left_ms as f64 * f64::from(percent) / 100.0 * fraction(key, received)) as u64;
    Plan { freshness_lifetime_ms: plan.freshness_lifetime_ms - off_ms.min(left_ms), ..plan }
}

/// Uniform in [0, 1): the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014) over key and time.
fn fraction(key: KeyHash, received: Timestamp) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    let mut mixed = key.0 as u64 ^ received.as_millis().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn lifetime(key: &str, received: Timestamp, age_secs: u64, percent: u32) -> u64 {
        let plan = Plan { freshness_lifetime_ms: 60_000, ..Plan::default() };
        let age = Duration::from_secs(age_secs);
        jittered(plan, KeyHash::of(key), received, age, percent).freshness_lifetime_ms
    }

    #[test]
    fn it_only_shortens_and_spreads_evenly() {
        let keys = || (0..10_000).map(|n| format!("/item/{n}"));
        let lifetimes: Vec<_> = keys().map(|key| lifetime(&key, NOW, 0, 10)).collect();
        assert!(lifetimes.iter().all(|lifetime| (54_000..=60_000).contains(lifetime)));
        for tenth in 0..10 {
            let from = 54_000 + tenth * 600;
            let count = lifetimes.iter().filter(|lifetime| (from..from + 600).contains(*lifetime)).count();
            assert!((850..1150).contains(&count), "{count} of 10,000 in tenth {tenth}");
        }
        assert!(keys().all(|key| lifetime(&key, NOW, 0, 0) == 60_000), "none is wanted");
    }

    #[test]
    fn it_is_a_part_of_what_is_left() {
        assert!((0..1000).all(|n| lifetime(&n.to_string(), NOW, 50, 10) >= 59_000));
        assert!((0..1000).all(|n| lifetime(&n.to_string(), NOW, 90, 50) == 60_000), "nothing is left");
    }

    #[test]
    fn it_follows_from_key_and_fill() {
        let later = NOW.saturating_add(Duration::from_millis(1));
        assert_eq!(lifetime("/a", NOW, 0, 50), lifetime("/a", NOW, 0, 50));
        assert_ne!(lifetime("/a", NOW, 0, 50), lifetime("/b", NOW, 0, 50));
        assert_ne!(lifetime("/a", NOW, 0, 50), lifetime("/a", later, 0, 50));
    }
}
