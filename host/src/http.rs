//! HTTP: what the standards say ([`semantics`]).

pub mod semantics;
