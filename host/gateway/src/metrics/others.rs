//! Which tenants `/metrics` names, and the sums of all others: with thousands of tenants the number of series stays
//! bounded.
//!
//! The tenants with the most requests are named until there are as many as may be. Who is named once stays named for as
//! long as there is such a tenant, so that its series don't come and go. While there are free places, those that have
//! had no request get none, unless there is a place for everybody.
//!
//! The sums of the others never fall, as counters must not. What a tenant had counted before it got a name stays in
//! them, and so does what a tenant that is gone had counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use sandbar::tenant::TenantReport;

use super::family::{Labels, Value};

/// Values by family, counted from 0, and labels.
pub(super) type Sums = BTreeMap<(usize, Labels), Value>;

/// The tenants that are named, and what was counted of the others.
#[derive(Debug)]
pub(super) struct Others {
    named_max: usize,
    named: BTreeSet<Arc<str>>,
    /// The others, when they were last counted.
    counted: HashSet<Arc<str>>,
    /// What is in the sums of tenants that are not among the others any more.
    carried: Sums,
    /// The sums that were last shown.
    shown: Sums,
}

/// Tenants in three parts.
pub(super) struct Parted<'a> {
    /// The named ones.
    pub(super) named: Vec<&'a TenantReport>,
    /// All others.
    pub(super) rest: Vec<&'a TenantReport>,
    /// Of the named ones those that were among the others a moment ago.
    pub(super) leaving: Vec<&'a TenantReport>,
}

impl Others {
    pub(super) fn new(named_max: usize) -> Self {
        let (named, counted) = (BTreeSet::new(), HashSet::new());
        Self { named_max, named, counted, carried: Sums::new(), shown: Sums::new() }
    }

    /// Parts the tenants, and gives names to those that have most requests while there are places.
    pub(super) fn part<'a>(&mut self, tenants: &'a [TenantReport]) -> Parted<'a> {
        let there: HashSet<&str> = tenants.iter().map(|tenant| &*tenant.name).collect();
        self.named.retain(|name| there.contains(&**name));
        let fits_all = tenants.len() <= self.named_max;
        let mut unnamed: Vec<_> = tenants.iter().filter(|tenant| !self.named.contains(&tenant.name)).collect();
        unnamed.retain(|tenant| fits_all || tenant.counters.requests > 0);
        unnamed.sort_by_key(|tenant| (std::cmp::Reverse(tenant.counters.requests), &tenant.name));
        let places = self.named_max.saturating_sub(self.named.len());
        let newcomers = unnamed.into_iter().take(places);
        let leaving = newcomers.filter(|tenant| {
            self.named.insert(tenant.name.clone());
            self.counted.contains(&tenant.name)
        });
        let leaving = leaving.collect();
        let (named, rest): (Vec<_>, Vec<_>) = tenants.iter().partition(|tenant| self.named.contains(&tenant.name));
        self.counted = rest.iter().map(|tenant| tenant.name.clone()).collect();
        Parted { named, rest, leaving }
    }

    /// The sums to show, where the others come to `now` and those that have just got a name to `leaving`.
    pub(super) fn settle(&mut self, now: Sums, leaving: Sums) -> &Sums {
        add_counted(&mut self.carried, &leaving);
        let mut total = now;
        add_counted(&mut total, &self.carried);
        for (series, last) in &self.shown {
            let Some(missing) = last.missing_in(total.get(series)) else { continue };
            let missing = Sums::from([(series.clone(), missing)]);
            add_counted(&mut self.carried, &missing);
            add_counted(&mut total, &missing);
        }
        self.shown = total;
        &self.shown
    }
}

/// Adds what counts up; gauges are of the moment.
fn add_counted(sums: &mut Sums, more: &Sums) {
    for (series, value) in more.iter().filter(|(_, value)| !matches!(value, Value::Gauge(_))) {
        sums.entry(series.clone()).and_modify(|sum| sum.add(value)).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use sandbar_base::disk_trouble::DiskReport;

    use super::*;

    /// The report of a tenant with so many requests, and a write that the disk refused.
    pub(in crate::metrics) fn tenant(name: &str, requests: u64) -> TenantReport {
        let refused = [("no-space", 1)].into();
        TenantReport {
            name: name.into(),
            counters: sandbar::tenant::counters::CounterValues { requests, ..Default::default() },
            classes: Vec::new(),
            l1_share_bytes: 64 << 20,
            memory: sandbar_memory::MemoryStats::default(),
            origin: sandbar::origin::shield::ShieldStats::default(),
            loads: std::collections::BTreeMap::new(),
            origin_at: sandbar::origin::OriginReport::default(),
            tunnels_open: 0,
            policies: Vec::new(),
            disk: Some(DiskReport { what: "bindings", refused, now: None }),
        }
    }

    /// The names, and the requests of all others.
    fn seen(others: &mut Others, tenants: &[(&str, u64)]) -> (Vec<String>, Option<u64>) {
        let reports: Vec<_> = tenants.iter().map(|(name, requests)| tenant(name, *requests)).collect();
        let parted = others.part(&reports);
        let names = parted.named.iter().map(|tenant| tenant.name.to_string()).collect();
        let sum = |of: &[&TenantReport]| -> Sums {
            let requests = of.iter().map(|tenant| tenant.counters.requests).sum();
            if of.is_empty() { Sums::new() } else { Sums::from([((0, Labels::new()), Value::Counter(requests))]) }
        };
        let shown = others.settle(sum(&parted.rest), sum(&parted.leaving));
        let requests = shown.values().next().map(|sum| match sum {
            Value::Counter(requests) => *requests,
            other => panic!("{other:?}"),
        });
        (names, requests)
    }

    #[test]
    fn those_with_most_requests_are_named_and_stay_so() {
        let mut others = Others::new(2);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(seen(&mut others, &[("a", 0), ("b", 0), ("c", 0)]), (names(&[]), Some(0)));
        assert_eq!(seen(&mut others, &[("a", 1), ("b", 0), ("c", 5)]), (names(&["a", "c"]), Some(6)), "what they had");
        assert_eq!(seen(&mut others, &[("a", 1), ("b", 900), ("c", 5)]), (names(&["a", "c"]), Some(906)));
        assert_eq!(seen(&mut others, &[("b", 901), ("c", 6)]), (names(&["b", "c"]), Some(907)), "a place is free");
    }

    #[test]
    fn all_are_named_where_there_is_a_place_for_each() {
        assert_eq!(seen(&mut Others::new(2), &[("a", 0), ("b", 0)]), (vec!["a".into(), "b".into()], None));
        assert_eq!(seen(&mut Others::new(0), &[("a", 7)]), (vec![], Some(7)));
    }

    #[test]
    fn sums_never_fall() {
        let mut others = Others::new(1);
        seen(&mut others, &[("a", 10), ("b", 4), ("c", 3)]);
        assert_eq!(seen(&mut others, &[("a", 10), ("c", 3)]).1, Some(7), "b is gone");
        assert_eq!(seen(&mut others, &[("a", 10), ("c", 5)]).1, Some(9));
        assert_eq!(seen(&mut others, &[("a", 10), ("b", 1), ("c", 5)]).1, Some(10), "made again");
        assert_eq!(seen(&mut others, &[("a", 10)]).1, Some(10));
        assert_eq!(seen(&mut others, &[("b", 2), ("c", 5)]).1, Some(12), "c has more and is named, b is counted");
    }
}
