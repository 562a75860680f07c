//! What a tenant's traffic came to: plain counters, read by metrics, dashboard and demo.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_policy::freshness::Obstacle;
use serde::Serialize;

use super::tally::Tally;

/// Why a response was not stored, beside what RFC 9111 says.
pub mod not_stored {
    /// The policy did not want it.
    pub(crate) const POLICY: &str = "policy";
    /// Its body is larger than `body_max`.
    pub(crate) const TOO_LARGE: &str = "body-too-large";
    /// It is a part, and nobody asked for one.
    pub(crate) const UNASKED_PART: &str = "unasked-part";
    /// It is an error that may be about the range or the condition that its request was sent with.
    pub(crate) const PARTICULAR_ERROR: &str = "particular-error";
    /// A newer version is known.
    pub(crate) const OLDER_VERSION: &str = "older-version";
    /// The node has no memory left for it.
    pub const NO_ROOM: &str = "no-room";
    /// A stale response was served in its place.
    pub(crate) const STALE_IF_ERROR: &str = "stale-if-error";
}

fn answers() -> impl Iterator<Item = &'static str> {
    [Outcome::Hit, Outcome::Refused].map(Outcome::as_str).into_iter().chain(FwdReason::ALL.map(FwdReason::as_str))
}

fn reasons() -> impl Iterator<Item = &'static str> {
    use not_stored::{OLDER_VERSION, PARTICULAR_ERROR, POLICY, STALE_IF_ERROR, TOO_LARGE, UNASKED_PART};
    let others = [POLICY, TOO_LARGE, UNASKED_PART, PARTICULAR_ERROR, OLDER_VERSION, STALE_IF_ERROR];
    Obstacle::ALL.map(Obstacle::as_str).into_iter().chain(others)
}

macro_rules! counters {
    ($(#[doc = $doc:literal] $name:ident,)*) => {
        /// Counters of one tenant since the start.
        #[derive(Debug)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: AtomicU64,)*
            /// Answers by what `Cache-Status` said of them: `hit`, or the reason for asking the origin.
            pub answers: Tally,
            /// Responses of the origin that were not stored, by the reason that `Cache-Status` gave.
            pub reasons: Tally,
            /// Time from a request to the head of its response.
            pub latency: Latency,
        }

        impl Default for Counters {
            fn default() -> Self {
                Self {
                    $($name: AtomicU64::new(0),)*
                    answers: Tally::of(answers()),
                    reasons: Tally::of(reasons()),
                    latency: Latency::default(),
                }
            }
        }

        /// The counters at one instant.
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        pub struct CounterValues {
            $(#[doc = $doc] pub $name: u64,)*
            /// Answers by outcome.
            pub answers: BTreeMap<&'static str, u64>,
            /// Responses not stored, by reason.
            pub reasons: BTreeMap<&'static str, u64>,
            /// Median time from a request to the head of its response, in microseconds.
            pub latency_p50_us: u64,
            /// 99th percentile of it.
            pub latency_p99_us: u64,
        }

        impl Counters {
            /// Reads all of them.
            pub fn values(&self) -> CounterValues {
                CounterValues {
                    $($name: self.$name.load(Relaxed),)*
                    answers: self.answers.values(),
                    reasons: self.reasons.values(),
                    latency_p50_us: self.latency.quantile_us(0.50),
                    latency_p99_us: self.latency.quantile_us(0.99),
                }
            }
        }

        impl CounterValues {
            /// Name, meaning and value of each counter, in the order of declaration.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $doc, self.$name),)*].into_iter()
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
    #[doc = "Requests sent to the origin, refreshes and validations included."]
    origin_requests,
    #[doc = "Of these, the ones that refreshed behind an answer."]
    origin_refreshes,
    #[doc = "Of these, the ones that validated a stored response and were answered with 304."]
    origin_validated,
    #[doc = "Requests to the origin that got no response, or none that could be believed."]
    origin_errors,
    #[doc = "Requests to the origin that their client spoilt, or did not go on with in time: no failures of the origin."]
    client_faults,
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
    #[doc = "Purges."]
    purges,
    #[doc = "Purges that could not be recorded for other nodes at once."]
    purges_pending,
    #[doc = "Calls of L2 that failed."]
    l2_errors,
    #[doc = "Body bytes sent from stored responses."]
    hit_bytes,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// A histogram with four buckets per power of two of microseconds: quantiles are at most 19 % too high.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU64; Self::BUCKETS],
}

impl Latency {
    const BUCKETS: usize = 128;

    /// Notes one.
    pub fn note(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        count(&self.buckets[Self::bucket(us)]);
    }

    /// The upper bound of the bucket that holds quantile `q` (0 to 1), in microseconds; 0 where nothing was noted.
    pub fn quantile_us(&self, q: f64) -> u64 {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        let total: u64 = counts.iter().sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "q is between 0 and 1")]
        let rank = (total as f64 * q).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return Self::upper_us(bucket);
            }
        }
        0
    }

    /// Upper bound in microseconds and count of each bucket that holds anything.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.buckets.iter().enumerate().map(|(i, count)| (Self::upper_us(i), count.load(Relaxed))).filter(|b| b.1 > 0)
    }

    fn bucket(us: u64) -> usize {
        let power = us.ilog2();
        let quarter = if power < 2 { 0 } else { (us >> (power - 2)) & 3 };
        ((power as usize) * 4 + quarter as usize).min(Self::BUCKETS - 1)
    }

    fn upper_us(bucket: usize) -> u64 {
        let (power, quarter) = (bucket / 4, (bucket % 4) as u64);
        ((4 + quarter + 1) << power) / 4
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; Self::BUCKETS] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let latency = Latency::default();
        assert_eq!(latency.quantile_us(0.5), 0);
        (1..=1000).for_each(|us| latency.note(Duration::from_micros(us)));
        for (q, exact) in [(0.5, 500), (0.99, 990), (0.001, 1)] {
            let got = latency.quantile_us(q);
            assert!(got >= exact && got <= exact + exact / 4 + 2, "{q}: {got} for {exact}");
        }
    }
}
