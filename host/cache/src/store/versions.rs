//! Classes that keep versions: a response that is older than the version this node knows of is neither stored nor
//! served, and the other nodes are told of a newer one.

use sandbar_http::entry::{StoredResponse, Version};
use sandbar_http::key::KeyHash;

use super::Store;
use crate::barrier::Barriers;
use crate::cached::{Began, Cached};
use crate::consistency::Consistency;
use crate::request::CacheRequest;
use crate::tenant::Tenant;
use crate::tenant::counters::count;
use crate::tenant::versions::Known;
use crate::tier::VersionTerms;

impl Store {
    /// The version of a response; `None` where its class keeps no versions.
    pub(crate) fn version_of(&self, request: &CacheRequest, stored: &StoredResponse, began: &Began) -> Option<Version> {
        if request.consistency() != Consistency::Versioned {
            return None;
        }
        let kind = &request.class().version_kind;
        let versions = &request.tenant.versions;
        // A lease's token is the Redis server's clock, the same for all nodes. Without one the node's own has to do.
        let clock_us = began.token.unwrap_or(began.clock_us).max(began.floor_us);
        Some(kind.of(&stored.fields, clock_us)).inspect(|version| versions.saw(version.clock_us))
    }

    /// Whether this node knows of a newer version than a response has.
    pub(crate) fn is_outdated(&self, tenant: &Tenant, stored: &StoredResponse) -> bool {
        let outdated = tenant.knows_newer_than(stored);
        if outdated {
            count(&tenant.counters.versions_refused);
        }
        outdated
    }

    /// The terms by which L2 decides between an entry and another version of it; `None` for an entry without a version.
    pub(crate) fn version_terms(barriers: &Barriers, cached: &Cached) -> Option<VersionTerms> {
        let stored = cached.response()?;
        let version = stored.version?;
        let tag = stored.fields.get(http::header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
        Some(VersionTerms {
            version,
            sequence: stored.sequence,
            reset_below: barriers.height(stored),
            tag: tag.map(|tag| KeyHash::of(&String::from_utf8_lossy(tag.as_bytes()))),
        })
    }

    /// Notes a version that is stored from now on.
    pub(crate) fn note_version(&self, tenant: &Tenant, stored: &StoredResponse) {
        if let Some(version) = stored.version {
            let known = Known { version, sequence: stored.sequence };
            tenant.versions.learn(KeyHash::of(&stored.key), known, tenant.barriers.height(stored));
        }
    }
}
