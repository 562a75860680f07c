//! Ranges: parts of what is stored whole, and parts that are stored, combined and completed.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, get, scenario};
use super::{over_layer, over_sockets};

const WHOLE: &str = "Cache-Control: max-age=60\nETag: \"a\"\nContent-Type: text/plain";
const START: &str = "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 0-4/10\nX: old";
const END: &str = "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 5-9/10\nX: new";

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "9110 14.2: parts of a stored response",
            [
                get("").origin(200, WHOLE, "0123456789"),
                get("Range: bytes=2-4").is(206, "234").has("Content-Range: bytes 2-4/10\nContent-Length: 3"),
                get("Range: bytes=7-").is(206, "789"),
                get("Range: bytes=-2").is(206, "89"),
                get("Range: bytes=5-99").is(206, "56789"),
                get("Range: lines=1-2").is(200, "0123456789"),
                get("Range: bytes=4-2").is(200, "0123456789"),
                get("Range: bytes=10-").is(416, "").has("Content-Range: bytes */10"),
                get("Range: bytes=0-1, 2-4").is(206, "01234").has("Content-Range: bytes 0-4/10"),
            ],
        ),
        scenario(
            "9110 13.1.5: If-Range",
            [
                get("").origin(200, WHOLE, "0123456789"),
                get("Range: bytes=0-1\nIf-Range: \"a\"").is(206, "01"),
                get("Range: bytes=0-1\nIf-Range: \"b\"").is(200, "0123456789"),
                get("Range: bytes=0-1\nIf-Range: W/\"a\"").is(200, "0123456789"),
                get("Range: bytes=0-1\nIf-None-Match: \"a\"").is(304, ""),
            ],
        ),
        scenario(
            "9111 3.3: a stored part answers what lies within it, and nothing else",
            [
                get("Range: bytes=0-4").origin(206, START, "01234").heard("Range: bytes=0-4"),
                get("Range: bytes=1-2").is(206, "12").has("Content-Range: bytes 1-2/10"),
                get("Range: bytes=3-6").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 3-6/10",
                    "3456",
                ),
                get("Range: bytes=2-6").is(206, "23456"),
            ],
        ),
        scenario(
            "9111 3.4: two parts are the whole",
            [
                get("Range: bytes=0-4").origin(206, START, "01234"),
                get("Range: bytes=5-").origin(206, END, "56789"),
                get("").is(200, "0123456789").has("X: new\nContent-Length: 10").lacks("content-range"),
            ],
        ),
        scenario(
            "9111 3.4: parts of different representations never are",
            [
                get("Range: bytes=0-4").origin(206, START, "01234"),
                get("Range: bytes=5-").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"b\"\nContent-Range: bytes 5-9/10",
                    "fghij",
                ),
                get("Range: bytes=0-4").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"b\"\nContent-Range: bytes 0-4/10",
                    "abcde",
                ),
            ],
        ),
        scenario(
            "9111 3.4: who asks for the whole gets the rest added to the part",
            [
                get("Range: bytes=0-4").origin(206, START, "01234"),
                get("")
                    .origin(206, END, "56789")
                    .is(200, "0123456789")
                    .heard("Range: bytes=5-\nIf-Range: \"a\"")
                    .has("X: new\nContent-Length: 10")
                    .lacks("content-range"),
                get("").is(200, "0123456789"),
                get("Range: bytes=4-5").is(206, "45"),
            ],
        ),
        scenario(
            "9111 3.4: or all of it anew where the origin has something else by now",
            [
                get("Range: bytes=0-4").origin(206, START, "01234"),
                get("").origin(200, "Cache-Control: max-age=60\nETag: \"b\"", "abc").heard("If-Range: \"a\""),
                get("").is(200, "abc"),
            ],
        ),
        scenario(
            "9111 3.4: without a strong validator nothing is added to it",
            [
                get("Range: bytes=0-4").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: W/\"a\"\nContent-Range: bytes 0-4/10",
                    "01234",
                ),
                get("").origin(200, WHOLE, "0123456789").not_heard("range if-range if-none-match"),
            ],
        ),
        scenario(
            "9110 15.3.7: a part that holds all bytes is the whole",
            [
                get("Range: bytes=0-")
                    .origin(206, "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 0-9/10", "0123456789")
                    .has("Content-Range: bytes 0-9/10"),
                get("").is(200, "0123456789").has("Content-Length: 10").lacks("content-range"),
                get("Range: bytes=2-3").is(206, "23").has("Content-Range: bytes 2-3/10"),
                get("If-None-Match: \"a\"").is(304, ""),
            ],
        ),
        scenario(
            "9110 14.2: an origin that ignores Range",
            [get("Range: bytes=0-1").origin(200, WHOLE, "0123456789"), get("Range: bytes=0-1").is(206, "01")],
        ),
        scenario(
            "9110 15.3.7: a part that nobody asked for, or that says not which, is refused",
            [
                get("Range: bytes=0-4").origin(206, "Cache-Control: max-age=60", "01234").is(502, "origin-unsound\n"),
                get("").origin(206, START, "01234").is(502, "origin-unsound\n"),
                get("Range: bytes=0-4").origin(206, START, "01234"),
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
