//! The time, for who acts. Pure code gets it as an argument.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use vp_shared::ids::EventId;
use vp_shared::time::UtcTime;

/// For tests only: milliseconds, perhaps negative, by which this process's clock is wrong. It stands for a host whose
/// clock was never set: what asks [`now`] is wrong, timers and the kernel are not.
pub const OFFSET_ENV: &str = "VP_TEST_CLOCK_OFFSET_MS";

/// The time by this host's clock.
pub fn now() -> UtcTime {
    UtcTime::from_system(shifted(SystemTime::now(), offset_ms()))
}

fn offset_ms() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    *OFFSET.get_or_init(|| std::env::var(OFFSET_ENV).ok().and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn shifted(time: SystemTime, offset_ms: i64) -> SystemTime {
    let by = Duration::from_millis(offset_ms.unsigned_abs());
    let moved = if offset_ms < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    moved.unwrap_or(time)
}

/// A fresh event id.
pub fn event_id() -> EventId {
    EventId(uuid::Uuid::now_v7())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_wrong_in_both_directions() {
        let hour = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        assert_eq!(shifted(hour, 0), hour);
        assert_eq!(shifted(hour, 1_500), hour + Duration::from_millis(1_500));
        assert_eq!(shifted(hour, -1_500), hour - Duration::from_millis(1_500));
    }
}
