//! Validation: what the origin is asked, what a 304 changes, and what a client's own conditions get.

use sandbar::tenant::config::TenantConfig;
use sandbar_tests::gateway::{TestGateway, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::settled;

use super::scenario::{Scenario, ask, get, scenario};
use super::{over_layer, over_sockets};

const STALE: &str = "Cache-Control: max-age=60\nAge: 70\nETag: \"a\"\nX: old\nContent-Type: text/plain";

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "9111 4.3.1 and 3.2: by entity tag; a 304 brings all its fields but those of the content",
            [
                get("").origin(200, STALE, "a"),
                get("")
                    .origin(304, "Cache-Control: max-age=90\nETag: \"a\"\nX: new\nY: 1\nContent-Length: 7", "")
                    .is(200, "a")
                    .heard("If-None-Match: \"a\"")
                    .has("X: new\nY: 1\nContent-Length: 1\nCache-Control: max-age=90\nContent-Type: text/plain"),
                get("").is(200, "a").has("X: new\nY: 1\nContent-Length: 1"),
            ],
        ),
        scenario(
            "9111 4.3.1: by date",
            [
                get("").origin(200, "Cache-Control: max-age=60\nAge: 70\nLast-Modified: @-9000", "a"),
                get("").origin(304, "Cache-Control: max-age=60", "").is(200, "a").heard("If-Modified-Since: @-9000"),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9111 4.3.3: what has changed takes its place",
            [
                get("").origin(200, STALE, "a"),
                get("").origin(200, "Cache-Control: max-age=60\nETag: \"b\"", "b").heard("If-None-Match: \"a\""),
                get("").is(200, "b"),
            ],
        ),
        scenario(
            "9111 5.2.2.4: no-cache is stored and validated on every use",
            [
                get("").origin(200, "Cache-Control: no-cache\nETag: \"a\"", "a"),
                get("").origin(304, "ETag: \"a\"", "").is(200, "a").heard("If-None-Match: \"a\""),
                get("").origin(304, "ETag: \"a\"", "").is(200, "a").heard("If-None-Match: \"a\""),
            ],
        ),
        scenario(
            "9111 5.2.2.4: a field without which it would be another response can't be left out: all of it is meant",
            [
                get("Foo: 1").origin(
                    200,
                    "Cache-Control: max-age=60, no-cache=\"vary\"\nVary: Foo\nETag: \"a\"",
                    "one",
                ),
                get("Foo: 1")
                    .origin(304, "Cache-Control: max-age=60\nETag: \"a\"", "")
                    .is(200, "one")
                    .heard("If-None-Match: \"a\"")
                    .has("Vary: Foo"),
                get("Foo: 2").origin(200, "Cache-Control: max-age=60\nVary: Foo", "two"),
                ask("GET", "/b", "").origin(
                    200,
                    "Cache-Control: max-age=60, private=\"Content-Encoding\"\nContent-Encoding: x",
                    "coded",
                ),
                ask("GET", "/b", "").origin(200, "Cache-Control: max-age=60", "plain"),
            ],
        ),
        scenario(
            "9111 4.3.1: conditions of the client make way for those of the cache",
            [
                get("If-None-Match: \"x\"\nIf-Modified-Since: @-5")
                    .origin(200, STALE, "a")
                    .not_heard("if-none-match if-modified-since"),
                get("If-None-Match: \"x\"").origin(304, "ETag: \"a\"", "").is(200, "a").heard("If-None-Match: \"a\""),
            ],
        ),
        scenario(
            "9111 4.3.2 and 9110 13.1.2: a client that has it gets 304, without what is about the content",
            [
                get("").origin(
                    200,
                    "Cache-Control: max-age=60\nETag: W/\"a\"\nLast-Modified: @-9\nContent-Type: t",
                    "a",
                ),
                get("If-None-Match: \"b\", W/\"a\"")
                    .is(304, "")
                    .has("ETag: W/\"a\"\nCache-Control: max-age=60")
                    .lacks("content-type last-modified"),
                get("If-None-Match: \"b\"\nIf-Modified-Since: @-1").is(200, "a"),
                get("If-None-Match: *").is(304, ""),
            ],
        ),
        scenario(
            "9111 4.3.2 and 9110 13.1.3: by date, in any of its forms",
            [
                get("").origin(200, "Cache-Control: max-age=60\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "a"),
                get("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT").is(304, ""),
                get("If-Modified-Since: Sunday, 06-Nov-94 08:49:38 GMT").is(304, ""),
                get("If-Modified-Since: Sun Nov  6 08:49:36 1994").is(200, "a"),
                get("If-Modified-Since: yesterday").is(200, "a"),
            ],
        ),
        scenario(
            "9111 4.3.2: If-Match and If-Unmodified-Since are the origin's to judge",
            [
                get("").origin(200, "Cache-Control: max-age=60\nETag: \"a\"", "a"),
                get("If-Match: \"b\"").origin(412, "", "no").heard("If-Match: \"b\""),
                get("").is(200, "a"),
            ],
        ),
        scenario(
            "9111 4.3.4: a 304 that repeats no validator is taken at its word",
            [
                get("").origin(200, "Cache-Control: no-cache\nLast-Modified: @-9000", "a"),
                get("").origin(304, "", "").is(200, "a"),
            ],
        ),
        scenario(
            "9111 4.3.5: HEAD freshens what is stored, or outdates it",
            [
                get("").origin(200, STALE, "a"),
                ask("HEAD", "/", "").origin(
                    200,
                    "Cache-Control: max-age=60\nETag: \"a\"\nX: new\nContent-Length: 1",
                    "",
                ),
                get("").is(200, "a").has("X: new"),
                ask("HEAD", "/", "Cache-Control: no-cache").origin(200, "Cache-Control: max-age=60\nETag: \"b\"", ""),
                get("").origin(200, "Cache-Control: max-age=60\nETag: \"b\"", "b"),
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

/// A stale response that has left L1 comes back from L2 to be validated, for as long as `keep_for_validation` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_left_l1_is_validated_from_l2() -> anyhow::Result<()> {
    let origin = Origin::start(|request| match request.field("if-none-match") {
        Some(_) => Reply::status(304).field("etag", "\"a\""),
        None => Reply::ok("a").field("cache-control", "max-age=60").field("age", "70").field("etag", "\"a\""),
    })
    .await?;
    for (settings, validated) in [("", true), ("keep_for_validation = \"0s\"", false)] {
        let settings = one_tenant_over("[l2]\nkind = \"disk\"\n", &origin.url(), settings);
        let gateway = TestGateway::start(&settings).await?;
        gateway.client("shop.test").get("/").await?;
        settled(gateway.cache()).await;
        gateway.drop_l1();
        let asked = origin.requests();
        assert_eq!(gateway.client("shop.test").get("/").await?.text(), "a");
        assert_eq!(origin.requests(), asked + 1);
        let last = origin.seen().pop().map(|seen| seen.field("if-none-match").is_some());
        assert_eq!(last, Some(validated), "{settings}");
    }
    Ok(())
}
