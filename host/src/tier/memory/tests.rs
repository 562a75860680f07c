//! The engine against policies that are honest, hostile, slow and watchful.

mod basics;
mod faults;
mod hostile;
mod knowledge;
mod model;
mod stress;
mod support;
mod swap;
