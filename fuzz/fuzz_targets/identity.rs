//! Any two requests: neither is given what the origin said to the other because of something that is not in the key.

#![no_main]

#[path = "../src/identity.rs"]
mod identity;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| identity::answers_belong_to_their_requests(bytes));
