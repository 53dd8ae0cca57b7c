//! Hints that something was published on missions' subjects: pushed, unconfirmed, also for publishes that the
//! stream then refuses. Whoever gets one reads the log before acting.
//!
//! Hints get lost with the connection, and what a timer fires is not published but only stored: whoever must not miss
//! anything reads the log after each reconnect, or follows it with a [`crate::reader`].

use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::EventKind;
use vp_shared::tier::Tier;

use crate::connect::Connection;
use crate::subject::{MissionFilter, MissionSubject, lane_events, lane_queue};

/// A subscription to missions' subjects.
#[derive(Debug)]
pub struct MissionWatch {
    subscriber: SelectAll<async_nats::Subscriber>,
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
    pub async fn mission(
        conn: &Connection,
        vp_id: &VpId,
        mission_id: &MissionId,
    ) -> Result<Self, WatchError> {
        Self::open(conn, vec![MissionFilter::new(vp_id, mission_id).as_str().to_owned()]).await
    }

    /// Hints about these kinds of events in a lane.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn lane(conn: &Connection, vp_id: &VpId, kinds: &[EventKind]) -> Result<Self, WatchError> {
        let subject = |kind: &EventKind| match kind {
            EventKind::Dispatched => Tier::ALL.map(|tier| lane_queue(vp_id, tier)).to_vec(),
            kind => vec![lane_events(vp_id, *kind)],
        };
        Self::open(conn, kinds.iter().flat_map(subject).collect()).await
    }

    async fn open(conn: &Connection, subjects: Vec<String>) -> Result<Self, WatchError> {
        let mut subscriber = SelectAll::new();
        for subject in subjects {
            match conn.client().subscribe(subject.clone()).await {
                Ok(one) => subscriber.push(one),
                Err(error) => return Err(WatchError { subject, why: error.to_string() }),
            }
        }
        Ok(Self { subscriber })
    }

    /// The next hint; `None` when the client has shut down. Cancel safe.
    pub async fn next(&mut self) -> Option<MissionSubject> {
        loop {
            let message = self.subscriber.next().await?;
            if let Ok(subject) = message.subject.parse() {
                return Some(subject);
            }
            tracing::debug!(subject = %message.subject, "passed over a subject that names no mission");
        }
    }
}
