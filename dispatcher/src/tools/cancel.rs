//! `vp_cancel_mission`: read, decide, one compare-and-set; again when somebody wrote in between.

use tokio::time::{Instant, sleep};
use vp_nats::clock::now;
use vp_nats::mission_log::{AppendError, LoggedMission};
use vp_shared::api::{CancelMission, CancelStatus, Cancelled, ErrorCode, MissionView, ToolError};
use vp_shared::event::OutcomeStatus;
use vp_shared::ids::MissionId;
use vp_shared::mission::{Command, Effect, Mission, Reply, Status, decide};

use super::dispatch::event_of;
use super::{WRITE_PATIENCE, contention};
use crate::config::Caller;
use crate::dispatcher::Dispatcher;
use crate::failure::{busy, not_found, unwritten};

impl Dispatcher {
    /// Stops a mission: at once when it waits, by its worker when it runs. Asked twice it says the same.
    ///
    /// # Errors
    /// `validation_error`; `not_found`; `already_terminal` when it completed or failed before, or its executor has ended
    /// and its outcome is recorded; `broker_unavailable`:
    /// whether it was asked to stop is unknown, and asking again is harmless.
    pub async fn cancel(&self, input: CancelMission, caller: &Caller) -> Result<Cancelled, ToolError> {
        input.check()?;
        let mission_id = &input.mission_id;
        let Some(vp_id) = self.lane_of(mission_id).await? else { return self.ended_before(mission_id).await };
        let started = Instant::now();
        for delay in contention() {
            let known = self.logged(&vp_id, mission_id).await?.ok_or_else(|| not_found(mission_id))?;
            if let Some(done) = self.cancel_known(known, &input.reason, caller).await? {
                return Ok(done);
            }
            if started.elapsed() + delay > WRITE_PATIENCE {
                break;
            }
            sleep(delay).await;
        }
        Err(busy(mission_id))
    }

    /// `None`: it changed meanwhile, look again.
    async fn cancel_known(
        &self,
        known: LoggedMission,
        reason: &str,
        caller: &Caller,
    ) -> Result<Option<Cancelled>, ToolError> {
        let mission = known.mission;
        let by = caller.name();
        let mut after = Some(mission.clone());
        for effect in decide(Some(&mission), Command::Cancel { reason, by: &by }, now()) {
            match effect {
                Effect::Append { attempt, expected, body } => {
                    let event = event_of(&mission, attempt, body, caller);
                    let stored = if mission.status == Status::Scheduled {
                        self.log().append_purging_timer(&event, expected).await
                    } else {
                        self.log().append(&event, expected).await
                    };
                    match stored {
                        Ok(stored) => {
                            Mission::apply(&mut after, &event, stored.seq);
                        }
                        Err(AppendError::Conflict { .. }) => return Ok(None),
                        Err(error) => return Err(unwritten(&error)),
                    }
                    tracing::info!(mission_id = %mission.mission_id, event = event.kind().name(), "mission asked to stop");
                }
                Effect::Answer(Reply::Cancelled) => {
                    return Ok(cancelled(CancelStatus::Cancelled, after.as_ref()));
                }
                Effect::Answer(Reply::CancelRequested) => {
                    return Ok(cancelled(CancelStatus::CancelRequested, after.as_ref()));
                }
                Effect::Answer(Reply::OutcomeRecorded) => return Err(too_late(&mission)),
                Effect::Answer(Reply::AlreadyTerminal) => {
                    return Err(already_terminal(&MissionView::from(&mission)));
                }
                other => {
                    tracing::error!(mission_id = %mission.mission_id, ?other, "effect that no cancel has");
                }
            }
        }
        Ok(None)
    }

    /// A mission that the log no longer has ended long ago, if the ledger remembers it.
    async fn ended_before(&self, mission_id: &MissionId) -> Result<Cancelled, ToolError> {
        let known = self.ledger_mission(mission_id).await?.ok_or_else(|| not_found(mission_id))?;
        match known.mission.status {
            Status::Cancelled => Ok(Cancelled { status: CancelStatus::Cancelled, mission: known.mission }),
            _ => Err(already_terminal(&known.mission)),
        }
    }
}

fn cancelled(status: CancelStatus, mission: Option<&Mission>) -> Option<Cancelled> {
    mission.map(|mission| Cancelled { status, mission: MissionView::from(mission) })
}

/// It would be a lie that it may still be stopped: what its executor did is done and recorded.
fn too_late(mission: &Mission) -> ToolError {
    let how = match mission.outcome.as_ref().map(|outcome| outcome.status) {
        Some(OutcomeStatus::Completed) => "completed",
        Some(OutcomeStatus::Cancelled) => "cancelled",
        _ => "failed",
    };
    let message = format!(
        "mission {} cannot be stopped any more: its executor has ended, and its outcome ({how}) is recorded; it is {} and \
         its end will be told",
        mission.mission_id, mission.status
    );
    ToolError::new(ErrorCode::AlreadyTerminal, message).about(&mission.mission_id)
}

fn already_terminal(mission: &MissionView) -> ToolError {
    let when = mission.finished_at.map(|at| format!(" at {at}")).unwrap_or_default();
    let message = format!("mission {} has ended{when}: it is {}", mission.mission_id, mission.status);
    ToolError::new(ErrorCode::AlreadyTerminal, message).about(&mission.mission_id)
}
