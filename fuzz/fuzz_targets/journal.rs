//! A file of the journal: whatever is in it, reading it ends, and nothing is given out that is not whole.

#![no_main]

#[path = "../src/journal.rs"]
mod journal;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| journal::look(bytes));
