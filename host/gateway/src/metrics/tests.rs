use std::collections::BTreeSet;

use super::others::tests::tenant;
use super::*;

#[tokio::test]
async fn every_metric_is_declared_once_with_a_meaning() {
    let cache = sandbar::Sandbar::builder().build().expect("a cache").cache().clone();
    let metrics = Metrics::new(10);
    for form in [Form::OpenMetrics, Form::Prometheus] {
        let text = metrics.text(&cache, None, &Openings::default(), form).expect("text");
        let mut seen = BTreeSet::new();
        for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
            let (name, help) = line["# HELP ".len()..].split_once(' ').expect("a meaning");
            assert!(seen.insert(name.to_owned()), "{name} is declared twice");
            assert!(help.len() > 5 && !help.contains('\\') && !help.contains('"'), "{line}");
        }
        assert!(seen.contains("process_open_fds") == cfg!(target_os = "linux") && seen.contains("sandbar_build_info"));
    }
}

#[test]
fn series_are_bounded_by_the_number_of_tenants_that_are_named() {
    let count = |tenants: usize| {
        let reports: Vec<_> = (0..tenants).map(|number| tenant(&format!("t{number}"), number as u64)).collect();
        let families = super::tenants::families(&reports, &mut Others::new(100));
        let series = families.iter().flat_map(|family| &family.samples);
        let named: BTreeSet<_> = series.clone().map(|(labels, _)| labels[0].1.to_string()).collect();
        assert_eq!(named.len(), tenants.min(101));
        assert!(tenants <= 100 || named.contains("t9999") && named.contains("(others)") && !named.contains("t1"));
        series.count()
    };
    assert!(count(10_000) < count(100) / 100 * 102);
}
