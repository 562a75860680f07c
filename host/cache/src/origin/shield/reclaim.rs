//! Which places are taken away when others wait: those whose clients make no progress and hold more than the client
//! that waits.
//!
//! A client that holds at least two more yields a place that it has not moved for a moment. One that holds one more
//! yields a place that it has not moved for so long that all who wait would have given up. A place that waits for the
//! origin never yields: the origin's work would be lost, and the next free place goes to the client that holds the
//! fewest anyway.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sandbar_http::client::ShareKey;

use super::place::{LAGS_FROM, Place};
use crate::holdings::{Holder, Holdings, Part};
use crate::origin::ClientFault;

/// From this lag on a client yields even if it holds only one place more than the client that waits.
pub(super) const LIES_FROM: Duration = Duration::from_secs(2);

/// The places whose clients make no progress, by client.
pub(super) struct Stalled {
    lines: Vec<Line>,
}

/// The stalled places of one connection, the one with the longest lag at the end; never empty.
struct Line {
    client: Option<ShareKey>,
    holder: Holder,
    held: Part,
    places: Vec<(Duration, u64, ClientFault)>,
}

impl Stalled {
    pub(super) fn among(places: &HashMap<u64, Arc<Place>>, holdings: &Holdings, now: Duration) -> Self {
        let mut by_client: HashMap<Option<ShareKey>, Vec<_>> = HashMap::new();
        for (number, place) in places {
            let (lag, fault) = place.lag(now);
            if lag >= LAGS_FROM {
                by_client.entry(place.client).or_default().push((lag, *number, fault));
            }
        }
        let lines = by_client.into_iter().map(|(client, mut places)| {
            places.sort_unstable_by_key(|(lag, number, _)| (*lag, *number));
            Line { client, holder: Holder::of(client), held: holdings.of(client), places }
        });
        Self { lines: lines.collect() }
    }

    /// Takes out the place that yields to a client that holds `held`: one of the client that holds most.
    pub(super) fn yields_to(&mut self, client: Option<ShareKey>, held: Part) -> Option<(u64, ClientFault)> {
        let holder = Holder::of(client);
        let yielding = (0..self.lines.len()).filter(|line| self.lines[*line].yields(holder, held));
        let line = yielding.max_by_key(|line| self.lines[*line].held)?;
        let (_, number, fault) = self.lines[line].places.pop()?;
        if self.lines[line].places.is_empty() {
            self.lines.swap_remove(line);
        }
        Some((number, fault))
    }

    /// Notes that what a client holds has changed.
    pub(super) fn holds(&mut self, client: Option<ShareKey>, holdings: &Holdings) {
        let (holder, held) = (Holder::of(client), holdings.of(client));
        for line in self.lines.iter_mut().filter(|line| line.holder == holder) {
            line.held.address = held.address;
            if line.client == client {
                line.held = held;
            }
        }
    }
}

impl Line {
    fn yields(&self, to: Holder, held: Part) -> bool {
        let is_same_holder = self.holder == to;
        let (own, others) = (self.held.against(is_same_holder), held.against(is_same_holder));
        let lag = self.places.last().map_or(Duration::ZERO, |(lag, ..)| *lag);
        // A client that holds two more still holds no fewer once it has yielded one.
        own > others + 1 || (own > others && lag >= LIES_FROM)
    }
}
