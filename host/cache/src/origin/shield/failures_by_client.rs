//! Failures by client, so that the breaker does not open for all because the requests of one client fail.

use std::collections::HashMap;
use std::time::Duration;

use super::window::Window;
use crate::holdings::Holder;

/// Clients whose requests are counted apart at once. Requests of further clients are only counted among all requests.
const CLIENTS_MAX: usize = 64;

/// The last requests of each client.
#[derive(Debug)]
pub(super) struct FailuresByClient {
    length: Duration,
    by_client: HashMap<Holder, Window>,
}

impl FailuresByClient {
    pub(super) fn new(length: Duration) -> Self {
        Self { length, by_client: HashMap::new() }
    }

    /// Notes that a request came to an end. Requests that belong to no client are not counted here.
    pub(super) fn note(&mut self, from: Holder, now: Duration, failed: bool) {
        if from == Holder::Nobody {
            return;
        }
        if self.by_client.len() >= CLIENTS_MAX && !self.by_client.contains_key(&from) {
            self.by_client.retain(|_, requests| requests.totals(now).0 > 0);
            if self.by_client.len() >= CLIENTS_MAX {
                return;
            }
        }
        self.by_client.entry(from).or_insert_with(|| Window::new(self.length)).note(now, failed);
    }

    /// Requests, and failed ones among them, of the client with the most failed requests.
    pub(super) fn loudest(&self, now: Duration) -> (u64, u64) {
        self.by_client.values().map(|requests| requests.totals(now)).max_by_key(|(_, failed)| *failed).unwrap_or((0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudest_is_known_and_what_is_kept_is_bounded() {
        let at = Duration::from_secs;
        let mut failures = FailuresByClient::new(at(10));
        for connection in 0..1000 {
            failures.note(Holder::Connection(connection), at(1), false);
        }
        assert_eq!((failures.by_client.len(), failures.loudest(at(1)).1), (CLIENTS_MAX, 0));
        for _ in 0..3 {
            failures.note(Holder::Connection(5), at(2), true);
            failures.note(Holder::Nobody, at(2), true);
        }
        assert_eq!(failures.loudest(at(2)), (4, 3));
        failures.note(Holder::Connection(5000), at(30), true);
        assert_eq!((failures.by_client.len(), failures.loudest(at(30))), (1, (1, 1)), "who is silent is forgotten");
    }
}
