//! What the journal promises, held against a file system that loses whatever it may.

mod api;
mod bounds;
mod crash;
mod damage;
mod double;
mod faults;
mod files;
mod kill;
mod model;
mod support;
mod threads;
