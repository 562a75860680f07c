//! The origin has said no: what becomes of the response that is stored, decided by the status, whoever asked (RFC 9111
//! section 4.3.3), and what everybody else gets from then on.
//!
//! Each case is a stored response, one client who brings a status about, and two ways to go on: the origin is there for the
//! next one, or it is not. What has ended does not come back, not even where nothing else is to be had; what has not ended
//! is nobody's to throw away.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, Step, ask, get, scenario};
use super::{over_layer, over_sockets};

const FRESH: &str = "Cache-Control: max-age=60, stale-if-error=600\nETag: \"a\"";
const STALE: &str = "Cache-Control: max-age=60, stale-if-error=600\nAge: 70\nETag: \"a\"";
const BEHIND: &str = "Cache-Control: max-age=60, stale-while-revalidate=600, stale-if-error=600\nAge: 70\nETag: \"a\"";
const RENEWED: &str = "Cache-Control: max-age=60\nETag: \"a\"";
const NEW: &str = "Cache-Control: max-age=60\nETag: \"b\"";

/// How a client makes the cache ask the origin about something stored.
struct Means {
    name: &'static str,
    stored: &'static str,
    with: &'static str,
    behind: bool,
}

const MEANS: [Means; 5] = [
    Means { name: "a refresh", stored: BEHIND, with: "", behind: true },
    Means { name: "a reload", stored: FRESH, with: "Cache-Control: no-cache", behind: false },
    Means { name: "a validation", stored: STALE, with: "", behind: false },
    Means { name: "a conditional request", stored: STALE, with: "If-None-Match: \"x\"", behind: false },
    Means { name: "a ranged request", stored: STALE, with: "Range: bytes=0-0", behind: false },
];

const NOBODY: &str = "";
const COOKIE: &str = "Cookie: session=1";
const CREDENTIALS: &str = "Authorization: Basic eDp5";

/// What the origin says to it.
#[derive(Clone, Copy)]
struct No {
    status: u16,
    fields: &'static str,
}

const fn no(status: u16, fields: &'static str) -> No {
    No { status, fields }
}

/// 404 and 410: it is not there any more. A 2xx or 3xx that may not be stored has taken its place.
const ENDS: [No; 10] = [
    no(404, ""),
    no(404, "Cache-Control: no-store"),
    no(410, ""),
    no(200, "Cache-Control: no-store\nETag: \"b\""),
    no(200, "Cache-Control: private, max-age=60\nETag: \"b\""),
    no(200, ""),
    no(203, ""),
    no(301, "Cache-Control: no-store\nLocation: /elsewhere"),
    no(302, "Location: /elsewhere"),
    no(307, "Location: /elsewhere"),
];

/// They say something of the request, or of its client.
const ENDS_NOTHING: [u16; 22] =
    [400, 405, 406, 407, 408, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 425, 426, 427, 428, 429, 431];

/// They say something of the client where the request names one, and of the page where it does not.
const BY_CREDENTIALS: [u16; 2] = [401, 403];

/// They say something of the origin.
const FAILURES: [u16; 6] = [500, 501, 502, 503, 504, 505];

/// Scenarios are made of static text; what is put together for one lives as long as the test.
fn text(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Means {
    /// Something is stored, and a client with these credentials brings this about.
    fn bring(&self, credentials: &str, no: No) -> Vec<Step> {
        let with = text(format!("{}\n{credentials}", self.with));
        let asked = get(with).origin(no.status, no.fields, if no.status == 204 { "" } else { "no" });
        let asked = if self.behind { asked.is(200, "old").behind() } else { asked };
        vec![get("").origin(200, self.stored, "old"), asked]
    }

    fn about(&self, credentials: &str, no: No, then: &str) -> &'static str {
        let name = if credentials.is_empty() { "nobody in particular" } else { credentials };
        let (status, fields) = (no.status, no.fields);
        text(format!("9111 4.3.3: {} by {name} is answered {status} {fields:?}, and {then}", self.name))
    }

    fn ends(&self, credentials: &str, no: No) -> [Scenario; 2] {
        let mut next = self.bring(credentials, no);
        next.extend([get("").origin(200, NEW, "new").not_heard("if-none-match"), get("").is(200, "new")]);
        let mut down = self.bring(credentials, no);
        down.push(get("").origin_fails().is(502, "origin-broken\n"));
        [
            scenario(self.about(credentials, no, "the next one gets what is there now"), next),
            scenario(self.about(credentials, no, "an origin that fails does not bring it back"), down),
        ]
    }

    fn ends_nothing(&self, credentials: &str, no: No) -> [Scenario; 2] {
        let mut next = self.bring(credentials, no);
        next.extend([
            get("").origin(304, RENEWED, "").is(200, "old").heard("If-None-Match: \"a\""),
            get("").is(200, "old"),
        ]);
        [scenario(self.about(credentials, no, "the next one validates"), next), self.comes_back(credentials, no)]
    }

    fn comes_back(&self, credentials: &str, no: No) -> Scenario {
        let mut down = self.bring(credentials, no);
        down.push(get("").origin_fails().is(200, "old"));
        scenario(self.about(credentials, no, "it is there when the origin fails"), down)
    }

    /// RFC 5861 section 4 covers four of these with what is stale, unless the client has forbidden that; the others reach it.
    fn fails(&self, status: u16) -> Scenario {
        let mut down = self.bring(NOBODY, no(status, ""));
        let asked = down.pop().expect("two steps");
        let in_trouble = [500, 502, 503, 504].contains(&status);
        // RFC 9111 section 5.2.1.4: who reloads wants nothing that is stored.
        let reloads = self.with.contains("no-cache");
        down.push(if self.behind || in_trouble && !reloads { asked.is(200, "old") } else { asked });
        // What is fresh stays so while the origin is in trouble.
        let next = if reloads && in_trouble { get("") } else { get("").origin_fails() };
        down.push(next.is(200, "old"));
        scenario(self.about(NOBODY, no(status, ""), "it is there when the origin fails again"), down)
    }
}

fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for means in MEANS {
        for credentials in [NOBODY, COOKIE] {
            all.extend(ENDS.into_iter().flat_map(|no| means.ends(credentials, no)));
            all.extend(ENDS_NOTHING.into_iter().flat_map(|status| means.ends_nothing(credentials, no(status, ""))));
        }
        for status in BY_CREDENTIALS {
            all.extend(means.ends(NOBODY, no(status, "")));
            all.extend([COOKIE, CREDENTIALS].into_iter().flat_map(|who| means.ends_nothing(who, no(status, ""))));
        }
    }
    all
}

/// One of each kind: over sockets they take their time.
fn some() -> Vec<Scenario> {
    let mut all = Vec::new();
    for means in MEANS {
        all.extend(means.ends(NOBODY, ENDS[0]));
        all.extend(means.ends(COOKIE, ENDS[3]));
        all.extend(means.ends_nothing(NOBODY, no(400, "")));
        all.extend(means.ends(NOBODY, no(403, "")));
        all.extend(means.ends_nothing(COOKIE, no(403, "")));
    }
    all
}

/// What is made for a range, or under a condition that the origin judges, answers nobody who asked for neither.
fn made_for_others() -> Vec<Scenario> {
    let asked = ["Range: bytes=0-0", "Range: bytes=900-", "If-Match: \"x\"", "If-Unmodified-Since: @-9000"];
    let statuses = [400, 403, 404, 405, 410, 412, 414, 416, 501];
    let storable = "Cache-Control: max-age=60";
    let each = asked.into_iter().flat_map(|with| statuses.map(|status| (with, status)));
    each.map(|(with, status)| {
        scenario(
            text(format!("9111 4.3.2: {status} to {with:?} answers nobody else")),
            [get(with).origin(status, storable, "no"), get("").origin(200, NEW, "new"), get("").is(200, "new")],
        )
    })
    .collect()
}

/// Runs all of a table, and then names those that failed: one that does says little of a table.
async fn all_hold(scenarios: Vec<Scenario>) {
    let (count, mut failed) = (scenarios.len(), Vec::new());
    for one in scenarios {
        let about = one.about;
        let run = tokio::spawn(async move { over_layer::run(&TenantConfig::default(), &[one]).await });
        if run.await.is_err() {
            failed.push(about);
        }
    }
    assert!(failed.is_empty(), "{} of {count}:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test]
async fn what_ends_a_stored_response_and_what_does_not() {
    all_hold(scenarios()).await;
}

/// HEAD asks about the same resource, and brings no content that could take its place.
#[tokio::test]
async fn what_the_origin_says_to_head_counts_for_get() {
    let head = |status| ask("HEAD", "/", "Cache-Control: no-cache").origin(status, "", "");
    let stored = || get("").origin(200, FRESH, "old");
    let ends = [404, 410].map(|status| {
        let next = get("").origin(200, NEW, "new").not_heard("if-none-match").is(200, "new");
        scenario(text(format!("9111 4.3.3: {status} to HEAD ends it")), vec![stored(), head(status), next])
    });
    let doubts = [301, 400, 429].map(|status| {
        let next = get("").origin(304, RENEWED, "").is(200, "old").heard("If-None-Match: \"a\"");
        scenario(
            text(format!("9111 4.3.3: after {status} to HEAD it is validated")),
            vec![stored(), head(status), next],
        )
    });
    all_hold(ends.into_iter().chain(doubts).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_over_a_gateway() -> anyhow::Result<()> {
    over_sockets::run("", &some()).await
}

#[tokio::test]
async fn an_origin_that_fails_ends_nothing() {
    // A part of what is stale covers a ranged request: that is another table's.
    let whole = MEANS.iter().filter(|means| !means.with.starts_with("Range"));
    let each = whole.flat_map(|means| FAILURES.map(|status| means.fails(status)));
    all_hold(each.collect()).await;
}

#[tokio::test]
async fn an_error_made_for_a_ranged_or_conditional_request_answers_no_plain_one() {
    all_hold(made_for_others()).await;
}
