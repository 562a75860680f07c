//! Any pattern, repeated: the cost of reading it grows with its length, not with the square of the length.

#![no_main]

#[path = "../src/cost.rs"]
mod cost;
#[path = "../src/fields.rs"]
mod fields;
#[path = "../src/proportion.rs"]
mod proportion;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cost::grows_with_length(bytes));
