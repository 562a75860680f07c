//! Files by which processes keep each other out of a directory.

use std::fs::{File, TryLockError};
use std::time::Duration;

/// How often, and after what pause, it is tried to take a lock that another process has: one that is just stopping
/// releases it in a moment.
const TRIES: (u32, Duration) = (20, Duration::from_millis(100));

/// Locks a file for this process alone, until it is closed. Blocks its thread for two seconds at most.
///
/// # Errors
/// When another process has it all that time, or the operating system refuses.
pub fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES.0 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRIES.1),
            other => return other,
        }
    }
    file.try_lock()
}
