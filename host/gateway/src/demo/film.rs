//! The demo's figures over time, taken twice a second: for the view, and to compare before and after the swap.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::load::Percentiles;

/// How many pictures are kept: those of twenty minutes.
const PICTURES_MAX: usize = 2400;

/// Counts of one tenant's traffic since the start, or within a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Requests that the gateway answered for the tenant.
    pub(super) requests: u64,
    pub(super) hits_l1: u64,
    pub(super) misses_l1: u64,
    pub(super) hits_l2: u64,
    pub(super) misses_l2: u64,
    /// Requests answered by another request's fetch.
    pub(super) collapsed: u64,
    /// Requests answered by a fetch of their own.
    pub(super) fetched: u64,
    /// Requests answered in any other way.
    pub(super) others: u64,
    /// Requests that the gateway sent to the origin, and those of them that refreshed behind an answer.
    pub(super) origin_requests: u64,
    pub(super) origin_refreshes: u64,
    /// Requests that the origin counted.
    pub(super) origin_counted: u64,
}

impl Figures {
    /// The part of the requests that L1 answered, from 0 to 1.
    pub(super) fn l1_hit_ratio(&self) -> f64 {
        ratio(self.hits_l1, self.requests)
    }

    /// The part of the requests that L2 answered, from 0 to 1.
    pub(super) fn l2_hit_ratio(&self) -> f64 {
        ratio(self.hits_l2, self.requests)
    }

    /// The part of the requests that were answered from a tier, from 0 to 1.
    pub(super) fn hit_ratio(&self) -> f64 {
        ratio(self.hits_l1 + self.hits_l2, self.requests)
    }

    /// The counts since `earlier`.
    fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            hits_l1: self.hits_l1.saturating_sub(earlier.hits_l1),
            misses_l1: self.misses_l1.saturating_sub(earlier.misses_l1),
            hits_l2: self.hits_l2.saturating_sub(earlier.hits_l2),
            misses_l2: self.misses_l2.saturating_sub(earlier.misses_l2),
            collapsed: self.collapsed.saturating_sub(earlier.collapsed),
            fetched: self.fetched.saturating_sub(earlier.fetched),
            others: self.others.saturating_sub(earlier.others),
            origin_requests: self.origin_requests.saturating_sub(earlier.origin_requests),
            origin_refreshes: self.origin_refreshes.saturating_sub(earlier.origin_refreshes),
            origin_counted: self.origin_counted.saturating_sub(earlier.origin_counted),
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One tenant's state at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct TenantPicture {
    pub(super) name: String,
    pub(super) figures: Figures,
    pub(super) resident_bytes: u64,
    pub(super) capacity_bytes: u64,
    /// Name of the eviction policy, and whether it runs as a guest or natively.
    pub(super) eviction: String,
}

/// The state of the demo at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) elapsed: Duration,
    pub(super) tenants: Vec<TenantPicture>,
    /// Requests that visitors made, and those of them that failed.
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// Latency since the picture before this one.
    pub(super) with_cache: Option<Percentiles>,
    /// Latency since the start, of the requests that went past the cache.
    pub(super) without_cache: Percentiles,
    /// Requests that the origin is working on.
    pub(super) origin_in_progress: u64,
    /// Memory of the whole process, origin and visitors included, where the system tells.
    pub(super) process_bytes: Option<u64>,
}

/// The pictures, oldest first.
#[derive(Debug, Default)]
pub(super) struct Film {
    pictures: VecDeque<Picture>,
}

impl Film {
    pub(super) const fn new() -> Self {
        Self { pictures: VecDeque::new() }
    }

    /// Adds a picture, and drops the oldest where there are too many.
    pub(super) fn add(&mut self, picture: Picture) {
        if self.pictures.len() == PICTURES_MAX {
            self.pictures.pop_front();
        }
        self.pictures.push_back(picture);
    }

    pub(super) fn last(&self) -> Option<&Picture> {
        self.pictures.back()
    }

    /// The counts of tenant number `tenant` in the `window` that ends with the last picture.
    pub(super) fn recent(&self, tenant: usize, window: Duration) -> Figures {
        let of =
            |picture: &Picture| picture.tenants.get(tenant).map(|tenant| tenant.figures.clone()).unwrap_or_default();
        self.last().map(of).unwrap_or_default().since(&self.before(window).map(of).unwrap_or_default())
    }

    /// Requests a second that visitors made in the `window` that ends with the last picture.
    pub(super) fn request_rate(&self, window: Duration) -> f64 {
        self.rate(window, |picture| picture.requests)
    }

    /// Requests a second that the gateway answered for tenant number `tenant`, in the same window.
    pub(super) fn tenant_rate(&self, tenant: usize, window: Duration) -> f64 {
        self.rate(window, |picture| picture.tenants.get(tenant).map_or(0, |tenant| tenant.figures.requests))
    }

    /// Requests a second that the origin counted from the gateway, in the same window.
    pub(super) fn origin_rate(&self, window: Duration) -> f64 {
        self.rate(window, |picture| picture.tenants.iter().map(|tenant| tenant.figures.origin_counted).sum())
    }

    fn rate(&self, window: Duration, count: impl Fn(&Picture) -> u64) -> f64 {
        let Some(last) = self.last() else { return 0.0 };
        let (before, at) = self.before(window).map_or((0, Duration::ZERO), |picture| (count(picture), picture.elapsed));
        let seconds = last.elapsed.saturating_sub(at).as_secs_f64();
        if seconds > 0.0 { count(last).saturating_sub(before) as f64 / seconds } else { 0.0 }
    }

    /// The picture nearest to the beginning of the `window` that ends with the last picture; none where the beginning
    /// is nearer to the start of the demo.
    fn before(&self, window: Duration) -> Option<&Picture> {
        let from = self.last()?.elapsed.saturating_sub(window);
        let nearest = self.pictures.iter().rev().min_by_key(|picture| picture.elapsed.abs_diff(from))?;
        (nearest.elapsed.abs_diff(from) <= from).then_some(nearest)
    }

    /// A tenant's L1 hit ratio at each of the last `count` pictures, as points: seconds since the start, per cent.
    pub(super) fn l1_hit_ratios(&self, tenant: usize, count: usize) -> Vec<(f64, f64)> {
        // Each point covers the two seconds before it: shorter ones would make the line jump with every burst.
        const BACK: usize = 4;
        let pictures: Vec<_> = self.pictures.iter().collect();
        let first = pictures.len().saturating_sub(count).max(1);
        (first..pictures.len())
            .filter_map(|at| {
                let (now, earlier) =
                    (pictures[at].tenants.get(tenant)?, pictures[at.saturating_sub(BACK)].tenants.get(tenant)?);
                let change = now.figures.since(&earlier.figures);
                (change.requests > 0).then(|| (pictures[at].elapsed.as_secs_f64(), 100.0 * change.l1_hit_ratio()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(second: u64, requests: u64, hits_l1: u64) -> Picture {
        let figures = Figures { requests, hits_l1, origin_counted: requests - hits_l1, ..Figures::default() };
        let tenants = vec![TenantPicture { figures, ..TenantPicture::default() }];
        Picture { elapsed: Duration::from_secs(second), tenants, requests, ..Picture::default() }
    }

    #[test]
    fn windows_see_only_what_happened_in_them() {
        let mut film = Film::default();
        for (second, requests, hits) in [(0, 0, 0), (1, 100, 10), (2, 200, 20), (3, 400, 180), (4, 600, 340)] {
            film.add(picture(second, requests, hits));
        }
        let recent = film.recent(0, Duration::from_secs(2));
        assert_eq!((recent.requests, recent.hits_l1), (400, 320));
        assert!((recent.l1_hit_ratio() - 0.8).abs() < 1e-9);
        assert!((film.request_rate(Duration::from_secs(2)) - 200.0).abs() < 1e-9);
        assert!((film.origin_rate(Duration::from_secs(4)) - 65.0).abs() < 1e-9);
        assert_eq!(film.recent(0, Duration::from_secs(60)).requests, 600, "a window longer than the film is the film");
        assert_eq!(film.recent(7, Duration::from_secs(2)), Figures::default());
    }

    #[test]
    fn a_film_is_bounded() {
        let mut film = Film::default();
        (0..3000).for_each(|second| film.add(picture(second, second, 0)));
        assert_eq!(film.pictures.len(), PICTURES_MAX);
        assert_eq!(film.l1_hit_ratios(0, 100).len(), 100);
    }
}
