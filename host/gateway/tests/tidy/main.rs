//! Rules for the sources of all host crates that no compiler checks.

mod cycles;
mod errors;
mod sources;
