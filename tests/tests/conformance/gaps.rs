//! What the public suite for caches does not ask, by the account of its author: methods that must not invalidate, conditions
//! that are the origin's alone, statuses with and without a lifetime of their own, and what a client's directives do to
//! something that is stored.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, Step, ask, get, scenario};
use super::{over_layer, over_sockets};

const FRESH: &str = "Cache-Control: max-age=60";
const TAGGED: &str = "Cache-Control: max-age=60\nETag: \"a\"\nLast-Modified: @-9000";
const STALE: &str = "Cache-Control: max-age=60\nAge: 70\nETag: \"a\"\nX: old";

fn scenarios() -> Vec<Scenario> {
    [methods(), only_if_cached(), max_stale(), conditions(), validation(), statuses(), targeted()].concat()
}

fn methods() -> Vec<Scenario> {
    // RFC 9110 section 9.2.1, and the methods that are registered as safe (section 16.1.1).
    let safe = ["OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"];
    let around = safe.map(|method| [ask(method, "/", "").origin(200, "", "seen"), get("").is(200, "a")]);
    vec![
        scenario(
            "9111 4.4: no safe method makes anything invalid",
            [vec![get("").origin(200, FRESH, "a")], around.concat()].concat(),
        ),
        scenario(
            "9111 4.4: nor does what its response names",
            [
                ask("GET", "/other", "").origin(200, FRESH, "other"),
                ask("OPTIONS", "/", "").origin(200, "Location: /other\nContent-Location: /other", "seen"),
                get("").origin(201, "Cache-Control: no-store\nLocation: /other\nContent-Location: /other", "a"),
                ask("GET", "/other", "").is(200, "other"),
            ],
        ),
        scenario(
            "9111 4.3.5: a HEAD that agrees leaves what is stored",
            [
                get("").origin(200, TAGGED, "a"),
                ask("HEAD", "/", "Cache-Control: no-cache").origin(
                    200,
                    "Cache-Control: max-age=60\nETag: \"a\"\nContent-Length: 1",
                    "",
                ),
                get("").is(200, "a"),
            ],
        ),
        scenario("9111 4.4: an error of an unsafe method neither", {
            let failed = [400, 403, 404, 409, 412, 500, 501, 503]
                .map(|status| [ask("DELETE", "/", "").origin(status, "", "no"), get("").is(200, "a")]);
            [vec![get("").origin(200, FRESH, "a")], failed.concat()].concat()
        }),
    ]
}

fn only_if_cached() -> Vec<Scenario> {
    const ONLY: &str = "Cache-Control: only-if-cached";
    let refused = |with| get(with).is(504, "only-if-cached\n").has("Cache-Status: sandbar;detail=only-if-cached");
    vec![
        scenario(
            "9111 5.2.1.7: what is stored answers, in every form that it answers in",
            [
                get("").origin(200, TAGGED, "0123456789"),
                get(ONLY).is(200, "0123456789"),
                ask("HEAD", "/", ONLY).is(200, "").has("Content-Length: 10"),
                get("Cache-Control: only-if-cached\nRange: bytes=2-3").is(206, "23"),
                get("Cache-Control: only-if-cached\nIf-None-Match: \"a\"").is(304, ""),
                get("Cache-Control: only-if-cached, max-age=60").is(200, "0123456789"),
            ],
        ),
        scenario(
            "9111 5.2.1.7: \"consistent with the other constraints of the request\", or 504",
            [
                get("").origin(200, "Cache-Control: max-age=60\nAge: 30\nETag: \"a\"\nVary: x-lang", "a"),
                refused("Cache-Control: only-if-cached, no-cache"),
                refused("Cache-Control: only-if-cached, max-age=20"),
                refused("Cache-Control: only-if-cached, min-fresh=40"),
                refused("Cache-Control: only-if-cached\nX-Lang: de"),
                Step { status: Some(504), ..ask("HEAD", "/", "Cache-Control: only-if-cached, no-cache") },
                get("Cache-Control: only-if-cached").is(200, "a"),
            ],
        ),
        scenario(
            "9111 4.3.2: a condition that only the origin can judge is none for a client that does not want it asked",
            [
                get("").origin(200, TAGGED, "a"),
                refused("Cache-Control: only-if-cached\nIf-Match: \"a\""),
                refused("Cache-Control: only-if-cached\nIf-Unmodified-Since: @0"),
            ],
        ),
        scenario(
            "9111 5.2.1.7: what is stale answers where the client takes it",
            [
                get("").origin(200, STALE, "a"),
                refused(ONLY),
                refused("Cache-Control: only-if-cached, max-stale=5"),
                get("Cache-Control: only-if-cached, max-stale").is(200, "a"),
                get("Cache-Control: only-if-cached, max-stale=20").is(200, "a"),
            ],
        ),
        scenario(
            "9111 5.2.1.7: and never against the origin's word",
            [
                get("").origin(200, "Cache-Control: max-age=60, must-revalidate\nAge: 70\nETag: \"a\"", "a"),
                refused("Cache-Control: only-if-cached, max-stale"),
                get("").origin(200, "Cache-Control: no-cache\nETag: \"a\"", "b"),
                refused("Cache-Control: only-if-cached, max-stale"),
            ],
        ),
    ]
}

fn max_stale() -> Vec<Scenario> {
    vec![
        scenario(
            "9111 5.2.1.2: without a number however stale it is",
            [
                get("").origin(200, "Cache-Control: max-age=60\nAge: 999999", "a"),
                get("Cache-Control: max-stale").is(200, "a"),
                get("Cache-Control: max-age=0, max-stale").origin(200, FRESH, "b"),
            ],
        ),
        scenario(
            "9111 5.2.1.2: by \"no more than the specified number of seconds\"",
            [
                get("").origin(200, FRESH, "a"),
                get("Cache-Control: max-stale=10").after(70).is(200, "a").has("Age: 70"),
                get("Cache-Control: max-stale=10").after(1).origin(200, FRESH, "b"),
                get("Cache-Control: max-stale=0").after(60).is(200, "b"),
                get("Cache-Control: max-stale=0").after(1).origin(200, FRESH, "c"),
            ],
        ),
        scenario(
            "9111 1.2.2: what is no number of seconds permits nothing",
            [
                get("").origin(200, STALE, "a"),
                get("Cache-Control: max-stale=ten").origin(200, STALE, "b"),
                get("Cache-Control: max-stale=-1").origin(200, STALE, "c"),
                get("Cache-Control: max-stale=\"20\"").is(200, "c"),
            ],
        ),
    ]
}

fn conditions() -> Vec<Scenario> {
    vec![
        scenario("9111 4.3.2: If-Match and If-Unmodified-Since go to the origin, whatever is stored", {
            let forwarded = ["If-Match: \"a\"", "If-Match: \"b\"", "If-Match: *", "If-Unmodified-Since: @-1"];
            let each = |with: &'static str| {
                [
                    get(with).origin(200, "Cache-Control: max-age=60\nETag: \"o\"", "origin's").heard(with),
                    get(with).origin(412, FRESH, "no").heard(with),
                    ask("HEAD", "/", with).origin(412, FRESH, "").heard(with),
                    // What the origin made of somebody's condition is for nobody else.
                    get("").is(200, "a"),
                ]
            };
            [vec![get("").origin(200, TAGGED, "a")], forwarded.map(each).concat()].concat()
        }),
        scenario(
            "9111 4.3.2: with whatever else the request says",
            [
                get("").origin(200, TAGGED, "0123456789"),
                get("If-Match: \"a\"\nRange: bytes=0-1")
                    .origin(206, "Content-Range: bytes 0-1/10", "01")
                    .heard("If-Match: \"a\"\nRange: bytes=0-1"),
                get("If-Unmodified-Since: @0\nIf-None-Match: \"a\"")
                    .origin(304, "ETag: \"a\"", "")
                    .heard("If-Unmodified-Since: @0\nIf-None-Match: \"a\""),
                get("").is(200, "0123456789"),
            ],
        ),
        scenario(
            "9110 13.1.2: If-None-Match: * is false of whatever there is",
            [
                get("If-None-Match: *").origin(200, TAGGED, "a").is(304, "").not_heard("if-none-match"),
                get("If-None-Match: *").is(304, "").has("ETag: \"a\""),
                ask("HEAD", "/", "If-None-Match: *").is(304, ""),
                get("If-None-Match: \"*\"").is(200, "a"),
            ],
        ),
        scenario(
            "9110 13.1.2: of what has no entity tag too",
            [get("").origin(200, FRESH, "a"), get("If-None-Match: *").is(304, "")],
        ),
        scenario(
            "9110 13.2.1: but not of an error",
            [get("").origin(404, FRESH, "none"), get("If-None-Match: *").is(404, "none")],
        ),
        scenario(
            "9110 13.1.2: of what is stale once it has been validated",
            [
                get("").origin(200, STALE, "a"),
                get("If-None-Match: *").origin(304, TAGGED, "").is(304, "").heard("If-None-Match: \"a\""),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9110 13.1.5: If-Range by an entity tag, in the strong comparison",
            [
                get("").origin(200, TAGGED, "0123456789"),
                get("Range: bytes=0-1\nIf-Range: \"a\"").is(206, "01").has("Content-Range: bytes 0-1/10"),
                get("Range: bytes=0-1\nIf-Range: \"b\"").is(200, "0123456789").lacks("content-range"),
                get("Range: bytes=0-1\nIf-Range: W/\"a\"").is(200, "0123456789"),
                get("Range: bytes=99-\nIf-Range: \"b\"").is(200, "0123456789"),
                get("Range: bytes=99-\nIf-Range: \"a\"").is(416, ""),
                get("If-Range: \"a\"").is(200, "0123456789"),
            ],
        ),
        scenario(
            "9110 13.1.5: by a date, where it is the very date and a strong validator",
            [
                get("").origin(200, TAGGED, "0123456789"),
                get("Range: bytes=0-1\nIf-Range: @-9000").is(206, "01"),
                get("Range: bytes=0-1\nIf-Range: @-8999").is(200, "0123456789"),
                get("Range: bytes=0-1\nIf-Range: @-9001").is(200, "0123456789"),
                get("Range: bytes=0-1\nIf-Range: yesterday").is(200, "0123456789"),
                ask("GET", "/weak", "").origin(
                    200,
                    "Cache-Control: max-age=60\nDate: @-9000\nAge: 1\nLast-Modified: @-9000\nCDN-Cache-Control: max-age=20000",
                    "0123456789",
                ),
                ask("GET", "/weak", "Range: bytes=0-1\nIf-Range: @-9000").is(200, "0123456789"),
            ],
        ),
        scenario(
            "9110 13.1.5: the origin's to judge where nothing is stored",
            [
                get("Range: bytes=0-1\nIf-Range: \"a\"")
                    .origin(206, "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 0-1/10", "01")
                    .heard("Range: bytes=0-1\nIf-Range: \"a\""),
                get("Range: bytes=0-1\nIf-Range: \"b\"")
                    .origin(200, "Cache-Control: max-age=60\nETag: \"c\"", "abc")
                    .heard("Range: bytes=0-1\nIf-Range: \"b\""),
                get("").is(200, "abc"),
            ],
        ),
    ]
}

fn validation() -> Vec<Scenario> {
    vec![
        scenario(
            "9111 4.3.3: a 200 to a validation takes the place of what was stored, all of it",
            [
                get("").origin(200, STALE, "old"),
                get("")
                    .origin(200, "Cache-Control: max-age=60\nETag: \"b\"\nY: new", "new")
                    .heard("If-None-Match: \"a\""),
                get("").is(200, "new").has("Y: new\nETag: \"b\"").lacks("x"),
                get("If-None-Match: \"a\"").is(200, "new"),
                get("If-None-Match: \"b\"").is(304, ""),
            ],
        ),
        scenario(
            "9111 4.3.3: with the same entity tag too",
            [get("").origin(200, STALE, "old"), get("").origin(200, TAGGED, "new"), get("").is(200, "new").lacks("x")],
        ),
        scenario(
            "9111 4.3.4: a 304 makes it fresh again, for as long as it says",
            [
                get("").origin(200, "Cache-Control: max-age=60\nETag: \"a\"", "a"),
                get("").after(60).origin(304, "Cache-Control: max-age=20\nETag: \"a\"", "").is(200, "a").has("Age: 0"),
                get("").after(19).is(200, "a").has("Age: 19"),
                get("").after(1).origin(304, "ETag: \"a\"\nAge: 5", "").is(200, "a"),
                get("").after(14).is(200, "a").has("Age: 19"),
                get("").after(1).origin(304, "Cache-Control: max-age=60\nETag: \"a\"", "").is(200, "a"),
                get("").after(59).is(200, "a"),
            ],
        ),
        scenario(
            "9111 4.3.4: and what it was guessed from counts from then on",
            [
                get("").origin(200, "Last-Modified: @-36000", "a"),
                get("")
                    .after(3600)
                    .origin(304, "Last-Modified: @-36000", "")
                    .is(200, "a")
                    .heard("If-Modified-Since: @-36000"),
                get("").after(3959).is(200, "a"),
                get("").after(1).origin(200, FRESH, "b"),
            ],
        ),
    ]
}

fn statuses() -> Vec<Scenario> {
    let twice = |status: u16, fields: &'static str| [get("").origin(status, fields, "a"), get("").is(status, "a")];
    let explicit = [300, 405, 414, 451, 501].map(|status| {
        let until = get("").after(59).is(status, "a").has("Age: 59");
        let about = "9111 3: any final status code is stored that has a lifetime of its own";
        scenario(about, [twice(status, FRESH).to_vec(), vec![until, get("").after(1).origin(200, FRESH, "b")]].concat())
    });
    let expires =
        [300, 405, 414, 451, 501].map(|status| scenario("9111 5.3: by Expires", twice(status, "Expires: @60")));
    let guessed = [300, 301, 308].map(|status| {
        scenario(
            "9110 15.1: heuristically cacheable, for a tenth of the time since it was modified",
            [
                get("").origin(status, "Last-Modified: @-36000\nLocation: /b", "a"),
                get("").after(3599).is(status, "a").has("Location: /b"),
                get("").after(1).origin(status, "Location: /b", "a"),
            ],
        )
    });
    let unguessed = [302, 303, 307, 403, 451, 500].map(|status| {
        let asked = || get("").origin(status, "Last-Modified: @-36000", "a");
        scenario("9110 15.1: and no other status code is", [asked(), asked()])
    });
    let others = [
        scenario(
            "9110 15.3.7: a part is heuristically cacheable too",
            [
                get("Range: bytes=0-4").origin(206, "Last-Modified: @-36000\nContent-Range: bytes 0-4/10", "01234"),
                get("Range: bytes=1-2").after(3599).is(206, "12"),
                get("Range: bytes=1-2").after(1).origin(200, FRESH, "abcdefghij"),
            ],
        ),
        scenario(
            "9110 15.5.17: a 416 answers one range, and is never stored",
            [
                get("Range: bytes=20-").origin(416, "Cache-Control: max-age=60\nContent-Range: bytes */10", "no"),
                get("Range: bytes=20-").origin(416, "Cache-Control: max-age=60\nContent-Range: bytes */10", "no"),
                get("").origin(416, FRESH, "no"),
                get("").origin(200, FRESH, "0123456789"),
                get("Range: bytes=20-").is(416, "").has("Content-Range: bytes */10"),
                get("Range: bytes=0-1").is(206, "01"),
                get("").is(200, "0123456789"),
            ],
        ),
    ];
    [&explicit[..], &expires, &guessed, &unguessed, &others].concat()
}

fn targeted() -> Vec<Scenario> {
    vec![
        scenario(
            "9213 2.2: its lifetime, to the second, whatever Cache-Control and Expires say",
            [
                get("").origin(
                    200,
                    "CDN-Cache-Control: max-age=60\nCache-Control: max-age=5, private\nExpires: @5",
                    "a",
                ),
                get("").after(59).is(200, "a"),
                get("").after(1).origin(200, "", "b"),
            ],
        ),
        scenario(
            "9213 2.1: s-maxage before max-age there too",
            [
                get("").origin(200, "CDN-Cache-Control: max-age=60, s-maxage=0", "a"),
                get("").origin(200, "CDN-Cache-Control: max-age=0, s-maxage=60", "b"),
                get("").is(200, "b"),
            ],
        ),
        scenario(
            "9213 2.2: what it forbids is forbidden",
            [
                get("").origin(
                    200,
                    "CDN-Cache-Control: max-age=60, must-revalidate\nAge: 70\nCache-Control: stale-if-error=60",
                    "a",
                ),
                get("Cache-Control: max-stale").origin(200, FRESH, "b"),
            ],
        ),
        scenario(
            "9213 2.2: a 304 brings it too",
            [
                get("").origin(200, "CDN-Cache-Control: max-age=60\nAge: 70\nETag: \"a\"", "a"),
                get("")
                    .origin(304, "CDN-Cache-Control: max-age=90\nCache-Control: no-store\nETag: \"a\"", "")
                    .is(200, "a"),
                get("").after(89).is(200, "a"),
                get("").after(1).origin(200, FRESH, "b"),
            ],
        ),
        scenario(
            "9213 2.1: a lifetime that is no integer makes all of it void; a flag that is false is not there",
            [
                get("").origin(200, "Cache-Control: no-store\nCDN-Cache-Control: max-age=60.5", "a"),
                get("").origin(200, "Cache-Control: no-store\nCDN-Cache-Control: max-age=60, no-store=?0", "b"),
                get("").is(200, "b"),
            ],
        ),
        scenario(
            "9213 2.2: without one, Cache-Control counts",
            [get("").origin(200, "Surrogate-Control: no-store\nCache-Control: max-age=60", "a"), get("").is(200, "a")],
        ),
    ]
}

#[tokio::test]
async fn over_the_layer() {
    over_layer::run(&TenantConfig::default(), &scenarios()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_gateway() -> anyhow::Result<()> {
    over_sockets::run("", &scenarios()).await
}
