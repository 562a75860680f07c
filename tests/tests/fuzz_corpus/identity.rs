//! The saved corpus of the fuzz target for what identifies a response, and random pairs of requests, through the function
//! that the target calls.

use proptest::prelude::*;

#[path = "../../../fuzz/src/identity.rs"]
mod pairs;

#[test]
fn saved_pairs_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/identity");
    let files = std::fs::read_dir(folder).expect("the corpus is in the tree");
    let mut count = 0;
    for file in files {
        pairs::answers_belong_to_their_requests(&std::fs::read(file.expect("a file").path()).expect("its bytes"));
        count += 1;
    }
    assert!(count >= 40, "{count} files");
}

/// Names that mean something here, with what is written for a `-` in them.
const NAMES: [&str; 14] = [
    "accept-language",
    "connection",
    "connection",
    "cookie",
    "forwarded",
    "keep-alive",
    "te",
    "via",
    "x-a",
    "x-device",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-original-url",
];

const VALUES: [&str; 8] = ["", "de", "x-a, x-device", "accept-language", "x_a", "cookie", "lang=de; a=1", "evil.test"];

fn name() -> impl Strategy<Value = String> {
    let separators = prop::sample::select(&["-", "-", "-", "_", ".", "~"][..]);
    (prop::sample::select(&NAMES[..]), separators).prop_map(|(name, separator)| name.replace('-', separator))
}

fn head() -> impl Strategy<Value = String> {
    let line = (name(), prop::sample::select(&VALUES[..])).prop_map(|(name, value)| format!("{name}: {value}"));
    prop::collection::vec(line, 0..4).prop_map(|lines| ["a".to_owned(), lines.join("\n")].join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_pairs_hold(vary in prop::collection::vec(name(), 0..3), first in head(), second in head()) {
        let bytes = [vary.join(","), first, second].join("\0");
        pairs::answers_belong_to_their_requests(bytes.as_bytes());
    }
}
