//! The first bytes of a connection that a trusted proxy passes on: whatever they are, reading them ends.

#![no_main]

#[path = "../src/proxy_header.rs"]
mod proxy_header;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_header::look(bytes));
