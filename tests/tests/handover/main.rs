//! The program hands over to a new process of itself while requests run.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod failures;
mod fleet;
mod load;
mod managed;
mod purges;
mod served;
mod tunnels;
mod under_load;
