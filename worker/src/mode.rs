//! Whether lanes start missions, as operators want it: one watch for all lanes of a worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vp_nats::lane_modes::{LaneModeWatch, LaneModes};

use crate::error::WorkerError;
use crate::run::Lane;

/// How long a start waits to hear of the modes: without them it must not pull.
const START_PATIENCE: Duration = Duration::from_secs(6);

/// Hears of the modes once, before anything is pulled.
pub(crate) async fn first(watch: &mut LaneModeWatch, lanes: &[Arc<Lane>]) -> Result<(), WorkerError> {
    let modes = timeout(START_PATIENCE, watch.next()).await.map_err(|_| WorkerError::LaneModes)?;
    pass_on(&modes, lanes);
    Ok(())
}

/// Passes on what changes until `end`.
pub(crate) async fn keep(mut watch: LaneModeWatch, lanes: Vec<Arc<Lane>>, end: CancellationToken) {
    while let Some(modes) = end.run_until_cancelled(watch.next()).await {
        pass_on(&modes, &lanes);
    }
}

fn pass_on(modes: &LaneModes, lanes: &[Arc<Lane>]) {
    for lane in lanes {
        lane.set_mode(modes.of(&lane.vp_id));
    }
}
