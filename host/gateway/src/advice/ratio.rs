//! Advice on a tenant's hit ratio: where it is low, what most of the misses have in common and which setting changes
//! that; where it is very high, what that may cost.
//!
//! The ratio is that of requests that a cache can answer: writes, and what the gateway refuses, are left out.

use sandbar::tenant::TenantReport;

/// With fewer requests than this, a ratio says nothing.
const REQUESTS_MIN: u64 = 1000;
/// Below so many per cent of hits there is something to be gained.
const LOW_PERCENT: u64 = 80;
/// Above so many per cent of hits it is worth asking what they cost.
const HIGH_PERCENT: u64 = 95;
/// Of so many hits in a hundred that are stale, visitors may notice.
const STALE_PERCENT: u64 = 5;
/// With fewer answers about stale responses than this, nothing can be said of how they change.
const VALIDATIONS_MIN: u64 = 50;
/// A share that holds less than a fourth of what it may is larger than needed.
const SPARE_FACTOR: u64 = 4;

/// What `Cache-Status` said of misses, in the order in which it matters where two are as frequent.
const MISSES: [&str; 6] = ["uri-miss", "stale", "vary-miss", "request", "partial", "miss"];

/// The advice on a tenant's hit ratio, if there is any.
pub(super) fn ratio(report: &TenantReport) -> Option<String> {
    let answers = &report.counters.answers;
    let of = |word: &str| answers.get(word).copied().unwrap_or(0);
    let hits = of("hit");
    let misses: u64 = MISSES.iter().map(|word| of(word)).sum::<u64>() + of("bypass");
    let asked = hits + misses;
    if asked + of("method") < REQUESTS_MIN {
        return None;
    }
    let percent = hits * 100 / asked.max(1);
    if asked < REQUESTS_MIN {
        return writes(of("method"), asked, hits);
    }
    match percent {
        ..LOW_PERCENT => {
            let (word, count) = MISSES.iter().map(|word| (*word, of(word))).max_by_key(|(_, count)| *count)?;
            let share = count * 100 / misses.max(1);
            let class = class(report, word);
            let why = reason(report, word);
            Some(format!("{percent} % of the requests are hits; {share} % of the others are fwd={word}{class}: {why}"))
        }
        percent if percent > HIGH_PERCENT => high(report, percent, hits),
        _ => writes(of("method"), asked, hits),
    }
}

/// Where most requests are writes, the ratio that other tools show is low and says nothing.
fn writes(writes: u64, asked: u64, hits: u64) -> Option<String> {
    (writes > asked && hits * 100 < LOW_PERCENT * (writes + asked)).then(|| {
        let percent = hits * 100 / asked.max(1);
        format!(
            "{writes} of {} requests have methods that no cache answers (fwd=method), {percent} % of the others are \
             hits: there is nothing to set here; have the site use GET where nothing is changed",
            writes + asked
        )
    })
}

/// The class that most of these misses are of, where most are of one.
fn class(report: &TenantReport, word: &str) -> String {
    let count = |misses: &std::collections::BTreeMap<&'static str, u64>| misses.get(word).copied().unwrap_or(0);
    let all: u64 = report.classes.iter().map(|class| count(&class.misses)).sum();
    let most = report.classes.iter().max_by_key(|class| count(&class.misses));
    match most.filter(|class| all > 0 && count(&class.misses) * 2 > all) {
        Some(class) if class.name.is_empty() => ", most of them in no class".to_owned(),
        Some(class) => format!(", most of them in class {:?}", class.name),
        None => String::new(),
    }
}

/// Why there are so many misses of this kind, and what to do.
fn reason(report: &TenantReport, word: &str) -> String {
    match word {
        "uri-miss" => nothing_stored(report),
        "stale" => outlived(report),
        "vary-miss" => "the origin varies its responses by a field with many values (Vary: User-Agent, Cookie): have \
                        it name fewer fields there, or fields with few values that something in front of the gateway \
                        sets"
            .to_owned(),
        "request" => "clients ask for newer answers (Cache-Control: no-cache, max-age=0) or in ways that no stored \
                      response may answer: log.access in JSON tells which (user_agent), and a proxy in front may \
                      take the field off"
            .to_owned(),
        "partial" => "ranges are asked for that are not stored: raise body_max above the size of whole files, so that \
                      one fetch answers all ranges"
            .to_owned(),
        _ => {
            "fetches that others waited for brought nothing: look at the origin, and at fetch_hard_deadline".to_owned()
        }
    }
}

/// Why nothing was stored for what was asked for.
fn nothing_stored(report: &TenantReport) -> String {
    let (counters, memory) = (&report.counters, &report.memory);
    let fetched = counters.fetched.max(1);
    if let Some((why, count)) = counters.reasons.iter().max_by_key(|(_, count)| **count)
        && *count * 2 > fetched
    {
        return format!("{count} of {fetched} responses were not stored ({why}): {}", remedy(why));
    }
    let evicted = memory.evicted_by_policy + memory.evicted_by_host;
    if memory.resident_bytes * 10 > memory.capacity_bytes * 9 && evicted * 2 > memory.insertions {
        return "memory is full, and what was stored leaves before it is asked for again: raise the tenant's l1, or \
                try another eviction policy with `sandbar replay`"
            .to_owned();
    }
    let times = counters.requests / counters.stored.max(1);
    format!(
        "each URL is asked for {times} times or so: leave out of the key what does not matter (key.ignore_params, \
         key.keep_params, key.sort_query), or accept that these targets are asked for once"
    )
}

/// What lets a response be stored that was not, for this reason.
fn remedy(why: &str) -> &'static str {
    match why {
        "no-lifetime" => {
            "have the origin send Cache-Control: max-age, or raise heuristic_max; with grants = \
             [\"missing-lifetime\"] a freshness policy may set lifetimes"
        }
        "set-cookie" => {
            "have the origin set cookies elsewhere, or set store_set_cookie in the class where they are the same for \
             everybody"
        }
        "private" | "no-store" | "authorization" => {
            "the origin, or the request, says so; where that is a habit and not meant, mend it there, or grant it to \
             a freshness policy (grants)"
        }
        "body-too-large" => "raise body_max, and l1 with it",
        "no-room" => "raise memory.total, or lower the tenants' shares so that more is left for bodies under way",
        "policy" => "the freshness policy does not want them: see `sandbar policy list`",
        "vary-any" => "have the origin send no Vary: *",
        "status" => "they are errors or redirects without a lifetime: look at the origin",
        _ => "log.access in JSON tells for which targets (detail)",
    }
}

/// Why stored responses were stale.
fn outlived(report: &TenantReport) -> String {
    let (stale, confirmed) = (stale_answers(report), report.counters.origin_validated);
    let cause = if confirmed * 2 > stale {
        format!(
            "of {stale} stale responses {confirmed} had not changed (304), so lifetimes are shorter than they need be"
        )
    } else {
        format!("of {stale} stale responses only {confirmed} had not changed (304)")
    };
    format!(
        "{cause}: have the origin send a longer max-age, or stale-while-revalidate, and purge what changes; the stock \
         policy early-refresh fetches before the end what is in use"
    )
}

/// What a very high ratio may cost; nothing where neither memory nor freshness seems to be given away.
fn high(report: &TenantReport, percent: u64, hits: u64) -> Option<String> {
    let (counters, memory) = (&report.counters, &report.memory);
    let said = |text: String| Some(format!("{percent} % of the requests are hits, and {text}"));
    if counters.hits_stale * 100 > hits * STALE_PERCENT {
        return said(format!(
            "{} % of these are stale (stale-while-revalidate): where visitors notice, have the origin send shorter \
             windows, or bind the stock policy early-refresh, which fetches before the end",
            counters.hits_stale * 100 / hits.max(1)
        ));
    }
    let (stale, confirmed) = (stale_answers(report), counters.origin_validated);
    if stale >= VALIDATIONS_MIN && confirmed * 2 < stale && counters.purges == 0 {
        return said(format!(
            "of {stale} responses whose lifetime was over only {confirmed} had not changed (304), and nothing was \
             ever purged: visitors may see old ones until then; purge what changes, or have the origin send a \
             shorter max-age"
        ));
    }
    let evicted = memory.evicted_by_policy + memory.evicted_by_host;
    let is_spare =
        evicted == 0 && memory.resident_bytes > 0 && memory.capacity_bytes / SPARE_FACTOR > memory.resident_bytes;
    if is_spare {
        return said(format!(
            "memory holds {} of the {} that it may, without ever evicting: another tenant may have more use for a \
             part of this tenant's l1",
            bytesize::ByteSize(memory.resident_bytes),
            bytesize::ByteSize(memory.capacity_bytes)
        ));
    }
    None
}

/// How often the origin was asked about a stale response, behind an answer or for one.
fn stale_answers(report: &TenantReport) -> u64 {
    report.counters.answers.get("stale").copied().unwrap_or(0) + report.counters.origin_refreshes
}

#[cfg(test)]
mod tests {
    use sandbar::tenant::ClassReport;

    use super::*;

    /// A tenant with these answers.
    fn tenant(answers: &[(&'static str, u64)]) -> TenantReport {
        let mut report = super::super::tests::healthy();
        report.counters.answers = answers.iter().copied().collect();
        report.counters.requests = answers.iter().map(|(_, count)| count).sum();
        report
    }

    fn said(report: &TenantReport) -> String {
        ratio(report).unwrap_or_default()
    }

    #[test]
    fn a_good_ratio_needs_nothing_and_few_requests_say_nothing() {
        assert_eq!(ratio(&tenant(&[("hit", 900), ("uri-miss", 100)])), None);
        assert_eq!(ratio(&tenant(&[("uri-miss", 900)])), None);
        assert_eq!(ratio(&tenant(&[("hit", 990), ("uri-miss", 10)])), None, "high, and nothing is given away");
    }

    #[test]
    fn a_low_ratio_is_put_down_to_what_most_misses_have_in_common() {
        let of = |word| tenant(&[("hit", 600), (word, 390), ("refused", 1_000)]);
        for (word, part) in [
            ("uri-miss", "key.ignore_params"),
            ("vary-miss", "Vary: User-Agent"),
            ("request", "no-cache"),
            ("partial", "body_max"),
            ("miss", "fetch_hard_deadline"),
        ] {
            let mut report = of(word);
            report.counters.answers.insert("bypass", 10);
            let said = said(&report);
            assert!(
                said.starts_with(&format!("60 % of the requests are hits; 97 % of the others are fwd={word}: ")),
                "{said}"
            );
            assert!(said.contains(part), "{said}");
        }
        let mut report = of("stale");
        report.counters.answers.insert("uri-miss", 20);
        report.counters.origin_validated = 300;
        assert!(said(&report).contains("of 390 stale responses 300 had not changed"), "{}", said(&report));
    }

    #[test]
    fn what_is_never_stored_is_named_with_its_setting() {
        for (why, part) in [
            ("no-lifetime", "heuristic_max"),
            ("set-cookie", "store_set_cookie"),
            ("private", "grants"),
            ("body-too-large", "body_max"),
            ("no-room", "memory.total"),
        ] {
            let mut report = tenant(&[("hit", 100), ("uri-miss", 900)]);
            report.counters.fetched = 900;
            report.counters.reasons = [(why, 700), ("status", 2)].into();
            let said = said(&report);
            assert!(
                said.contains(&format!("700 of 900 responses were not stored ({why})")) && said.contains(part),
                "{said}"
            );
        }
        let mut report = tenant(&[("hit", 100), ("uri-miss", 900)]);
        (report.memory.resident_bytes, report.memory.insertions, report.memory.evicted_by_policy) = (990, 900, 800);
        assert!(said(&report).contains("raise the tenant's l1"), "{}", said(&report));
    }

    #[test]
    fn the_class_of_most_misses_is_named() {
        let mut report = tenant(&[("hit", 100), ("vary-miss", 900)]);
        let class = |name: &str, count| ClassReport { name: name.into(), misses: [("vary-miss", count)].into() };
        report.classes = vec![class("images", 700), class("", 200)];
        assert!(said(&report).contains("fwd=vary-miss, most of them in class \"images\": "), "{}", said(&report));
        report.classes = vec![class("images", 100), class("", 800)];
        assert!(said(&report).contains("most of them in no class"));
        report.classes = vec![class("a", 450), class("b", 450)];
        assert!(!said(&report).contains("class"));
    }

    #[test]
    fn writes_are_no_misses() {
        assert!(
            said(&tenant(&[("hit", 900), ("uri-miss", 100), ("method", 5_000)]))
                .contains("90 % of the others are hits")
        );
        assert!(said(&tenant(&[("hit", 90), ("uri-miss", 10), ("method", 5_000)])).contains("fwd=method"));
        assert_eq!(ratio(&tenant(&[("hit", 900), ("uri-miss", 100), ("method", 20)])), None);
    }

    #[test]
    fn a_very_high_ratio_says_what_it_may_cost() {
        let high = || tenant(&[("hit", 9_900), ("stale", 60), ("uri-miss", 40)]);
        let mut report = high();
        report.counters.hits_stale = 2_000;
        assert!(said(&report).contains("20 % of these are stale"), "{}", said(&report));
        let mut report = high();
        report.counters.origin_validated = 10;
        assert!(said(&report).contains("of 60 responses whose lifetime was over only 10"), "{}", said(&report));
        report.counters.purges = 3;
        assert_eq!(ratio(&report), None, "somebody purges what changes");
        report.memory.resident_bytes = 100;
        assert!(said(&report).contains("memory holds 100 B of the 1000 B"), "{}", said(&report));
        report.memory.evicted_by_policy = 1;
        assert_eq!(ratio(&report), None);
    }
}
