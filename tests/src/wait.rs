//! Waiting for work that goes on behind an answer. A test names what it waits for, and gives up after [`PATIENCE`]; no
//! test depends on how long the work takes within that time.

use std::thread;
use std::time::Duration;

use sandbar::cache::Cache;

/// How long anything may take before a test gives up: far longer than it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two checks.
const STEP: Duration = Duration::from_millis(5);
/// How often is checked before a test gives up.
const TRIES: u128 = PATIENCE.as_millis() / STEP.as_millis();

/// Waits until `is_so` holds.
///
/// # Panics
/// After [`PATIENCE`]; `what` says what was waited for.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    found(what, async || is_so().await.then_some(())).await;
}

/// Waits until `look` finds something.
///
/// # Panics
/// As [`eventually`].
pub async fn found<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..TRIES {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(STEP).await;
    }
    panic!("waited in vain: {what}");
}

/// Waits until nothing goes on behind a cache's answers: what was fetched is stored, what was purged is swept.
///
/// # Panics
/// As [`eventually`].
pub async fn settled(cache: &Cache) {
    eventually("nothing is under way", async || cache.under_way() == 0).await;
}

/// Like [`found`], for a `look` that blocks its thread; none after [`PATIENCE`].
pub fn found_by_thread<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    (0..TRIES).find_map(|_| {
        let found = look();
        if found.is_none() {
            thread::sleep(STEP);
        }
        found
    })
}

/// Waits for a future.
///
/// # Panics
/// As [`eventually`].
pub async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("waited in vain: {what}"),
    }
}
