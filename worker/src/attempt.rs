//! One attempt as a pipeline: prepare, execute, finish, lay down, conclude, ack.

use std::time::Duration;

use vp_nats::clock;
use vp_nats::crash;
use vp_nats::delivery::Delivery;
use vp_nats::retry::delay_after;
use vp_shared::artifact::MissionResult;
use vp_shared::error::Chain;
use vp_shared::event::{Outcome, OutcomeStatus, Usage};
use vp_shared::lane::ExecutorProfile;
use vp_shared::mission::{Command, Effect, Mission, StopReason};

use crate::executor::{Attempted, Executed, command, noop};
use crate::held::Stop;
use crate::owner::{Fenced, Owned};
use crate::receipt;
use crate::run::Slot;
use crate::workspace::Workspace;

/// How often a finaliser without the files asks whether the host that has them is back.
const FINALIZE_POLL: Duration = Duration::from_secs(5);

/// Runs a claimed attempt to its end.
pub(crate) async fn run(mut own: Owned<'_>, delivery: Delivery, mut slot: Slot) {
    tracing::debug!(
        mission_id = %own.mission.mission_id, vp_id = %own.mission.vp_id, attempt = own.mission.attempt, "the attempt starts"
    );
    let mut attempted = match execute(&own).await {
        Executed::Ended(attempted) => attempted,
        Executed::Stopped(Stop::Release) => match release(&mut own).await {
            Ok(Given::Back) => return give_back(own, delivery, Duration::ZERO).await,
            Ok(Given::ToCancel) => Attempted::without_workspace(cancelled()),
            Err(Fenced) => return leave(&own, delivery),
        },
        Executed::Stopped(_) => return leave(&own, delivery),
    };
    own.hold.executor_ended();
    crash::point("after_executor_end");
    match finish(&mut own, &attempted).await {
        Ok(Next::Conclude) => {}
        Ok(Next::Retry { delay }) => {
            give_back(own, delivery, delay).await;
            return attempted.release_keeper().await;
        }
        Err(Fenced) => {
            leave(&own, delivery);
            return attempted.release_keeper().await;
        }
    }
    slot.executor_ended();
    crash::point("after_outcome");
    conclude(own, &attempted, delivery).await;
    attempted.release_keeper().await;
}

/// Concludes an attempt whose executor ended in an earlier life of this worker, or on a worker that is gone.
pub(crate) async fn finalize(own: Owned<'_>, delivery: Delivery, mut slot: Slot) {
    slot.executor_ended();
    own.hold.executor_ended();
    let shared = &own.lane.shared;
    let outcome = own.mission.outcome.clone().unwrap_or_else(cancelled);
    let found = Workspace::existing(&shared.config.workspace_root, &own.mission).await;
    if found.is_none() && may_be_elsewhere(&own) {
        // Its files are on a host that may come back.
        let mission = &own.mission;
        let waited = clock::now().since(mission.updated_at);
        if let Some(left) = shared.config.finalize_grace.checked_sub(waited).filter(|left| !left.is_zero()) {
            return give_back(own, delivery, left.min(FINALIZE_POLL)).await;
        }
    }
    tracing::info!(
        mission_id = %own.mission.mission_id, vp_id = %own.mission.vp_id, attempt = own.mission.attempt,
        files = found.is_some(), "concluding an attempt that ended in an earlier life"
    );
    let attempted = match found {
        Some(workspace) => workspace.saved(outcome).await,
        None => Attempted::without_workspace(outcome),
    };
    conclude(own, &attempted, delivery).await;
}

fn may_be_elsewhere(own: &Owned<'_>) -> bool {
    let ran_here =
        own.mission.owner.as_ref().is_none_or(|owner| owner.worker.host == own.lane.shared.me.host);
    !ran_here && !matches!(own.lane.profile.executor, ExecutorProfile::Noop {})
}

fn cancelled() -> Outcome {
    Outcome {
        status: OutcomeStatus::Cancelled,
        failure: None,
        summary: String::new(),
        usage: Usage::default(),
    }
}

async fn execute(own: &Owned<'_>) -> Executed {
    match own.hold.wanted() {
        Stop::No => {}
        Stop::Cancel => return Executed::Ended(Attempted::without_workspace(cancelled())),
        stop => return Executed::Stopped(stop),
    }
    // This process may have been frozen since it claimed.
    if own.hold.left().is_zero() {
        return Executed::Stopped(Stop::Fenced);
    }
    match &own.lane.profile.executor {
        ExecutorProfile::Noop {} => Executed::Ended(noop::run()),
        ExecutorProfile::Command { .. } => command::run(own).await,
    }
}

enum Next {
    Conclude,
    Retry { delay: Duration },
}

/// Records how the executor ended, or that another attempt follows.
async fn finish(own: &mut Owned<'_>, attempted: &Attempted) -> Result<Next, Fenced> {
    // Before it is recorded: once it is, the attempt is finalised from this and never run again.
    attempted.save().await;
    let lane = own.lane;
    let policy = &lane.profile.retry;
    let command = Command::Finish {
        attempt: own.mission.attempt,
        worker: &lane.shared.me,
        outcome: attempted.outcome.clone(),
        policy,
        delay: delay_after(&policy.delay, own.mission.counted_attempts()),
    };
    let left = own.write(command).await?;
    Ok(match left.first() {
        Some(Effect::Nak { delay }) => Next::Retry { delay: *delay },
        _ => Next::Conclude,
    })
}

enum Given {
    Back,
    ToCancel,
}

async fn release(own: &mut Owned<'_>) -> Result<Given, Fenced> {
    let lane = own.lane;
    let command = Command::Release { attempt: own.mission.attempt, worker: &lane.shared.me, reason: "drain" };
    let left = own.write(command).await?;
    Ok(match left.first() {
        Some(Effect::Stop(StopReason::Cancel)) => Given::ToCancel,
        _ => Given::Back,
    })
}

/// Lays down what the attempt left behind, writes the terminal event, acks.
async fn conclude(mut own: Owned<'_>, attempted: &Attempted, delivery: Delivery) {
    let lane = own.lane;
    let requires_deliverable = lane.profile.requires_deliverable && !attempted.no_deliverable;
    let result = match &attempted.workspace {
        Some(workspace) => lay_down(&own, attempted, workspace, requires_deliverable).await,
        None => without_files(&own),
    };
    let command = Command::Conclude { attempt: own.mission.attempt, result, requires_deliverable };
    if let Err(Fenced) = own.write(command).await {
        return leave(&own, delivery);
    }
    crash::point("after_terminal");
    let Owned { mission, hold, .. } = own;
    drop(hold);
    tracing::debug!(
        mission_id = %mission.mission_id, vp_id = %mission.vp_id, attempt = mission.attempt, status = %mission.status, "the mission has ended"
    );
    if let Err(error) = delivery.ack().await {
        // Its entry comes again and is acked away: the log says that it has ended.
        tracing::warn!(mission_id = %mission.mission_id, vp_id = %mission.vp_id, error = %Chain(&error), "not acked");
    }
}

async fn lay_down(
    own: &Owned<'_>,
    attempted: &Attempted,
    workspace: &Workspace,
    requires_deliverable: bool,
) -> MissionResult {
    let me = &own.lane.shared.me;
    if !workspace.is_intact().await {
        // Nothing is read from, or written to, where a link may lead.
        tracing::error!(
            mission_id = %own.mission.mission_id, vp_id = %own.mission.vp_id, attempt = own.mission.attempt,
            "the executor has removed or replaced its workspace: nothing of it counts"
        );
        return MissionResult { worker_id: Some(me.worker_id.clone()), ..MissionResult::default() };
    }
    let mut result = workspace.discover(attempted, &own.mission, &own.lane.profile.categories).await;
    result.result_ref = Some(workspace.result_ref(&me.host));
    result.worker_id = Some(me.worker_id.clone());
    receipt::write(own, attempted, workspace, &mut result, requires_deliverable).await;
    result
}

/// What is known of an attempt whose files are not here.
fn without_files(own: &Owned<'_>) -> MissionResult {
    let Mission { owner, .. } = &own.mission;
    let ran = owner.as_ref().map_or(&own.lane.shared.me, |owner| &owner.worker);
    let lost = own.mission.is_held_by(&own.lane.shared.me, own.mission.attempt)
        || matches!(own.lane.profile.executor, ExecutorProfile::Noop {});
    MissionResult { worker_id: Some(ran.worker_id.clone()), partial: !lost, ..MissionResult::default() }
}

async fn give_back(own: Owned<'_>, delivery: Delivery, delay: Duration) {
    let Owned { mission, hold, .. } = own;
    drop(hold);
    if let Err(error) = delivery.nak(delay).await {
        tracing::warn!(
            mission_id = %mission.mission_id, vp_id = %mission.vp_id, error = %Chain(&error),
            "not handed back; it comes again when its lease has run out"
        );
    }
}

fn leave(own: &Owned<'_>, delivery: Delivery) {
    tracing::warn!(
        mission_id = %own.mission.mission_id, vp_id = %own.mission.vp_id, attempt = own.mission.attempt,
        "the mission is no longer this worker's: nothing more is written, acked or renewed"
    );
    delivery.leave();
}
