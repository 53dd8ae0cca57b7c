//! The alarm: slots are free, entries wait, and none has come for a minute. Then something between the queue and this
//! worker is wrong that no error tells of, such as a paused consumer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::topology::lane_state;
use vp_shared::error::Chain;
use vp_shared::time::UtcTime;

use crate::run::Lane;
use crate::worker::Shared;

/// When a lane last got an entry, and since when it gets none although some wait.
#[derive(Debug)]
pub(crate) struct Supply(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// When something last came, or the last slot was last seen taken.
    served: Instant,
    starved_since: Option<UtcTime>,
}

impl Supply {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner { served: Instant::now(), starved_since: None }))
    }

    /// An entry has come, or none is wanted. True when that ends an alarm.
    pub(crate) fn served(&self) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.served = Instant::now();
        inner.starved_since.take().is_some()
    }

    /// Since when it is starved.
    pub(crate) fn starved_since(&self) -> Option<UtcTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).starved_since
    }

    fn silent_for(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).served.elapsed()
    }

    /// Begins an alarm; true when it is a new one.
    fn starves(&self) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = inner.starved_since.is_none();
        inner.starved_since.get_or_insert_with(clock::now);
        fresh
    }
}

/// Looks after the supply of all lanes until `end`.
pub(crate) async fn keep(shared: Arc<Shared>, lanes: Vec<Arc<Lane>>, end: CancellationToken) {
    let after = shared.config.starved_after;
    loop {
        if end.run_until_cancelled(sleep(after / 2)).await.is_none() {
            return;
        }
        for lane in &lanes {
            if end.run_until_cancelled(look(&shared, lane, after)).await.is_none() {
                return;
            }
        }
    }
}

async fn look(shared: &Shared, lane: &Lane, after: Duration) {
    let vp_id = &lane.vp_id;
    if lane.busy() >= lane.profile.slots || !lane.mode().is_open() {
        lane.supply.served();
        return;
    }
    if lane.supply.silent_for() < after {
        return;
    }
    let waiting: u64 = match lane_state(&shared.conn, vp_id).await {
        Ok(queues) => queues.values().map(|queue| queue.waiting).sum(),
        // Queues that are gone or do not answer are complained about by the lane's loop.
        Err(error) => {
            tracing::debug!(%vp_id, error = %Chain(&error), "could not look whether entries wait");
            return;
        }
    };
    let silent_seconds = lane.supply.silent_for().as_secs();
    if waiting == 0 {
        if lane.supply.served() {
            tracing::info!(%vp_id, "no entries wait any more");
        }
    } else if silent_seconds >= after.as_secs() && lane.mode().is_open() && lane.supply.starves() {
        tracing::warn!(
            worker_id = %shared.me.worker_id, %vp_id, waiting, silent_seconds, free = lane.profile.slots - lane.busy(),
            "entries wait and slots are free, and none comes: is the lane's consumer paused? see `vp doctor`"
        );
    }
}
