//! Comparison with `http-cache-semantics` 3 on every pair of response lines, every request for them and six ages. Each
//! disagreement must be one of those listed here, with which side is right and why; any other fails the test.

use std::time::SystemTime;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};
use sandbar_base::Timestamp;
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::{Reuse, StoreRules, Vary, reuse, selecting_values, vary};

use super::support::{Asked, NOW, at, fields, judge, stored};

/// A case: a response is offered for storing, and later a request comes for the same target.
#[derive(Clone, Debug)]
struct Case {
    stored_for: &'static str,
    status: u16,
    response: String,
    asked_with: &'static str,
    after_secs: u64,
}

impl Case {
    fn response_has(&self, text: &str) -> bool {
        self.response.contains(text)
    }

    fn repeats_a_lifetime(&self) -> bool {
        ["ax-age", "s-maxage", "Expires"].iter().any(|name| self.response.matches(name).count() > 1)
    }

    fn asked(&self, text: &str) -> bool {
        self.asked_with.contains(text)
    }
}

/// Whether Sandbar answers the later request from the stored response.
fn ours(case: &Case) -> bool {
    let first = Asked::get(case.stored_for);
    let standard = judge(&first, case.status, &case.response, &StoreRules::default());
    if !standard.plan.stores() {
        return false;
    }
    let later = Asked::get(case.asked_with);
    if let Vary::Names(names) = vary(&fields(&case.response))
        && selecting_values(&names, &first.fields) != selecting_values(&names, &later.fields)
    {
        return false;
    }
    let stored = StoredResponse {
        plan: standard.plan,
        directives: standard.directives,
        initial_age: standard.initial_age,
        ..stored(200, "")
    };
    !matches!(reuse(&stored, &later.head(), at(case.after_secs * 1000), false), Reuse::Validate(_))
}

/// Whether `http-cache-semantics` answers the later request from the stored response.
fn theirs(case: &Case) -> bool {
    let request = |headers: HeaderMap| {
        let mut request = Request::new(());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = "/a/b?q".parse().expect("a target");
        *request.headers_mut() = headers;
        request
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(case.status).expect("a status code");
    *response.headers_mut() = fields(&case.response);
    let time = |time: Timestamp| SystemTime::from(time);
    let first = request(fields(case.stored_for));
    let policy = CachePolicy::new_options(&first, &response, time(NOW), CacheOptions::default());
    let later = request(fields(case.asked_with));
    let now = time(at(case.after_secs * 1000));
    policy.is_storable() && policy.before_request(&later, now).satisfies_without_revalidation()
}

/// Which of the two serves the stored response where the other one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    Sandbar,
    Other,
}

struct Disagreement {
    serves: Serves,
    /// Which of the two is right, and by which section.
    why: &'static str,
    applies: fn(&Case) -> bool,
}

const LISTED: &[Disagreement] = &[
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 3: any final status code may be stored with explicit freshness; they know 14 of them",
        applies: |case| case.status == 599,
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 5.2: directive names are case-insensitive",
        applies: |case| case.response_has("Max-Age"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 5.2: directive names are case-insensitive",
        applies: |case| case.response_has("No-Store") || case.asked("No-Cache") || case.response_has("Max-Age"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9110 5.6.4: what is quoted is no directive; they split at every comma",
        applies: |case| case.response_has("x=\"a, max-age"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 4.2.1: invalid freshness information is stale; white space around = is invalid",
        applies: |case| case.response_has("max-age = 60"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 4.2.1: max-age without a value is invalid, and no reason to look at Expires or to guess",
        applies: |case| {
            case.response_has("max-age\n") && (case.response_has("Expires") || case.response_has("Last-Mod"))
        },
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 1.2.2: a value that overflows is 2^31, not zero",
        applies: |case| case.response_has("max-age=99999999999999999999"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "both, 9111 4.2.1: of several values the first or stale; Sandbar takes the smallest",
        applies: |case| case.repeats_a_lifetime(),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "both, 9111 4.2.1: of several values the first or stale; they let max-stale revive none of them",
        applies: |case| case.asked("max-stale") && case.repeats_a_lifetime(),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9110 5.6.7: recipients accept all three date forms, 9111 4.2: in any case",
        applies: |case| {
            case.response_has("Friday, 02-Jan-26") || case.response_has("Jan  2") || case.response_has("FRI")
        },
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 4.2: a zone other than GMT is invalid",
        applies: |case| case.response_has("+0000"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 5.1: of a list in Age the first member counts; they ignore it all",
        applies: |case| case.response_has("Age: 7200, 0"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 4.2.3: apparent_age is part of the age; they leave Date out of it",
        applies: |case| case.response_has("Date: @-"),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 5.2.2.7 and 5.2.2.4: a qualified directive withholds fields, not the response",
        applies: |case| case.response_has("private=\"") || case.response_has("no-cache=\""),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 5.2.2.8: proxy-revalidate says nothing while the response is fresh",
        applies: |case| case.response_has("proxy-revalidate"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 4.2.4: s-maxage, proxy-revalidate and no-cache forbid stale reuse, whatever max-stale says",
        applies: |case| {
            case.asked("max-stale")
                && ["s-maxage", "proxy-revalidate", "no-cache"].iter().any(|directive| case.response_has(directive))
        },
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 5.2.2.3: must-understand with a known status code overrides no-store",
        applies: |case| case.response_has("must-understand"),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9213 2.2: a valid CDN-Cache-Control replaces Cache-Control and Expires",
        applies: |case| case.response_has("CDN-"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9213 2.2: a valid CDN-Cache-Control replaces Cache-Control and Expires",
        applies: |case| case.response_has("CDN-"),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 5861 3: stale-while-revalidate",
        applies: |case| case.response_has("stale-while-revalidate"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "both: 9111 7.3 leaves Set-Cookie to the cache; operators do not want it shared, public or not",
        applies: |case| case.response_has("Set-Cookie"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 4.1: repeated lines are combined before they are compared; they look at the first one",
        applies: |case| case.response_has("Vary") && (case.stored_for.contains("\n") || case.asked("\n")),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 4.1: white space around commas means nothing, and lines combine",
        applies: |case| case.response_has("Vary") && case.stored_for.contains("Foo") && case.asked("Foo"),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 5.4: Pragma is ignored beside Cache-Control in a request",
        applies: |case| case.asked("Pragma") && case.asked("Cache-Control"),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 5.4: Pragma in a response says nothing",
        applies: |case| case.response_has("Pragma"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "both, 9111 5.2.1.1: max-age=0 asks for validation; they serve a response in the instant it came",
        applies: |case| case.asked("max-age=0"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "both: a request directive with a garbage value asks for the most, or for nothing",
        applies: |case| case.asked("=x"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "both, 9111 4.2.2: heuristics are bounded here, by a day at most",
        applies: |case| case.response_has("Last-Modified: @-315360000") && case.after_secs >= 86_400,
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 8246 2: immutable is no lifetime, and does not prolong one",
        applies: |case| case.response_has("immutable"),
    },
    Disagreement {
        serves: Serves::Sandbar,
        why: "Sandbar, 9111 5.2.1.2: \"no more than the specified number of seconds\" includes that number",
        applies: |case| case.asked("max-stale="),
    },
    Disagreement {
        serves: Serves::Other,
        why: "Sandbar, 9111 5.2.1.3: min-fresh=0 asks for a fresh response, whatever max-stale says",
        applies: |case| case.asked("min-fresh=0, max-stale"),
    },
    Disagreement {
        serves: Serves::Other,
        why: "both: what is never fresh and can't be validated is not stored here, so max-stale finds nothing",
        applies: |case| case.asked("max-stale") && stored_by_nobody(case),
    },
];

/// Whether Sandbar did not store the response only because storing it is of no use.
fn stored_by_nobody(case: &Case) -> bool {
    let standard = judge(&Asked::get(case.stored_for), case.status, &case.response, &StoreRules::default());
    standard.obstacles == [sandbar_http::plan::Obstacle::NoLifetime]
}

const STATUSES: [u16; 4] = [200, 404, 302, 599];

const RESPONSE_LINES: &[&str] = &[
    "Cache-Control: max-age=60",
    "Cache-Control: max-age=3600",
    "Cache-Control: Max-Age=60",
    "Cache-Control: max-age=\"60\"",
    "Cache-Control: max-age='60'",
    "Cache-Control: max-age=60s",
    "Cache-Control: max-age = 60",
    "Cache-Control: max-age",
    "Cache-Control: max-age=0",
    "Cache-Control: max-age=99999999999",
    "Cache-Control: max-age=99999999999999999999",
    "Cache-Control: max-age=3600, max-age=1",
    "Cache-Control: x=\"a, max-age=3600\"",
    "Cache-Control: s-maxage=60",
    "Cache-Control: s-maxage=x",
    "Cache-Control: public",
    "Cache-Control: private",
    "Cache-Control: private=\"a\"",
    "Cache-Control: no-store",
    "Cache-Control: No-Store",
    "Cache-Control: no-store, must-understand",
    "Cache-Control: no-cache",
    "Cache-Control: no-cache=\"a\"",
    "Cache-Control: must-revalidate",
    "Cache-Control: proxy-revalidate",
    "Cache-Control: immutable",
    "Cache-Control: stale-while-revalidate=30",
    "Cache-Control: stale-if-error=30",
    "CDN-Cache-Control: max-age=60",
    "CDN-Cache-Control: no-store",
    "CDN-Cache-Control: &",
    "Expires: @60",
    "Expires: @0",
    "Expires: 0",
    "Expires: Friday, 02-Jan-26 00:00:00 GMT",
    "Expires: Fri Jan  2 00:00:00 2026",
    "Expires: FRI, 02 Jan 2026 00:00:00 GMT",
    "Expires: Fri, 02 Jan 2026 00:00:00 +0000",
    "Last-Modified: @-1000",
    "Last-Modified: @-315360000",
    "ETag: \"a\"",
    "Date: @0",
    "Date: @-50",
    "Date: @50",
    "Date: foo",
    "Age: 50",
    "Age: 7200, 0",
    "Age: x",
    "Vary: Foo",
    "Vary: *",
    "Set-Cookie: a=b",
    "Pragma: no-cache",
];

const ASKED_WITH: &[&str] = &[
    "",
    "Foo: 1",
    "Foo: 1\nFoo: 3",
    "Foo: 1,2",
    "Authorization: x",
    "Cache-Control: no-cache",
    "Cache-Control: No-Cache",
    "Cache-Control: no-store",
    "Cache-Control: max-age=0",
    "Cache-Control: max-age=30",
    "Cache-Control: max-age=x",
    "Cache-Control: min-fresh=30",
    "Cache-Control: min-fresh=0, max-stale",
    "Cache-Control: max-stale",
    "Cache-Control: max-stale=20",
    "Cache-Control: max-stale=x",
    "Cache-Control: only-if-cached",
    "Pragma: no-cache",
    "Pragma: no-cache\nCache-Control: max-age=3600",
];

type Interesting = fn(&str) -> bool;

/// Fields of the first request, and which of the later requests are of interest after it.
const STORED_FOR: &[(&str, Interesting)] = &[
    ("", |_| true),
    ("Cache-Control: no-store", str::is_empty),
    ("Authorization: x", |asked_with| matches!(asked_with, "" | "Authorization: x")),
    ("Foo: 1", |asked_with| asked_with.is_empty() || asked_with.starts_with("Foo")),
    ("Foo: 1\nFoo: 2", |asked_with| asked_with.is_empty() || asked_with.starts_with("Foo")),
];

const AFTER_SECS: [u64; 6] = [0, 30, 60, 80, 90, 100_000];

/// Every pair of response lines with every request.
fn cases(mut check: impl FnMut(Case)) {
    let requests = STORED_FOR.iter().flat_map(|(stored_for, interesting)| {
        ASKED_WITH.iter().filter(|asked_with| interesting(asked_with)).map(|asked_with| (*stored_for, *asked_with))
    });
    let requests: Vec<_> = requests.collect();
    for (index, one) in RESPONSE_LINES.iter().enumerate() {
        for other in &RESPONSE_LINES[index..] {
            let response = if one == other { format!("{one}\n") } else { format!("{one}\n{other}\n") };
            for status in STATUSES {
                for (stored_for, asked_with) in &requests {
                    for after_secs in AFTER_SECS {
                        check(Case { stored_for, status, response: response.clone(), asked_with, after_secs });
                    }
                }
            }
        }
    }
}

#[test]
fn every_disagreement_is_listed() {
    let mut met = vec![0_u64; LISTED.len()];
    let (mut agreed, mut disagreed) = (0_u64, 0_u64);
    let mut unlisted = Vec::new();
    cases(|case| {
        let serves = match (ours(&case), theirs(&case)) {
            (true, false) => Serves::Sandbar,
            (false, true) => Serves::Other,
            _ => return agreed += 1,
        };
        disagreed += 1;
        let mut listed = LISTED.iter().enumerate().filter(|(_, one)| one.serves == serves && (one.applies)(&case));
        match listed.next() {
            Some((index, _)) => met[index] += 1,
            None => unlisted.push((serves, case.clone())),
        }
    });
    let sample: Vec<_> = unlisted.iter().step_by(unlisted.len() / 20 + 1).collect();
    assert!(unlisted.is_empty(), "{} are not listed, among them {sample:#?}", unlisted.len());
    println!("{agreed} agreed, {disagreed} disagreed: {met:?}");
    assert!(agreed > 4 * disagreed, "{agreed} {disagreed}");
    for (one, met) in LISTED.iter().zip(met) {
        assert!(met > 0, "never met, so not to be listed: {:?} {}", one.serves, one.why);
    }
}
