//! The checker: whether a history keeps its promises.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::{History, Page, Promise, Reach, Read, Run, Seen, Source};

/// The rules that a history is checked by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// After how long a promise holds on nodes other than the one that gave it; with none it never does.
    pub elsewhere: Option<Duration>,
    /// Whether the shared tier must never go back to an older version, which lease tokens ensure.
    pub l2_never_goes_back: bool,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of reads.
    pub reads: usize,
    /// Reads that were bound by some promise.
    pub bound: usize,
    /// Number of promises.
    pub promises: usize,
    /// Reads of pages that are not the same for all.
    pub told_apart: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.bound += other.bound;
        self.promises += other.promises;
        self.told_apart += other.told_apart;
    }
}

/// A read that should never have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A visitor was shown what was made for another: another variant than the request selects, or another's cookie.
    MadeForAnother {
        /// What they were shown.
        read: Read,
    },
    /// A visitor insisted on new content, and was shown a version that was old when it asked.
    NotValidated {
        /// What they were shown.
        read: Read,
    },
    /// A visitor was shown an older version than promised.
    Stale {
        /// What they were shown.
        read: Read,
        /// What had been promised.
        promise: Promise,
    },
    /// The shared tier showed an older version than it had shown before.
    WentBack {
        /// What the tier showed.
        read: Read,
        /// What the tier had shown before.
        before: Read,
    },
}

/// Looks for a read that broke a promise, or that was not for its visitor.
///
/// # Errors
/// The first such read.
#[expect(clippy::result_large_err, reason = "made once per history, and read by people")]
pub fn check(history: &History, rules: &Rules) -> Result<Tally, Violation> {
    let promised = Promised::new(&history.promises, rules.elsewhere);
    let (reads, promises) = (history.reads.len(), history.promises.len());
    let mut tally = Tally { reads, bound: 0, promises, told_apart: 0 };
    let mut reads: Vec<&Read> = history.reads.iter().collect();
    reads.sort_by_key(|read| read.asked);
    for read in &reads {
        is_its_visitors(read)?;
        tally.told_apart += usize::from(!read.seen.selects.is_empty());
        let Some(promise) = promised.strongest(read) else { continue };
        tally.bound += 1;
        if read.version < promise.version {
            return Err(Violation::Stale { read: (*read).clone(), promise });
        }
    }
    if rules.l2_never_goes_back {
        never_goes_back(&reads, &history.emptied)?;
    }
    Ok(tally)
}

/// Checks that an answer is the variant that the visitor's request selects, or the same for all; that its cookie, if
/// any, is the visitor's; and that a visitor who insisted got at least the version of the time when it asked.
#[expect(clippy::result_large_err, reason = "made once per history, and read by people")]
fn is_its_visitors(read: &Read) -> Result<(), Violation> {
    let Seen { visitor, selects, shows, cookie_of, insists_on, .. } = &read.seen;
    let is_theirs = shows.is_empty() || shows == selects;
    if !is_theirs || cookie_of.as_ref().is_some_and(|named| named != visitor) {
        return Err(Violation::MadeForAnother { read: read.clone() });
    }
    if insists_on.is_some_and(|version| read.version < version) {
        return Err(Violation::NotValidated { read: read.clone() });
    }
    Ok(())
}

/// Promises by page, and by the nodes that they bind.
struct Promised {
    everywhere: HashMap<Page, Floors>,
    here: HashMap<(Page, Run), Floors>,
}

impl Promised {
    fn new(promises: &[Promise], elsewhere: Option<Duration>) -> Self {
        let (mut everywhere, mut here) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for promise in promises {
            here.entry((promise.page, promise.by)).or_default().push((promise.acknowledged, *promise));
            if let (Reach::Everywhere, Some(bound)) = (promise.reach, elsewhere) {
                everywhere.entry(promise.page).or_default().push((promise.acknowledged + bound, *promise));
            }
        }
        Self {
            everywhere: everywhere.into_iter().map(|(page, due)| (page, Floors::new(due))).collect(),
            here: here.into_iter().map(|(key, due)| (key, Floors::new(due))).collect(),
        }
    }

    /// The promise of the newest version among those that bind a read.
    fn strongest(&self, read: &Read) -> Option<Promise> {
        let here = self.here.get(&(read.page, read.by)).and_then(|floors| floors.before(read.asked));
        let everywhere = self.everywhere.get(&read.page).and_then(|floors| floors.before(read.asked));
        here.into_iter().chain(everywhere).max_by_key(|promise| promise.version)
    }
}

/// Promises in the order in which they begin to hold, each replaced by the one of the newest version so far.
struct Floors(Vec<(Duration, Promise)>);

impl Floors {
    fn new(mut due: Vec<(Duration, Promise)>) -> Self {
        due.sort_by_key(|(due, _)| *due);
        for n in 1..due.len() {
            if due[n - 1].1.version > due[n].1.version {
                due[n].1 = due[n - 1].1;
            }
        }
        Self(due)
    }

    /// The promise of the newest version that held before `asked`.
    fn before(&self, asked: Duration) -> Option<Promise> {
        let count = self.0.partition_point(|(due, _)| *due < asked);
        count.checked_sub(1).map(|last| self.0[last].1)
    }
}

/// Checks that successive reads of one variant from the shared tier never show an older version, unless the tier was
/// emptied in between.
#[expect(clippy::result_large_err, reason = "made once per history, and read by people")]
fn never_goes_back(reads: &[&Read], emptied: &[(Duration, Duration)]) -> Result<(), Violation> {
    let mut by_variant: HashMap<(Page, &str), Vec<&Read>> = HashMap::new();
    for &read in reads.iter().filter(|read| read.source == Source::L2) {
        by_variant.entry((read.page, &read.seen.shows)).or_default().push(read);
    }
    for asked in by_variant.values() {
        let mut answered = asked.clone();
        answered.sort_by_key(|read| read.answered);
        let mut answered = answered.into_iter().peekable();
        let mut newest: Option<&Read> = None;
        for read in asked {
            while let Some(before) = answered.next_if(|before| before.answered < read.asked) {
                newest = newest.filter(|newest| newest.version > before.version).or(Some(before));
            }
            newest =
                newest.filter(|newest| !emptied.iter().any(|span| newest.asked < span.1 && span.0 < read.answered));
            if let Some(before) = newest.filter(|newest| newest.version > read.version) {
                return Err(Violation::WentBack { read: (*read).clone(), before: before.clone() });
            }
        }
    }
    Ok(())
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MadeForAnother { read } => {
                let Seen { visitor, selects, shows, made_for, cookie_of, .. } = &read.seen;
                write!(
                    f,
                    "answer made for another: page {}, version {}, variant {shows:?}, made for {made_for:?}, with a cookie \
                     of {cookie_of:?}, was given to {visitor}, whose request selects {selects:?}, by node {} (start {}) from \
                     {:?}, asked for at {:?}",
                    read.page, read.version, read.by.node, read.by.start, read.source, read.asked
                )
            }
            Self::NotValidated { read } => write!(
                f,
                "page {} was shown at version {} by node {} (start {}) from {:?} to {}, who insisted on what is new, and \
                 asked at {:?}, when there was version {:?}",
                read.page,
                read.version,
                read.by.node,
                read.by.start,
                read.source,
                read.seen.visitor,
                read.asked,
                read.seen.insists_on
            ),
            Self::Stale { read, promise } => write!(
                f,
                "page {} was shown at version {} by node {} (start {}) from {:?}, asked for at {:?}; version {} had been \
                 promised by node {} (start {}, {:?}) at {:?}",
                read.page,
                read.version,
                read.by.node,
                read.by.start,
                read.source,
                read.asked,
                promise.version,
                promise.by.node,
                promise.by.start,
                promise.reach,
                promise.acknowledged
            ),
            Self::WentBack { read, before } => write!(
                f,
                "page {} came from the shared tier at version {} (node {}, asked for at {:?}) after version {} had \
                 come from it (node {}, {:?})",
                read.page, read.version, read.by.node, read.asked, before.version, before.by.node, before.answered
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Rules = Rules { elsewhere: Some(Duration::ZERO), l2_never_goes_back: true };

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const fn run(node: usize) -> Run {
        Run { node, start: 1 }
    }

    fn read(node: usize, version: u64, asked: u64) -> Read {
        let (asked, answered) = (ms(asked), ms(asked + 5));
        Read { page: 7, version, by: run(node), source: Source::L1, asked, answered, seen: Seen::default() }
    }

    fn promise(node: usize, version: u64, acknowledged: u64) -> Promise {
        let (by, acknowledged) = (run(node), ms(acknowledged));
        Promise { page: 7, version, by, reach: Reach::Everywhere, acknowledged }
    }

    /// Whether the history of these reads and promises has no violation.
    fn holds(reads: &[Read], promises: &[Promise], rules: &Rules) -> bool {
        let history = History { reads: reads.to_vec(), promises: promises.to_vec(), emptied: Vec::new() };
        check(&history, rules).is_ok()
    }

    #[test]
    fn older_version_after_the_acknowledgement_is_a_violation() {
        let promised = [promise(0, 2, 100)];
        assert!(!holds(&[read(0, 1, 101)], &promised, &AT_ONCE));
        assert!(!holds(&[read(1, 1, 101)], &promised, &AT_ONCE));
        assert!(holds(&[read(0, 1, 100)], &promised, &AT_ONCE), "asked for before it had arrived");
        assert!(holds(&[read(0, 2, 101), read(1, 3, 101)], &promised, &AT_ONCE), "it or a newer one");
        assert!(holds(&[Read { page: 8, ..read(0, 1, 101) }], &promised, &AT_ONCE), "another page");
        assert!(holds(&[read(0, 1, 101)], &[], &AT_ONCE), "nothing was promised");
    }

    #[test]
    fn promise_holds_elsewhere_within_its_bound_and_here_at_once() {
        let rules = Rules { elsewhere: Some(ms(50)), ..AT_ONCE };
        let promised = [promise(0, 2, 100)];
        assert!(!holds(&[read(0, 1, 101)], &promised, &rules), "here");
        assert!(holds(&[read(1, 1, 149)], &promised, &rules), "within the bound");
        assert!(!holds(&[read(1, 1, 151)], &promised, &rules), "after it");
        let never = Rules { elsewhere: None, ..AT_ONCE };
        assert!(holds(&[read(1, 1, 9999)], &promised, &never) && !holds(&[read(0, 1, 101)], &promised, &never));
    }

    #[test]
    fn promise_for_here_binds_one_run_of_one_node() {
        let promised = [Promise { reach: Reach::Here, ..promise(0, 2, 100) }];
        assert!(!holds(&[read(0, 1, 101)], &promised, &AT_ONCE));
        assert!(holds(&[read(1, 1, 101)], &promised, &AT_ONCE));
        let restarted = Read { by: Run { node: 0, start: 2 }, ..read(0, 1, 101) };
        assert!(holds(std::slice::from_ref(&restarted), &promised, &AT_ONCE));
        assert!(!holds(&[restarted], &[promise(0, 2, 100)], &AT_ONCE), "one for everywhere outlives it");
    }

    #[test]
    fn later_promise_of_an_older_version_takes_nothing_back() {
        let promised = [promise(0, 5, 100), promise(1, 3, 200)];
        assert!(!holds(&[read(2, 4, 300)], &promised, &AT_ONCE));
        assert!(holds(&[read(2, 5, 300)], &promised, &AT_ONCE));
        let history =
            History { reads: vec![read(2, 5, 300), read(2, 1, 50)], promises: promised.to_vec(), emptied: vec![] };
        assert_eq!(check(&history, &AT_ONCE), Ok(Tally { reads: 2, bound: 1, promises: 2, told_apart: 0 }));
    }

    #[test]
    fn shared_tier_that_goes_back_is_a_violation_unless_it_was_emptied() {
        let l2 = |node, version, asked| Read { source: Source::L2, ..read(node, version, asked) };
        assert!(!holds(&[l2(0, 2, 100), l2(1, 1, 106)], &[], &AT_ONCE));
        assert!(holds(&[l2(0, 2, 100), l2(1, 1, 104)], &[], &AT_ONCE), "at the same time");
        assert!(holds(&[l2(0, 2, 100), read(1, 1, 106)], &[], &AT_ONCE), "memory may well be older");
        assert!(holds(&[l2(0, 1, 100), l2(1, 2, 106), l2(2, 2, 120)], &[], &AT_ONCE));
        let reads = vec![l2(0, 2, 100), l2(1, 1, 206)];
        let emptied = History { reads: reads.clone(), emptied: vec![(ms(150), ms(160))], ..History::default() };
        assert!(check(&emptied, &AT_ONCE).is_ok());
        let before = History { reads, emptied: vec![(ms(50), ms(60))], ..History::default() };
        assert!(check(&before, &AT_ONCE).is_err());
    }

    /// A read by alice of this variant, whose request selects her own.
    fn by_alice(shows: &str) -> Read {
        let seen = Seen { visitor: "alice".into(), selects: "<alice>".into(), shows: shows.into(), ..Seen::default() };
        Read { seen, ..read(0, 1, 100) }
    }

    #[test]
    fn what_was_made_for_another_is_a_violation() {
        assert!(holds(&[by_alice("<alice>"), by_alice("")], &[], &AT_ONCE), "their own, and what is for all");
        let planted = by_alice("<bob>");
        let history = History { reads: vec![by_alice("<alice>"), planted.clone()], ..History::default() };
        assert_eq!(check(&history, &AT_ONCE), Err(Violation::MadeForAnother { read: planted }));
        let (mut own, mut foreign) = (by_alice("<alice>"), by_alice("<alice>"));
        own.seen.cookie_of = Some("alice".into());
        foreign.seen.cookie_of = Some("bob".into());
        assert!(holds(&[own], &[], &AT_ONCE) && !holds(&[foreign], &[], &AT_ONCE));
    }

    #[test]
    fn it_names_both_visitors_the_variant_the_node_and_the_tier() {
        let mut read = Read { source: Source::L2, ..by_alice("<bob>") };
        read.seen.made_for = Some("bob".into());
        let told = Violation::MadeForAnother { read }.to_string();
        for word in ["alice", "\"bob\"", "\"<bob>\"", "node 0", "L2"] {
            assert!(told.contains(word), "no {word} in {told}");
        }
    }

    #[test]
    fn who_insists_is_shown_nothing_older_than_there_was() {
        let insisting = |version| {
            let seen = Seen { insists_on: Some(3), ..Seen::default() };
            Read { seen, ..read(0, version, 100) }
        };
        assert!(holds(&[insisting(3), insisting(4)], &[], &AT_ONCE) && !holds(&[insisting(2)], &[], &AT_ONCE));
    }

    #[test]
    fn variants_of_a_page_in_the_shared_tier_go_each_their_own_way() {
        let of = |shows: &str, version, asked| {
            let seen = Seen { selects: shows.into(), shows: shows.into(), ..Seen::default() };
            Read { source: Source::L2, seen, ..read(0, version, asked) }
        };
        assert!(holds(&[of("<a>", 2, 100), of("<b>", 1, 106)], &[], &AT_ONCE));
        assert!(!holds(&[of("<a>", 2, 100), of("<b>", 1, 106), of("<a>", 1, 112)], &[], &AT_ONCE));
    }
}
