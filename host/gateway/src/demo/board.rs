//! All that the demo shows, on a terminal or in lines.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::film::Film;
use super::load::Percentiles;
use super::summary::SwapSummary;

/// How many events are kept.
const EVENTS_MAX: usize = 100;

/// The state of the demo, as it is shown.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    /// How long the demo lasts; none where it runs on.
    pub(super) seconds: Option<u64>,
    pub(super) film: Film,
    /// Latency through the gateway since the start.
    pub(super) with_cache: Percentiles,
    pub(super) swap: Option<SwapSummary>,
    events: VecDeque<String>,
    told: usize,
}

impl Board {
    pub(super) const fn new(listen: SocketAddr, admin: SocketAddr, seconds: Option<u64>) -> Self {
        let with_cache = Percentiles { p50_ms: 0.0, p99_ms: 0.0 };
        Self { listen, admin, seconds, film: Film::new(), with_cache, swap: None, events: VecDeque::new(), told: 0 }
    }

    /// Adds an event, and drops the oldest where there are too many.
    pub(super) fn tell(&mut self, event: impl AsRef<str>) {
        let at = self.film.last().map_or(0.0, |last| last.elapsed.as_secs_f64());
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(format!("{at:>5.1}s {}", event.as_ref()));
        self.told += 1;
    }

    /// The last `count` events, oldest first.
    pub(super) fn events(&self, count: usize) -> impl Iterator<Item = &str> {
        self.events.iter().skip(self.events.len().saturating_sub(count)).map(String::as_str)
    }

    /// How many events there were, dropped ones included.
    pub(super) const fn told(&self) -> usize {
        self.told
    }

    /// How many tenants the last picture has.
    pub(super) fn tenants(&self) -> usize {
        self.film.last().map_or(0, |last| last.tenants.len())
    }

    /// When the swap was, in seconds since the start.
    pub(super) fn swapped_at(&self) -> Option<f64> {
        self.swap.as_ref().map(|swap| swap.at_seconds)
    }

    /// Commands to try while the demo runs.
    pub(super) fn try_it(&self) -> String {
        let Self { listen, admin, .. } = self;
        format!(
            "try: curl -s -o /dev/null -D - -H 'Host: shop.demo' http://{listen}/items/1   curl http://{admin}/tenants"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_bounded_and_the_last_ones_shown() {
        let mut board = Board::new("[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap(), None);
        (0..250).for_each(|number| board.tell(format!("event {number}")));
        assert_eq!((board.events.len(), board.told()), (EVENTS_MAX, 250));
        let last: Vec<_> = board.events(2).collect();
        assert_eq!(last, ["  0.0s event 248", "  0.0s event 249"]);
    }
}
