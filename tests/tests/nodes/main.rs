//! Fleets of real processes: several nodes on one Redis, and what goes wrong between them.

mod cluster;
mod formats;
mod history;
mod power;
mod rolling;
mod stampede;
mod topology;
mod trouble;

use tokio::sync::{Mutex, MutexGuard};

/// Scenarios that load the machine or count milliseconds come one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other scenario runs; it is over when this is dropped.
async fn alone() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
