//! A mission, its attempts and its events as callers see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::MissionResult;
use crate::event::{Actor, Event, EventBody, Source, Usage};
use crate::failure::Failure;
use crate::ids::{Attempt, MissionId, VpId, WorkerId};
use crate::mission::{Budget, Mission, Status};
use crate::tier::Tier;
use crate::time::UtcTime;

/// A mission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MissionView {
    /// Its id.
    pub mission_id: MissionId,
    /// Its lane.
    pub vp_id: VpId,
    /// What it is doing.
    pub status: Status,
    /// The queue it waits or waited in.
    pub priority: Tier,
    /// What is to be done.
    pub objective: String,
    /// The caller's name for the kind of work.
    pub mission_type: String,
    /// Terms for the executor.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub constraints: Map<String, Value>,
    /// What an attempt may use at most.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Who asked.
    pub source: Source,
    /// The last attempt started; 0 before the first.
    pub attempt: Attempt,
    /// How many attempts may count, when the caller said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// When it was delegated.
    pub created_at: UtcTime,
    /// When it was first queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<UtcTime>,
    /// When its first attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<UtcTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<UtcTime>,
    /// When its last event was made.
    pub updated_at: UtcTime,
    /// Not queued before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UtcTime>,
    /// Fails when not ended by then.
    pub deadline: UtcTime,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<UtcTime>,
    /// Who runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// Why it was asked to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelView>,
    /// Why its last attempt, or it, failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the executor says it did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What it left behind, once ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<MissionResult>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
    /// The stream sequence of its last event.
    pub last_seq: u64,
}

/// Why a mission was asked to stop, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelView {
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: String,
}

impl From<&Mission> for MissionView {
    fn from(mission: &Mission) -> Self {
        let spec = &mission.spec;
        Self {
            mission_id: mission.mission_id.clone(),
            vp_id: mission.vp_id.clone(),
            status: mission.status,
            priority: mission.tier,
            objective: spec.objective.clone(),
            mission_type: spec.mission_type.clone(),
            constraints: spec.constraints.clone(),
            budget: spec.budget,
            idempotency_key: spec.idempotency_key.clone(),
            source: mission.source.clone(),
            attempt: mission.attempt,
            max_attempts: spec.max_attempts,
            created_at: mission.created_at,
            queued_at: mission.queued_at,
            started_at: mission.started_at,
            finished_at: mission.finished_at,
            updated_at: mission.updated_at,
            not_before: spec.not_before,
            deadline: spec.deadline,
            retry_at: mission.retry_at,
            worker_id: mission.owner.as_ref().map(|owner| owner.worker.worker_id.clone()),
            cancel: mission
                .cancel
                .as_ref()
                .map(|cancel| CancelView { reason: cancel.reason.clone(), by: cancel.by.clone() }),
            failure: mission.failure.clone(),
            summary: mission.summary.clone(),
            result: mission.result.clone(),
            usage: mission.usage,
            last_seq: mission.last_seq,
        }
    }
}

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    /// It runs.
    Running,
    /// Its executor has ended; the rest is being laid down.
    Finalizing,
    /// It did what was asked.
    Completed,
    /// It failed.
    Failed,
    /// It was stopped on request.
    Cancelled,
    /// It was given back unharmed.
    Released,
    /// Its worker was lost and another took over.
    Lost,
}

impl AttemptStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Finalizing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Released,
        Self::Lost,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// One execution of a mission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    /// Its number, from 1.
    pub attempt: Attempt,
    /// How it stands.
    pub status: AttemptStatus,
    /// Who ran it.
    pub worker_id: WorkerId,
    /// On which host.
    pub host: String,
    /// With which version.
    pub version: String,
    /// Since when.
    pub started_at: UtcTime,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UtcTime>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// One event, without the mission's own text, which the mission's view has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Its stream sequence.
    pub seq: u64,
    /// `vp.mission.<event>`.
    pub event: String,
    /// Its id.
    pub event_id: String,
    /// The attempt it belongs to.
    pub attempt: Attempt,
    /// When it was made.
    pub time: UtcTime,
    /// Who made it.
    pub actor: Actor,
    /// What else it says.
    pub body: Value,
}

impl EventView {
    /// The view of an event stored at `seq`.
    pub fn of(event: &Event, seq: u64) -> Self {
        let body = match &event.body {
            EventBody::Scheduled { mission, tier } => {
                serde_json::json!({"priority": tier, "not_before": mission.not_before})
            }
            EventBody::Dispatched { tier, .. } => serde_json::json!({"priority": tier}),
            body => serde_json::to_value(body).unwrap_or(Value::Null),
        };
        Self {
            seq,
            event: event.kind().type_name().to_owned(),
            event_id: event.id.to_string(),
            attempt: event.attempt,
            time: event.time,
            actor: event.actor.clone(),
            body,
        }
    }
}
