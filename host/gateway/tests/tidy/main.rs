//! What the sources of all crates of the host keep to, and no compiler checks.

mod cycles;
mod errors;
mod sources;
