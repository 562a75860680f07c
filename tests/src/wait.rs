//! Waiting for what happens behind an answer.

use std::time::Duration;

/// Asks until it is so.
///
/// # Panics
/// When it is not so within 30 seconds; `what` says what was waited for.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain: {what}");
}
