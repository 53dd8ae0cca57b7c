//! Hints that something was published on missions' subjects: pushed, unconfirmed, also for publishes that the
//! stream then refuses. Whoever gets one reads the log before acting.

use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::EventKind;

use crate::connect::Connection;
use crate::subject::MissionSubject;

/// A subscription to missions' subjects.
#[derive(Debug)]
pub struct MissionWatch {
    subscriber: futures_util::stream::SelectAll<async_nats::Subscriber>,
}

/// Why a watch could not begin.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not subscribe to {subject}: {why}")]
pub struct WatchError {
    /// The subject.
    pub subject: String,
    /// The client's words.
    pub why: String,
}

impl MissionWatch {
    /// Hints about one mission.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn mission(conn: &Connection, vp_id: &VpId, mission_id: &MissionId) -> Result<Self, WatchError> {
        let _ = (conn, vp_id, mission_id);
        todo!()
    }

    /// Hints about these kinds of events in a lane.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn lane(conn: &Connection, vp_id: &VpId, kinds: &[EventKind]) -> Result<Self, WatchError> {
        let _ = (conn, vp_id, kinds);
        todo!()
    }

    /// The next hint; `None` when the client has shut down. Cancel safe.
    pub async fn next(&mut self) -> Option<MissionSubject> {
        let _ = &mut self.subscriber;
        todo!()
    }
}
