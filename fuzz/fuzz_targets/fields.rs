//! Any bytes through every field parser: none panics, and no answer breaks what must hold of it.

#![no_main]

#[path = "../src/fields.rs"]
mod fields;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fields::parse_everything(bytes));
