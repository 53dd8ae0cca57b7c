//! Progress and output of running missions: not lifecycle, never compare-and-set, may be dropped.

use std::time::Duration;

use tokio::time::timeout;
use vp_shared::ids::{MissionId, VpId};

use crate::api::{Pick, read_message};
use crate::connect::Connection;
use crate::subject;
use crate::topology::PROGRESS;

/// Progress is dropped rather than waited for.
const PATIENCE: Duration = Duration::from_millis(100);
const READ_PATIENCE: Duration = Duration::from_secs(1);

/// Publishes a line of progress, unconfirmed; dropped when the client cannot take it at once.
pub async fn publish(conn: &Connection, vp_id: &VpId, mission_id: &MissionId, text: &str) {
    let publish = conn.client().publish(subject::progress(vp_id, mission_id), text.to_owned().into());
    if !matches!(timeout(PATIENCE, publish).await, Ok(Ok(()))) {
        tracing::debug!(%mission_id, %vp_id, "a line of progress was dropped");
    }
}

/// The last progress of a mission, if any is known.
pub async fn last(conn: &Connection, vp_id: &VpId, mission_id: &MissionId) -> Option<String> {
    let subject = subject::progress(vp_id, mission_id);
    match read_message(conn, PROGRESS, Pick::Last(&subject), READ_PATIENCE).await {
        Ok(found) => found.map(|message| String::from_utf8_lossy(&message.payload).into_owned()),
        Err(error) => {
            tracing::debug!(%mission_id, %vp_id, %error, "could not read progress");
            None
        }
    }
}
