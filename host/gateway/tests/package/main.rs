//! The program as a package: what scripts and shells are promised of its commands, and the files that come with it.

mod archives;
mod json;
mod program;
mod shell;
mod units;
