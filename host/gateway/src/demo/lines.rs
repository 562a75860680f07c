//! The demo as text for a pipe or a log: a line a second.

use std::fmt::Write as _;
use std::time::Duration;

use super::film::Film;

/// One line about the last second.
pub(super) fn line(film: &Film) -> String {
    const WINDOW: Duration = Duration::from_secs(1);
    let Some(last) = film.last() else { return String::new() };
    let mut line = format!("{:>4.0}s {:>6.0} req/s", last.elapsed.as_secs_f64(), film.request_rate(WINDOW));
    for (index, tenant) in last.tenants.iter().enumerate() {
        let recent = film.recent(index, WINDOW);
        let (l1, l2) = (100.0 * recent.l1_hit_ratio(), 100.0 * recent.l2_hit_ratio());
        let _ = write!(line, "  {} L1 {l1:5.1} % L2 {l2:5.1} %", tenant.name);
    }
    let with = last.with_cache.unwrap_or_default();
    let _ = write!(line, "  p50/p99 {:.2}/{:.1} ms", with.p50_ms, with.p99_ms);
    let _ = write!(line, " (without {:.1}/{:.1})", last.without_cache.p50_ms, last.without_cache.p99_ms);
    let _ = write!(line, "  origin {:>4.0} req/s", film.origin_rate(WINDOW));
    if let Some(bytes) = last.process_bytes {
        let _ = write!(line, "  {} MiB", bytes >> 20);
    }
    let _ = write!(line, "  failed {}", last.failed);
    line
}

#[cfg(test)]
mod tests {
    use super::super::film::{Figures, Picture, TenantPicture};
    use super::super::load::Percentiles;
    use super::*;

    #[test]
    fn a_line_tells_the_last_second() {
        let picture = |second: u64, requests: u64, hits_l1: u64| {
            let figures = Figures { requests, hits_l1, origin_counted: requests - hits_l1, ..Figures::default() };
            Picture {
                elapsed: Duration::from_secs(second),
                tenants: vec![TenantPicture { name: "shop".into(), figures, ..TenantPicture::default() }],
                requests,
                with_cache: Some(Percentiles { p50_ms: 0.25, p99_ms: 12.0 }),
                process_bytes: Some(64 << 20),
                ..Picture::default()
            }
        };
        let mut film = Film::default();
        film.add(picture(1, 1000, 0));
        film.add(picture(2, 3000, 1500));
        let expected = "   2s   2000 req/s  shop L1  75.0 % L2   0.0 %  p50/p99 0.25/12.0 ms (without 0.0/0.0)  \
                        origin  500 req/s  64 MiB  failed 0";
        assert_eq!(line(&film), expected);
    }
}
