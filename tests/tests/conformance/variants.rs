//! `Vary`: variants side by side, and which requests are for the same one.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, get, scenario};
use super::{over_layer, over_sockets};

const BY_FOO: &str = "Cache-Control: max-age=60\nVary: Foo";
const BY_LANGUAGE: &str = "Cache-Control: max-age=60\nVary: Accept-Language";

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "9111 4.1: variants are kept side by side, absence is a value of its own",
            [
                get("Foo: 1").origin(200, BY_FOO, "one"),
                get("Foo: 2").origin(200, BY_FOO, "two"),
                get("").origin(200, BY_FOO, "none"),
                get("Foo: 1\nOther: 3").is(200, "one"),
                get("Foo: 2").is(200, "two"),
                get("").is(200, "none"),
                get("Foo:").origin(200, BY_FOO, "empty"),
            ],
        ),
        scenario(
            "9111 4.1: all fields of all lines count",
            [
                get("A: 1\nB: 1").origin(200, "Cache-Control: max-age=60\nVary: a\nVary: B", "11"),
                get("A: 1\nB: 2").origin(200, "Cache-Control: max-age=60\nVary: B, A", "12"),
                get("B: 1\nA: 1").is(200, "11"),
            ],
        ),
        scenario("9111 4.1: a star anywhere never matches", {
            let stars = [
                "Cache-Control: max-age=60\nVary: *",
                "Cache-Control: max-age=60\nVary: Foo, *",
                "Cache-Control: max-age=60\nVary: , *",
                "Cache-Control: max-age=60\nVary:\nVary: *",
            ];
            stars.map(|fields| get("Foo: 1").origin(200, fields, "a")).to_vec()
        }),
        scenario(
            "9111 4.1: white space and lines mean nothing",
            [
                get("Foo: 1,2").origin(200, BY_FOO, "a"),
                get("Foo: 1, 2").is(200, "a"),
                get("Foo: 1\nFoo: 2").is(200, "a"),
                get("Foo: 2, 1").origin(200, BY_FOO, "b"),
            ],
        ),
        scenario(
            "9110 12.5.4: of languages neither order nor case",
            [
                get("Accept-Language: en, de").origin(200, BY_LANGUAGE, "a"),
                get("Accept-Language:  De ,EN").is(200, "a"),
                get("Accept-Language: de, en;q=0.5").origin(200, BY_LANGUAGE, "b"),
            ],
        ),
        scenario(
            "9111 4.3.1: the variant that was selected is the one that is validated",
            [
                get("Foo: 1").origin(200, "Cache-Control: max-age=60\nVary: Foo\nAge: 70\nETag: \"one\"", "one"),
                get("Foo: 2").origin(200, BY_FOO, "two").not_heard("if-none-match"),
                get("Foo: 1")
                    .origin(304, "Cache-Control: max-age=60\nVary: Foo\nETag: \"one\"", "")
                    .is(200, "one")
                    .heard("Foo: 1\nIf-None-Match: \"one\""),
                get("Foo: 1").is(200, "one"),
                get("Foo: 2").is(200, "two"),
            ],
        ),
        scenario(
            "9111 4.1: an origin that changes its mind about Vary",
            [
                get("Foo: 1\nBar: 1").origin(200, BY_FOO, "one"),
                get("Foo: 2\nBar: 1").origin(200, "Cache-Control: max-age=60\nVary: Bar", "bar"),
                get("Foo: 1\nBar: 2").is(200, "one"),
                get("Foo: 3\nBar: 1").is(200, "bar"),
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
