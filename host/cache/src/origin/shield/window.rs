//! How many of the last requests failed: counts by slices of time, the oldest of which are forgotten.

use std::time::Duration;

/// Slices that a window is divided into: it looks back between 9 and 10 tenths of its length.
const SLICES: u64 = 10;

#[derive(Debug)]
pub(super) struct Window {
    slice: Duration,
    /// For each slice of time its number, and its counts of all and of failed requests.
    counts: [(u64, u32, u32); SLICES as usize],
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let slice = (length / SLICES as u32).max(Duration::from_millis(1));
        Self { slice, counts: [(0, 0, 0); SLICES as usize] }
    }

    pub(super) fn note(&mut self, now: Duration, failed: bool) {
        let slice = self.slice_at(now);
        let count = &mut self.counts[(slice % SLICES) as usize];
        if count.0 != slice {
            *count = (slice, 0, 0);
        }
        count.1 = count.1.saturating_add(1);
        count.2 = count.2.saturating_add(u32::from(failed));
    }

    /// All requests, and the failed ones.
    pub(super) fn totals(&self, now: Duration) -> (u64, u64) {
        let newest = self.slice_at(now);
        let recent = self.counts.iter().filter(|(slice, ..)| *slice <= newest && newest - slice < SLICES);
        recent.fold((0, 0), |sum, (_, all, failed)| (sum.0 + u64::from(*all), sum.1 + u64::from(*failed)))
    }

    fn slice_at(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos() / self.slice.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let at = Duration::from_secs;
        let mut window = Window::new(at(10));
        window.note(at(100), true);
        window.note(at(105), false);
        assert_eq!(window.totals(at(109)), (2, 1));
        assert_eq!(window.totals(at(110)), (1, 0));
        assert_eq!(window.totals(at(115)), (0, 0));
        window.note(at(115), true);
        assert_eq!(window.totals(at(115)), (1, 1), "a slice is used again");
    }
}
