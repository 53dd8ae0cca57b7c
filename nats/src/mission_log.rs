//! One mission in the MISSIONS stream: append with compare-and-set, read from the leader.

use std::sync::Arc;

use vp_shared::event::{BadEvent, Event};
use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::Mission;
use vp_shared::time::UtcTime;

use crate::connect::Connection;

/// The missions' log.
#[derive(Debug, Clone)]
pub struct MissionLog {
    conn: Connection,
}

/// An event is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its stream sequence: what the next writer of the mission must expect.
    pub seq: u64,
}

/// Why an event is not known to be in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody wrote to the mission in between. Nobody has lost yet: read the mission, fold, decide again.
    #[error("mission {mission_id} does not end with sequence {expected} any more: read it again and decide again")]
    Conflict {
        /// The mission.
        mission_id: MissionId,
        /// What this writer expected.
        expected: u64,
    },
    /// The server gave no final answer in time. Whether the event is stored is unknown.
    #[error("whether the `{event}` event of mission {mission_id} is stored is unknown after {tries} tries in {seconds:.1} s: \
             nats-server did not answer; ask for the mission before repeating")]
    Unknown {
        /// The mission.
        mission_id: MissionId,
        /// The event's kind.
        event: &'static str,
        /// How often it was sent.
        tries: u32,
        /// How long it was tried.
        seconds: f64,
        /// What the last try ended with.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// The server refuses it for good, such as a full store or a message too large: not stored.
    #[error("nats-server refused the `{event}` event of mission {mission_id}: {reason}")]
    Refused {
        /// The mission.
        mission_id: MissionId,
        /// The event's kind.
        event: &'static str,
        /// The server's own words.
        reason: String,
        /// True when it refuses for want of space.
        no_space: bool,
    },
}

/// Why a mission could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not read mission {mission_id} from the log in {seconds:.1} s: is nats-server reachable?")]
pub struct ReadError {
    /// The mission.
    pub mission_id: MissionId,
    /// How long it was tried.
    pub seconds: f64,
    /// What the last try ended with.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// A mission as its log tells it.
#[derive(Debug)]
pub struct LoggedMission {
    /// The fold of its events.
    pub mission: Mission,
    /// Its events with their sequences, in order.
    pub events: Vec<(u64, Event)>,
    /// Messages on its subjects that are no lawful events; stepped over.
    pub anomalies: Vec<(u64, LogAnomaly)>,
}

/// A message in the log that is not a lawful event.
#[derive(Debug, thiserror::Error)]
pub enum LogAnomaly {
    /// The body is no event.
    #[error(transparent)]
    Body(#[from] BadEvent),
    /// It may not happen in the state it met.
    #[error("a `{event}` event may not follow the state `{status}`")]
    Illegal {
        /// The event's kind.
        event: &'static str,
        /// The state it met.
        status: String,
    },
    /// Subject and body speak of different missions or events.
    #[error("the subject does not fit the body: {0}")]
    Subject(String),
}

impl MissionLog {
    /// The log behind this connection.
    pub fn new(conn: &Connection) -> Self {
        Self { conn: conn.clone() }
    }

    /// Appends `event`, if the mission still ends with sequence `expected` (0: it has no event yet).
    ///
    /// Sent again, same event, same id, same expectation, until the server answers; the wait between is jittered
    /// and the whole bounded (30 s). A refusal after an unanswered try is success when the last event is this one.
    ///
    /// # Errors
    /// [`AppendError`]. After `Conflict` nothing of this call is stored; after `Unknown` it may be.
    pub async fn append(&self, event: &Event, expected: u64) -> Result<Stored, AppendError> {
        let _ = (&self.conn, event, expected);
        todo!()
    }

    /// As [`Self::append`], and removes the mission's timer in the same publish: for what ends a scheduled mission.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_purging_timer(&self, event: &Event, expected: u64) -> Result<Stored, AppendError> {
        let _ = (event, expected);
        todo!()
    }

    /// One atomic batch: the `scheduled` event (with the expectation) and the timer that publishes `dispatched` at `at`.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_scheduled(
        &self,
        scheduled: &Event,
        dispatched: &Event,
        at: UtcTime,
        expected: u64,
    ) -> Result<Stored, AppendError> {
        let _ = (scheduled, dispatched, at, expected);
        todo!()
    }

    /// Reads the whole mission from the stream's leader. `None`: it has no event. "Absent" is not final while
    /// another writer's publish is in flight.
    ///
    /// # Errors
    /// [`ReadError`] when the leader did not answer in time (retried for 20 s through elections and restarts).
    pub async fn read(&self, vp_id: &VpId, mission_id: &MissionId) -> Result<Option<LoggedMission>, ReadError> {
        let _ = (vp_id, mission_id);
        todo!()
    }

    /// The lane of a mission known only by its id, from the leader.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn lane_of(&self, mission_id: &MissionId) -> Result<Option<VpId>, ReadError> {
        let _ = mission_id;
        todo!()
    }
}
