//! Empty: this crate consists of its benches.
