//! What is stored, and for whom.

use sandbar::tenant::config::{ClassConfig, TenantConfig};

use super::scenario::{Scenario, ask, get, scenario};
use super::{over_layer, over_sockets};

const FRESH: &str = "Cache-Control: max-age=60";

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("9111 3: explicit freshness", [get("").origin(200, FRESH, "a"), get("").is(200, "a")]),
        scenario("9111 3: a status code that nobody knows", [get("").origin(599, FRESH, "a"), get("").is(599, "a")]),
        scenario(
            "9111 5.2.2.3: must-understand stores what is understood",
            [get("").origin(200, "Cache-Control: no-store, must-understand, max-age=60", "a"), get("").is(200, "a")],
        ),
        scenario(
            "9111 5.2.2.3: and nothing else",
            [
                get("").origin(599, "Cache-Control: no-store, must-understand, max-age=60", "a"),
                get("").origin(200, FRESH, "b"),
            ],
        ),
        scenario(
            "9111 5.2.2.5: in any case, on any line",
            [
                get("").origin(200, "Cache-Control: max-age=60\nCache-Control: NO-Store", "a"),
                get("").origin(200, "", "b"),
            ],
        ),
        scenario(
            "9111 5.2.2.7: private",
            [get("").origin(200, "Cache-Control: private, max-age=60", "a"), get("").origin(200, "", "b")],
        ),
        scenario(
            "9111 5.2.2.7: of some fields",
            [
                get("").origin(200, "Cache-Control: max-age=60, private=\"x-user\"\nX-User: me\nX-Other: 1", "a"),
                get("").is(200, "a").has("X-Other: 1").lacks("x-user"),
            ],
        ),
        scenario(
            "9111 5.2.1.5: the client forbids it",
            [get("Cache-Control: no-store").origin(200, FRESH, "a"), get("").origin(200, FRESH, "b")],
        ),
        scenario(
            "9111 3.5: Authorization",
            [
                get("Authorization: Basic x").origin(200, FRESH, "a").heard("Authorization: Basic x"),
                get("").origin(200, "Cache-Control: max-age=60, public", "b"),
                get("Authorization: Basic y").is(200, "b"),
            ],
        ),
        scenario(
            "9111 3.5: s-maxage allows it",
            [get("Authorization: Basic x").origin(200, "Cache-Control: s-maxage=60", "a"), get("").is(200, "a")],
        ),
        scenario(
            "9111 4.2.2: guessed from Last-Modified",
            [get("").origin(200, "Last-Modified: @-36000", "a"), get("").is(200, "a")],
        ),
        scenario(
            "9111 4.2.2: never where the status code does not allow it, and never a default",
            [
                get("").origin(302, "Last-Modified: @-36000", "a"),
                get("").origin(200, "", "b"),
                get("").origin(200, "", "c"),
            ],
        ),
        scenario(
            "9110 9.3.2: HEAD is answered from what GET has stored, and stores nothing",
            [
                ask("HEAD", "/", "").origin(200, FRESH, ""),
                get("").origin(200, FRESH, "abc"),
                ask("HEAD", "/", "").is(200, "").has("Content-Length: 3"),
            ],
        ),
        scenario(
            "operators: Set-Cookie is not stored, public or not",
            [
                get("").origin(200, "Cache-Control: public, max-age=60\nSet-Cookie: a=b", "a").has("Set-Cookie: a=b"),
                get("").origin(200, "", "b"),
            ],
        ),
        scenario(
            "9111 5.2.2.4: unless the origin says that the cookie alone is not to be",
            [
                get("").origin(200, "Cache-Control: max-age=60, no-cache=\"set-cookie\"\nSet-Cookie: a=b", "a"),
                get("").is(200, "a").lacks("set-cookie"),
            ],
        ),
        scenario(
            "9111 3: an error that may not be stored is no answer for the next one",
            [get("").origin(500, "", "a"), get("").origin(200, FRESH, "b"), get("").is(200, "b")],
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_may_store_cookies() -> anyhow::Result<()> {
    let scenarios = || {
        let of = |target| {
            let cookie = "Cache-Control: max-age=60\nSet-Cookie: a=b";
            ask("GET", target, "").origin(200, cookie, "a")
        };
        [
            scenario("9111 7.3", [of("/img/a"), ask("GET", "/img/a", "").is(200, "a").has("Set-Cookie: a=b")]),
            scenario("another class", [of("/a"), of("/a")]),
            scenario(
                "9110 4.2.3: all spellings are in the class of the resource",
                [of("/%69mg/a"), ask("GET", "/%69mg/a", "").is(200, "a")],
            ),
            scenario(
                "9110 4.2.3: nothing gets into a class by its spelling",
                ["/img/../a", "/img/%2e%2e/a", "/img/..%2fa", "/img/..;/a"]
                    .map(|target| [of(target), of(target)])
                    .concat(),
            ),
        ]
    };
    let class =
        ClassConfig { name: "images".into(), path: "/img/**".into(), store_set_cookie: true, ..ClassConfig::default() };
    over_layer::run(&TenantConfig { classes: vec![class], ..TenantConfig::default() }, &scenarios()).await;
    let class = "[[tenant.class]]\nname = \"images\"\npath = \"/img/**\"\nstore_set_cookie = true\n";
    over_sockets::run(class, &scenarios()).await
}
