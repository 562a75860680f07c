//! Judging a response: what RFC 9111 and the tenant's policy make of it. The same for what the origin has just sent, for
//! what a 304 or a HEAD has freshened, for what is put into the cache, and for what is planned anew.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use super::Cache;
use super::asked::Asked;
use super::detach::detached_fields;
use super::jitter::jittered;
use super::store::key_for;
use crate::entry::StoredResponse;
use crate::http::semantics::{ResponseHead, Times, Vary, standard, stored_fields, vary};
use crate::policy::freshness::{Fill, Planned, Standard};
use crate::tenant::counters::{count, not_stored};

/// A response as it was received, without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) status: StatusCode,
    pub(crate) fields: &'a HeaderMap,
    /// Length of the body in bytes where it is known.
    pub(crate) body_bytes: Option<u64>,
    pub(crate) times: Times,
    pub(crate) fetch_time: Duration,
}

/// A response as it would be stored, its body left out.
pub(crate) struct Composed {
    pub(crate) stored: StoredResponse,
    /// Names of the selecting fields, sorted.
    pub(crate) vary: Vec<String>,
    pub(crate) standard: Standard,
}

/// A response of the origin that has been judged.
pub(crate) struct Judged {
    pub(crate) stored: StoredResponse,
    pub(crate) vary: Vec<String>,
    /// Why it is not stored; none where it is.
    pub(crate) obstacle: Option<&'static str>,
}

impl Cache {
    /// Judges a response and counts why it is not stored. `sequence` is the purge sequence of its fill.
    pub(crate) fn judge(&self, asked: &Asked, received: &Received<'_>, sequence: u64) -> Judged {
        let Composed { stored, vary, standard } = asked.composed(received, sequence);
        let counters = &asked.tenant.counters;
        let too_large = received.body_bytes.is_some_and(|bytes| bytes > asked.tenant.settings.body_bytes_max);
        let obstacle = obstacle(&standard, &stored, too_large);
        if let Some(reason) = obstacle {
            counters.reasons.count(reason);
            count(if too_large { &counters.too_large } else { &counters.not_stored });
        }
        Judged { stored, vary, obstacle }
    }
}

fn obstacle(standard: &Standard, stored: &StoredResponse, too_large: bool) -> Option<&'static str> {
    if too_large {
        Some(not_stored::TOO_LARGE)
    } else if stored.plan.stores() {
        None
    } else {
        Some(standard.obstacles.first().map_or(not_stored::POLICY, |obstacle| obstacle.as_str()))
    }
}

impl Asked {
    /// What RFC 9111 says of a response to this request, and what the tenant's policy makes of that. What is stored
    /// answers a GET, so it is judged as the response to one (RFC 9111 section 4.3.5).
    pub(crate) fn planned(&self, received: &Received<'_>) -> (Standard, Planned) {
        let head = ResponseHead { status: received.status, fields: received.fields };
        let standard = standard(&self.head_of_get(), &head, received.times, &self.tenant.store_rules(&self.target));
        let planned = self.tenant.policies.plan(&self.fill(received), &standard);
        let percent = self.tenant.settings.lifetime_jitter_percent(&self.target);
        let (received, age) = (received.times.received, standard.initial_age);
        let plan = jittered(planned.plan, self.key.hash(), received, age, percent);
        (standard, Planned { plan, ..planned })
    }

    /// The response as it would be stored.
    pub(crate) fn composed(&self, received: &Received<'_>, sequence: u64) -> Composed {
        let (standard, planned) = self.planned(received);
        let vary = match vary(received.fields) {
            Vary::Names(names) => names,
            Vary::None | Vary::Any => Vec::new(),
        };
        let rules = self.tenant.store_rules(&self.target);
        let stored = StoredResponse {
            key: key_for(self, &vary).shared_text(),
            status: received.status,
            fields: detached_fields(stored_fields(received.fields, received.times.received, &rules)),
            body: bytes::Bytes::new(),
            requested: received.times.requested,
            received: received.times.received,
            initial_age: standard.initial_age,
            fetch_time: received.fetch_time,
            plan: planned.plan,
            directives: standard.directives,
            sequence,
            policy: planned.policy,
            version: None,
        };
        Composed { stored, vary, standard }
    }

    /// What a policy is shown of a response to this request.
    fn fill<'a>(&'a self, received: &Received<'a>) -> Fill<'a> {
        Fill {
            method: &Method::GET,
            site: &self.site,
            target: &self.target,
            class: &self.tenant.settings.classes.of(&self.target).name,
            request: &self.fields,
            status: received.status,
            response: received.fields,
            body_bytes: received.body_bytes,
            fetch_time: received.fetch_time,
        }
    }
}
