//! Progress and output of running missions: not lifecycle, never compare-and-set, may be dropped.

use vp_shared::ids::{MissionId, VpId};

use crate::connect::Connection;

/// Publishes a line of progress, unconfirmed.
pub async fn publish(conn: &Connection, vp_id: &VpId, mission_id: &MissionId, text: &str) {
    let _ = (conn, vp_id, mission_id, text);
    todo!()
}

/// The last progress of a mission, if any is known.
pub async fn last(conn: &Connection, vp_id: &VpId, mission_id: &MissionId) -> Option<String> {
    let _ = (conn, vp_id, mission_id);
    todo!()
}
