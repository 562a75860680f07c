//! Asks the server again and again until it answers what is waited for: what other nodes do shows in nothing else.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Asks until the answer `is_settled`, with pauses that double from the first of `pauses` to the last; for `patience` at the
/// longest, then once more.
pub(super) async fn until_settled<T, A: Future<Output = T>>(
    pauses: RangeInclusive<Duration>,
    patience: Duration,
    is_settled: impl Fn(&T) -> bool,
    ask: impl Fn() -> A,
) -> T {
    let asking = async {
        let mut pause = *pauses.start();
        loop {
            let answer = ask().await;
            if is_settled(&answer) {
                return answer;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(*pauses.end());
        }
    };
    match tokio::time::timeout(patience, asking).await {
        Ok(settled) => settled,
        Err(_) => ask().await,
    }
}
