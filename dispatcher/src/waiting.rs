//! Why a mission has not started or ended, in a sentence: only what is known and true.

use vp_nats::topology::QueueState;
use vp_shared::api::{MissionView, Presence};
use vp_shared::lane::LaneModeRecord;
use vp_shared::mission::Status;
use vp_shared::time::UtcTime;

use crate::lookups::LaneWorkers;

/// What is known of the mission's surroundings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// All workers that are alive, when that is known.
    pub(crate) workers: Option<&'a [Presence]>,
    /// The queue it waits in, when that is known.
    pub(crate) queue: Option<QueueState>,
    /// The lane has no queue at all.
    pub(crate) queue_missing: bool,
    /// What keeps the lane from starting missions, if anything is known to.
    pub(crate) closed: Option<&'a LaneModeRecord>,
}

/// Why it has not started or ended; `None` when it has ended, or runs as it should.
pub(crate) fn waiting_because(mission: &MissionView, around: Around<'_>, now: UtcTime) -> Option<String> {
    match mission.status {
        Status::Scheduled => {
            let at = mission.not_before?;
            Some(format!("it waits for its time, {at}"))
        }
        Status::Queued => Some(queued(mission, around)),
        Status::Retrying => match mission.retry_at {
            Some(at) if at > now => Some(format!("its next attempt is due at {at}")),
            _ => Some(queued(mission, around)),
        },
        Status::Running => lost_worker(mission, around),
        Status::Cancelling => lost_worker(mission, around)
            .or_else(|| Some("it was asked to stop and its executor has not ended yet".into())),
        Status::Finalizing => lost_worker(mission, around).or_else(|| {
            Some("its executor has ended, and its artifacts and receipt are being laid down".into())
        }),
        Status::Completed | Status::Failed | Status::Cancelled => None,
    }
}

fn queued(mission: &MissionView, around: Around<'_>) -> String {
    let lane = &mission.vp_id;
    if around.queue_missing {
        return format!("lane {lane} has no queue: run `vp up`, or `vp lanes --apply`");
    }
    if let Some(record) = around.closed {
        return format!("lane {lane} is {record}");
    }
    let others = others(mission, around).unwrap_or_default();
    let workers = around.workers.map(|all| LaneWorkers::of(lane, all));
    match workers {
        Some(LaneWorkers { pulling: 0, draining: 0, .. }) => format!("no live worker serves {lane}"),
        Some(LaneWorkers { pulling: 0, draining, .. }) => {
            format!("no worker of {lane} takes missions now: {draining} only finish what they have")
        }
        Some(LaneWorkers { slots, busy, .. }) if busy >= slots => {
            format!("all {slots} slots of {lane} are busy{others}")
        }
        _ => format!("it waits for a slot of {lane}{others}"),
    }
}

fn others(mission: &MissionView, around: Around<'_>) -> Option<String> {
    let waiting = around.queue?.waiting;
    (waiting > 1).then(|| format!(", and {waiting} missions wait in its queue `{}`", mission.priority))
}

fn lost_worker(mission: &MissionView, around: Around<'_>) -> Option<String> {
    let (worker, all) = (mission.worker_id.as_ref()?, around.workers?);
    let alive = all.iter().any(|presence| presence.worker.worker_id == *worker);
    (!alive).then(|| {
        let when = match around.closed {
            // Nobody takes its entry while the lane is closed.
            Some(record) => format!("when the lane is resumed: {} is {record}", mission.vp_id),
            None => "once that is proven".to_owned(),
        };
        format!("worker `{worker}`, which has it, shows no sign of life; it is taken over {when}")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn mission(status: &str, more: &serde_json::Value) -> MissionView {
        let mut view = json!({
            "mission_id": "m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "vp_id": "vp.coder.primary", "status": status,
            "priority": "normal", "objective": "x", "mission_type": "task", "source": {}, "attempt": 1,
            "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T09:00:00Z",
            "deadline": "2026-11-29T09:00:00Z", "last_seq": 1,
        });
        for (key, value) in more.as_object().unwrap() {
            view[key] = value.clone();
        }
        serde_json::from_value(view).unwrap()
    }

    fn worker(id: &str, lane: &str, busy: u32, draining: bool) -> Presence {
        serde_json::from_value(json!({
            "worker_id": id, "incarnation": "i", "host": "h", "version": "1", "draining": draining,
            "lanes": [{"vp_id": lane, "slots": 2, "busy": busy}], "since": "2026-11-22T09:00:00Z",
        }))
        .unwrap()
    }

    fn why(mission: &MissionView, workers: &[Presence], waiting: u64) -> Option<String> {
        let queue = QueueState { waiting, in_hand: 0, pulls: 0 };
        let around = Around { workers: Some(workers), queue: Some(queue), ..Around::default() };
        waiting_because(mission, around, UtcTime::parse("2026-11-22T10:00:00Z").unwrap())
    }

    #[test]
    fn a_lost_mission_of_a_closed_lane_says_that_it_waits_for_the_lane() {
        let record: LaneModeRecord = serde_json::from_value(json!({
            "mode": "paused", "by": "console", "since": "2026-11-22T09:00:00Z",
        }))
        .unwrap();
        let now = UtcTime::parse("2026-11-22T10:00:00Z").unwrap();
        for status in ["running", "finalizing", "cancelling"] {
            let lost = mission(status, &json!({"worker_id": "gone"}));
            let around = Around { workers: Some(&[]), closed: Some(&record), ..Around::default() };
            let said = waiting_because(&lost, around, now).unwrap();
            assert!(
                said.contains("when the lane is resumed: vp.coder.primary is paused by console"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_queued_mission_says_what_its_lane_lacks() {
        let queued = mission("queued", &json!({}));
        let here = |busy, draining| [worker("w", "vp.coder.primary", busy, draining)];
        let said = |workers: &[Presence], waiting| why(&queued, workers, waiting).unwrap();
        assert_eq!(said(&[], 1), "no live worker serves vp.coder.primary");
        assert_eq!(
            said(&[worker("w", "vp.general.primary", 0, false)], 1),
            "no live worker serves vp.coder.primary"
        );
        assert_eq!(
            said(&here(1, true), 1),
            "no worker of vp.coder.primary takes missions now: 1 only finish what they have"
        );
        assert_eq!(
            said(&here(2, false), 7),
            "all 2 slots of vp.coder.primary are busy, and 7 missions wait in its queue `normal`"
        );
        assert_eq!(said(&here(1, false), 1), "it waits for a slot of vp.coder.primary");
    }

    #[test]
    fn in_a_paused_lane_a_mission_says_who_paused_it_and_why() {
        let record = serde_json::from_value(
            json!({"mode": "paused", "by": "console", "reason": "a broken tool", "since": "2026-11-22T09:00:00Z"}),
        );
        let record = record.unwrap();
        let around = Around { workers: Some(&[]), closed: Some(&record), ..Around::default() };
        let said =
            |mission| waiting_because(&mission, around, UtcTime::parse("2026-11-22T10:00:00Z").unwrap());
        let why =
            "lane vp.coder.primary is paused by console since 2026-11-22T09:00:00.000000Z: a broken tool";
        assert_eq!(said(mission("queued", &json!({}))).unwrap(), why);
        assert_eq!(said(mission("running", &json!({}))), None);
    }

    #[test]
    fn times_are_told() {
        let scheduled = mission("scheduled", &json!({"not_before": "2026-11-22T11:00:00Z"}));
        assert_eq!(why(&scheduled, &[], 0).unwrap(), "it waits for its time, 2026-11-22T11:00:00.000000Z");
        let retrying = mission("retrying", &json!({"retry_at": "2026-11-22T10:00:01Z"}));
        assert_eq!(why(&retrying, &[], 0).unwrap(), "its next attempt is due at 2026-11-22T10:00:01.000000Z");
        let due = mission("retrying", &json!({"retry_at": "2026-11-22T09:00:01Z"}));
        assert_eq!(why(&due, &[], 1).unwrap(), "no live worker serves vp.coder.primary");
    }

    #[test]
    fn a_running_mission_says_something_only_when_its_worker_is_silent() {
        let running = mission("running", &json!({"worker_id": "w1"}));
        assert_eq!(why(&running, &[worker("w1", "vp.coder.primary", 1, false)], 0), None);
        assert!(why(&running, &[], 0).unwrap().contains("`w1`"));
        let unknown = Around::default();
        assert_eq!(waiting_because(&running, unknown, UtcTime::from_micros(0)), None);
    }

    #[test]
    fn what_has_ended_waits_for_nothing() {
        for status in ["completed", "failed", "cancelled"] {
            assert_eq!(why(&mission(status, &json!({})), &[], 5), None, "{status}");
        }
    }
}
