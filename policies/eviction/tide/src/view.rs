//! Views: how long entries of each experience and worth may wait for the next read, in proportion to each other.

use serde::Deserialize;

use crate::Settings;
use crate::constants::{hold_max, level_octaves};
use crate::pools::{ByPool, EXPERIENCES, LEVELS, LUCKY, LUCKY_RETURNED, NEW, READ, RETURNED};

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

/// The views, in settings by names like `greedy-dual-size`. A policy that takes over is told of them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViewName {
    /// Recency and worth: GreedyDual-Size (Cao and Irani 1997). The first to rule.
    GreedyDualSize,
    /// Newcomers leave quickly, experience and worth count (S3-FIFO, Yang et al. 2023): good on most traffic.
    QuickDemotion,
    /// The same with more patience for newcomers.
    Patience,
    /// Least recently used.
    Recency,
    /// Reads are rare: hold on to what came back.
    RareReads,
    /// Popularity moves on: one read is as good as many.
    Drift,
    /// Patience, and one read is as good as many.
    PatientDrift,
    /// Reads in quick succession are one: 2Q (Johnson and Shasha 1994).
    CorrelatedReads,
    /// Loops that don't fit: hold on to a part of them.
    Loop,
    /// Loops among keys that are read in bursts: the same, but newcomers have a chance.
    BurstyLoop,
    /// Only what was read while it was resident counts.
    ResidentReads,
    /// Loops that change: hold on to a part of them, but let go what has dropped out: LIRS (Jiang and Zhang 2002).
    ChangingLoop,
    /// What is read once is done with, as in a queue: newcomers wait for their read as long as they can.
    ReadOnce,
}

impl ViewName {
    /// All of them. The first one rules until another has done better: one which never throws away what is about to be read
    /// again, as traffic whose reads are far apart says late that it is such.
    pub(crate) const ALL: [Self; 13] = [
        Self::GreedyDualSize,
        Self::QuickDemotion,
        Self::Patience,
        Self::Recency,
        Self::RareReads,
        Self::Drift,
        Self::PatientDrift,
        Self::CorrelatedReads,
        Self::Loop,
        Self::BurstyLoop,
        Self::ResidentReads,
        Self::ChangingLoop,
        Self::ReadOnce,
    ];

    /// Its parameters. They were chosen on the patterns made by code, those of the last two views on what was held out.
    const fn view(self) -> View {
        match self {
            Self::GreedyDualSize => View { newcomer: 1.0, growth: 0.0, thrift: 1.25, memory: 2.0, ..BASE },
            Self::QuickDemotion => BASE,
            Self::Patience => View { newcomer: 0.3, growth: 0.5, memory: 2.0, ..BASE },
            Self::Recency => View { newcomer: 1.0, growth: 0.0, thrift: 0.0, memory: 2.0, ..BASE },
            Self::RareReads => View { newcomer: 0.02, returned: 2.0, growth: 1.0, memory: 1.0, ..BASE },
            Self::Drift => View { newcomer: 0.02, growth: 0.0, thrift: 1.25, memory: 2.0, ..BASE },
            Self::PatientDrift => View { newcomer: 0.3, growth: 0.0, thrift: 1.25, memory: 2.0, ..BASE },
            Self::CorrelatedReads => {
                View { newcomer: 0.1, growth: 0.5, quiet: 0.1, refresh: false, memory: 1.0, ..BASE }
            }
            Self::Loop => {
                View { newcomer: 0.0, returned: 0.0, luck: true, growth: 1.0, thrift: 1.0, memory: 2.0, ..BASE }
            }
            Self::BurstyLoop => View {
                newcomer: 0.03,
                returned: 0.03,
                luck: true,
                growth: 1.0,
                thrift: 1.0,
                memory: 2.0,
                quiet: 0.1,
                ..BASE
            },
            Self::ResidentReads => {
                View { newcomer: 0.02, returned: 0.02, growth: 2.0, thrift: 1.0, memory: 2.0, credit: false, ..BASE }
            }
            Self::ChangingLoop => View {
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
            Self::ReadOnce => View { newcomer: 32.0, returned: 32.0, growth: 1.0, thrift: 1.25, memory: 2.0, ..BASE },
        }
    }
}

/// The views that are to be tried, the one to begin with first.
///
/// # Errors
/// When the settings ask for none, or for one twice.
pub(crate) fn chosen(settings: &Settings) -> Result<Vec<View>, String> {
    let names = names(settings);
    let is_twice = |at: usize| names[..at].contains(&names[at]);
    if names.is_empty() || (0..names.len()).any(is_twice) {
        return Err("setting `views`: at least one, and each once".to_owned());
    }
    let view = |name: &ViewName| {
        let view = name.view();
        View {
            thrift: if settings.size { view.thrift } else { 0.0 },
            memory: if settings.ghosts { view.memory } else { 0.0 },
            luck: settings.luck && view.luck,
            ..view
        }
    };
    Ok(names.iter().map(view).collect())
}

/// The names of the views that are to be tried.
pub(crate) fn names(settings: &Settings) -> &[ViewName] {
    settings.views.as_deref().unwrap_or(&ViewName::ALL)
}

/// Which of them to begin with where entries are handed over: the one that is good on most traffic.
pub(crate) fn first_when_full(settings: &Settings) -> usize {
    place(ViewName::QuickDemotion, settings).unwrap_or(0)
}

/// Which of them holds on to a part of a loop.
pub(crate) fn for_loops(settings: &Settings) -> Option<usize> {
    place(ViewName::Loop, settings)
}

fn place(name: ViewName, settings: &Settings) -> Option<usize> {
    names(settings).iter().position(|chosen| *chosen == name)
}

impl View {
    /// One over the reach of each pool, for a cache of `len` entries.
    pub(crate) fn haste(&self, len: u32) -> ByPool<f32> {
        let mut haste = [0.0; 256];
        let reach_min = 1.0 / (hold_max() * len.max(1) as f32);
        for experience in 0..EXPERIENCES {
            let reach = match experience {
                LUCKY | LUCKY_RETURNED if self.luck => 1.0,
                NEW | LUCKY => self.newcomer,
                RETURNED | LUCKY_RETURNED => self.returned,
                read => (self.growth * f32::from(read - READ)).exp2(),
            };
            for level in 0..LEVELS {
                let worth = (-self.thrift * level_octaves() * f32::from(level)).exp2();
                haste[usize::from(experience) * usize::from(LEVELS) + usize::from(level)] =
                    1.0 / (reach.max(reach_min) * worth);
            }
        }
        haste
    }
}
