//! Ranges: parts of what is stored whole, and parts that are stored, combined and completed.

use sandbar::tenant::config::TenantConfig;

use super::scenario::{Scenario, ask, get, scenario};
use super::{over_layer, over_sockets};

const WHOLE: &str = "Cache-Control: max-age=60\nETag: \"a\"\nContent-Type: text/plain";
const START: &str = "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 0-4/10\nX: old";
const FILE: &str = "Cache-Control: max-age=60\nETag: \"f\"";
const BYTES_0_3: &str = "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 0-3/20";
const BYTES_8_11: &str = "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 8-11/20";
const BYTES_16_19: &str = "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 16-19/20\nX: end";
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
                get("Range: bytes=3-6")
                    .origin(206, "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 5-6/10", "56")
                    .heard("Range: bytes=5-6\nIf-Range: \"a\"")
                    .is(206, "3456"),
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
            "9110 15.3.7.3: parts with gaps between them",
            [
                get("Range: bytes=0-3").origin(206, BYTES_0_3, "abcd"),
                get("Range: bytes=8-11").origin(206, BYTES_8_11, "ijkl").has("Content-Range: bytes 8-11/20"),
                get("Range: bytes=-4").origin(206, BYTES_16_19, "qrst").has("Content-Range: bytes 16-19/20"),
                get("Range: bytes=0-3").is(206, "abcd").has("Content-Range: bytes 0-3/20\nContent-Length: 4"),
                get("Range: bytes=9-10").is(206, "jk").has("Content-Range: bytes 9-10/20\nContent-Length: 2"),
                get("Range: bytes=18-").is(206, "st").has("Content-Range: bytes 18-19/20\nX: end"),
                get("Range: bytes=9-10\nIf-Range: \"f\"").is(206, "jk"),
                get("Range: bytes=9-10\nIf-None-Match: \"f\"").is(304, ""),
                get("Range: bytes=9-10\nIf-Range: \"g\"")
                    .origin(200, FILE, "abcdefghijklmnopqrst")
                    .heard("If-Range: \"g\""),
                get("Range: bytes=12-15").is(206, "mnop"),
            ],
        ),
        scenario(
            "9110 14.2: several ranges, HEAD, and the whole of something with gaps are the origin's",
            [
                get("Range: bytes=0-3").origin(206, BYTES_0_3, "abcd"),
                get("Range: bytes=8-11").origin(206, BYTES_8_11, "ijkl"),
                get("Range: bytes=0-1,8-9")
                    .origin(206, "Content-Type: multipart/byteranges; boundary=x\nCache-Control: max-age=60", "--x--")
                    .heard("Range: bytes=0-1,8-9"),
                ask("HEAD", "/", "Range: bytes=0-3").origin(200, "Cache-Control: no-store", ""),
                get("").origin(200, FILE, "abcdefghijklmnopqrst").not_heard("range if-range"),
                get("Range: bytes=4-7").is(206, "efgh"),
            ],
        ),
        scenario(
            "9111 3.4: of a range that is held in part the rest is fetched",
            [
                get("Range: bytes=0-3").origin(206, BYTES_0_3, "abcd"),
                get("Range: bytes=2-5\nIf-Range: \"f\"")
                    .origin(206, "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 4-5/20\nX: gap", "ef")
                    .heard("Range: bytes=4-5\nIf-Range: \"f\"")
                    .is(206, "cdef")
                    .has("Content-Range: bytes 2-5/20\nContent-Length: 4\nX: gap"),
                get("Range: bytes=0-5").is(206, "abcdef"),
                get("Range: bytes=8-11").origin(206, BYTES_8_11, "ijkl"),
                get("Range: bytes=5-9")
                    .origin(206, "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 6-7/20", "gh")
                    .heard("Range: bytes=6-7")
                    .is(206, "fghij"),
                get("Range: bytes=0-11").is(206, "abcdefghijkl").has("Content-Range: bytes 0-11/20"),
                get("Range: bytes=14-17").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 14-17/20",
                    "opqr",
                ),
                get("Range: bytes=10-19")
                    .origin(206, "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 10-19/20", "klmnopqrst")
                    .heard("Range: bytes=10-19")
                    .not_heard("if-range"),
                get("").is(200, "abcdefghijklmnopqrst").has("Content-Length: 20").lacks("content-range"),
                get("Range: bytes=3-4").is(206, "de"),
            ],
        ),
        scenario(
            "9111 3.4: the origin has another representation by then",
            [
                get("Range: bytes=0-3").origin(206, BYTES_0_3, "abcd"),
                get("Range: bytes=2-5")
                    .origin(200, "Cache-Control: max-age=60\nETag: \"g\"", "ABCDEFGH")
                    .heard("Range: bytes=4-5"),
                get("Range: bytes=2-5").is(206, "CDEF"),
            ],
        ),
        scenario(
            "9111 3.4: what is lacking in the middle or at the beginning is fetched for who asks for the whole",
            [
                get("Range: bytes=8-").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 8-19/20",
                    "ijklmnopqrst",
                ),
                get("Range: bytes=0-3").origin(206, BYTES_0_3, "abcd"),
                get("")
                    .origin(206, "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 4-7/20", "efgh")
                    .heard("Range: bytes=4-7\nIf-Range: \"f\"")
                    .is(200, "abcdefghijklmnopqrst")
                    .has("Content-Length: 20")
                    .lacks("content-range"),
                get("").is(200, "abcdefghijklmnopqrst"),
            ],
        ),
        scenario(
            "9111 3.4: another validator replaces all parts",
            [
                get("Range: bytes=0-3").origin(206, BYTES_0_3, "abcd"),
                get("Range: bytes=8-11").origin(206, BYTES_8_11, "ijkl"),
                get("Range: bytes=16-19").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"g\"\nContent-Range: bytes 16-19/20",
                    "QRST",
                ),
                get("Range: bytes=16-19").is(206, "QRST"),
                get("Range: bytes=0-3").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"g\"\nContent-Range: bytes 0-3/20",
                    "ABCD",
                ),
                get("Range: bytes=8-11").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: \"g\"\nContent-Range: bytes 8-11/20",
                    "IJKL",
                ),
                get("Range: bytes=0-3").is(206, "ABCD"),
            ],
        ),
        scenario(
            "9111 3.4: parts without a strong validator replace each other",
            [
                get("Range: bytes=0-3").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: W/\"f\"\nContent-Range: bytes 0-3/20",
                    "abcd",
                ),
                get("Range: bytes=8-11").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: W/\"f\"\nContent-Range: bytes 8-11/20",
                    "ijkl",
                ),
                get("Range: bytes=8-11").is(206, "ijkl"),
                get("Range: bytes=0-3").origin(
                    206,
                    "Cache-Control: max-age=60\nETag: W/\"f\"\nContent-Range: bytes 0-3/20",
                    "abcd",
                ),
            ],
        ),
        scenario(
            "9111 4.2: parts that are stale are forwarded as the range that was asked for, and are fresh with what comes",
            [
                get("Range: bytes=0-3").origin(206, BYTES_0_3, "abcd"),
                get("Range: bytes=8-11").after(30).origin(206, BYTES_8_11, "ijkl"),
                get("Range: bytes=0-3").after(59).is(206, "abcd"),
                get("Range: bytes=1-2")
                    .after(1)
                    .origin(206, "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 1-2/20", "bc")
                    .heard("Range: bytes=1-2"),
                get("Range: bytes=8-11").after(59).is(206, "ijkl"),
            ],
        ),
        scenario(
            "5861 4: or are served stale where the origin fails",
            [
                get("Range: bytes=0-3").origin(
                    206,
                    "Cache-Control: max-age=60, stale-if-error=60\nETag: \"f\"\nContent-Range: bytes 0-3/20",
                    "abcd",
                ),
                get("Range: bytes=8-11").origin(
                    206,
                    "Cache-Control: max-age=60, stale-if-error=60\nETag: \"f\"\nContent-Range: bytes 8-11/20",
                    "ijkl",
                ),
                get("Range: bytes=0-3").after(70).origin(503, "", "").is(206, "abcd"),
                get("Range: bytes=2-3").origin_fails().is(206, "cd"),
            ],
        ),
        scenario(
            "9110 14.4: a part with a byte less than its label is taken at its word at the end that is counted from",
            [
                get("Range: bytes=-5").origin(206, "Cache-Control: max-age=60\nContent-Range: bytes 4-9/10", "01234"),
                get("Range: bytes=-1").is(206, "4"),
                get("Range: bytes=6-8").is(206, "234"),
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

/// Of ten bytes at most: parts of a file of a hundred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_never_outgrow_the_bound() -> anyhow::Result<()> {
    let scenarios = [scenario(
        "operators: body_max is for all parts together",
        [
            get("Range: bytes=0-5").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 0-5/100",
                "abcdef",
            ),
            get("Range: bytes=20-23").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 20-23/100",
                "uvwx",
            ),
            get("Range: bytes=50-50")
                .origin(206, "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 50-50/100", "z")
                .has("Cache-Status: sandbar;fwd=partial;detail=body-too-large"),
            get("Range: bytes=4-8")
                .origin(206, "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 4-8/100", "efghi")
                .heard("Range: bytes=4-8"),
            get("Range: bytes=30-44").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 30-44/100",
                "123456789abcdef",
            ),
            get("Range: bytes=0-5").is(206, "abcdef"),
            get("Range: bytes=20-23").is(206, "uvwx"),
            get("Range: bytes=50-50").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"g\"\nContent-Range: bytes 50-50/100",
                "Z",
            ),
            get("Range: bytes=50-50").is(206, "Z"),
        ],
    )];
    let ten = TenantConfig { body_max: Some(sandbar::setting::Size::of(10)), ..TenantConfig::default() };
    over_layer::run(&ten, &scenarios).await;
    over_sockets::run("body_max = \"10B\"", &scenarios).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_nine_parts_the_smallest_goes() -> anyhow::Result<()> {
    let scenarios = [scenario(
        "9110 15.3.7.3: eight parts are kept",
        [
            get("Range: bytes=0-1").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 0-1/99",
                "00",
            ),
            get("Range: bytes=10-11").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 10-11/99",
                "11",
            ),
            get("Range: bytes=20-20").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 20-20/99",
                "2",
            ),
            get("Range: bytes=30-31").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 30-31/99",
                "33",
            ),
            get("Range: bytes=40-41").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 40-41/99",
                "44",
            ),
            get("Range: bytes=50-51").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 50-51/99",
                "55",
            ),
            get("Range: bytes=60-61").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 60-61/99",
                "66",
            ),
            get("Range: bytes=70-71").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 70-71/99",
                "77",
            ),
            get("Range: bytes=20-20").is(206, "2"),
            get("Range: bytes=80-80").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 80-80/99",
                "8",
            ),
            get("Range: bytes=80-80").is(206, "8"),
            get("Range: bytes=0-1").is(206, "00"),
            get("Range: bytes=10-11").is(206, "11"),
            get("Range: bytes=30-31").is(206, "33"),
            get("Range: bytes=70-71").is(206, "77"),
            get("Range: bytes=20-20").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 20-20/99",
                "2",
            ),
            get("Range: bytes=80-80").origin(
                206,
                "Cache-Control: max-age=60\nETag: \"f\"\nContent-Range: bytes 80-80/99",
                "8",
            ),
        ],
    )];
    over_layer::run(&TenantConfig::default(), &scenarios).await;
    over_sockets::run("", &scenarios).await
}
