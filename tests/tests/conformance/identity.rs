//! What is stored is looked up by what the origin has seen, and every spelling of a target is one resource.

use sandbar::http::key::KeyRules;
use sandbar::http::origin_view::ForwardRules;
use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, ask, get, scenario};
use super::{over_layer, over_sockets};

const FRESH: &str = "Cache-Control: max-age=60";
const BY_FOO: &str = "Cache-Control: max-age=60\nVary: Foo";
const BY_CLIENT: &str = "Cache-Control: max-age=60\nVary: X-Forwarded-For, X-Forwarded-Proto, Forwarded";
const OVERRIDDEN: &str = "X-HTTP-Method-Override: DELETE\nX-Original-URL: /b";

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "9110 7.6.1, 9111 4.1: what Connection takes away selects nothing",
            [
                get("Connection: Foo\nFoo: 1").origin(200, BY_FOO, "none").not_heard("foo"),
                get("Foo: 1").origin(200, BY_FOO, "one").heard("Foo: 1"),
                get("").is(200, "none"),
                get("Connection: close, foo\nFoo: 2").is(200, "none"),
                get("Foo: 1").is(200, "one"),
            ],
        ),
        scenario(
            "9110 7.6.1: nor does it take away who asks: a response to no credentials is one to no credentials",
            [
                get("Connection: Authorization\nAuthorization: Basic x").origin(200, FRESH, "a").not_heard("authorization"),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9110 7.6.1: what is intended for all recipients stays, whatever Connection names",
            [
                ask("PUT", "/", "Connection: If-Match, Content-Type, Content-Length\nIf-Match: \"1\"\nContent-Type: a/b")
                    .origin(204, "", "")
                    .heard("If-Match: \"1\"\nContent-Type: a/b"),
                get("Connection: Cache-Control, Host\nCache-Control: only-if-cached").is(504, "only-if-cached\n"),
            ],
        ),
        scenario(
            "names that CGI can't tell apart are one name, and those with an underscore stay here",
            [
                get("X_Forwarded_Host: evil.test\nX-HTTP_Method-Override: DELETE\nX.Original.URL: /x\nX_Own: 1\nX.Own: 2")
                    .origin(200, FRESH, "a")
                    .not_heard("x_forwarded_host x-http_method-override x.original.url x_own")
                    .heard("X.Own: 2"),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "of names that CGI can't tell apart either selects",
            [
                get("F.oo: 1").origin(200, "Cache-Control: max-age=60\nVary: F-oo", "one"),
                get("F-oo: 1").is(200, "one"),
                get("F-oo: 2").origin(200, "Cache-Control: max-age=60\nVary: F-oo", "two"),
                get("").origin(200, "Cache-Control: max-age=60\nVary: F.oo", "none"),
            ],
        ),
        scenario(
            "client, host and scheme are the gateway's word on every request, and Vary on them compares it",
            [
                get("X-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: gopher\nForwarded: for=1.1.1.1\nX-Forwarded-Ssl: on")
                    .origin(200, BY_CLIENT, "a")
                    .heard("X-Forwarded-Proto: http")
                    .not_heard("forwarded x-forwarded-ssl"),
                get("X-Forwarded-For: 2.2.2.2\nForwarded: for=2.2.2.2").is(200, "a"),
                ask("POST", "/", "X-Forwarded-Proto: https\nX-Real-IP: 1.1.1.1\nFront-End-Https: on")
                    .origin(200, "", "done")
                    .heard("X-Forwarded-Proto: http")
                    .not_heard("x-real-ip front-end-https"),
            ],
        ),
        scenario(
            "9110 3.7: another method or target is asked for where nothing is stored, and never answers others",
            [
                get(OVERRIDDEN).origin(200, FRESH, "a").not_heard("x-http-method-override x-original-url"),
                ask("POST", "/", OVERRIDDEN)
                    .origin(200, "Cache-Control: max-age=60\nContent-Location: /", "done")
                    .heard(OVERRIDDEN),
                get("").origin(200, FRESH, "b"),
                get("If-Match: \"1\"\nX-HTTP-Method-Override: DELETE").origin(200, FRESH, "gone").heard("If-Match: \"1\""),
                get("").origin(200, FRESH, "c"),
                get("").is(200, "c"),
            ],
        ),
        scenario(
            "9113 8.2.3: cookies are one line, for the origin and for Vary",
            [
                get("Cookie: a=1\nCookie: b=2; c=3")
                    .origin(200, "Cache-Control: max-age=60\nVary: Cookie", "abc")
                    .heard("Cookie: a=1; b=2; c=3"),
                get("Cookie: a=1; b=2; c=3").is(200, "abc"),
            ],
        ),
        scenario(
            "9110 5.3: several lines are one, as an origin may read no further than the first",
            [
                get("Accept-Language: en;q=0.8\nAccept-Language: de")
                    .origin(200, "Cache-Control: max-age=60\nVary: Accept-Language", "a")
                    .heard("Accept-Language: en;q=0.8, de"),
                get("Foo:\nFoo: 1").origin(200, BY_FOO, "nothing, one").heard("Foo: , 1"),
                get("Foo: 1").origin(200, BY_FOO, "one"),
                get("Foo: 1\nFoo:\nFoo: 2").origin(200, BY_FOO, "one, nothing, two").heard("Foo: 1, , 2"),
                get("Foo: , 1").is(200, "nothing, one"),
                ask("POST", "/", "Foo: 1\nFoo: 2\nCookie: a=1\nCookie: b=2")
                    .origin(200, "", "")
                    .heard("Foo: 1\nFoo: 2\nCookie: a=1; b=2"),
            ],
        ),
        scenario(
            "an empty line is no absent one where preferences are compared",
            [
                get("Accept-Language:\nAccept-Language: de")
                    .origin(200, "Cache-Control: max-age=60\nVary: Accept-Language", "any"),
                get("Accept-Language: de").origin(200, "Cache-Control: max-age=60\nVary: Accept-Language", "de"),
            ],
        ),
        scenario(
            "what programs take for their own settings reaches none, whatever is asked",
            [
                get("Proxy: http://evil.test\nX-Sendfile-Type: X-Accel-Redirect\nX-Accel-Mapping: /=/")
                    .origin(200, FRESH, "a")
                    .not_heard("proxy x-sendfile-type x-accel-mapping"),
                ask("POST", "/", "Proxy: http://evil.test\nHTTPS: on").origin(200, "", "").not_heard("proxy https"),
            ],
        ),
        scenario(
            "9111 4.3.1: ranges and conditions select nothing, as the origin is asked without them",
            [
                get("If-None-Match: \"x\"")
                    .origin(200, "Cache-Control: max-age=60\nVary: If-None-Match, Range", "abc")
                    .not_heard("if-none-match"),
                get("").is(200, "abc"),
                get("Range: bytes=0-0").is(206, "a"),
            ],
        ),
        scenario(
            "9110 4.2.3, 9111 4.4: a write reaches every spelling of its target",
            {
                let round = |stored, written| {
                    [ask("GET", stored, "").origin(200, FRESH, "a"), ask("PUT", written, "").origin(204, "", "")]
                };
                [("/~a", "/%7Ea"), ("/%7ea", "/~a"), ("/~a", "/b/../~a"), ("/%2F", "/%2f"), ("/~a", "/~a")]
                    .into_iter()
                    .flat_map(|(stored, written)| round(stored, written))
                    .collect::<Vec<_>>()
            },
        ),
        scenario(
            "9111 4.4: so do Location and Content-Location",
            [
                ask("GET", "/~a", "").origin(200, FRESH, "a"),
                ask("POST", "/w", "").origin(201, "Location: /%7ea#x", ""),
                ask("GET", "/~a", "").origin(200, FRESH, "b"),
                ask("POST", "/w", "").origin(201, "Content-Location: ./b/.%2e/%7Ea", ""),
                ask("GET", "/~a", "").origin(200, FRESH, "c"),
                ask("GET", "/~a", "").is(200, "c"),
            ],
        ),
        scenario(
            "9111 4.3.5: a HEAD that shows another validator makes what is stored stale",
            [
                get("").origin(200, "Cache-Control: max-age=60\nETag: \"a\"", "old"),
                ask("HEAD", "/", "Cache-Control: no-cache").origin(200, "Cache-Control: max-age=60\nETag: \"b\"", ""),
                get("").origin(200, "Cache-Control: max-age=60\nETag: \"b\"", "new").heard("If-None-Match: \"a\""),
                get("").is(200, "new"),
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
async fn by_the_tenants_rules() -> anyhow::Result<()> {
    let scenarios = [
        scenario(
            "9111 4.4: what is written, and what its response names, is what is stored by the rules of the key",
            [
                ask("GET", "/p?b=2&a=1", "").origin(200, FRESH, "a"),
                ask("GET", "/p?a=1&b=2&utm_x=1", "").is(200, "a"),
                ask("PUT", "/p?b=2&a=1", "").origin(204, "", ""),
                ask("GET", "/p?b=2&a=1", "").origin(200, FRESH, "b"),
                ask("DELETE", "/p?utm_y=9&a=1&b=2", "").origin(204, "", ""),
                ask("GET", "/p?b=2&a=1", "").origin(200, FRESH, "c"),
                ask("POST", "/w?utm_x=1", "").origin(201, "Location: p?b=2&utm_z=1&a=1", ""),
                ask("GET", "/p?b=2&a=1", "").origin(200, FRESH, "d"),
                ask("GET", "/p?a=1&b=2", "").is(200, "d"),
            ],
        ),
        scenario(
            "9111 4.3.5: a HEAD asks for what the key names",
            [
                ask("GET", "/p?b=2&a=1", "").origin(200, "Cache-Control: max-age=60\nETag: \"a\"", "old"),
                ask("HEAD", "/p?utm_x=1&b=2&a=1", "Cache-Control: no-cache").origin(200, "ETag: \"b\"", ""),
                ask("GET", "/p?a=1&b=2", "").origin(200, FRESH, "new"),
            ],
        ),
        scenario(
            "a name with an underscore that is listed passes, and counts as its twin",
            [
                get("X_Device: phone").origin(200, FRESH, "phone").heard("X_Device: phone"),
                get("X-Device: phone").is(200, "phone"),
                get("X-Device: tv").origin(200, FRESH, "tv"),
                get("Connection: x-device\nX_Device: tv").origin(200, FRESH, "none").not_heard("x_device"),
            ],
        ),
    ];
    let key = KeyRules {
        sort_query: true,
        ignore_params: vec!["utm_*".into()],
        fields: vec!["X-Device".into()],
        ..KeyRules::default()
    };
    let forward = ForwardRules { pass: vec!["x_device".into()], ..ForwardRules::default() };
    over_layer::run(&TenantConfig { key, forward, ..TenantConfig::default() }, &scenarios).await;
    let settings = "key = { sort_query = true, ignore_params = [\"utm_*\"], fields = [\"X-Device\"] }\n\
                    forward = { pass = [\"x_device\"] }";
    over_sockets::run(settings, &scenarios).await
}
