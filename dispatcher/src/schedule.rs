//! When a mission may start and until when it must end.

use std::time::Duration;

use vp_shared::api::{ErrorCode, ToolError};
use vp_shared::mission::MAX_DEADLINE;
use vp_shared::time::UtcTime;

/// How long after its start a mission must end, when its caller said nothing.
const DEFAULT_DEADLINE: Duration = Duration::from_hours(7 * 24);

/// The times of a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// When it is to be queued, if not at once.
    pub(crate) start_at: Option<UtcTime>,
    /// When it fails, if it has not ended.
    pub(crate) deadline: UtcTime,
}

/// Decides the times. A `not_before` that has passed is now; without a `deadline` it is 7 days after the start, and
/// at most 30 days from now.
///
/// # Errors
/// `unsupported_schedule`, naming the field.
pub(crate) fn schedule(
    not_before: Option<UtcTime>,
    deadline: Option<UtcTime>,
    now: UtcTime,
) -> Result<Schedule, ToolError> {
    let last = now.plus(MAX_DEADLINE);
    let start_at = not_before.filter(|at| *at > now);
    if let Some(at) = start_at.filter(|at| *at >= last) {
        return Err(refused(
            "not_before",
            format_args!("{at} is more than 30 days away; the last moment is {last}"),
        ));
    }
    let start = start_at.unwrap_or(now);
    let deadline = deadline.unwrap_or_else(|| start.plus(DEFAULT_DEADLINE).min(last));
    if deadline <= now {
        return Err(refused("deadline", format_args!("{deadline} has passed; it is {now}")));
    }
    if deadline <= start {
        return Err(refused("deadline", format_args!("{deadline} is not after `not_before`, {start}")));
    }
    if deadline > last {
        return Err(refused(
            "deadline",
            format_args!("{deadline} is more than 30 days away; the last moment is {last}"),
        ));
    }
    Ok(Schedule { start_at, deadline })
}

fn refused(field: &str, why: std::fmt::Arguments<'_>) -> ToolError {
    ToolError::new(ErrorCode::UnsupportedSchedule, format!("`{field}`: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn at(micros: i64) -> UtcTime {
        UtcTime::from_micros(100 * DAY + micros)
    }

    #[test]
    fn without_words_a_mission_starts_now_and_has_seven_days() {
        let times = schedule(None, None, at(0)).unwrap();
        assert_eq!(times, Schedule { start_at: None, deadline: at(7 * DAY) });
    }

    #[test]
    fn a_start_in_the_past_is_now() {
        for past in [-DAY, -1, 0] {
            assert_eq!(schedule(Some(at(past)), None, at(0)).unwrap().start_at, None, "{past}");
        }
        assert_eq!(schedule(Some(at(1)), None, at(0)).unwrap().start_at, Some(at(1)));
    }

    #[test]
    fn seven_days_count_from_the_start_and_end_with_the_thirtieth() {
        assert_eq!(schedule(Some(at(10 * DAY)), None, at(0)).unwrap().deadline, at(17 * DAY));
        assert_eq!(schedule(Some(at(29 * DAY)), None, at(0)).unwrap().deadline, at(30 * DAY));
    }

    #[test]
    fn times_that_cannot_be_kept_are_refused_by_name() {
        for (not_before, deadline, field) in [
            (None, Some(0), "deadline"),
            (None, Some(-1), "deadline"),
            (None, Some(30 * DAY + 1), "deadline"),
            (Some(2 * DAY), Some(2 * DAY), "deadline"),
            (Some(2 * DAY), Some(DAY), "deadline"),
            (Some(30 * DAY), None, "not_before"),
            (Some(i64::MAX / 4), None, "not_before"),
        ] {
            let error = schedule(not_before.map(at), deadline.map(at), at(0)).unwrap_err();
            assert_eq!(error.code, ErrorCode::UnsupportedSchedule);
            assert!(error.message.starts_with(&format!("`{field}`")), "{not_before:?} {deadline:?}: {error}");
        }
        assert!(schedule(None, Some(at(30 * DAY)), at(0)).is_ok());
    }
}
