//! Any conversation through the request path: every request is answered, and no body answers for another target.

#![no_main]

#[path = "../src/requests.rs"]
mod requests;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| requests::converse(bytes));
