//! The role `freshness`: may this response be stored, in which tiers, how long is it fresh, when may it be refreshed
//! early, how long may it be served stale, and which surrogate keys does it have?

use crate::field;

/// A freshness policy. Export it with [`export_freshness!`](crate::export_freshness!).
pub trait Freshness: Sized {
    /// Takes its settings (a JSON text, or an empty one) and a seed for everything random.
    ///
    /// # Errors
    /// With a sentence that tells the tenant what is wrong with the settings; the policy is not bound then.
    fn configure(settings: &str, seed: u64) -> Result<Self, String>;

    /// Names of the header fields, of requests and responses, that [`Freshness::plan`] wants to see; at most 32.
    fn fields(&self) -> Vec<String> {
        Vec::new()
    }

    /// Amends `standard`, the plan of RFC 9111. Giving it back unchanged is always right, and a plan may always be
    /// narrower; where it is wider, the host clamps it unless the operator granted just that. `now_ms` is the wall
    /// clock in milliseconds since 1970.
    fn plan(&mut self, now_ms: u64, request: &Request, response: &Response, standard: Plan) -> Plan;
}

/// The request that caused the fill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent: `GET`.
    pub method: String,
    /// Scheme and authority: `https://shop.example:8443`.
    pub site: String,
    /// Path and query: `/a/b?page=2`.
    pub target: String,
    /// Name of the class that the operator's configuration puts the path in; empty where there is none.
    pub class: String,
    /// The fields that the policy asked for, names in lower case, one pair per field line, in order.
    pub fields: Vec<(String, String)>,
}

impl Request {
    /// The first value of a field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// The response that the origin gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Length of the body in bytes where the origin announced it.
    pub body_bytes: Option<u64>,
    /// Time the origin took to its first byte, in milliseconds.
    pub fetch_ms: u32,
    /// The fields that the policy asked for, names in lower case, one pair per field line, in order.
    pub fields: Vec<(String, String)>,
}

impl Response {
    /// The first value of a field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }
}

/// In which tiers a response is stored, how long it is fresh, when it may be served stale or refreshed early: plain
/// numbers that the host executes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether the node's memory may store the response.
    pub l1: bool,
    /// Whether the shared tier may store the response.
    pub l2: bool,
    /// Freshness lifetime in milliseconds (RFC 9111 section 4.2.1), compared with the age.
    pub freshness_lifetime_ms: u64,
    /// For how long after that lifetime it may be served while it is validated behind the answer (RFC 5861 section 3).
    pub stale_while_revalidate_ms: u64,
    /// For how long after that lifetime it may be served when the origin fails (RFC 5861 section 4).
    pub stale_if_error_ms: u64,
    /// When it may be refreshed before it is stale.
    pub early_refresh: EarlyRefresh,
    /// The entry's surrogate keys: at most 128, each 1 to 256 bytes of visible ASCII. Others are dropped and counted.
    pub surrogate_keys: Vec<String>,
}

impl Plan {
    /// Whether any tier may store the response.
    pub const fn stores(&self) -> bool {
        self.l1 || self.l2
    }

    /// This plan, but with the response stored in no tier.
    #[must_use]
    pub fn not_stored(self) -> Self {
        Self { l1: false, l2: false, ..self }
    }
}

/// When a fresh entry may be refreshed before it is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyRefresh {
    /// The entry is not refreshed before it is stale.
    #[default]
    Never,
    /// In the last `window_ms` of the freshness lifetime each hit starts a refresh behind it with probability
    /// `odds_ppm` / 1,000,000.
    Window {
        /// Length of the window in milliseconds.
        window_ms: u64,
        /// Odds in millionths.
        odds_ppm: u32,
    },
    /// XFetch (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015): a hit
    /// refreshes when `-fetch_ms * beta * ln(random)` reaches past the end of the freshness lifetime.
    Xfetch {
        /// What a fetch takes, in milliseconds.
        fetch_ms: u32,
        /// Beta in thousandths: 1,000 is the paper's default, more refreshes earlier.
        beta_milli: u32,
    },
}
