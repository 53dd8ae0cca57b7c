//! Starting while something else is not there yet: the server, its leader, room in its store, the ledger's database.
//!
//! What serves is started by a service manager, in any order, also beside a server that has trouble. It waits, says so,
//! and goes on by itself. A mistake, such as a wrong password, is told at once.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vp_nats::retry::Delays;
use vp_shared::retry::RetryDelay;

use crate::cli::say;
use crate::exit::{Exit, Failed};
use crate::shutdown;

/// From half a second to ten.
const DELAYS: RetryDelay = RetryDelay { initial_ms: 500, multiplier: 1.6, max_ms: 10_000, jitter: 0.3 };
/// How often it is said on stderr that it still waits; the log has each try.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Tries to start `what` until that succeeds, fails for good, or `wait` is over.
///
/// # Errors
/// The last failure; with [`Exit::Ok`] when it was asked to stop while it waited.
pub async fn start<T>(
    what: &str,
    wait: Duration,
    mut begin: impl AsyncFnMut() -> Result<T, Failed>,
) -> Result<T, Failed> {
    let (stop, deadline) = (shutdown::token(), Instant::now() + wait);
    let mut delays = Delays::new(&DELAYS);
    let mut said: Option<Instant> = None;
    loop {
        let failed = match begin().await {
            Ok(started) => {
                if said.is_some() {
                    tracing::info!(what, "what was waited for is there");
                }
                return Ok(started);
            }
            Err(failed) => failed,
        };
        let delay = delays.next().unwrap_or(DELAYS.max());
        if !may_pass(&failed) || Instant::now() + delay >= deadline {
            return Err(failed);
        }
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            said = Some(Instant::now());
            let left = deadline.saturating_duration_since(Instant::now()).as_secs();
            let hint = failed.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            say(format!("{what} waits, for {left} s at most: {}{hint}", failed.message));
        }
        tracing::warn!(what, error = failed.message, ?delay, "cannot start yet, trying again");
        if stop.run_until_cancelled(sleep(delay)).await.is_none() {
            return Err(Failed::new(Exit::Ok, format!("{what} was stopped before it could start")));
        }
    }
}

/// True when waiting can help without anybody doing anything here.
fn may_pass(failed: &Failed) -> bool {
    matches!(failed.exit, Exit::Unavailable | Exit::Temporary)
}
