//! Views: how long entries of each experience and worth may wait for the next read, in proportion to each other.

use crate::Settings;
use crate::pools::{ByPool, EXPERIENCES, LEVELS, LUCKY, LUCKY_RETURNED, NEW, READ, RETURNED};
use crate::worth::LEVEL_OCTAVES;

/// A table of reaches, by its parameters. An entry that was read once and is worth 1 has a reach of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    /// Reach of what was never read: little to demote it quickly, 1 to treat it like all others.
    pub newcomer: f32,
    /// Reach of what came back, but was not read since.
    pub returned: f32,
    /// Whether the lucky ones of both have a reach of 1 all the same: one in 32, all while more than a 32nd of the cache is on
    /// probation, and what came back while more than half of it did not. So that a cache full of what other views let in fills
    /// with what is asked for now, and then closes but for a few.
    pub luck: bool,
    /// Twice the reads, 2 to this power the reach.
    pub growth: f32,
    /// Twice the worth, 2 to this power the reach.
    pub thrift: f32,
    /// How long a ghost counts, in capacities that were evicted since.
    pub memory: f32,
    /// A read counts if at least this share of the entries was evicted since the last one that counted.
    pub quiet: f32,
    /// Whether a read that doesn't count makes an entry wait anew all the same.
    pub refresh: bool,
    /// Whether being refused counts like a read.
    pub credit: bool,
    /// Whether what comes back sooner after its last request than the coldest entry was read counts as read.
    pub proof: bool,
}

/// No view remembers for longer, in capacities.
pub(crate) const MEMORY_MAX: f64 = 2.0;

/// Even where nothing else is let in, what was read once leaves after so many times the entries were evicted.
const HOLD_MAX: f32 = 16.0;

/// Newcomers leave quickly, experience and worth count.
const BASE: View = View {
    newcomer: 0.03,
    returned: 1.0,
    luck: false,
    growth: 0.7,
    thrift: 1.4,
    memory: 1.4,
    quiet: 0.01,
    refresh: true,
    credit: true,
    proof: false,
};

/// The views that are tried; the first one rules until another has done better. That is one which never throws away what
/// is about to be read again: traffic whose reads are far apart says late that it is such.
pub(crate) const VIEWS: [View; 13] = [
    // Recency and worth: GreedyDual-Size.
    View { newcomer: 1.0, growth: 0.0, thrift: 1.25, memory: 2.0, ..BASE },
    // Good on most traffic.
    BASE,
    // The same with more patience for newcomers.
    View { newcomer: 0.3, growth: 0.5, memory: 2.0, ..BASE },
    // Least recently used.
    View { newcomer: 1.0, growth: 0.0, thrift: 0.0, memory: 2.0, ..BASE },
    // Reads are rare: hold on to what came back.
    View { newcomer: 0.02, returned: 2.0, growth: 1.0, memory: 1.0, ..BASE },
    // Popularity moves on: one read is as good as many.
    View { newcomer: 0.02, growth: 0.0, thrift: 1.25, memory: 2.0, ..BASE },
    // Patience, and one read is as good as many.
    View { newcomer: 0.3, growth: 0.0, thrift: 1.25, memory: 2.0, ..BASE },
    // Reads in quick succession are one: 2Q.
    View { newcomer: 0.1, growth: 0.5, quiet: 0.1, refresh: false, memory: 1.0, ..BASE },
    // Loops that don't fit: hold on to a part of them.
    View { newcomer: 0.0, returned: 0.0, luck: true, growth: 1.0, thrift: 1.0, memory: 2.0, ..BASE },
    // Loops among keys that are read in bursts: the same, but newcomers have a chance.
    View { newcomer: 0.03, returned: 0.03, luck: true, growth: 1.0, thrift: 1.0, memory: 2.0, quiet: 0.1, ..BASE },
    // Only what was read while it was resident counts.
    View { newcomer: 0.02, returned: 0.02, growth: 2.0, thrift: 1.0, memory: 2.0, credit: false, ..BASE },
    // Loops that change: hold on to a part of them, but let go what has dropped out. LIRS.
    View {
        newcomer: 0.01,
        returned: 0.01,
        luck: true,
        growth: 0.0,
        thrift: 1.0,
        memory: 2.0,
        credit: false,
        proof: true,
        ..BASE
    },
    // What is read once is done with, as in a queue: newcomers wait for their read as long as they can.
    View { newcomer: 32.0, returned: 32.0, growth: 1.0, thrift: 1.25, memory: 2.0, ..BASE },
];

/// The views that are to be tried, the one to begin with first.
///
/// # Errors
/// When the settings ask for none, or for one that does not exist or twice.
pub(crate) fn chosen(settings: &Settings) -> Result<Vec<View>, String> {
    let numbers = numbers(settings);
    let is_twice = |at: usize| numbers[..at].contains(&numbers[at]);
    let is_wrong = |at| numbers[at] >= VIEWS.len() || is_twice(at);
    if numbers.is_empty() || (0..numbers.len()).any(is_wrong) {
        return Err(format!("setting `views`: some of 0 to {}, each once", VIEWS.len() - 1));
    }
    let view = |number: &usize| View {
        thrift: if settings.size { VIEWS[*number].thrift } else { 0.0 },
        memory: if settings.ghosts { VIEWS[*number].memory } else { 0.0 },
        luck: settings.luck && VIEWS[*number].luck,
        ..VIEWS[*number]
    };
    Ok(numbers.iter().map(view).collect())
}

/// The numbers of the views that are to be tried.
pub(crate) fn numbers(settings: &Settings) -> Vec<usize> {
    settings.views.clone().unwrap_or_else(|| (0..VIEWS.len()).collect())
}

/// Which of them to begin with where entries are handed over: the one that is good on most traffic.
pub(crate) fn first_when_full(settings: &Settings) -> usize {
    const GOOD_ON_MOST: usize = 1;
    place(GOOD_ON_MOST, settings).unwrap_or(0)
}

/// Which of them holds on to a part of a loop.
pub(crate) fn for_loops(settings: &Settings) -> Option<usize> {
    const HOLDS_ON: usize = 8;
    place(HOLDS_ON, settings)
}

fn place(number: usize, settings: &Settings) -> Option<usize> {
    numbers(settings).iter().position(|chosen| *chosen == number)
}

impl View {
    /// One over the reach of each pool, for a cache of `len` entries.
    pub(crate) fn haste(&self, len: u32) -> ByPool<f32> {
        let mut haste = [0.0; 256];
        let reach_min = 1.0 / (HOLD_MAX * len.max(1) as f32);
        for experience in 0..EXPERIENCES {
            let reach = match experience {
                LUCKY | LUCKY_RETURNED if self.luck => 1.0,
                NEW | LUCKY => self.newcomer,
                RETURNED | LUCKY_RETURNED => self.returned,
                read => (self.growth * f32::from(read - READ)).exp2(),
            };
            for level in 0..LEVELS {
                let worth = (-self.thrift * LEVEL_OCTAVES * f32::from(level)).exp2();
                haste[usize::from(experience) * usize::from(LEVELS) + usize::from(level)] =
                    1.0 / (reach.max(reach_min) * worth);
            }
        }
        haste
    }
}
