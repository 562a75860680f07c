//! Any request as the origin sees it: key and variant are those of what is forwarded.

#![no_main]

#[path = "../src/views.rs"]
mod views;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| views::look(bytes));
