//! Waiting for a fact, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a fact may take to come true on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// Asks until there is an answer; panics after [`PATIENCE`], saying what was waited for.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        sleep(POLL).await;
    }
}

/// As [`until`], for what is true or not.
pub async fn until_true(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    until(what, async || ask().await.then_some(())).await;
}
