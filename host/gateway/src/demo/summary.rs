//! The summary of a demo: as text, and with `--json` for machines.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::ensure;
use serde::Serialize;

use super::film::{Figures, Picture};
use super::load::Percentiles;

/// The summary of a demo. Ratios are from 0 to 1.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub(super) seconds: f64,
    /// Requests that the visitors made through the gateway.
    pub(super) requests: u64,
    /// Requests of theirs without an answer, with another status than 200, or with a wrong byte.
    pub(super) failed_requests: u64,
    pub(super) requests_per_second: f64,
    /// How many policies were swapped while the traffic ran.
    pub(super) swaps: u64,
    pub(super) hit_ratio: f64,
    pub(super) tenants: BTreeMap<String, TenantSummary>,
    /// The swap and its effect; none where the demo ended before it.
    pub(super) swap: Option<SwapSummary>,
    pub(super) latency: LatencySummary,
    /// Requests that the origin counted from the gateway.
    pub(super) origin_requests: u64,
    pub(super) reconciliation: Reconciliation,
    pub(super) process_bytes: Option<u64>,
}

/// One tenant's part of the summary.
#[derive(Debug, Serialize)]
pub(super) struct TenantSummary {
    pub(super) requests: u64,
    pub(super) hit_ratio: f64,
    pub(super) l1: TierSummary,
    pub(super) l2: TierSummary,
    pub(super) collapsed: u64,
    pub(super) origin_fetches: u64,
    pub(super) origin_refreshes: u64,
    pub(super) origin_requests: u64,
    pub(super) l1_resident_bytes: u64,
    pub(super) l1_capacity_bytes: u64,
    pub(super) eviction: String,
}

/// One tenant's lookups in one tier.
#[derive(Debug, Serialize)]
pub(super) struct TierSummary {
    pub(super) hits: u64,
    pub(super) misses: u64,
}

/// A swap, and the hit ratios in windows of the same length: just before it, and the last one so far.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct SwapSummary {
    pub(super) tenant: String,
    pub(super) from: String,
    pub(super) to: String,
    /// Seconds after the start.
    pub(super) at_seconds: f64,
    pub(super) took_ms: f64,
    pub(super) window_seconds: f64,
    pub(super) l1_hit_ratio_before: f64,
    pub(super) l1_hit_ratio_after: f64,
    /// The change of the L1 hit ratio by the swap, in percentage points.
    pub(super) l1_points: f64,
    pub(super) hit_ratio_before: f64,
    pub(super) hit_ratio_after: f64,
    /// The change of the hit ratio of all tiers together, in percentage points.
    pub(super) points: f64,
}

impl SwapSummary {
    /// Sets the hit ratios before the swap.
    pub(super) fn before(&mut self, window: &Figures) {
        (self.l1_hit_ratio_before, self.hit_ratio_before) = (window.l1_hit_ratio(), window.hit_ratio());
    }

    /// Sets the hit ratios after the swap, and the changes.
    pub(super) fn after(&mut self, window: &Figures) {
        (self.l1_hit_ratio_after, self.hit_ratio_after) = (window.l1_hit_ratio(), window.hit_ratio());
        self.l1_points = 100.0 * (self.l1_hit_ratio_after - self.l1_hit_ratio_before);
        self.points = 100.0 * (self.hit_ratio_after - self.hit_ratio_before);
    }

    /// The effect of the swap, in a sentence.
    pub(super) fn effect(&self) -> String {
        let [l1_before, l1_after, before, after] =
            [self.l1_hit_ratio_before, self.l1_hit_ratio_after, self.hit_ratio_before, self.hit_ratio_after]
                .map(|ratio| 100.0 * ratio);
        format!(
            "{}'s hit ratio before and after the swap: L1 {l1_before:.1} % and {l1_after:.1} % ({:+.1} points), all tiers \
             {before:.1} % and {after:.1} % ({:+.1} points)",
            self.tenant, self.l1_points, self.points
        )
    }
}

/// Latency through the gateway, and of the sample of requests that went straight to the origin.
#[derive(Debug, Serialize)]
pub(super) struct LatencySummary {
    pub(super) with_cache: Percentiles,
    pub(super) without_cache: Percentiles,
}

/// Whether the counts agree: the visitors', the gateway's and the origin's.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Reconciliation {
    /// Requests that the gateway counted. They are the sum of the next four.
    pub(super) gateway_requests: u64,
    pub(super) hits: u64,
    pub(super) collapsed: u64,
    pub(super) origin_fetches: u64,
    /// Requests answered in any other way: errors, mostly.
    pub(super) others: u64,
    /// Requests of other clients than the visitors, such as curl.
    pub(super) other_clients: u64,
    /// Requests that the origin counted. They are the origin fetches and the refreshes.
    pub(super) origin_counted: u64,
    pub(super) origin_refreshes: u64,
    pub(super) balanced: bool,
}

impl Reconciliation {
    /// Compares the visitors' count with the gateway's and the origin's.
    pub(super) fn of(visitors: u64, tenants: &[&Figures]) -> Self {
        let sum = |count: fn(&Figures) -> u64| tenants.iter().map(|figures| count(figures)).sum::<u64>();
        let mut counts = Self {
            gateway_requests: sum(|f| f.requests),
            hits: sum(|f| f.hits_l1 + f.hits_l2),
            collapsed: sum(|f| f.collapsed),
            origin_fetches: sum(|f| f.fetched),
            others: sum(|f| f.others),
            other_clients: sum(|f| f.requests).saturating_sub(visitors),
            origin_counted: sum(|f| f.origin_counted),
            origin_refreshes: sum(|f| f.origin_refreshes),
            balanced: false,
        };
        let answered = counts.hits + counts.collapsed + counts.origin_fetches + counts.others;
        counts.balanced = counts.gateway_requests >= visitors
            && counts.gateway_requests == answered
            && counts.origin_counted == counts.origin_fetches + counts.origin_refreshes;
        counts
    }
}

impl Summary {
    /// Makes the summary from the last picture.
    pub(super) fn of(last: &Picture, with_cache: Percentiles, swap: Option<SwapSummary>) -> Self {
        let figures: Vec<_> = last.tenants.iter().map(|tenant| &tenant.figures).collect();
        let reconciliation = Reconciliation::of(last.requests, &figures);
        let seconds = last.elapsed.as_secs_f64();
        Self {
            seconds,
            requests: last.requests,
            failed_requests: last.failed,
            requests_per_second: if seconds > 0.0 { last.requests as f64 / seconds } else { 0.0 },
            swaps: swap.iter().count() as u64,
            hit_ratio: reconciliation.hits as f64 / (reconciliation.gateway_requests.max(1)) as f64,
            tenants: last.tenants.iter().map(|tenant| (tenant.name.clone(), tenant.into())).collect(),
            swap,
            latency: LatencySummary { with_cache, without_cache: last.without_cache },
            origin_requests: reconciliation.origin_counted,
            reconciliation,
            process_bytes: last.process_bytes,
        }
    }

    /// Checks that the demo went as it promises.
    ///
    /// # Errors
    /// When a request failed, or the counts of visitors, gateway and origin don't agree.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.failed_requests == 0, "{} of {} requests failed", self.failed_requests, self.requests);
        ensure!(self.reconciliation.balanced, "the counts of visitors, gateway and origin don't agree");
        Ok(())
    }
}

impl From<&super::film::TenantPicture> for TenantSummary {
    fn from(tenant: &super::film::TenantPicture) -> Self {
        let figures = &tenant.figures;
        Self {
            requests: figures.requests,
            hit_ratio: figures.hit_ratio(),
            l1: TierSummary { hits: figures.hits_l1, misses: figures.misses_l1 },
            l2: TierSummary { hits: figures.hits_l2, misses: figures.misses_l2 },
            collapsed: figures.collapsed,
            origin_fetches: figures.fetched,
            origin_refreshes: figures.origin_refreshes,
            origin_requests: figures.origin_counted,
            l1_resident_bytes: tenant.resident_bytes,
            l1_capacity_bytes: tenant.capacity_bytes,
            eviction: tenant.eviction.clone(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, failed_requests: failed, seconds, .. } = self;
        writeln!(f, "{requests} requests in {seconds:.0} s, {failed} failed, every byte compared")?;
        for (name, tenant) in &self.tenants {
            let share = |hits: u64| 100.0 * hits as f64 / tenant.requests.max(1) as f64;
            writeln!(
                f,
                "  {name:6} {:>8} requests  L1 {:5.1} %  L2 {:5.1} %  origin {:5.1} %  collapsed {:4.1} %  ({})",
                tenant.requests,
                share(tenant.l1.hits),
                share(tenant.l2.hits),
                share(tenant.origin_fetches),
                share(tenant.collapsed),
                tenant.eviction,
            )?;
        }
        let LatencySummary { with_cache: with, without_cache: without } = &self.latency;
        writeln!(f, "latency p50/p99: {:.2}/{:.1} ms with the cache", with.p50_ms, with.p99_ms)?;
        writeln!(f, "                 {:.2}/{:.1} ms without it (sampled)", without.p50_ms, without.p99_ms)?;
        if let Some(swap) = &self.swap {
            writeln!(
                f,
                "swap after {:.0} s: {}, {} -> {}, in {:.0} ms",
                swap.at_seconds, swap.tenant, swap.from, swap.to, swap.took_ms
            )?;
            writeln!(f, "  {}", swap.effect())?;
        }
        let Reconciliation { gateway_requests, hits, collapsed, origin_fetches, others, .. } = self.reconciliation;
        writeln!(
            f,
            "counts: {hits} hits + {origin_fetches} fetches + {collapsed} collapsed + {others} others = {gateway_requests} requests"
        )?;
        let Reconciliation { origin_counted, origin_refreshes, balanced, .. } = self.reconciliation;
        write!(
            f,
            "        the origin counted {origin_counted}: {origin_fetches} fetches + {origin_refreshes} refreshes"
        )?;
        if balanced { write!(f, "; they agree") } else { write!(f, "; THEY DO NOT AGREE") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            requests: 100,
            hits_l1: 70,
            misses_l1: 30,
            hits_l2: 15,
            misses_l2: 15,
            collapsed: 3,
            fetched: 12,
            origin_requests: 14,
            origin_refreshes: 2,
            origin_counted: 14,
            ..Figures::default()
        }
    }

    #[test]
    fn counts_that_agree_balance() {
        let counts = Reconciliation::of(200, &[&figures(), &figures()]);
        assert!(counts.balanced, "{counts:?}");
        assert_eq!((counts.hits, counts.other_clients), (170, 0));
        assert_eq!(Reconciliation::of(199, &[&figures(), &figures()]).other_clients, 1);
    }

    #[test]
    fn a_request_that_got_lost_anywhere_shows() {
        let unbalanced = |change: fn(&mut Figures)| {
            let mut figures = figures();
            change(&mut figures);
            !Reconciliation::of(100, &[&figures]).balanced
        };
        assert!(unbalanced(|f| f.hits_l1 -= 1), "a hit was not counted");
        assert!(unbalanced(|f| f.origin_counted += 1), "the origin was asked once more than the gateway knows");
        assert!(unbalanced(|f| f.requests -= 1), "the gateway missed a request");
        assert!(!unbalanced(|_| ()));
    }

    #[test]
    fn machines_find_what_they_were_promised() {
        let tenant =
            super::super::film::TenantPicture { name: "shop".into(), figures: figures(), ..Default::default() };
        let last = Picture { tenants: vec![tenant], requests: 100, ..Picture::default() };
        let summary = Summary::of(&last, Percentiles::default(), Some(SwapSummary::default()));
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["requests"], 100);
        assert_eq!(json["failed_requests"], 0);
        assert_eq!(json["swaps"], 1);
        assert_eq!(json["tenants"]["shop"]["l1"]["hits"], 70);
        assert_eq!(json["tenants"]["shop"]["l2"]["misses"], 15);
        assert_eq!(json["origin_requests"], 14);
        assert!(summary.to_string().contains("they agree"));
    }
}
