//! A freshness policy: how long a stored response is fresh, and for how long it may be served stale.
//!
//! This one keeps nothing fresh for longer than `longest_s` seconds. It is asked once for each response that is stored, never on a hit.

use sandbar_guest::freshness::{Freshness, Plan, Request, Response};
use serde::Deserialize;

/// The policy.
#[derive(Debug)]
pub struct Policy {
    settings: Settings,
}

/// What can be set: `sandbar policy bind … --settings '{"longest_s": 10}'`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The longest lifetime, in seconds.
    longest_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { longest_s: 60 }
    }
}

impl Freshness for Policy {
    fn configure(settings: &str, _seed: u64) -> Result<Self, String> {
        Ok(Self { settings: sandbar_guest::settings::parse(settings)? })
    }

    // `standard` is the plan of RFC 9111.
    fn plan(&mut self, _now_ms: u64, _request: &Request, _response: &Response, standard: Plan) -> Plan {
        let longest_ms = self.settings.longest_s.saturating_mul(1000);
        Plan { freshness_lifetime_ms: standard.freshness_lifetime_ms.min(longest_ms), ..standard }
    }
}

sandbar_guest::export_freshness!(Policy);

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime_ms(settings: &str, standard_ms: u64) -> u64 {
        let mut policy = Policy::configure(settings, 1).expect("these settings are right");
        let standard = Plan { l1: true, l2: true, freshness_lifetime_ms: standard_ms, ..Plan::default() };
        policy.plan(0, &Request::default(), &Response::default(), standard).freshness_lifetime_ms
    }

    #[test]
    fn long_lifetimes_are_cut() {
        assert_eq!(lifetime_ms("", 3_600_000), 60_000);
        assert_eq!(lifetime_ms(r#"{"longest_s": 10}"#, 3_600_000), 10_000);
        assert_eq!(lifetime_ms("", 5_000), 5_000);
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let refused = Policy::configure(r#"{"longest": 10}"#, 1).expect_err("there is no such setting");
        assert!(refused.contains("longest"), "{refused}");
    }
}
