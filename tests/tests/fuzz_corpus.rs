//! The saved corpus of the fuzz target `requests`, and random conversations, through the same function.

#[path = "../../fuzz/src/requests.rs"]
mod requests;

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

/// Lines that mean something to a cache, so that random conversations get somewhere.
const LINES: [&str; 28] = [
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
    "if-range: \"1\"",
    "content-range: bytes 0-6/7",
    "content-range: bytes 0-6/20",
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
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        requests::converse(&bytes);
    }
}
