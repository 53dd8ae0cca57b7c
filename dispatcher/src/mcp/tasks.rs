//! Missions as tasks of the Tasks extension: the mission's id is the task's, and the ledger is what remembers it, so a
//! task outlives every restart. A host polls any mission by its id; `vp_wait_mission` hands out a task.

use rmcp::ErrorData;
use rmcp::model::{DetailedTask, GetTaskResult, JsonObject, Task, TaskPayload, TaskStatus};
use serde_json::{Value, json};
use vp_shared::api::{
    Answer, CancelMission, ErrorCode, GetMission, MissionDetails, MissionView, ToolError, ToolName, Waited,
};
use vp_shared::failure::Failure;
use vp_shared::ids::MissionId;
use vp_shared::mission::Status;

use super::{McpServer, refused, result};
use crate::config::Caller;

/// How soon a host may ask again, in milliseconds.
const POLL_MS: u64 = 2000;
/// JSON-RPC's code for what a mission failed with: one of those that are left to servers.
const MISSION_FAILED: i64 = -32000;

impl McpServer {
    /// The mission of that id.
    pub(super) async fn details(&self, task_id: &str) -> Result<MissionDetails, ToolError> {
        let mission_id = id(task_id)?;
        self.tools.get().await?.get(GetMission { mission_id }).await
    }

    /// How a task stands.
    pub(super) async fn task(&self, task_id: &str) -> Result<GetTaskResult, ErrorData> {
        let details = self.details(task_id).await.map_err(|error| refused(&error))?;
        let payload = payload(&details.mission);
        Ok(GetTaskResult::new(DetailedTask::new(task(&details.mission), payload)))
    }

    /// Stops a task. One that has ended stays as it is.
    pub(super) async fn stop_task(&self, task_id: &str, caller: &Caller) -> Result<(), ErrorData> {
        let stopped = async {
            let reason = "the host cancelled the task".to_owned();
            let input = CancelMission { mission_id: id(task_id)?, reason };
            self.tools.get().await?.cancel(input, caller).await
        };
        match stopped.await {
            Ok(_) => Ok(()),
            Err(error) if error.code == ErrorCode::AlreadyTerminal => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }
}

fn id(task_id: &str) -> Result<MissionId, ToolError> {
    MissionId::new(task_id).map_err(|error| ToolError::field("taskId", error))
}

/// The task's frame.
pub(super) fn task(mission: &MissionView) -> Task {
    let status = payload_status(mission.status);
    Task::new(
        mission.mission_id.as_str(),
        status,
        mission.created_at.to_string(),
        mission.updated_at.to_string(),
    )
    .with_poll_interval_ms(POLL_MS)
    .with_status_message(mission.status.name())
}

fn payload_status(status: Status) -> TaskStatus {
    match status {
        Status::Completed => TaskStatus::Completed,
        Status::Failed => TaskStatus::Failed,
        Status::Cancelled => TaskStatus::Cancelled,
        _ => TaskStatus::Working,
    }
}

/// What a task ended with: what the wait for the mission would have answered, or why it failed.
fn payload(mission: &MissionView) -> TaskPayload {
    match payload_status(mission.status) {
        TaskStatus::Completed => {
            let waited =
                Waited { timed_out: false, terminal: true, mission: mission.clone(), progress: None };
            let result = result(ToolName::Wait, Answer(Ok(waited)).to_value());
            TaskPayload::Completed { result: object(serde_json::to_value(result)) }
        }
        TaskStatus::Failed => {
            let message = mission.failure.as_ref().map_or_else(|| "failed".to_owned(), in_words);
            let data = json!({"mission": mission});
            let error = json!({"code": MISSION_FAILED, "message": message, "data": data});
            TaskPayload::Failed { error: object(Ok(error)) }
        }
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        _ => TaskPayload::Working,
    }
}

fn in_words(failure: &Failure) -> String {
    format!("{}: {}", failure.class, failure.message)
}

fn object(value: Result<Value, serde_json::Error>) -> JsonObject {
    match value {
        Ok(Value::Object(object)) => object,
        Ok(other) => JsonObject::from_iter([("value".to_owned(), other)]),
        Err(error) => {
            tracing::error!(%error, "a task's result has no JSON form");
            JsonObject::new()
        }
    }
}
