//! The role `warming`: this is what was used, when, and at what cost; what should be fetched before anyone asks?
//!
//! The host asks no policy of this role yet: it refuses to bind one, with the status 501 over its API.

/// A warming policy. Export it with [`export_warming!`](crate::export_warming!).
pub trait Warming: Sized {
    /// Takes its settings (a JSON text, or an empty one) and a seed for everything random.
    ///
    /// # Errors
    /// With a sentence that tells the tenant what is wrong with the settings; the policy is not bound then.
    fn configure(settings: &str, seed: u64) -> Result<Self, String>;

    /// What to fetch now, most wanted first: at most `limit` targets. `usage` holds the most used targets of the
    /// period, most used first; `now_ms` is the wall clock in milliseconds since 1970.
    fn wanted(&mut self, now_ms: u64, usage: &[Used], limit: u32) -> Vec<Wanted>;
}

/// One target and how it was used in the last period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Scheme and authority: `https://shop.example:8443`.
    pub site: String,
    /// Path and query: `/a/b?page=2`.
    pub target: String,
    /// Requests in the period.
    pub requests: u32,
    /// When the target was last asked for, in milliseconds since 1970.
    pub last_ms: u64,
    /// How long the last fetch took, in microseconds.
    pub fetch_cost_us: u64,
    /// Size of the body in bytes.
    pub body_bytes: u64,
    /// End of the freshness lifetime in milliseconds since 1970; 0 where nothing is stored.
    pub expires_ms: u64,
}

/// One target to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Scheme and authority: `https://shop.example:8443`.
    pub site: String,
    /// Path and query: `/a/b?page=2`.
    pub target: String,
}
