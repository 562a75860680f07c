//! For how long a response is reused, and when a stale one still is.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, get, scenario};
use super::{over_layer, over_sockets};

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "9111 4.2: to the second",
            [
                get("").origin(200, "Cache-Control: max-age=60", "a"),
                get("").after(59).is(200, "a").has("Age: 59"),
                get("").after(1).origin(200, "Cache-Control: max-age=60", "b"),
            ],
        ),
        scenario(
            "9111 4.2.3: what it had on arrival counts",
            [get("").origin(200, "Cache-Control: max-age=60\nAge: 60", "a"), get("").origin(200, "", "b")],
        ),
        scenario(
            "9111 5.1: of several the first, garbage is none",
            [
                get("").origin(200, "Cache-Control: max-age=60\nAge: 1, 90", "a"),
                get("").is(200, "a"),
                get("Cache-Control: no-cache").origin(200, "Cache-Control: max-age=60\nAge: 90.0", "b"),
                get("").is(200, "b"),
            ],
        ),
        scenario(
            "9111 5.3: an Expires that is no date is past, with a zone other than GMT too",
            [
                get("").origin(200, "Expires: Thu, 18 Aug 2050 02:01:18 UTC", "a"),
                get("").origin(200, "Expires: 0", "b"),
                get("").origin(200, "Expires: Thu, 18 Aug 2050 02:01:18 GMT", "c"),
                get("").is(200, "c"),
            ],
        ),
        scenario(
            "9111 4.2.1: s-maxage before max-age",
            [
                get("").origin(200, "Cache-Control: max-age=60, s-maxage=0", "a"),
                get("").origin(200, "Cache-Control: s-maxage=60, max-age=0", "b"),
                get("").is(200, "b"),
            ],
        ),
        scenario(
            "9111 5.2.1: a client that wants it younger, fresher or validated",
            [
                get("").origin(200, "Cache-Control: max-age=60\nAge: 30", "a"),
                get("Cache-Control: max-age=40").is(200, "a"),
                get("Cache-Control: max-age=20").origin(200, "Cache-Control: max-age=60\nAge: 30", "b"),
                get("Cache-Control: min-fresh=20").is(200, "b"),
                get("Cache-Control: min-fresh=40").origin(200, "Cache-Control: max-age=60", "c"),
                get("Cache-Control: no-cache").origin(200, "Cache-Control: max-age=60", "d"),
                get("Pragma: no-cache").origin(200, "Cache-Control: max-age=60", "e"),
                get("").is(200, "e"),
            ],
        ),
        scenario(
            "9111 5.2.1.2: a client that takes it stale",
            [
                get("").origin(200, "Cache-Control: max-age=60\nAge: 70", "a"),
                get("Cache-Control: max-stale=20").is(200, "a"),
                get("Cache-Control: max-stale=5").origin(
                    200,
                    "Cache-Control: max-age=60, must-revalidate\nAge: 70",
                    "b",
                ),
                get("Cache-Control: max-stale=20").origin(200, "", "c"),
            ],
        ),
        scenario(
            "9111 5.2.1.7: from the cache or not at all",
            [
                get("Cache-Control: only-if-cached")
                    .is(504, "only-if-cached\n")
                    .has("Cache-Status: sandbar;detail=only-if-cached"),
                get("").origin(200, "Cache-Control: max-age=60", "a"),
                get("Cache-Control: only-if-cached").is(200, "a"),
            ],
        ),
        scenario(
            "5861 3: within its window stale is served, and refreshed behind",
            [
                get("").origin(200, "Cache-Control: max-age=60, stale-while-revalidate=30\nAge: 70", "a"),
                get("").origin(200, "Cache-Control: max-age=60", "b").is(200, "a").behind(),
                get("").is(200, "b"),
            ],
        ),
        scenario(
            "5861 3: and past it never",
            [
                get("").origin(200, "Cache-Control: max-age=60, stale-while-revalidate=30", "a"),
                get("").after(90).origin(200, "Cache-Control: max-age=60", "b"),
            ],
        ),
        scenario(
            "9111 4.2.4: a plain disconnected origin is no licence",
            [
                get("").origin(200, "Cache-Control: max-age=60\nAge: 61", "a"),
                get("")
                    .origin_fails()
                    .is(502, "origin-broken\n")
                    .has("Cache-Status: sandbar;fwd=stale;detail=origin-broken"),
            ],
        ),
        scenario(
            "5861 4: stale-if-error is, for no answer and for four errors",
            [
                get("").origin(200, "Cache-Control: max-age=60, stale-if-error=30\nAge: 70", "a"),
                get("").origin_fails().is(200, "a"),
                get("").origin(503, "", "busy").is(200, "a"),
                get("").origin(404, "", "gone"),
            ],
        ),
        scenario(
            "5861 4: not beyond its window",
            [
                get("").origin(200, "Cache-Control: max-age=60, stale-if-error=30", "a"),
                get("").after(89).origin_fails().is(200, "a"),
                get("").after(1).origin_fails().is(502, "origin-broken\n"),
            ],
        ),
        scenario("9111 4.2.4: must-revalidate, proxy-revalidate, s-maxage and no-cache forbid it", {
            let errors = [
                "Cache-Control: max-age=60, stale-if-error=30, must-revalidate\nAge: 70\nETag: \"a\"",
                "Cache-Control: max-age=60, stale-if-error=30, proxy-revalidate\nAge: 70\nETag: \"a\"",
                "Cache-Control: s-maxage=60, stale-if-error=30\nAge: 70\nETag: \"a\"",
                "Cache-Control: max-age=60, stale-if-error=30, no-cache\nAge: 70\nETag: \"a\"",
            ];
            let both = |fields| [get("").origin(200, fields, "a"), get("").origin_fails().is(502, "origin-broken\n")];
            errors.into_iter().flat_map(both).collect::<Vec<_>>()
        }),
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
