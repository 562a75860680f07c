//! The `[[tenant]]` table of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use sandbar_http::key::KeyRules;
pub use sandbar_http::origin_view::ForwardRules;
use sandbar_policy::freshness::Grant;
use sandbar_policy::{Choice, Role};
use serde::{Deserialize, Serialize};

use super::token::TokenConfig;
use super::tunnels::TunnelConfig;
use crate::consistency::Consistency;
use crate::origin::http::{OriginConfig, url_or_table};
use crate::origin::shield::ProtectConfig;
use crate::setting::{DAY, HOUR, MIB, MS, Percent, SECOND, Size, Span};
use crate::strategy::Strategy;

/// The largest size that a share of memory, or a body in it, may have: 2^50 bytes.
const BYTES_MAX: u64 = 1 << 50;

/// Up to how many per cent may be taken off a freshness lifetime at random: more than half is not jitter.
pub type Jitter = Percent<0, 50>;

/// A tenant: its hosts, its origin, its memory, its policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConfig {
    /// The name: 1 to 64 of `a-z`, `0-9`, `-` and `_`. It is part of every cache key.
    pub name: String,
    /// Host names it answers for: exact, `*.example`, or `*` for all that no other tenant has.
    pub hosts: Vec<String>,
    /// Its origin: the URL alone, or a table of settings. The gateway needs one; a layer has its service instead.
    #[serde(deserialize_with = "url_or_table", skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginConfig>,
    /// Its share of L1, in bytes: 64 KiB or more, or 0 for none: it lives then on what the shares of the others leave, together with
    /// all that have none. Default 64 MiB.
    pub l1: Size<0, BYTES_MAX>,
    /// The largest body that is stored; a larger one is only forwarded. `l1` must be able to hold it. By default 16
    /// MiB, or what `l1` can hold where that is less; 1 MiB for a tenant without a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_max: Option<Size<1, BYTES_MAX>>,
    /// How long a request waits for another request's fetch before it is served stale, if that is allowed, or makes its
    /// own.
    pub waiter_deadline: Span<MS, HOUR>,
    /// How long a request waits for a fetch before it is served a stale response that may be served when the origin fails;
    /// the fetch goes on behind it.
    pub fetch_soft_deadline: Span<0, HOUR>,
    /// How long a fetch may take until its response begins, waiting for its turn and retries included. Past it the request
    /// is served stale, if that is allowed, or answered with 504.
    pub fetch_hard_deadline: Span<MS, HOUR>,
    /// The longest heuristic freshness lifetime (RFC 9111 section 4.2.2).
    pub heuristic_max: Span<0, { 3650 * DAY }>,
    /// For how long after its freshness lifetime a response with a validator stays in L2, so that the origin need not send it
    /// again where it has not changed.
    pub keep_for_validation: Span<0, { 3650 * DAY }>,
    /// Up to how many per cent are taken, at random, off what is left of a stored response's freshness lifetime, so
    /// that responses that were fetched together do not expire together.
    pub lifetime_jitter_percent: Jitter,
    /// Names of the targeted fields that are obeyed before `Cache-Control` (RFC 9213), the most specific first.
    pub targets: Vec<String>,
    /// Whether surrogate keys are left in responses to clients.
    pub show_surrogate_keys: bool,
    /// Whether `Cache-Status` names the key.
    pub show_key: bool,
    /// What an acknowledged purge promises about the other nodes of a fleet, where a class does not say.
    pub consistency: Consistency,
    /// What becomes of stored responses when something is written, where a class says nothing else.
    pub strategy: Strategy,
    /// What joins the cache key beside tenant, site and target.
    pub key: KeyRules,
    /// What the origin is told beside what clients say.
    pub forward: ForwardRules,
    /// How its origin is protected.
    pub protect: ProtectConfig,
    /// Bounds of connections that switch to another protocol.
    pub tunnels: TunnelConfig,
    /// What its freshness policy may do beyond RFC 9111.
    pub grants: BTreeSet<Grant>,
    /// Classes of targets; the first whose pattern matches counts.
    #[serde(rename = "class")]
    pub classes: Vec<ClassConfig>,
    /// Its policies, by role; a role left out uses the native default.
    pub policy: BTreeMap<Role, Choice>,
    /// Tokens by which others than the operator may do something.
    #[serde(rename = "token", skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenConfig>,
    /// How often a tenant of this name has been removed and made again, which is part of every key: what was stored for the
    /// one before is never found. No setting of a file: whoever removes tenants counts.
    #[serde(skip)]
    pub incarnation: u32,
}

/// A `[[tenant.class]]` table: targets that are treated alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassConfig {
    /// The class's name, which policies see.
    pub name: String,
    /// Pattern of the path: `*` stands for any characters but `/`, `**` for any.
    pub path: String,
    /// Whether responses that set a cookie may be stored.
    pub store_set_cookie: bool,
    /// The protocols that clients may switch to (RFC 9110 section 7.8), such as `websocket`. By default none: `Upgrade` is
    /// ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upgrade: Vec<String>,
    /// What an acknowledged purge promises about the other nodes of a fleet; by default as for the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// The response field that holds the version, where consistency is `versioned`: a number that never falls, or
    /// `last-modified`. Without a version field, responses are as new as their fills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_field: Option<String>,
    /// The tenant's `lifetime_jitter_percent` for this class, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_jitter_percent: Option<Jitter>,
    /// What becomes of stored responses when something is written; by default as for the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Writes that have another strategy, by their method or a field; the first that fits counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<WriteConfig>,
    /// Whether a write whose strategy is `ttl` invalidates its target; without it, which departs from RFC 9111 section 4.4, what
    /// is stored lives until its lifetime ends. True by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_invalidates: Option<bool>,
    /// Where it is set, the content of a PUT whose strategy is `write-through` is stored as what its target has now, fresh for
    /// so long, if the origin's response has a validator, which says that it took the content as it was (RFC 9110 section
    /// 9.3.4). By default the origin is asked instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put_lifetime: Option<Span<SECOND, { 30 * DAY }>>,
    /// The status of the answer to a write whose strategy is `write-behind`, once it is held: 200, 202 or 204. 202 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_status: Option<u16>,
    /// Methods other than PUT and DELETE whose writes may be held, such as `PATCH`: it is not known what they make of their
    /// target, so that until the origin has them readers get what was there before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blind: Vec<String>,
    /// Whether a later write that is held takes the place of an earlier one of its target that was not sent yet, which the
    /// origin then never sees. True by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absorb: Option<bool>,
}

/// A `[[tenant.class.write]]` table: writes of a class that have another strategy than the rest. The first one that fits a write
/// counts. Nothing but the strategy of the write depends on it: what is stored follows from the path alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriteConfig {
    /// The methods that it is for; any where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// The request field that it is for; any request where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The value that the field must have; any where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The strategy of these writes.
    pub strategy: Strategy,
}

impl TenantConfig {
    /// A tenant of that name with the default settings, but without hosts: to be given some, or to be found in another way.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), hosts: Vec::new(), ..Self::default() }
    }

    /// Whether a tenant can have that name, which becomes a part of keys and of file names: 1 to 64 of `a-z`, `0-9`, `-` and `_`.
    #[doc(hidden)]
    pub fn is_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
    }
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self {
            name: "default".into(),
            hosts: vec!["*".into()],
            origin: None,
            l1: Size::of(64 * MIB),
            body_max: None,
            waiter_deadline: Span::of(Duration::from_secs(10)),
            fetch_soft_deadline: Span::of(Duration::from_secs(2)),
            fetch_hard_deadline: Span::of(Duration::from_secs(60)),
            heuristic_max: Span::of(Duration::from_secs(24 * 3600)),
            keep_for_validation: Span::of(Duration::from_secs(3600)),
            lifetime_jitter_percent: Jitter::of(0),
            targets: vec!["cdn-cache-control".into()],
            show_surrogate_keys: false,
            show_key: false,
            consistency: Consistency::default(),
            strategy: Strategy::default(),
            key: KeyRules::default(),
            forward: ForwardRules::default(),
            protect: ProtectConfig::default(),
            tunnels: TunnelConfig::default(),
            grants: BTreeSet::new(),
            classes: Vec::new(),
            policy: BTreeMap::new(),
            tokens: Vec::new(),
            incarnation: 0,
        }
    }
}
