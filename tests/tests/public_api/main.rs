//! The public API of the library as a golden file: what is promised changes on purpose, or not at all.
//!
//! The list is made from the sources, not by rustdoc (whose JSON needs a nightly toolchain): from `lib.rs` along `pub mod` and
//! `pub use`, into the other crates of the workspace as far as the library shows them. What is `#[doc(hidden)]` is not
//! promised and not listed. Features are those that are on by default.

mod list;
mod print;
mod source;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use self::list::Listing;

/// Traits that policies of the program's own implement: they may change until the contract of guests is frozen.
const UNSTABLE: [&str; 5] = [
    "sandbar::policy::eviction",
    "sandbar::policy::freshness",
    "sandbar::policy::invalidation",
    "sandbar::policy::settings",
    "sandbar::tier",
];

/// Setting this to anything makes the list the new golden file.
const BLESS: &str = "SANDBAR_BLESS";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn listing() -> Listing {
    Listing::of(&root(), "sandbar")
}

#[test]
fn the_public_api_is_what_the_golden_file_says() {
    let mut now = String::from(
        "# What the crate `sandbar` promises; `unstable` may change before the contract of guests is frozen.\n",
    );
    for line in listing().lines() {
        let path = line.split(' ').find(|word| word.starts_with("sandbar::")).unwrap_or_default();
        let unstable =
            UNSTABLE.iter().any(|module| path.strip_prefix(module).is_some_and(|rest| rest.starts_with([':', '<'])));
        let mark = if unstable { "unstable " } else { "" };
        writeln!(now, "{mark}{line}").expect("text");
    }
    let golden = root().join("tests/data/public-api/sandbar.txt");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&golden, &now).expect("the golden file can be written");
    }
    let before = std::fs::read_to_string(&golden).unwrap_or_default();
    let gone = before.lines().filter(|line| !now.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let come = now.lines().filter(|line| !before.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    let changes: Vec<String> = gone.chain(come).collect();
    assert!(
        changes.is_empty() && before == now,
        "the public API is not what {} says:\n{}\nIf that is meant, bless it, and say so in CHANGELOG.md:\n  \
         {BLESS}=1 cargo test --release --workspace --test public_api",
        golden.display(),
        changes.join("\n")
    );
}

#[test]
fn each_type_has_one_public_path() {
    let twice = listing().with_several_paths();
    assert!(twice.is_empty(), "keep one public path of each, or hide the others from the docs:\n{}", twice.join("\n"));
}
