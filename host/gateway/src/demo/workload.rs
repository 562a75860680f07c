//! The requests of the demo's visitors: Zipf popularity that drifts over a day, and a crawler that walks through all
//! objects now and then.

use std::time::Duration;

use super::random::{Random, mix};

/// How a tenant's visitors behave.
#[derive(Clone, Debug)]
pub(super) struct Habits {
    /// The number of the tenant's first object; the others follow it.
    pub(super) first_id: u64,
    pub(super) objects: u64,
    /// Exponent of the popularity: the object of rank r is asked for in proportion to 1 / r^skew.
    pub(super) skew: f64,
    /// How long a day lasts. Once a day each rank goes to another object, spread evenly over the day.
    pub(super) day: Duration,
    /// Every `scan_every` a crawler comes and stays for `scan_for`.
    pub(super) scan_every: Duration,
    pub(super) scan_for: Duration,
    /// The part of the requests that are the crawler's while it is there, from 0 to 1.
    pub(super) scan_share: f64,
}

/// One visitor of a tenant: draws the next object to ask for.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    habits: Habits,
    /// Sum of the popularities up to and with each rank, the last one being 1.
    cumulated: Vec<f64>,
    random: Random,
    /// The position of this visitor's crawler, and the width of its steps: the visitors' crawlers divide the catalogue.
    crawler: u64,
    crawler_step: u64,
}

impl Workload {
    /// Visitor number `index` of `visitors` with the same habits.
    pub(super) fn new(habits: &Habits, index: u64, visitors: u64) -> Self {
        let mut cumulated: Vec<f64> = (1..=habits.objects)
            .scan(0.0, |sum, rank| {
                *sum += (rank as f64).powf(-habits.skew);
                Some(*sum)
            })
            .collect();
        let total = cumulated.last().copied().unwrap_or(1.0);
        cumulated.iter_mut().for_each(|share| *share /= total);
        let random = Random::seeded(mix(habits.first_id) ^ mix(index));
        Self { habits: habits.clone(), cumulated, random, crawler: index, crawler_step: visitors.max(1) }
    }

    /// The next object to ask for, `elapsed` after the start.
    pub(super) fn next(&mut self, elapsed: Duration) -> u64 {
        let place = if self.is_scanned(elapsed) && self.random.unit() < self.habits.scan_share {
            self.crawl()
        } else {
            let rank = self.rank();
            self.holder_of(rank, elapsed)
        };
        self.habits.first_id + place
    }

    /// How long this visitor waits before its next request.
    pub(super) fn pause(&mut self, mean: Duration) -> Duration {
        // Cut off, as a rare pause could outlast the demo.
        let pause = self.random.exponential(mean.as_secs_f64()).min(10.0 * mean.as_secs_f64());
        Duration::from_secs_f64(pause)
    }

    fn is_scanned(&self, elapsed: Duration) -> bool {
        let every = self.habits.scan_every.as_millis().max(1);
        // The crawler comes at the end of each period, so that a demo starts quietly.
        elapsed.as_millis() % every >= every.saturating_sub(self.habits.scan_for.as_millis())
    }

    fn crawl(&mut self) -> u64 {
        let place = self.crawler % self.habits.objects;
        self.crawler += self.crawler_step;
        place
    }

    fn rank(&mut self) -> u64 {
        let point = self.random.unit();
        self.cumulated.partition_point(|share| *share <= point).min(self.cumulated.len() - 1) as u64
    }

    /// The object that has a rank at this time. Each rank goes to another object once a day, at a time of its own.
    fn holder_of(&self, rank: u64, elapsed: Duration) -> u64 {
        let day_ms = self.habits.day.as_millis().max(1) as u64;
        let its_hour_ms = mix(rank) % day_ms;
        let day = (elapsed.as_millis() as u64 + its_hour_ms) / day_ms;
        mix(mix(self.habits.first_id) ^ mix(rank) ^ day.wrapping_mul(0x9E37_79B9)) % self.habits.objects
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const HABITS: Habits = Habits {
        first_id: 1000,
        objects: 500,
        skew: 0.9,
        day: Duration::from_secs(100),
        scan_every: Duration::from_secs(10),
        scan_for: Duration::from_secs(4),
        scan_share: 0.5,
    };

    /// The `top` most wanted objects of `draws` requests at one instant.
    fn favourites(elapsed: Duration, draws: usize, top: usize) -> Vec<u64> {
        let mut workload = Workload::new(&HABITS, 0, 1);
        let mut counts = HashMap::new();
        for _ in 0..draws {
            *counts.entry(workload.next(elapsed)).or_insert(0) += 1;
        }
        let mut ids: Vec<_> = counts.into_iter().collect();
        ids.sort_unstable_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        ids.into_iter().take(top).map(|(id, _)| id).collect()
    }

    #[test]
    fn few_objects_get_most_requests() {
        let mut workload = Workload::new(&HABITS, 0, 1);
        let mut counts = HashMap::new();
        for _ in 0..100_000 {
            *counts.entry(workload.next(Duration::ZERO)).or_insert(0_u64) += 1;
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        let top: u64 = counts.iter().take(50).sum();
        assert!((50_000..70_000).contains(&top), "a tenth of the objects gets {top} of 100,000 requests");
    }

    #[test]
    fn popularity_drifts_over_a_day() {
        let kept = |later: u64| {
            let now = favourites(Duration::ZERO, 20_000, 20);
            let then = favourites(Duration::from_secs(later), 20_000, 20);
            then.iter().filter(|id| now.contains(id)).count()
        };
        assert!(kept(10) >= 13, "after a tenth of a day most favourites are still the same: {}", kept(10));
        assert!(kept(100) <= 6, "after a day hardly any: {}", kept(100));
    }

    #[test]
    fn the_crawler_walks_through_everything_in_its_hours() {
        let quiet: std::collections::HashSet<_> = {
            let mut workload = Workload::new(&HABITS, 0, 1);
            (0..1000).map(|_| workload.next(Duration::from_secs(1))).collect()
        };
        let crawled: std::collections::HashSet<_> = {
            let mut workload = Workload::new(&HABITS, 0, 1);
            (0..1100).map(|_| workload.next(Duration::from_secs(7))).collect()
        };
        assert_eq!(crawled.len(), 500, "every object was asked for");
        assert!(quiet.len() < 400, "without it only {} were", quiet.len());
    }

    #[test]
    fn crawlers_side_by_side_share_the_catalogue() {
        let mut crawlers: Vec<_> = (0..4).map(|index| Workload::new(&HABITS, index, 4)).collect();
        let mut seen: Vec<u64> =
            (0..125).flat_map(|_| crawlers.iter_mut().map(Workload::crawl).collect::<Vec<_>>()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
    }
}
