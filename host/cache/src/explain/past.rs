//! What has happened to a response lately, as an operator is shown it.

use sandbar_base::clock::Timestamp;
use serde::Serialize;

use super::Explainer;
use crate::events::{Past, What};
use crate::request::{CacheRequest, variant_key};

/// Events that are shown of a URL.
const EVENTS_MAX: usize = 16;

/// Something that has happened to the response, or to a variant of it, on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventReport {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// `stored`, `promoted`, `not-stored` or `left`.
    pub what: &'static str,
    /// Why it was not stored, or left memory, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// The tier, of what was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<&'static str>,
    /// Whether it happened to another variant than the one in question.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_of_another_variant: bool,
}

impl EventReport {
    fn of(past: Past, is_of_another_variant: bool, now: Timestamp) -> Self {
        let (what, why, tier) = match past.what {
            What::Stored { tier } => ("stored", None, Some(tier)),
            What::Promoted => ("promoted", None, None),
            What::NotStored(why) => ("not-stored", Some(why.as_str()), None),
            What::Left(why) => ("left", Some(why.as_str()), None),
        };
        let at_ms = past.at.as_millis();
        Self { at_ms, ago_ms: now.as_millis().saturating_sub(at_ms), what, why, tier, is_of_another_variant }
    }
}

impl Explainer<'_> {
    /// The last events of a request's URL, the newest first.
    pub(super) fn events(&self, request: &CacheRequest, varies_by: &[Vec<String>]) -> Vec<EventReport> {
        let variants = varies_by.iter().map(|names| variant_key(request, names));
        let keys: Vec<_> = std::iter::once(request.key.clone()).chain(variants).collect();
        let past = request.tenant.events.last(&keys, EVENTS_MAX).into_iter();
        past.map(|(past, is_other)| EventReport::of(past, is_other, self.now)).collect()
    }
}
