//! The role `invalidation`: this was written, or has happened; what must be purged?
//!
//! A policy is asked about writes that go through the gateway, and about events of other systems.

use crate::field;

/// An invalidation policy. Export it with [`export_invalidation!`](crate::export_invalidation!).
pub trait Invalidation: Sized {
    /// Takes its settings (a JSON text, or an empty one) and a seed for everything random.
    ///
    /// # Errors
    /// With a sentence that tells the tenant what is wrong with the settings; the policy is not bound then.
    fn configure(settings: &str, seed: u64) -> Result<Self, String>;

    /// Names of the header fields that [`Invalidation::purges`] wants to see; at most 32.
    fn fields(&self) -> Vec<String> {
        Vec::new()
    }

    /// What to purge because of this write, beyond what RFC 9111 section 4.4 purges anyway: at most 256 purges, the
    /// rest is dropped and counted. `now_ms` is the wall clock in milliseconds since 1970.
    fn purges(&mut self, now_ms: u64, written: &Written) -> Vec<Purge>;

    /// What to purge because of an event of another system, which may come more than once: at most 256 purges, the rest is
    /// dropped and counted. Targets are whole URLs then. By default nothing.
    fn event_purges(&mut self, _now_ms: u64, _event: &Event) -> Vec<Purge> {
        Vec::new()
    }
}

/// An event of another system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What it is about, as its sender named it: `product.changed`.
    pub topic: String,
    /// What it says: often a JSON text.
    pub payload: Vec<u8>,
}

/// A write: an unsafe request that the origin answered with a 2xx or 3xx status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The method of the request.
    pub method: String,
    /// Scheme and authority: `https://shop.example:8443`.
    pub site: String,
    /// Path and query: `/a/b?page=2`.
    pub target: String,
    /// Status code that the origin answered with.
    pub status: u16,
    /// The request and response fields that the policy asked for, names in lower case, one pair per field line.
    pub fields: Vec<(String, String)>,
}

impl Written {
    /// The first value of a field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// The entries that a purge reaches; always those of its own tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One target, with all its variants: of the written site, `/a/b?page=2`; because of an event, a whole URL.
    Target(String),
    /// Every target that begins with this text: of the written site, `/a/`; because of an event, that of a whole URL, or of all
    /// sites where it begins with `/`.
    Prefix(String),
    /// Every entry with this surrogate key.
    SurrogateKey(String),
    /// Everything the tenant has.
    Everything,
}

impl Scope {
    /// A hard purge of this scope: the entries are gone.
    pub const fn hard(self) -> Purge {
        Purge { scope: self, soft: false }
    }

    /// A soft purge of this scope: the entries are stale then, and can still be served while they are validated.
    pub const fn soft(self) -> Purge {
        Purge { scope: self, soft: true }
    }
}

/// One thing to purge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Purge {
    /// The entries to purge.
    pub scope: Scope,
    /// Whether the entries stay and are stale, rather than gone.
    pub soft: bool,
}
