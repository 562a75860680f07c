//! `[tenant.origin.health_check]`: how addresses are checked beside the traffic.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};

use crate::setting::{Count, HOUR, MS, Span};

/// How the addresses of an origin are checked beside the traffic: a GET request each, on a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheckConfig {
    /// What is asked for, from the root of the server; the host is that of the origin's URL.
    pub path: CheckPath,
    /// How long after one check the next one begins; up to a tenth more or less, at random. Default 5 s.
    #[serde(default = "defaults::interval")]
    pub interval: Span<{ 100 * MS }, HOUR>,
    /// How long a check may take, from connecting to the head of the response. Default 1 s.
    #[serde(default = "defaults::timeout")]
    pub timeout: Span<{ 10 * MS }, HOUR>,
    /// So many checks in a row that succeed, and an address is asked again. Default 2.
    #[serde(default = "defaults::healthy")]
    pub healthy: Count<1, 1000>,
    /// So many checks in a row that fail, and an address is no longer asked. Default 3.
    #[serde(default = "defaults::unhealthy")]
    pub unhealthy: Count<1, 1000>,
    /// The status codes of a check that succeeds. Default `200-399`. Redirects are not followed.
    #[serde(default)]
    pub expect: StatusRange,
}

mod defaults {
    use std::time::Duration;

    use crate::setting::{Count, HOUR, MS, Span};

    pub(super) const fn interval() -> Span<{ 100 * MS }, HOUR> {
        Span::of(Duration::from_secs(5))
    }
    pub(super) const fn timeout() -> Span<{ 10 * MS }, HOUR> {
        Span::of(Duration::from_secs(1))
    }
    pub(super) const fn healthy() -> Count<1, 1000> {
        Count::of(2)
    }
    pub(super) const fn unhealthy() -> Count<1, 1000> {
        Count::of(3)
    }
}

impl HealthCheckConfig {
    /// The defaults for checks that ask for `path`.
    pub fn new(path: CheckPath) -> Self {
        Self {
            path,
            interval: defaults::interval(),
            timeout: defaults::timeout(),
            healthy: defaults::healthy(),
            unhealthy: defaults::unhealthy(),
            expect: StatusRange::default(),
        }
    }
}

/// What a check asks for: a path and, where needed, a query; in text `/healthz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPath(PathAndQuery);

impl CheckPath {
    /// Path and query.
    pub const fn get(&self) -> &PathAndQuery {
        &self.0
    }
}

impl FromStr for CheckPath {
    type Err = BadCheck;

    fn from_str(text: &str) -> Result<Self, BadCheck> {
        let path = text.starts_with('/') && !text.contains('#');
        let path = path.then(|| text.parse::<PathAndQuery>().ok()).flatten();
        path.map(Self).ok_or_else(|| BadCheck { text: text.to_owned(), what: "a path; write one such as \"/healthz\"" })
    }
}

/// Status codes from one to another, both included; in text `200-399`, or `204` for one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    least: u16,
    most: u16,
}

impl StatusRange {
    /// Whether a status code is one of them.
    pub fn contains(self, status: StatusCode) -> bool {
        (self.least..=self.most).contains(&status.as_u16())
    }
}

impl Default for StatusRange {
    fn default() -> Self {
        Self { least: 200, most: 399 }
    }
}

impl FromStr for StatusRange {
    type Err = BadCheck;

    fn from_str(text: &str) -> Result<Self, BadCheck> {
        let code = |text: &str| text.parse::<u16>().ok().filter(|code| (200..=599).contains(code));
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let range = code(least).zip(code(most)).filter(|(least, most)| least <= most);
        let what = "a range of status codes from 200 to 599; write one such as \"200-399\" or \"204\"";
        range.map(|(least, most)| Self { least, most }).ok_or_else(|| BadCheck { text: text.to_owned(), what })
    }
}

/// Why a text is no setting of a check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct BadCheck {
    /// The text.
    pub text: String,
    /// What it should be.
    pub what: &'static str,
}

impl fmt::Display for CheckPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most { write!(f, "{}", self.least) } else { write!(f, "{}-{}", self.least, self.most) }
    }
}

sandbar_base::serde_as_text!(CheckPath, StatusRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_ranges_are_taken_or_refused_with_what_would_be_right() {
        for text in ["/healthz", "/", "/up?deep=1"] {
            assert_eq!(text.parse::<CheckPath>().map(|path| path.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "healthz", "http://h/a", "/a b", "/a#b"] {
            assert!(text.parse::<CheckPath>().expect_err(text).to_string().contains("is not a path; write"));
        }
        for text in ["200-399", "204", "200-200"] {
            let range: StatusRange = text.parse().expect("a range");
            assert!(text.starts_with(&range.to_string()) && range.contains(StatusCode::from_u16(range.least).unwrap()));
        }
        for text in ["", "2xx", "399-200", "100-199", "200-600", "200-", "200..399"] {
            assert!(text.parse::<StatusRange>().expect_err(text).to_string().contains("; write"));
        }
    }
}
