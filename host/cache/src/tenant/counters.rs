//! Counters of a tenant's traffic, read by metrics, dashboard and demo.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome;
use serde::Serialize;

use super::latency::{Latency, LatencyHistograms};
use crate::not_stored::NotStored;
use crate::origin::shield::OriginCounters;
pub(crate) use crate::tally::count;
use crate::tally::{Listed, Tally};

macro_rules! counters {
    ($(#[doc = $doc:literal] $name:ident,)* origin { $(#[doc = $of_origin:literal] $value:ident = $counter:ident,)* }) => {
        /// Counters of one tenant since the start.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: AtomicU64,)*
            /// Answers by what `Cache-Status` said of them: `hit`, or the reason for asking the origin.
            pub answers: Tally<Outcome>,
            /// Responses of the origin that were not stored, by the reason that `Cache-Status` gave.
            pub reasons: Tally<NotStored>,
            /// Requests to its origin.
            pub origin: Arc<OriginCounters>,
            /// Times from a request to the head of its response.
            pub latency: Latency,
        }

        /// The counters at one instant.
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        pub struct CounterValues {
            $(#[doc = $doc] pub $name: u64,)*
            $(#[doc = $of_origin] pub $value: u64,)*
            /// Answers by outcome.
            pub answers: BTreeMap<&'static str, u64>,
            /// Responses not stored, by reason.
            pub reasons: BTreeMap<&'static str, u64>,
            /// Median time from a request to the head of its response, in microseconds.
            pub latency_p50_us: u64,
            /// 99th percentile of that time, in microseconds.
            pub latency_p99_us: u64,
            /// Those times as histograms.
            #[serde(skip)]
            pub latency: LatencyHistograms,
        }

        impl Counters {
            /// Reads all counters.
            pub fn values(&self) -> CounterValues {
                CounterValues {
                    $($name: self.$name.load(Relaxed),)*
                    $($value: self.origin.$counter.load(Relaxed),)*
                    answers: self.answers.values(),
                    reasons: self.reasons.values(),
                    latency_p50_us: self.latency.quantile_us(0.50),
                    latency_p99_us: self.latency.quantile_us(0.99),
                    latency: self.latency.histograms(),
                }
            }
        }

        impl CounterValues {
            /// Answers from all sources: as many as there were requests, but for those whose clients left before.
            pub const fn answered(&self) -> u64 {
                self.hits_l1
                    + self.hits_l2
                    + self.collapsed
                    + self.fetched
                    + self.bypassed
                    + self.stale_if_error
                    + self.synthesized
            }

            /// Name, meaning and reader of each counter, in the order of declaration.
            pub const COUNTERS: &[(&'static str, &'static str, fn(&Self) -> u64)] = &[
                $((stringify!($name), $doc, |values| values.$name),)*
                $((stringify!($value), $of_origin, |values| values.$value),)*
            ];

            /// Name, meaning and value of each counter, in the order of declaration.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                Self::COUNTERS.iter().map(|(name, meaning, read)| (*name, *meaning, read(self)))
            }
        }
    };
}

counters! {
    #[doc = "Requests."]
    requests,
    #[doc = "Requests answered from L1 without asking the origin."]
    hits_l1,
    #[doc = "Requests that found nothing reusable in L1."]
    misses_l1,
    #[doc = "Requests answered from L2 without asking the origin."]
    hits_l2,
    #[doc = "Lookups in L2 that found nothing reusable."]
    misses_l2,
    #[doc = "Hits that were stale and allowed (stale-while-revalidate, max-stale); counted as hits too."]
    hits_stale,
    #[doc = "Requests answered by another request's fetch."]
    collapsed,
    #[doc = "Requests answered by a fetch of their own."]
    fetched,
    #[doc = "Requests answered by the cache itself without stored response or origin (errors, 504 for only-if-cached)."]
    synthesized,
    #[doc = "Requests that bypassed the cache: their method is not stored."]
    bypassed,
    #[doc = "Requests answered with a stale response because the origin failed."]
    stale_if_error,
    #[doc = "Of these, the ones that did not wait longer than fetch_soft_deadline; their fetch went on behind."]
    stale_soft_deadline,
    #[doc = "Times that a request waited longer than waiter_deadline for another one's fetch, and had a new one begun or joined it."]
    waiters_overdue,
    #[doc = "Requests sent to the origin that refreshed behind an answer."]
    origin_refreshes,
    #[doc = "Requests sent to the origin that validated a stored response and were answered with 304."]
    origin_validated,
    #[doc = "Writes after which their target was fetched anew, and stored, before they were answered (write-through)."]
    writes_refetched,
    #[doc = "PUTs whose content was stored as what their target has now (write-through, put_lifetime)."]
    writes_put,
    #[doc = "PUTs whose content was not stored, as another write or purge of the target came to its end meanwhile."]
    writes_overlapped,
    #[doc = "Writes that were held, and answered before the origin had them (write-behind)."]
    writes_held,
    #[doc = "Writes that could not be held, and were answered so (write-behind)."]
    writes_not_held,
    #[doc = "Writes that were not held, as many others of their client could not be delivered lately (write-behind)."]
    writes_distrusted,
    #[doc = "Held writes that the origin has taken."]
    writes_delivered,
    #[doc = "Attempts to deliver held writes that failed, and are made again."]
    writes_retried,
    #[doc = "Held writes that the origin refused, or did not take in time: dead letters."]
    writes_dead,
    #[doc = "Reads that were answered from a held write."]
    reads_held,
    #[doc = "Responses stored."]
    stored,
    #[doc = "Responses that could have been stored but for RFC 9111 or the policy."]
    not_stored,
    #[doc = "Responses whose body outgrew body_max and was passed through unstored."]
    too_large,
    #[doc = "Responses that the node had no memory left for and that were passed through unstored."]
    no_room,
    #[doc = "Fills whose response came too late: purged meanwhile."]
    fills_purged,
    #[doc = "Fills whose response was not stored in L2 because another node's later fill was faster."]
    fills_fenced,
    #[doc = "Responses neither stored nor served from L2 because a newer version was known."]
    versions_refused,
    #[doc = "Newer versions that other nodes could not be told of."]
    versions_untold,
    #[doc = "Fills that waited for another node's fetch of the same key."]
    leases_waited_for,
    #[doc = "Times the tenant's memory was given up: purges of other nodes may have been missed."]
    l1_given_up,
    #[doc = "Lookups in L1 that passed an entry over because this node does not hear the bus."]
    l1_not_vouched_for,
    #[doc = "Waiters that fell out of an unstored body's window and were cut."]
    waiters_cut,
    #[doc = "Bodies that broke off at the origin."]
    bodies_broken,
    #[doc = "Tunnels: connections that have switched to another protocol."]
    tunnels,
    #[doc = "Tunnels that were refused: there were as many as may be, or no memory left for one."]
    tunnels_refused,
    #[doc = "Tunnels that were ended because nothing moved in them."]
    tunnels_idle,
    #[doc = "Events of other systems that the invalidation policy was to be asked about."]
    events,
    #[doc = "Of these, those that got no answer, so that their senders were told to send them again."]
    events_unanswered,
    #[doc = "Purges."]
    purges,
    #[doc = "Purges that could not be recorded for other nodes at once."]
    purges_pending,
    #[doc = "Values in L2 whose bytes could not be decoded: each was a miss."]
    values_unreadable,
    #[doc = "Calls of L2 that failed."]
    l2_errors,
    #[doc = "Body bytes sent from stored responses."]
    hit_bytes,
    origin {
        #[doc = "Requests sent to the origin, refreshes and validations included."]
        origin_requests = requests,
        #[doc = "Requests to the origin that got no response, or none that could be believed."]
        origin_errors = errors,
        #[doc = "Requests to the origin that their client spoilt, or did not go on with in time: no failures of the origin."]
        client_faults = client_faults,
    }
}

/// Where an answer came from: each answer has one source, so that their counts add up to the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// L1, without asking the origin; `stale` where it was stale and allowed.
    L1 { stale: bool },
    /// L2, without asking the origin.
    L2,
    /// Another request's fetch.
    Collapsed,
    /// A fetch of its own.
    Fetched,
    /// The origin, for a request that bypassed the cache.
    Bypassed,
    /// A stale stored response, because the origin failed.
    StaleIfError,
    /// A stale stored response, because the origin was too slow.
    StaleInTime,
    /// The cache itself.
    Synthesized,
}

impl Counters {
    /// Counts an answer, once it is final.
    pub(super) fn answered(&self, outcome: Outcome, source: Source, stored_bytes: u64) {
        self.answers.count(outcome);
        self.hit_bytes.fetch_add(stored_bytes, Relaxed);
        count(match source {
            Source::L1 { .. } => &self.hits_l1,
            Source::L2 => &self.hits_l2,
            Source::Collapsed => &self.collapsed,
            Source::Fetched => &self.fetched,
            Source::Bypassed => &self.bypassed,
            Source::StaleIfError | Source::StaleInTime => &self.stale_if_error,
            Source::Synthesized => &self.synthesized,
        });
        match source {
            Source::L1 { stale: true } => count(&self.hits_stale),
            Source::StaleInTime => count(&self.stale_soft_deadline),
            _ => {}
        }
    }

    /// Counts a response of the origin that is not stored, once that is final.
    pub(crate) fn withheld(&self, why: NotStored) {
        self.reasons.count(why);
        match why {
            NotStored::Obstacle(_) | NotStored::Policy => count(&self.not_stored),
            NotStored::TooLarge => count(&self.too_large),
            NotStored::NoRoom => count(&self.no_room),
            NotStored::UnaskedPart | NotStored::ParticularError | NotStored::OlderVersion | NotStored::StaleIfError => {
            }
        }
    }
}

impl Listed for Outcome {
    /// Requests that were forwarded are told apart by their reasons alone.
    fn all() -> impl Iterator<Item = Self> {
        [Self::Hit, Self::Refused].into_iter().chain(FwdReason::ALL.map(Self::fwd))
    }

    fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Refused => 1,
            Self::Fwd { reason, .. } => 2 + reason as usize,
        }
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::shield::Refusal;

    /// Each value has a place and a word of its own.
    fn is_whole<T: Listed>() {
        assert!(T::all().map(T::index).eq(0..T::all().count()), "in their order, without a gap");
        let words: std::collections::BTreeSet<_> = T::all().map(T::word).collect();
        assert_eq!(words.len(), T::all().count(), "{words:?}");
        let tally = Tally::<T>::default();
        T::all().for_each(|value| tally.count(value));
        assert!(tally.values().values().all(|count| *count == 1), "each is counted for itself");
    }

    #[test]
    fn values_are_counted_apart() {
        is_whole::<NotStored>();
        is_whole::<Outcome>();
        is_whole::<Refusal>();
    }
}
