//! How an answer came about, in the words of `Cache-Status`: for the logs of whoever embeds the cache.

use sandbar_http::semantics::cache_status::Outcome;

use crate::respond::Answer;
use crate::store::found::L1;
use crate::tenant::counters::Source;

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// What `Cache-Status` says: a hit, or why the origin was asked.
    pub outcome: Outcome,
    /// The word in `detail` of `Cache-Status`: the tier of a hit, or why a response was not stored or not to be had.
    pub detail: Option<&'static str>,
    /// Who gave the answer: `l1`, the name of the L2, `origin`, or `cache` for an answer of the cache's own.
    pub by: &'static str,
    /// Whether it is a stored response past its lifetime.
    pub stale: bool,
}

impl Provenance {
    /// That of a request that was refused before it came to the cache, for this reason in one word.
    pub const fn refused(detail: &'static str) -> Self {
        Self { outcome: Outcome::Refused, detail: Some(detail), by: OWN, stale: false }
    }

    pub(super) fn of(answer: &Answer) -> Self {
        let by = match (answer.source, answer.outcome) {
            (Source::L1 { .. } | Source::L2 | Source::StaleIfError | Source::StaleInTime, _)
            | (Source::Collapsed, Outcome::Hit) => answer.tier.unwrap_or(L1),
            (Source::Collapsed | Source::Fetched | Source::Bypassed, _) => ORIGIN,
            (Source::Synthesized, _) => OWN,
        };
        let stale = matches!(answer.source, Source::L1 { stale: true } | Source::StaleIfError | Source::StaleInTime);
        Self { outcome: answer.outcome, detail: answer.detail, by, stale }
    }
}

const ORIGIN: &str = "origin";
const OWN: &str = "cache";
