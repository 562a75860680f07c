//! The policy that adds nothing to RFC 9111. A good place to start a policy of one's own.

use sandbar_guest::freshness::{Freshness, Plan, Request, Response};

/// Gives every standard plan back as it is.
#[derive(Debug)]
pub struct Standard;

impl Freshness for Standard {
    fn configure(settings: &str, _seed: u64) -> Result<Self, String> {
        sandbar_guest::settings::parse::<NoSettings>(settings).map(|NoSettings {}| Self)
    }

    fn plan(&mut self, _now_ms: u64, _request: &Request, _response: &Response, standard: Plan) -> Plan {
        standard
    }
}

sandbar_guest::export_freshness!(Standard);

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NoSettings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_nothing() {
        let plan = Plan { l1: true, freshness_lifetime_ms: 5_000, ..Plan::default() };
        let mut policy = Standard::configure("", 1).unwrap();
        assert_eq!(policy.plan(0, &Request::default(), &Response::default(), plan.clone()), plan);
    }

    #[test]
    fn has_no_settings() {
        assert!(Standard::configure("{}", 1).is_ok());
        let refused = Standard::configure(r#"{"ttl": 5}"#, 1).unwrap_err();
        assert!(refused.contains("ttl"), "{refused}");
    }
}
