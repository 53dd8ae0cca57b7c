//! A notice for tests.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use vp_shared::ids::{MissionId, NoticeId, SessionId};
use vp_shared::mission::Status;
use vp_shared::notice::Notice;

/// A notice of its own for each `key`, which is its objective; not all of it is ASCII.
pub(super) fn notice(key: &str) -> Notice {
    let vp_id = "vp.coder.primary".parse().unwrap();
    let mission_id = MissionId::of_key(&vp_id, key);
    Notice {
        notice_id: NoticeId::of(&mission_id, "terminal"),
        session_id: SessionId::new("chat").unwrap(),
        turn_id: None,
        event: "vp.mission.completed".to_owned(),
        mission_id,
        vp_id,
        vp_name: "CODIE".to_owned(),
        status: Status::Completed,
        terminal: true,
        attempt: 1,
        time: vp_nats::clock::now(),
        objective: key.to_owned(),
        summary: None,
        failure: None,
        reason: None,
        result: None,
        text: "CODIE completed the r\u{e9}sum\u{e9}".to_owned(),
    }
}
