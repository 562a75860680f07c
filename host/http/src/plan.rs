//! The plan of a stored response: in which tiers it is kept, how long it is fresh, when it may be refreshed early and
//! how long it may be served stale. Beside it: the origin's directives that no plan overrides, the plan that RFC 9111
//! alone would make, and the obstacles to storing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where and how long a response is kept and served: plain numbers that the host executes. All times are in
/// milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether L1 may store the response.
    pub l1: bool,
    /// Whether L2 may store the response.
    pub l2: bool,
    /// Freshness lifetime (RFC 9111 section 4.2.1), compared with the age.
    pub freshness_lifetime_ms: u64,
    /// How long after its lifetime the response may be served while it is validated in the background (RFC 5861 section
    /// 3).
    pub stale_while_revalidate_ms: u64,
    /// How long after its lifetime the response may be served when the origin fails (RFC 5861 section 4).
    pub stale_if_error_ms: u64,
    /// Whether and when hits refresh the response while it is still fresh.
    pub early_refresh: EarlyRefresh,
    /// Surrogate keys, by which the response can be purged.
    pub surrogate_keys: Vec<String>,
}

impl Plan {
    /// Whether any tier may store the response.
    pub const fn stores(&self) -> bool {
        self.l1 || self.l2
    }
}

/// When a fresh entry may be refreshed before it is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EarlyRefresh {
    /// Not before it is stale.
    #[default]
    Never,
    /// In the last `window_ms` of the freshness lifetime a hit refreshes with probability `odds_ppm` / 1,000,000.
    Window {
        /// Length of the window in milliseconds.
        window_ms: u64,
        /// Probability in millionths.
        odds_ppm: u32,
    },
    /// XFetch (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015).
    Xfetch {
        /// Delta: how long a fetch takes, in milliseconds.
        fetch_ms: u32,
        /// Beta in thousandths: the larger, the earlier a refresh.
        beta_milli: u32,
    },
}

/// Response directives that the host executes on every reuse (RFC 9111 section 5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directives {
    /// `no-cache` without field names: never reused without validation.
    pub no_cache: bool,
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`: never reused stale, not even when the origin fails.
    pub must_revalidate: bool,
    /// `immutable` (RFC 8246): never refreshed early.
    pub immutable: bool,
}

/// What RFC 9111 alone makes of a response, before any policy is asked: produced by `http::semantics`, amended by a
/// policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standard {
    /// The plan by RFC 9111 alone. It stores nothing where there is an obstacle.
    pub plan: Plan,
    /// The response directives that hold on every reuse, whatever a policy plans.
    pub directives: Directives,
    /// `corrected_initial_age` (RFC 9111 section 4.2.3).
    pub initial_age: Duration,
    /// Where the plan's freshness lifetime comes from.
    pub lifetime: LifetimeSource,
    /// Everything that forbids storing it; empty where it may be stored.
    pub obstacles: Vec<Obstacle>,
}

/// Where a freshness lifetime comes from (RFC 9111 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeSource {
    /// From a directive or `Expires`: not to be exceeded.
    Explicit,
    /// Guessed from `Last-Modified` (section 4.2.2).
    Heuristic,
    /// The origin gave no lifetime and none may be guessed.
    Missing,
}

/// Why a response may not be stored (RFC 9111 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Obstacle {
    /// The method is not one whose responses are stored.
    Method,
    /// The status code is not final, or is one that this cache does not understand although it must.
    Status,
    /// `no-store` in the response.
    NoStore,
    /// `no-store` in the request (RFC 9111 section 5.2.1.5).
    RequestNoStore,
    /// `private` in the response.
    Private,
    /// The request had `Authorization` and the response does not allow sharing (RFC 9111 section 3.5).
    Authorization,
    /// The response sets a cookie, and the class does not store such responses.
    SetCookie,
    /// `Vary: *`: the response would never be selected.
    VaryAny,
    /// The response is never fresh, nor of use when stale, and can't be validated: storing it is of no use.
    NoLifetime,
    /// The response is a part (206) without a usable `Content-Range`, so that it can't be combined with others.
    Partial,
}

impl Obstacle {
    /// All obstacles, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Method,
        Self::Status,
        Self::NoStore,
        Self::RequestNoStore,
        Self::Private,
        Self::Authorization,
        Self::SetCookie,
        Self::VaryAny,
        Self::NoLifetime,
        Self::Partial,
    ];

    /// The stable word for this obstacle in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryAny => "vary-any",
            Self::NoLifetime => "no-lifetime",
            Self::Partial => "partial",
        }
    }

    /// The grant with which a policy may store a response despite this obstacle; none where nothing can allow it.
    pub const fn grant(self) -> Option<Grant> {
        match self {
            Self::NoStore => Some(Grant::NoStore),
            Self::Private => Some(Grant::Private),
            Self::Authorization => Some(Grant::Authorization),
            Self::SetCookie => Some(Grant::SetCookie),
            Self::NoLifetime => Some(Grant::MissingLifetime),
            Self::Method | Self::Status | Self::RequestNoStore | Self::VaryAny | Self::Partial => None,
        }
    }
}

/// What an operator may allow a tenant's freshness policy beyond RFC 9111.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// A lifetime where the origin gave none.
    MissingLifetime,
    /// Storing despite `no-store`.
    NoStore,
    /// Storing despite `private`.
    Private,
    /// Storing responses that set a cookie.
    SetCookie,
    /// Storing responses to requests with `Authorization`.
    Authorization,
    /// Longer stale windows than the origin gave, where it does not forbid stale responses: the out-of-band contract of
    /// RFC 9111 section 4.2.4.
    Stale,
}
