//! What NATS said, as a tool's error.

use std::error::Error;

use vp_nats::mission_log::{AppendError, ReadError};
use vp_nats::service::RequestError;
use vp_shared::api::{ErrorCode, ToolError};
use vp_shared::error::Chain;
use vp_shared::ids::MissionId;

const CHECK_SERVER: &str = "see whether nats-server runs and is reachable, then call again";

/// A mission's log could not be read.
pub(crate) fn unread(error: &ReadError) -> ToolError {
    tracing::warn!(mission_id = %error.mission_id, error = %Chain(error), "mission not read from its log");
    ToolError::new(ErrorCode::BrokerUnavailable, error.to_string())
        .hint(CHECK_SERVER)
        .about(&error.mission_id)
}

/// An append that ended without success; a conflict is for the caller's loop and must not come here for ever.
pub(crate) fn unwritten(error: &AppendError) -> ToolError {
    match error {
        AppendError::Unknown { mission_id, .. } => {
            tracing::warn!(%mission_id, error = %Chain(error), "append without an answer");
            ToolError::new(ErrorCode::BrokerUnavailable, error.to_string())
                .hint("get the mission by its id, or make the same call again: it is not done twice")
                .about(mission_id)
        }
        AppendError::Refused { mission_id, no_space: true, .. } => {
            tracing::error!(%mission_id, error = %Chain(error), "append refused for want of space");
            ToolError::new(ErrorCode::BrokerUnavailable, format!("{error}; nothing was stored"))
                .hint("a storage limit is reached: free space on the server's disk or raise its limit, then call again")
                .about(mission_id)
        }
        AppendError::Refused { mission_id, .. } => {
            internal("nats-server refused the event", error).about(mission_id)
        }
        AppendError::Conflict { mission_id, .. } => busy(mission_id),
    }
}

/// Others kept writing to the mission for as long as this call may take.
pub(crate) fn busy(mission_id: &MissionId) -> ToolError {
    let message = format!("mission {mission_id} kept changing, so nothing could be written to it");
    ToolError::new(ErrorCode::BrokerUnavailable, message).hint("call again").about(mission_id)
}

/// The ledger gave no answer.
pub(crate) fn unasked(error: &RequestError) -> ToolError {
    let hint = "see whether the bridge runs (`vp bridge`, or `vp up`), then call again";
    let message = match error {
        RequestError::NoResponders(_) => "the ledger is not served by anybody".to_owned(),
        other => format!("the ledger did not answer: {other}"),
    };
    ToolError::new(ErrorCode::LedgerUnavailable, message).hint(hint)
}

/// No such mission, neither in the log nor in the ledger.
pub(crate) fn not_found(mission_id: &MissionId) -> ToolError {
    ToolError::new(ErrorCode::NotFound, format!("there is no mission {mission_id}"))
        .hint("vp_list_missions shows those that exist")
        .about(mission_id)
}

/// A fault of ours; the id in the message is in the log beside the cause.
pub(crate) fn internal(what: &'static str, error: &dyn Error) -> ToolError {
    let correlation_id = vp_nats::clock::event_id();
    tracing::error!(%correlation_id, what, error = %Chain(error), "internal error");
    ToolError::new(ErrorCode::Internal, format!("{what}; the log has the cause under {correlation_id}"))
}

/// More calls wait for missions than may.
pub(crate) fn too_many_waits() -> ToolError {
    let mut error =
        ToolError::new(ErrorCode::BrokerUnavailable, "too many calls wait for missions at this dispatcher")
            .hint("call again, or follow the session's notices instead");
    error.retry_after_seconds = Some(5);
    error
}
