//! Refreshes entries that are in use before they are stale, so that no client waits for the origin.
//!
//! With the defaults, each hit in the last 20 % of the freshness lifetime starts a refresh behind it with a probability
//! of 10 %. With `"method": "xfetch"` the odds follow from the time a fetch takes and grow towards the end of the
//! lifetime (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015).

use sandbar_guest::freshness::{EarlyRefresh, Freshness, Plan, Request, Response};
use serde::Deserialize;

/// Sets the early refresh of each response that is stored.
#[derive(Debug)]
pub struct EarlyRefreshing {
    settings: Settings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Method {
    Window,
    Xfetch,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// How it is decided whether a hit starts a refresh.
    method: Method,
    /// `window`: the part of the freshness lifetime, at its end, in which hits refresh.
    window_percent: f64,
    /// `window`: the probability that a hit in that part refreshes.
    odds_percent: f64,
    /// `xfetch`: above 1, refreshes come earlier; below 1, later.
    beta: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { method: Method::Window, window_percent: 20.0, odds_percent: 10.0, beta: 1.0 }
    }
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        let percent = |name: &str, value: f64| match value {
            0.0..=100.0 => Ok(()),
            _ => Err(format!("setting `{name}`: {value} is not between 0 and 100")),
        };
        percent("window_percent", self.window_percent)?;
        percent("odds_percent", self.odds_percent)?;
        match self.beta {
            0.001..=1_000.0 => Ok(()),
            beta => Err(format!("setting `beta`: {beta} is not between 0.001 and 1000")),
        }
    }
}

impl Freshness for EarlyRefreshing {
    fn configure(settings: &str, _seed: u64) -> Result<Self, String> {
        let settings: Settings = sandbar_guest::settings::parse(settings)?;
        settings.check()?;
        Ok(Self { settings })
    }

    fn plan(&mut self, _now_ms: u64, _request: &Request, response: &Response, standard: Plan) -> Plan {
        let Settings { method, window_percent, odds_percent, beta } = self.settings;
        let early_refresh = match method {
            Method::Window => EarlyRefresh::Window {
                window_ms: (standard.freshness_lifetime_ms as f64 * window_percent / 100.0) as u64,
                odds_ppm: (odds_percent * 10_000.0) as u32,
            },
            Method::Xfetch => {
                EarlyRefresh::Xfetch { fetch_ms: response.fetch_ms.max(1), beta_milli: (beta * 1_000.0) as u32 }
            }
        };
        if standard.stores() { Plan { early_refresh, ..standard } } else { standard }
    }
}

sandbar_guest::export_freshness!(EarlyRefreshing);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(settings: &str, standard: Plan) -> EarlyRefresh {
        let mut policy = EarlyRefreshing::configure(settings, 1).unwrap();
        let response = Response { fetch_ms: 80, ..Response::default() };
        policy.plan(0, &Request::default(), &response, standard).early_refresh
    }

    fn stored() -> Plan {
        Plan { l1: true, l2: true, freshness_lifetime_ms: 60_000, ..Plan::default() }
    }

    #[test]
    fn the_last_fifth_refreshes_one_hit_in_ten() {
        assert_eq!(plan("", stored()), EarlyRefresh::Window { window_ms: 12_000, odds_ppm: 100_000 });
    }

    #[test]
    fn window_and_odds_are_settings() {
        let settings = r#"{"window_percent": 50, "odds_percent": 2.5}"#;
        assert_eq!(plan(settings, stored()), EarlyRefresh::Window { window_ms: 30_000, odds_ppm: 25_000 });
    }

    #[test]
    fn xfetch_knows_what_a_fetch_takes() {
        let settings = r#"{"method": "xfetch", "beta": 1.5}"#;
        assert_eq!(plan(settings, stored()), EarlyRefresh::Xfetch { fetch_ms: 80, beta_milli: 1_500 });
    }

    #[test]
    fn what_is_not_stored_is_left_alone() {
        assert_eq!(plan("", Plan::default()), EarlyRefresh::Never);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (settings, name) in [
            (r#"{"odds_percent": 101}"#, "odds_percent"),
            (r#"{"window_percent": -1}"#, "window_percent"),
            (r#"{"beta": 0}"#, "beta"),
            (r#"{"method": "guess"}"#, "method"),
            (r#"{"odds": 1}"#, "odds"),
        ] {
            let refused = EarlyRefreshing::configure(settings, 1).unwrap_err();
            assert!(refused.contains(name), "{refused}");
        }
    }
}
