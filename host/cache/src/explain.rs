//! Explaining: where the response to a request is, what the next such request would get, and who decides that. It is
//! for operators who wonder, and changes nothing.

mod entry;
mod look;
mod next;
mod past;

use std::sync::Arc;

use sandbar_base::Digest;
use sandbar_base::clock::Timestamp;
use sandbar_http::key::NoKey;
use sandbar_http::purge::Purge;
use sandbar_policy::{BoundBy, Role};
use serde::Serialize;

pub use self::entry::EntryReport;
use self::look::Held;
pub use self::next::Next;
pub use self::past::EventReport;
use crate::peers::Peers;
use crate::request::CacheRequest;
use crate::store::Store;
use crate::strategy::Strategy;
use crate::tenant::Tenant;

/// What is known of a request's response.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The tenant.
    pub tenant: String,
    /// Scheme and authority.
    pub site: String,
    /// Path and query, as they stand in the key.
    pub target: String,
    /// All of the cache key, its parts apart by a space: tenant, site, target, and what else joins it.
    pub key: String,
    /// The class of the target; empty where it is in none.
    pub class: String,
    /// What becomes of stored responses when such a request writes something; for a safe one, when other requests for its target
    /// do.
    pub strategy: Strategy,
    /// What the next such request gets, unless something changes before.
    pub next: Next,
    /// What each tier has, L1 first.
    pub tiers: Vec<Place>,
    /// The request fields by which variants of the response are selected, a list for each way in which the origin has
    /// varied it; empty where it does not vary, as far as is known.
    pub varies_by: Vec<Vec<String>>,
    /// The policies that decide: how a fill is planned, what is evicted, what a write invalidates.
    pub policies: Vec<Deciding>,
    /// What has happened to it lately on this node, all its variants included; the newest first.
    pub events: Vec<EventReport>,
}

/// What a tier has for a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// `l1`, or the name of the L2.
    pub tier: &'static str,
    /// Whether there is something that may be used.
    pub state: State,
    /// The purges that the entry is behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden_by: Vec<Purge>,
    /// The stored response, whatever its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryReport>,
}

/// Whether an entry may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// There is none.
    Absent,
    /// It may be used, as far as its freshness allows.
    Visible,
    /// It was purged softly: it is stale whatever its age.
    SoftPurged,
    /// It was purged: it is not served, and goes when it is next looked at.
    Purged,
    /// This node does not hear the others' purges at the moment, and the class promises something about them.
    NotVouchedFor,
    /// A newer version is known.
    Outdated,
    /// The tier could not be asked.
    NotAsked,
}

impl State {
    /// Whether the entry can answer, or be validated.
    pub(crate) const fn is_usable(self) -> bool {
        matches!(self, Self::Visible | Self::SoftPurged)
    }
}

/// A policy that decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deciding {
    /// What it decides.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// The digest of its component; none where it is native.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Who bound it.
    pub by: BoundBy,
}

/// What it takes to explain.
pub(crate) struct Explainer<'a> {
    pub(crate) store: &'a Store,
    pub(crate) peers: &'a Peers,
    pub(crate) now: Timestamp,
}

impl Explainer<'_> {
    pub(crate) async fn explain(&self, tenant: &Arc<Tenant>, head: http::request::Parts) -> Result<Explanation, NoKey> {
        let request = CacheRequest::new(tenant, head, true)?;
        Ok(self.explain_request(&request).await)
    }

    /// Explains a request whose key is known.
    pub(crate) async fn explain_request(&self, request: &CacheRequest) -> Explanation {
        let (l1, in_l1) = self.in_l1(request);
        let below = self.in_l2(request).await;
        let (l2, in_l2) = below.map_or((None, Vec::new()), |(held, varies_by)| (Some(held), varies_by));
        let next = self.next(request, &l1, l2.as_ref(), !in_l1.is_empty());
        let varies_by = if in_l1.is_empty() { in_l2 } else { in_l1 };
        let events = self.events(request, &varies_by);
        let place = |held: Held| self.place(request, held);
        let tiers = std::iter::once(l1).chain(l2).map(place).collect();
        let policies = request.tenant.policies.list().into_iter();
        let policies = policies.map(|bound| Deciding {
            role: bound.role,
            name: bound.name.to_string(),
            digest: bound.digest,
            by: bound.by,
        });
        Explanation {
            tenant: request.tenant.name.to_string(),
            site: request.site.clone(),
            target: request.target.clone(),
            key: request.key.text().trim_end().replace('\n', " "),
            class: request.class().name.clone(),
            strategy: request.strategy(),
            next,
            tiers,
            varies_by,
            policies: policies.collect(),
            events,
        }
    }

    fn place(&self, request: &CacheRequest, held: Held) -> Place {
        let Held { tier, state, cached } = held;
        let hidden = cached.as_deref().filter(|_| matches!(state, State::Purged | State::SoftPurged));
        let hidden_by = hidden.map(|cached| request.tenant.barriers.hiding(&cached.entry)).unwrap_or_default();
        let entry = cached.as_deref().and_then(|cached| EntryReport::of(&request.tenant, cached, self.now));
        Place { tier, state, hidden_by, entry }
    }
}
