//! Waiting for what happens behind an answer. Whoever waits says for what, and gives up when their patience is at an end; how
//! long it takes until then is no test's business.

use std::thread;
use std::time::Duration;

/// How long anything may take before a test gives up: far longer than any of it takes on a machine with other things to do.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long until it is asked for again.
const STEP: Duration = Duration::from_millis(5);
/// How often it is asked for.
const TRIES: u128 = PATIENCE.as_millis() / STEP.as_millis();

/// Asks until it is so.
///
/// # Panics
/// When patience is at an end; `what` says what was waited for.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    found(what, async || is_so().await.then_some(())).await;
}

/// Looks for something until it is there.
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

/// The same for what holds its thread up while it is looked for; none when patience is at an end.
pub fn found_by_thread<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    (0..TRIES).find_map(|_| {
        let found = look();
        if found.is_none() {
            thread::sleep(STEP);
        }
        found
    })
}

/// Waits for what comes to an end by itself.
///
/// # Panics
/// As [`eventually`].
pub async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("waited in vain: {what}"),
    }
}
