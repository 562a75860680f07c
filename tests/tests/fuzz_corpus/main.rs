//! The saved corpora of the fuzz targets that ask a whole cache, and random input of their kind, through the same functions.

mod cost;
#[allow(dead_code, reason = "the fields alone are tested beside the rules")]
#[path = "../../../fuzz/src/fields.rs"]
mod fields;
mod identity;
#[path = "../../../fuzz/src/memcached.rs"]
mod memcached;
#[path = "../../../fuzz/src/proxy_header.rs"]
mod proxy_header;
#[path = "../../../fuzz/src/requests.rs"]
mod requests;
#[path = "../../../fuzz/src/views.rs"]
mod views;

use std::path::Path;

use proptest::prelude::*;

#[test]
fn the_saved_conversations_hold() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/requests");
    let mut held = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        requests::converse(&std::fs::read(file.unwrap().path()).unwrap());
        held += 1;
    }
    assert!(held >= 20, "the corpus is there: {held} conversations");
}

#[test]
fn the_saved_requests_are_looked_up_as_they_are_forwarded() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/views");
    let mut seen = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        views::look(&std::fs::read(file.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 16, "the corpus is there: {seen} requests");
}

#[test]
fn the_saved_proxy_headers_hold() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/proxy_header");
    let mut seen = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        proxy_header::look(&std::fs::read(file.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 20, "the corpus is there: {seen} headers");
}

#[test]
fn the_saved_answers_of_memcached_hold() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/memcached");
    let mut seen = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        memcached::look(&std::fs::read(file.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 8, "the corpus is there: {seen} answers");
}

/// How headers begin, whole or in part.
const BEGINNINGS: [&[u8]; 5] =
    [b"", b"PROXY ", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"];

proptest! {
    #[test]
    fn any_answer_of_memcached_is_read_and_safe_to_show(
        begin in prop::sample::select(&["", "VA ", "HD O", "EN O", "VERSION ", "SERVER_ERROR ", "STAT item_size_max "][..]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        memcached::look(&[begin.as_bytes(), &rest].concat());
    }

    #[test]
    fn any_proxy_header_is_read_within_its_bound(
        begin in prop::sample::select(&BEGINNINGS[..]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        proxy_header::look(&[begin, &rest].concat());
    }
}

/// What requests hold that try to be looked up as another than the origin sees.
const HEADS: [&str; 24] = [
    "connection: x-device",
    "connection: close, Accept-Language, cookie",
    "connection: host, if-range, cache-control",
    "accept-language: de",
    "accept_language: en",
    "accept.language: fr",
    "x-device: phone",
    "x_device: tablet",
    "x.device: tv",
    "x_foo: 1",
    "x-foo: 2",
    "cookie: lang=de",
    "cookie: a=1; lang=en",
    "x-forwarded-host: evil.test",
    "x_forwarded_host: evil.test",
    "x.forwarded.host: evil.test",
    "x-original-url: /admin",
    "x-http-method-override: DELETE",
    "forwarded: host=evil.test",
    "front_end_https: on",
    "range: bytes=0-1",
    "if-match: \"1\"",
    "te: trailers",
    "transfer_encoding: chunked",
];

const TARGETS: [&str; 10] = [
    "/",
    "/a?b=1&a=2&utm_x=3",
    "/%7Ea/../b",
    "http://A.test:080?x",
    "http://a.test.",
    "//b.test/x",
    "/a?%75tm_z&=&&a",
    "*",
    "http://u@a.test/",
    "/%2e%2e/%zz?%",
];

fn head() -> impl Strategy<Value = String> {
    let methods = prop::sample::select(&["GET", "HEAD", "POST", "OPTIONS"][..]);
    let lines = prop::collection::vec(prop::sample::select(&HEADS[..]), 0..8);
    (methods, prop::sample::select(&TARGETS[..]), lines)
        .prop_map(|(method, target, lines)| format!("{method} {target}\nhost: a.test\n{}", lines.join("\n")))
}

/// Lines that mean something to a cache, so that random conversations get somewhere.
const LINES: [&str; 31] = [
    "cache-control: max-age=60",
    "cache-control: max-age=2, stale-while-revalidate=30",
    "cache-control: max-age=2, stale-if-error=300",
    "cache-control: no-cache",
    "cache-control: no-store",
    "cache-control: private",
    "cache-control: only-if-cached, max-stale",
    "cache-control: s-maxage=5, must-revalidate",
    "cdn-cache-control: max-age=30",
    "expires: 0",
    "age: 40",
    "etag: \"1\"",
    "etag: W/\"2\"",
    "last-modified: Wed, 31 Dec 2025 00:00:00 GMT",
    "if-none-match: \"1\"",
    "if-modified-since: Thu, 01 Jan 2026 00:00:00 GMT",
    "if-match: \"1\"",
    "range: bytes=0-2",
    "range: bytes=-3",
    "range: bytes=14-30",
    "if-range: \"1\"",
    "content-range: bytes 0-6/7",
    "content-range: bytes 0-6/20",
    "content-range: bytes 14-20/40",
    "content-range: bytes 33-39/40",
    "vary: accept-language",
    "vary: *",
    "accept-language: en",
    "accept-language: de, en;q=0.5",
    "set-cookie: a=b",
    "location: /b",
];

fn exchange() -> impl Strategy<Value = Vec<u8>> {
    let lines = || prop::collection::vec(prop::sample::select(&LINES[..]), 0..5);
    (prop::array::uniform4(1_u8..), lines(), lines()).prop_map(|(knobs, asked, said)| {
        [&knobs[..], asked.join("\n").as_bytes(), b"\n\n", said.join("\n").as_bytes()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_conversations_hold(exchanges in prop::collection::vec(exchange(), 1..16)) {
        requests::converse(&exchanges.join(&0));
    }

    #[test]
    fn random_requests_are_looked_up_as_they_are_forwarded(head in head()) {
        views::look(head.as_bytes());
    }

    #[test]
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        requests::converse(&bytes);
    }
}
