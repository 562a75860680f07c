use std::collections::BTreeSet;

use super::family::Value;
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
        let families = super::tenants::families(&reports, &mut Others::new(100), Vec::new());
        let series = families.iter().flat_map(|family| &family.samples);
        let named: BTreeSet<_> = series.clone().map(|(labels, _)| labels[0].1.to_string()).collect();
        assert_eq!(named.len(), tenants.min(101));
        assert!(tenants <= 100 || named.contains("t9999") && named.contains("(others)") && !named.contains("t1"));
        series.count()
    };
    assert!(count(10_000) < count(100) / 100 * 102);
}

#[test]
fn refused_writes_are_of_the_node_of_tenants_and_of_all_others_together() {
    let reports: Vec<_> = (0..9).map(|number| tenant(&format!("t{number}"), number)).collect();
    let of_node = vec![(vec![("what", "purge records".into())], Value::Counter(5))];
    let families = super::tenants::families(&reports, &mut Others::new(2), of_node);
    let refused = families.iter().find(|family| family.name == "disk_writes_refused").expect("it is there");
    let samples = refused.samples.iter().map(|(labels, value)| (labels[0].1.to_string(), value.clone()));
    let of = |label: &str, count| (label.to_owned(), Value::Counter(count));
    assert_eq!(samples.collect::<Vec<_>>(), [of("t7", 1), of("t8", 1), of("(others)", 7), of("purge records", 5)]);
}
