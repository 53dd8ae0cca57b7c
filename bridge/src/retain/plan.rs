//! Which missions may leave the ledger, pure.

use vp_shared::ids::MissionId;
use vp_shared::mission::Status;
use vp_shared::time::UtcTime;

/// A mission of the ledger that may be old enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) born_pos: i64,
    pub(crate) mission_id: MissionId,
    pub(crate) status: Status,
    pub(crate) created_at: UtcTime,
    pub(crate) finished_at: Option<UtcTime>,
    /// The place of the last message about it.
    pub(crate) last_pos: i64,
}

/// What may go at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// What ended before.
    pub(crate) before: UtcTime,
    /// The first place that the log still holds.
    pub(crate) log_from: i64,
    /// The place of the first notice that is not sent.
    pub(crate) unsent_from: Option<i64>,
}

/// What is to become of a mission's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They go.
    Delete,
    /// It has not ended.
    Lives,
    /// It ended not long enough ago.
    Young,
    /// The log still holds something of it: a rebuild would bring it back.
    InLog,
    /// A notice of it may wait to be sent.
    Untold,
}

/// Decides about one mission.
pub(crate) fn judge(ended: &Ended, bounds: &Bounds) -> Verdict {
    if !ended.status.is_terminal() {
        return Verdict::Lives;
    }
    if ended.finished_at.is_none_or(|at| at >= bounds.before) {
        return Verdict::Young;
    }
    if ended.last_pos.max(ended.born_pos) >= bounds.log_from {
        return Verdict::InLog;
    }
    // A notice's place is that of its event.
    if bounds.unsent_from.is_some_and(|unsent| ended.last_pos >= unsent) {
        return Verdict::Untold;
    }
    Verdict::Delete
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn ended(status: Status, finished: Option<i64>, born_pos: i64, last_pos: i64) -> Ended {
        Ended {
            born_pos,
            mission_id: MissionId::new("m-aaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap(),
            status,
            created_at: UtcTime::from_micros(0),
            finished_at: finished.map(UtcTime::from_micros),
            last_pos,
        }
    }

    #[test]
    fn what_keeps_a_mission_is_told() {
        let bounds = Bounds { before: UtcTime::from_micros(100), log_from: 50, unsent_from: Some(40) };
        let of = |status, finished, last| judge(&ended(status, finished, 1, last), &bounds);
        assert_eq!(of(Status::Completed, Some(99), 39), Verdict::Delete);
        assert_eq!(of(Status::Completed, Some(100), 39), Verdict::Young);
        assert_eq!(of(Status::Failed, None, 39), Verdict::Young);
        assert_eq!(of(Status::Cancelled, Some(1), 50), Verdict::InLog);
        assert_eq!(of(Status::Cancelled, Some(1), 40), Verdict::Untold);
        assert_eq!(of(Status::Finalizing, Some(1), 1), Verdict::Lives);
    }

    proptest! {
        #[test]
        fn what_lives_or_is_in_the_log_or_is_untold_never_goes(
            status in proptest::sample::select(Status::ALL.to_vec()),
            finished in proptest::option::of(0..200_i64),
            (born, last) in (1..100_i64, 1..100_i64),
            (before, log_from) in (0..200_i64, 1..100_i64),
            unsent_from in proptest::option::of(1..100_i64),
        ) {
            let bounds = Bounds { before: UtcTime::from_micros(before), log_from, unsent_from };
            if judge(&ended(status, finished, born, last), &bounds) == Verdict::Delete {
                prop_assert!(status.is_terminal());
                prop_assert!(finished.is_some_and(|at| at < before));
                prop_assert!(born < log_from && last < log_from);
                prop_assert!(unsent_from.is_none_or(|unsent| last < unsent));
            }
        }
    }
}
