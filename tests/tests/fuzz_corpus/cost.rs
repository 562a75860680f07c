//! The saved corpus of the fuzz target for what input costs, through the function that the target calls.

#[path = "../../../fuzz/src/cost.rs"]
mod patterns;
#[path = "../../../fuzz/src/proportion.rs"]
mod proportion;

use super::fields;

#[test]
fn no_input_costs_the_square_of_its_length() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/cost");
    let files = std::fs::read_dir(folder).expect("the corpus is in the tree");
    let mut count = 0;
    for file in files {
        patterns::grows_with_length(&std::fs::read(file.expect("a file").path()).expect("its bytes"));
        count += 1;
    }
    assert!(count >= 70, "{count} files");
}
