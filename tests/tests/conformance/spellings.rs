//! One thing said in many ways: quotes, case, repetitions, and what only looks like a directive, a range or a condition.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, get, scenario};
use super::{over_layer, over_sockets};

const WHOLE: &str = "Cache-Control: max-age=60\nETag: \"a,b\"\nLast-Modified: Tue, 15 Nov 1994 12:45:26 GMT";

fn scenarios() -> Vec<Scenario> {
    [directives(), vec![ranges(), conditions(), requests()]].concat()
}

fn directives() -> Vec<Scenario> {
    let stored = [
        "Cache-Control: max-age=\"60\"",
        "Cache-Control: MAX-AGE=60",
        "Cache-Control: max-age=60, private=\"X-A, X-B\"",
        "Cache-Control: max-age=60, no-cache=\"Set-Cookie\"\nSet-Cookie: a=1",
        "Cache-Control: max-age=60, ext=\"a, no-store, b\"",
        "Cache-Control: ext=\"max-age=9\", max-age=60",
        "Cache-Control: ext=\"\\\"\", max-age=60, x=\"no-store\"",
        "Cache-Control: ,, max-age=60 ,",
        "Cache-Control: ext=\"\"\nCache-Control: max-age=60",
    ];
    let unstored = [
        "Cache-Control: max-age=60,no-store",
        "Cache-Control: max-age=60, No-Store",
        "Cache-Control: max-age=60, no-cache=\"\"",
        "Cache-Control: no-cache,no-store,max-age=60,must-revalidate",
        "Cache-Control: max-age=60, ext=\"a, no-store",
        "Cache-Control: public, max-age=60, ext=\"a",
        "Cache-Control: max-age=60, ext=\"a\\\", private, x=\\\"b",
        "Cache-Control: max-age=0, max-age=60",
        "Cache-Control: max-age=0\nCache-Control: max-age=60",
        "Expires: Tue, 15 Nov 1994 12:45:26 GMT\nExpires: Tue, 15 Nov 2044 12:45:26 GMT",
    ];
    let hit =
        |said| scenario("9111 5.2: stored", [get("").origin(200, said, "a"), get("").is(200, "a").lacks("set-cookie")]);
    let miss = |said| {
        scenario("9111 5.2 and 4.2.1: not reused", [get("").origin(200, said, "a"), get("").origin(200, said, "b")])
    };
    stored.map(hit).into_iter().chain(unstored.map(miss)).collect()
}

fn ranges() -> Scenario {
    let malformed = [
        "Range: bytes=0--1",
        "Range: bytes=10-5",
        "Range: bytes=",
        "Range: bytes=-",
        "Range: bytes=abc",
        "Range: bytes=1-2-3",
        "Range: bytes=0-x",
        "Range: =0-1",
        "Range: bytes",
        "Range: bytes=0 - 5",
        "Range: chars=0-5",
        "Range: bytes=0x1-5",
        "Range: bytes=+1-5",
        "Range: bytes=1.5-9",
        "Range: bytes=,",
        "Range: bytes=0-5;q=1",
        "Range: items 0-5",
    ];
    let ignored = malformed.map(|with| get(with).is(200, "0123456789"));
    let understood = [
        get("Range: bytes=99999999999999999999999-").is(416, "").has("Content-Range: bytes */10"),
        get("Range: bytes=0-99999999999999999999999").is(206, "0123456789").has("Content-Range: bytes 0-9/10"),
        get("Range: bytes=-0").is(416, ""),
        get("Range: BYTES=, 0-1 ,").is(206, "01"),
    ];
    let steps = [vec![get("").origin(200, WHOLE, "0123456789")], ignored.to_vec(), understood.to_vec()].concat();
    scenario("9110 14.2: a Range that is malformed is ignored", steps)
}

fn conditions() -> Scenario {
    let known = [
        "If-None-Match: *",
        "If-None-Match: \"a,b\"",
        "If-None-Match: W/\"a,b\"",
        "If-None-Match: \"x\", W/\"y\" , \"a,b\"",
        "If-None-Match: \"x\"\nIf-None-Match: \"a,b\"",
        "If-None-Match: \"a,b\"\nIf-Modified-Since: Mon, 14 Nov 1994 12:45:26 GMT",
        "If-Modified-Since: Tue, 15 Nov 1994 12:45:26 GMT",
        "If-Modified-Since: tue, 15 nov 1994 12:45:26 gmt",
    ];
    let unknown = [
        "If-None-Match: \"a\"",
        "If-None-Match: \"b\"",
        "If-None-Match: a,b",
        "If-None-Match: \"a,b",
        "If-None-Match:",
        "If-None-Match: \"x\"\nIf-Modified-Since: Tue, 15 Nov 1994 12:45:26 GMT",
        "If-Modified-Since: Mon, 14 Nov 1994 12:45:26 GMT",
        "If-Modified-Since: yesterday",
    ];
    let known = known.map(|with| get(with).is(304, "")).to_vec();
    let unknown = unknown.map(|with| get(with).is(200, "0123456789")).to_vec();
    scenario(
        "9110 13.1.2, 13.1.3 and 13.2.2",
        [vec![get("").origin(200, WHOLE, "0123456789")], known, unknown].concat(),
    )
}

fn requests() -> Scenario {
    scenario(
        "9111 5.2.1 and 5.4: what a request says, and what it only seems to say",
        [
            get("").origin(200, "Cache-Control: max-age=60", "a"),
            get("Cache-Control: nocache").is(200, "a"),
            get("Cache-Control: x=\"no-cache\"").is(200, "a"),
            get("Cache-Control: max-age=60\nPragma: no-cache").is(200, "a"),
            get("Pragma: x, No-Cache").origin(200, "Cache-Control: max-age=60", "b"),
            get("Cache-Control: x=\"y, no-cache").origin(200, "Cache-Control: max-age=60\nAge: 70\nETag: \"c\"", "c"),
            get("Cache-Control: x=\"y, max-stale").origin(200, "Cache-Control: max-age=60", "d"),
        ],
    )
}

#[tokio::test]
async fn over_the_layer() {
    over_layer::run(&TenantConfig::default(), &scenarios()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_gateway() -> anyhow::Result<()> {
    over_sockets::run("", &scenarios()).await
}
