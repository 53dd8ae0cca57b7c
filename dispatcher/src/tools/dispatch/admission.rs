//! Whether a new mission is taken: who asks, which lane, how much waits there, whether it fits into a message.

use vp_shared::api::{DispatchMission, ErrorCode, ToolError};
use vp_shared::ids::{SessionId, VpId};
use vp_shared::lane::LaneProfile;
use vp_shared::mission::InputSource;

use crate::config::Caller;
use crate::dispatcher::Dispatcher;
use crate::lookups::{LaneQueues, LaneStarts, LaneWorkers};

/// What a caller is told to wait when a lane has too much to do.
const BACKLOG_RETRY_SECONDS: u64 = 30;
/// Room for the envelope and the headers of a `dispatched` event beside the mission itself.
const ENVELOPE_BYTES: usize = 8 * 1024;

impl Dispatcher {
    /// Whether the lane takes another mission now; a warning, if there is one.
    pub(super) async fn admit(
        &self,
        input: &DispatchMission,
        lane: &LaneProfile,
    ) -> Result<Option<String>, ToolError> {
        if input.require_live_worker {
            self.require_open(&input.vp_id).await?;
            self.require_worker(&input.vp_id).await?;
        }
        if lane.max_backlog == 0 {
            return Ok(None);
        }
        match self.lookups().queues(&input.vp_id).await {
            LaneQueues::Known(queues) => {
                let waiting: u64 = queues.values().map(|queue| queue.waiting).sum();
                if waiting < lane.max_backlog {
                    return Ok(None);
                }
                Err(backlogged(&input.vp_id, waiting, lane.max_backlog))
            }
            LaneQueues::Missing => Ok(Some(format!(
                "lane {} has no queue yet: run `vp up`, or `vp lanes --apply` with admin credentials",
                input.vp_id
            ))),
            LaneQueues::Unknown => {
                Ok(Some(format!("how many missions wait in {} could not be learned", input.vp_id)))
            }
        }
    }

    /// Who wants a live worker wants a mission that starts, and a lane that is paused starts none.
    async fn require_open(&self, vp_id: &VpId) -> Result<(), ToolError> {
        match self.lookups().starts(vp_id).await {
            LaneStarts::Open => Ok(()),
            LaneStarts::Closed(record) => {
                let error = ToolError::new(ErrorCode::LaneUnavailable, format!("lane {vp_id} is {record}"));
                Err(error.hint(
                    "dispatch without `require_live_worker`: the mission waits then until the lane is resumed",
                ))
            }
            LaneStarts::Unknown => {
                let message = format!("could not learn whether lane {vp_id} is paused");
                let error = ToolError::new(ErrorCode::BrokerUnavailable, message);
                Err(error.hint("call again, or without `require_live_worker`"))
            }
        }
    }

    async fn require_worker(&self, vp_id: &VpId) -> Result<(), ToolError> {
        let Some(all) = self.lookups().presence().await else {
            let error =
                ToolError::new(ErrorCode::BrokerUnavailable, "could not learn which workers are alive");
            return Err(error.hint("call again, or without `require_live_worker`"));
        };
        if LaneWorkers::of(vp_id, &all).pulling > 0 {
            return Ok(());
        }
        let error = ToolError::new(ErrorCode::LaneUnavailable, format!("no live worker serves {vp_id}"));
        Err(error.hint(
            "start one (`vp worker`), or dispatch without `require_live_worker`: the mission waits then",
        ))
    }

    pub(super) async fn worker_warning(&self, vp_id: &VpId) -> Option<String> {
        let all = self.lookups().presence().await?;
        let workers = LaneWorkers::of(vp_id, &all);
        (workers.pulling == 0)
            .then(|| format!("no live worker serves {vp_id}: the mission waits until one does"))
    }

    pub(super) async fn mode_warning(&self, vp_id: &VpId) -> Option<String> {
        let record = self.lookups().closed(vp_id).await?;
        Some(format!("lane {vp_id} is {record}; it starts no mission until it is resumed"))
    }

    /// JSON may write one byte as six; what the server would refuse is refused here, by name.
    pub(super) fn fits_into_a_message(&self, input: &DispatchMission) -> Result<(), ToolError> {
        let max = vp_nats::health::max_payload(self.connection());
        let content = |source: &InputSource| match source {
            InputSource::Text(content) | InputSource::Object(content) => content.len(),
        };
        let inputs: usize =
            input.inputs.iter().map(|input| input.path.len() + content(&input.source) + 32).sum();
        let constraints = if input.constraints.is_empty() { 0 } else { json_bytes(&input.constraints) };
        if (inputs + input.objective.len()) * 6 + constraints + ENVELOPE_BYTES <= max {
            return Ok(());
        }
        let inputs = json_bytes(&input.inputs);
        let total = inputs + json_bytes(&input.objective) + constraints + ENVELOPE_BYTES;
        if total <= max {
            return Ok(());
        }
        let field = if inputs > constraints { "inputs" } else { "constraints" };
        let why = format_args!("as JSON the mission has {total} bytes, and nats-server takes at most {max}");
        Err(ToolError::field(field, why))
    }
}

/// The session on whose behalf a mission is delegated.
pub(super) fn session(caller: &Caller) -> Result<SessionId, ToolError> {
    caller.session_id.clone().ok_or_else(|| {
        let message = "a mission needs a session that is told how it ends, and this call has none";
        ToolError::new(ErrorCode::Forbidden, message).hint(
            "the door says who asks: `--session` or VP_SESSION at the command line, the header `Vp-Session` on NATS",
        )
    })
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 4, |json| json.len())
}

fn backlogged(vp_id: &VpId, waiting: u64, max: u64) -> ToolError {
    let message = format!("{waiting} missions wait in lane {vp_id}, and it takes at most {max}");
    let mut error =
        ToolError::new(ErrorCode::LaneBacklogged, message).hint("call again later, or choose another lane");
    error.retry_after_seconds = Some(BACKLOG_RETRY_SECONDS);
    error
}
