//! Writes: what they make invalid, and the ones whose response answers later reads.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, ask, get, scenario};
use super::{over_layer, over_sockets};

const FRESH: &str = "Cache-Control: max-age=60";

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("9111 4.4: an unsafe method makes its target invalid, a method that nobody knows too", {
            let round = |method| [get("").origin(200, FRESH, "a"), ask(method, "/", "").origin(200, "", "done")];
            ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"].into_iter().flat_map(round).collect::<Vec<_>>()
        }),
        scenario(
            "9111 4.4: not where it failed, and not where it was safe",
            [
                get("").origin(200, FRESH, "a"),
                ask("POST", "/", "").origin(500, "", "no"),
                ask("OPTIONS", "/", "").origin(200, "", "yes"),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9111 4.4: what Location and Content-Location name, on the same origin only",
            [
                ask("GET", "/list", "").origin(200, FRESH, "list"),
                ask("GET", "/item", "").origin(200, FRESH, "item"),
                ask("GET", "/else", "").origin(200, FRESH, "else"),
                ask("POST", "/new", "").origin(201, "Location: item\nContent-Location: /list", "made"),
                ask("POST", "/new", "").origin(201, "Location: http://elsewhere.test/else", "made"),
                ask("GET", "/else", "").is(200, "else"),
                ask("GET", "/list", "").origin(200, FRESH, "list 2"),
                ask("GET", "/item", "").origin(200, FRESH, "item 2"),
            ],
        ),
        scenario(
            "9875 3: groups of the same host, by unsafe methods only",
            [
                ask("GET", "/a", "").origin(200, "Cache-Control: max-age=60\nCache-Groups: \"x\", \"y\"", "a"),
                ask("GET", "/b", "").origin(200, "Cache-Control: max-age=60\nCache-Groups: \"z\"", "b"),
                ask("OPTIONS", "/w", "").origin(200, "Cache-Group-Invalidation: \"x\", \"z\"", ""),
                ask("GET", "/a", "").is(200, "a"),
                ask("POST", "/w", "").origin(200, "Cache-Group-Invalidation: \"y\"", ""),
                ask("GET", "/b", "").is(200, "b"),
                ask("GET", "/a", "").origin(200, FRESH, "a 2"),
            ],
        ),
        scenario(
            "9110 9.3.3: a POST whose response is its target's, with explicit freshness, answers GET and HEAD",
            [
                ask("POST", "/form", "").origin(200, "Cache-Control: max-age=60\nContent-Location: /form", "made"),
                ask("GET", "/form", "").is(200, "made"),
                ask("HEAD", "/form", "").is(200, "").has("Content-Length: 4"),
                ask("POST", "/form", "").origin(200, "Cache-Control: max-age=60\nContent-Location: form", "again"),
                ask("GET", "/form", "").is(200, "again"),
            ],
        ),
        scenario(
            "9110 9.3.3: no other does",
            [
                ask("POST", "/form", "").origin(200, "Cache-Control: max-age=60", "made"),
                ask("POST", "/form", "").origin(200, "Cache-Control: max-age=60\nContent-Location: /other", "made"),
                ask("POST", "/form", "").origin(200, "Last-Modified: @-9000\nContent-Location: /form", "made"),
                ask("POST", "/form", "").origin(404, "Cache-Control: max-age=60\nContent-Location: /form", "no"),
                ask("POST", "/form", "").origin(
                    200,
                    "Cache-Control: private, max-age=60\nContent-Location: /form",
                    "me",
                ),
                ask("PUT", "/form", "").origin(200, "Cache-Control: max-age=60\nContent-Location: /form", "made"),
                ask("GET", "/form", "").origin(200, FRESH, "form"),
            ],
        ),
        scenario(
            "9111 4: a write is never answered from the cache, and its failure has a reason",
            [get("").origin(200, FRESH, "a"), ask("POST", "/", "").origin_fails().is(502, "origin-broken\n")],
        ),
        scenario(
            "9111 4.4: one that may have been taken in makes its target stale, which errors may still be covered with",
            [
                get("").origin(200, "Cache-Control: max-age=60, stale-if-error=60", "a"),
                ask("POST", "/", "").origin_fails(),
                get("").origin_fails().is(200, "a"),
                get("").origin(200, FRESH, "b"),
            ],
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
