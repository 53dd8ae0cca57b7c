//! The time, for who acts. Pure code gets it as an argument.

use std::time::SystemTime;

use vp_shared::ids::EventId;
use vp_shared::time::UtcTime;

/// The time by this host's clock.
pub fn now() -> UtcTime {
    UtcTime::from_system(SystemTime::now())
}

/// A fresh event id.
pub fn event_id() -> EventId {
    EventId(uuid::Uuid::now_v7())
}
