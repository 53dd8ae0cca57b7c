//! The six tools, one file each: input, steps, output. All are methods of [`crate::Dispatcher`].

mod artifact;
mod artifacts;
mod cancel;
mod dispatch;
mod get;
mod list;
mod wait;

use std::time::Duration;

use vp_nats::retry::Delays;
use vp_shared::retry::RetryDelay;

pub use artifact::{ArtifactContent, MAX_ARTIFACT_BYTES, as_text, parse_uri};
pub(crate) use artifacts::uri as artifact_uri;

/// For how long a tool tries to write to a mission that others write to.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries of a compare-and-set: long enough for the other writer to be done, short enough not to be
/// noticed.
fn contention() -> Delays {
    Delays::new(&RetryDelay { initial_ms: 2, multiplier: 2.0, max_ms: 200, jitter: 0.5 })
}
