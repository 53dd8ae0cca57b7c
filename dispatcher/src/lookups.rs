//! What was looked up lately: who is alive, how long a queue is, and whether a lane is paused. At most a second old,
//! asked once however many callers want it, and never waited for longer than the limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use vp_nats::connect::Connection;
use vp_nats::lane_modes::{self, LaneModeError};
use vp_nats::presence;
use vp_nats::topology::{QueueState, TopologyError, lane_state};
use vp_shared::api::Presence;
use vp_shared::error::Chain;
use vp_shared::ids::VpId;
use vp_shared::lane::LaneModeRecord;
use vp_shared::tier::Tier;

/// How old an answer about presence may be.
const PRESENCE_AGE: Duration = Duration::from_secs(1);
/// How old an answer about a queue may be; in between a few missions more than the limit may slip in.
const QUEUE_AGE: Duration = Duration::from_millis(200);

/// How old an answer about a lane's mode may be.
const MODE_AGE: Duration = Duration::from_secs(1);

/// The queues of a lane, by tier.
pub(crate) type Queues = BTreeMap<Tier, QueueState>;

/// How the queues of a lane stand, or why that is not known.
#[derive(Debug, Clone)]
pub(crate) enum LaneQueues {
    /// As the server tells.
    Known(Arc<Queues>),
    /// The lane has no queue: the admin step has not been run for it.
    Missing,
    /// The server did not tell in time.
    Unknown,
}

/// When the workers were looked at, and what was seen, if it was.
type PresenceLook = (Instant, Option<Arc<Vec<Presence>>>);

/// Whether a lane starts missions, or that this is not known.
#[derive(Debug, Clone)]
pub(crate) enum LaneStarts {
    /// It does.
    Open,
    /// It does not.
    Closed(LaneModeRecord),
    /// The server did not tell, or not in time.
    Unknown,
}

/// When a lane's mode was looked at, and what was seen.
type ModeLook = (Instant, LaneStarts);

/// The looks and their last answers.
#[derive(Debug)]
pub(crate) struct Lookups {
    conn: Connection,
    limit: Duration,
    presence: Mutex<Option<PresenceLook>>,
    queues: Mutex<BTreeMap<VpId, (Instant, LaneQueues)>>,
    modes: Mutex<BTreeMap<VpId, ModeLook>>,
}

impl Lookups {
    pub(crate) fn new(conn: &Connection, limit: Duration) -> Self {
        Self {
            conn: conn.clone(),
            limit,
            presence: Mutex::default(),
            queues: Mutex::default(),
            modes: Mutex::default(),
        }
    }

    /// All workers that are alive; `None` when that could not be learned in time.
    pub(crate) async fn presence(&self) -> Option<Arc<Vec<Presence>>> {
        let mut last = self.presence.lock().await;
        if let Some((_, known)) = last.as_ref().filter(|(at, _)| at.elapsed() < PRESENCE_AGE) {
            return known.clone();
        }
        let known = match timeout(self.limit, presence::list(&self.conn)).await {
            Ok(Ok(all)) => Some(Arc::new(all)),
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "workers' presence not read");
                None
            }
            Err(_) => {
                tracing::warn!(limit_ms = self.limit.as_millis(), "workers' presence not read in time");
                None
            }
        };
        *last = Some((Instant::now(), known.clone()));
        known
    }

    /// How the queues of a lane stand.
    pub(crate) async fn queues(&self, vp_id: &VpId) -> LaneQueues {
        let mut last = self.queues.lock().await;
        if let Some((_, known)) = last.get(vp_id).filter(|(at, _)| at.elapsed() < QUEUE_AGE) {
            return known.clone();
        }
        let known = match timeout(self.limit, lane_state(&self.conn, vp_id)).await {
            Ok(Ok(queues)) => LaneQueues::Known(Arc::new(queues)),
            Ok(Err(TopologyError::Missing { asset })) => {
                tracing::warn!(%vp_id, asset, "lane has no queue");
                LaneQueues::Missing
            }
            Ok(Err(error)) => {
                tracing::warn!(%vp_id, error = %Chain(&error), "queues of the lane not read");
                LaneQueues::Unknown
            }
            Err(_) => {
                tracing::warn!(%vp_id, limit_ms = self.limit.as_millis(), "queues of the lane not read in time");
                LaneQueues::Unknown
            }
        };
        last.insert(vp_id.clone(), (Instant::now(), known.clone()));
        known
    }

    /// What keeps the lane from starting missions; `None` when nothing does, or when that could not be learned.
    pub(crate) async fn closed(&self, vp_id: &VpId) -> Option<LaneModeRecord> {
        match self.starts(vp_id).await {
            LaneStarts::Closed(record) => Some(record),
            LaneStarts::Open | LaneStarts::Unknown => None,
        }
    }

    /// Whether the lane starts missions.
    pub(crate) async fn starts(&self, vp_id: &VpId) -> LaneStarts {
        let mut last = self.modes.lock().await;
        if let Some((_, known)) = last.get(vp_id).filter(|(at, _)| at.elapsed() < MODE_AGE) {
            return known.clone();
        }
        // Boxed, so that every dispatch does not carry the room for it.
        let looked = timeout(self.limit, Box::pin(lane_modes::lookup(&self.conn, vp_id))).await;
        let known = match looked {
            Ok(Ok(record)) => {
                record.and_then(LaneModeRecord::if_closed).map_or(LaneStarts::Open, LaneStarts::Closed)
            }
            // Workers and `vp doctor` complain of it.
            Ok(Err(LaneModeError::NoBucket)) => LaneStarts::Open,
            Ok(Err(error)) => {
                tracing::warn!(%vp_id, error = %Chain(&error), "the lane's mode not read");
                LaneStarts::Unknown
            }
            Err(_) => {
                tracing::warn!(%vp_id, limit_ms = self.limit.as_millis(), "the lane's mode not read in time");
                LaneStarts::Unknown
            }
        };
        last.insert(vp_id.clone(), (Instant::now(), known.clone()));
        known
    }

    /// The lane's mode was set just now.
    pub(crate) async fn forget_mode(&self, vp_id: &VpId) {
        self.modes.lock().await.remove(vp_id);
    }
}

/// What the live workers of a lane have, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LaneWorkers {
    /// How many serve it and pull.
    pub(crate) pulling: usize,
    /// How many serve it and only finish what they have.
    pub(crate) draining: usize,
    /// The slots of those that pull.
    pub(crate) slots: u64,
    /// How many of these slots are in use.
    pub(crate) busy: u64,
}

impl LaneWorkers {
    /// Counts those of `all` that serve the lane.
    pub(crate) fn of(vp_id: &VpId, all: &[Presence]) -> Self {
        let mut workers = Self::default();
        for presence in all {
            let Some(lane) = presence.lanes.iter().find(|lane| lane.vp_id == *vp_id) else { continue };
            if presence.draining {
                workers.draining += 1;
            } else {
                workers.pulling += 1;
                workers.slots += u64::from(lane.slots);
                workers.busy += u64::from(lane.busy);
            }
        }
        workers
    }
}
