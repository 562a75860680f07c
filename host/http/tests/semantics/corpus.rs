//! The saved corpus of the fuzz target for the field parsers, through the function that the target calls.

#[path = "../../../../fuzz/src/fields.rs"]
pub(crate) mod fields;

pub(crate) use fields::{fields_of, parse_everything};

#[test]
fn saved_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/fields");
    let files = std::fs::read_dir(folder).expect("the corpus is in the tree");
    let mut count = 0;
    for file in files {
        parse_everything(&std::fs::read(file.expect("a file").path()).expect("its bytes"));
        count += 1;
    }
    assert!(count >= 20, "{count} files");
}
