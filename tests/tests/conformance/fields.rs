//! Which fields travel on, and which join the key.

use sandbar::http::key::KeyRules;
use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, ask, get, scenario};
use super::{over_layer, over_sockets};

const FRESH: &str = "Cache-Control: max-age=60";

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "9110 7.6.1: what belongs to a connection stays there",
            [
                get("Connection: x-hop\nX-Hop: 1\nKeep-Alive: timeout=5\nTE: trailers\nProxy-Authorization: p\nX-End: 1")
                    .origin(200, "Cache-Control: max-age=60\nProxy-Authenticate: Basic\nX-Kept: 1", "a")
                    .heard("X-End: 1\nVia: 1.1 sandbar")
                    .not_heard("x-hop keep-alive te proxy-authorization")
                    .lacks("proxy-authenticate"),
                get("").is(200, "a").has("X-Kept: 1").lacks("proxy-authenticate"),
            ],
        ),
        scenario(
            "9110 7.6.1: in responses too",
            [
                get("").origin(200, "Cache-Control: max-age=60\nConnection: x-hop, close\nX-Hop: 1\nX-Kept: 1", "a")
                    .has("X-Kept: 1")
                    .lacks("x-hop"),
                get("").is(200, "a").has("X-Kept: 1").lacks("x-hop"),
            ],
        ),
        scenario(
            "9110 6.6.1: Date is the origin's, and made where there is none",
            [
                get("").origin(200, "Cache-Control: max-age=600\nDate: @-100", "a").has("Date: @-100"),
                get("").is(200, "a").has("Date: @-100"),
            ],
        ),
        scenario(
            "9110 7.6.3: Via names this cache in both directions",
            [
                get("Via: 1.0 fred").origin(200, FRESH, "a").heard("Via: 1.0 fred\nVia: 1.1 sandbar").has("Via: 1.1 sandbar"),
                get("").is(200, "a").has("Via: 1.1 sandbar"),
            ],
        ),
        scenario(
            "9110 7.6.3: a request that goes round in circles ends",
            [
                get("Via: 1.1 sandbar, 1.1 sandbar, 1.1 sandbar\nVia: 1.1 sandbar, 1.1 sandbar, 1.1 sandbar, 1.1 sandbar, \
                     1.1 sandbar, 1.1 sandbar")
                .is(508, "loop\n"),
                get("Via: 1.1 sandbar").origin(200, FRESH, "a"),
            ],
        ),
        scenario(
            "9110 7.6.2: Max-Forwards counts down, for two methods",
            [
                ask("OPTIONS", "/", "Max-Forwards: 2").origin(200, "", "").heard("Max-Forwards: 1"),
                ask("OPTIONS", "/", "Max-Forwards: 0").is(200, "max-forwards\n"),
                ask("TRACE", "/", "Max-Forwards: 0").is(405, "max-forwards\n"),
                ask("OPTIONS", "/", "Max-Forwards: x").origin(200, "", "").heard("Max-Forwards: x"),
                get("Max-Forwards: 0").origin(200, FRESH, "a"),
            ],
        ),
        scenario(
            "surrogate keys are not the clients' business",
            [
                get("").origin(200, "Cache-Control: max-age=60\nSurrogate-Key: a b\nCache-Tag: c", "a")
                    .lacks("surrogate-key cache-tag"),
                get("").is(200, "a").lacks("surrogate-key cache-tag"),
            ],
        ),
        scenario(
            "what is not in the key never reaches the origin of what may be stored",
            [
                get("X-Host: evil.test\nForwarded: host=evil.test\nX-Original-URL: /admin\n\
                     X-HTTP-Method-Override: DELETE\nX-Rewrite-URL: /admin\nX-Forwarded-Proto: gopher")
                .origin(200, FRESH, "a")
                .heard("X-Forwarded-Proto: http")
                .not_heard("x-host forwarded x-original-url x-http-method-override x-rewrite-url"),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9110 4.2.3: the query as a whole is part of the key",
            [
                ask("GET", "/a?b=1&c=2", "").origin(200, FRESH, "12"),
                ask("GET", "/a?c=2&b=1", "").origin(200, FRESH, "21"),
                ask("GET", "/a", "").origin(200, FRESH, "0"),
                ask("GET", "/a?b=1&c=2", "Cookie: id=1").is(200, "12"),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_says_what_joins_the_key() -> anyhow::Result<()> {
    let scenarios = [
        scenario(
            "parameters",
            [
                ask("GET", "/a?b=1&utm_source=x&a=2", "").origin(200, FRESH, "a"),
                ask("GET", "/a?a=2&b=1&utm_campaign=y", "").is(200, "a"),
                ask("GET", "/a?a=3&b=1", "").origin(200, FRESH, "b"),
            ],
        ),
        scenario(
            "fields and cookies",
            [
                get("X-Device: phone\nCookie: id=1; lang=de").origin(200, FRESH, "phone de"),
                get("X-Device: phone\nCookie: lang=de; id=2").is(200, "phone de"),
                get("X-Device: phone\nCookie: lang=en").origin(200, FRESH, "phone en"),
                get("Cookie: lang=de").origin(200, FRESH, "de"),
            ],
        ),
    ];
    let key = KeyRules {
        sort_query: true,
        ignore_params: vec!["utm_*".into()],
        keep_params: Vec::new(),
        fields: vec!["X-Device".into()],
        cookies: vec!["lang".into()],
    };
    over_layer::run(&TenantConfig { key, ..TenantConfig::default() }, &scenarios).await;
    let key = "key = { sort_query = true, ignore_params = [\"utm_*\"], fields = [\"X-Device\"], cookies = [\"lang\"] }";
    over_sockets::run(key, &scenarios).await
}
