//! The saved corpus of the fuzz target that reads a file of the journal, and random input of its kind.

#[path = "../../../fuzz/src/journal.rs"]
mod journal;

use std::path::Path;

use proptest::prelude::*;

/// Files of a journal, whole, torn and damaged.
fn corpus() -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/journal");
    let files = std::fs::read_dir(corpus).expect("the corpus is there");
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("it can be read")).collect()
}

#[test]
fn the_saved_files_hold() {
    let corpus = corpus();
    assert!(corpus.len() >= 6, "the corpus is there: {} files", corpus.len());
    corpus.iter().for_each(|file| journal::look(file));
}

proptest! {
    #[test]
    fn files_with_any_damage_hold(
        file in prop::sample::select(corpus()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = file;
        let len = file.len();
        for (at, with) in damage {
            file[at.index(len)] ^= with;
        }
        file.truncate(cut.index(len) + 1);
        journal::look(&file);
    }
}
