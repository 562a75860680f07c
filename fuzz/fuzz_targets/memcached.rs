//! What a memcached answers: whatever it is, reading it ends, and what is said of it is safe to show.

#![no_main]

#[path = "../src/memcached.rs"]
mod memcached;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memcached::look(bytes));
