//! `vp.lane.mode`: pauses, drains and resumes lanes, for operators. Not one of the six tools: an agent that may
//! delegate missions may not stop a lane by that.

use vp_nats::clock::now;
use vp_nats::lane_modes::{self, LaneModeError};
use vp_shared::api::{Answer, ErrorCode, LaneModeSet, SetLaneMode, ToolError, parse};
use vp_shared::error::Chain;
use vp_shared::lane::LaneModeRecord;

use crate::dispatcher::Dispatcher;

impl Dispatcher {
    /// Sets a lane's mode. Workers hear of it at once; to set what is so already changes nothing.
    ///
    /// # Errors
    /// `validation_error`, `unknown_lane`; `broker_unavailable`: call again, it is safe.
    pub async fn set_lane_mode(&self, input: SetLaneMode) -> Result<LaneModeSet, ToolError> {
        input.check()?;
        self.lane(&input.vp_id)?;
        let SetLaneMode { vp_id, mode, by, reason } = input;
        let reason = reason.map(|reason| reason.trim().to_owned());
        let wanted = LaneModeRecord { mode, by, reason, since: now() };
        let set = lane_modes::set(self.connection(), &vp_id, wanted).await;
        let (record, changed) = set.map_err(|error| unset(&error))?;
        self.lookups().forget_mode(&vp_id).await;
        if let Some(record) = record.as_ref().filter(|_| changed) {
            tracing::info!(%vp_id, mode = %record.mode, by = record.by, reason = record.reason, "lane mode set");
        }
        Ok(LaneModeSet { vp_id, record, changed })
    }

    /// The same for a door that passes JSON through.
    pub(crate) async fn answer_lane_mode(&self, input: &[u8]) -> Vec<u8> {
        let set = match parse(input) {
            Ok(input) => self.set_lane_mode(input).await,
            Err(error) => Err(error),
        };
        Answer(set).to_json()
    }
}

fn unset(error: &LaneModeError) -> ToolError {
    tracing::warn!(error = %Chain(error), "lane mode not set");
    ToolError::new(ErrorCode::BrokerUnavailable, error.to_string())
        .hint("see whether nats-server runs and has the bucket (`vp doctor`), then call again: it is not done twice")
}
