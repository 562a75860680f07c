//! Any pattern, repeated: what it costs grows with its length, not with the square of it.

#![no_main]

#[path = "../src/cost.rs"]
mod cost;
#[path = "../src/fields.rs"]
mod fields;
#[path = "../src/proportion.rs"]
mod proportion;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cost::grows_with_length(bytes));
