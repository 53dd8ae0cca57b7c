//! Why a mission has not started or ended, in a sentence: only what is known and true.

use vp_nats::topology::QueueState;
use vp_shared::api::{MissionView, Presence};
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
}

/// Why it has not started or ended; `None` when it has ended, or runs as it should.
pub(crate) fn waiting_because(mission: &MissionView, around: Around<'_>, now: UtcTime) -> Option<String> {
    match mission.status {
        Status::Scheduled => {
            let at = mission.not_before?;
            Some(format!("it waits for its time, {at}"))
        }
        Status::Queued => queued(mission, around),
        Status::Retrying => match mission.retry_at {
            Some(at) if at > now => Some(format!("its next attempt is due at {at}")),
            _ => queued(mission, around),
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

fn queued(mission: &MissionView, around: Around<'_>) -> Option<String> {
    let lane = &mission.vp_id;
    if around.queue_missing {
        return Some(format!("lane {lane} has no queue: run `vp up`, or `vp lanes --apply`"));
    }
    if let Some(all) = around.workers {
        let workers = LaneWorkers::of(lane, all);
        match (workers.pulling, workers.draining) {
            (0, 0) => return Some(format!("no live worker serves {lane}")),
            (0, n) => return Some(format!("all {n} live workers of {lane} are draining")),
            _ if workers.busy >= workers.slots => {
                return Some(format!(
                    "all {} slots of {lane} are busy{}",
                    workers.slots,
                    others(mission, around).unwrap_or_default()
                ));
            }
            _ => {}
        }
    }
    Some(format!("it waits for a slot of {lane}{}", others(mission, around).unwrap_or_default()))
}

fn others(mission: &MissionView, around: Around<'_>) -> Option<String> {
    let waiting = around.queue?.waiting;
    (waiting > 1).then(|| format!(", and {waiting} missions wait in its queue `{}`", mission.priority))
}

fn lost_worker(mission: &MissionView, around: Around<'_>) -> Option<String> {
    let (worker, all) = (mission.worker_id.as_ref()?, around.workers?);
    let alive = all.iter().any(|presence| presence.worker.worker_id == *worker);
    (!alive).then(|| {
        format!(
            "worker `{worker}`, which has it, shows no sign of life; it is taken over once that is proven"
        )
    })
}
