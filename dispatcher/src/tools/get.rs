//! `vp_get_mission`: one mission, as fresh as the caller's own last act.

use vp_nats::clock::now;
use vp_shared::api::{GetMission, LedgerMission, MissionDetails, MissionView, ToolError};
use vp_shared::mission::Status;

use crate::dispatcher::Dispatcher;
use crate::lookups::LaneQueues;
use crate::waiting::{Around, waiting_because};

impl Dispatcher {
    /// Shows one mission with its attempts, its newest events and why it waits.
    ///
    /// # Errors
    /// `not_found`; `broker_unavailable` when neither ledger nor log could be asked.
    pub async fn get(&self, input: GetMission) -> Result<MissionDetails, ToolError> {
        let LedgerMission { mission, attempts, events, events_total } = self.find(&input.mission_id).await?;
        let waiting_because = self.waiting_because(&mission).await;
        let terminal = mission.status.is_terminal();
        Ok(MissionDetails {
            terminal,
            failure: mission.failure.clone(),
            attempts,
            events,
            events_total,
            waiting_because,
            mission,
        })
    }

    async fn waiting_because(&self, mission: &MissionView) -> Option<String> {
        if mission.status.is_terminal() {
            return None;
        }
        let workers = self.lookups().presence().await;
        let mut around = Around { workers: workers.as_ref().map(|all| all.as_slice()), ..Around::default() };
        let closed = self.lookups().closed(&mission.vp_id).await;
        around.closed = closed.as_ref();
        if matches!(mission.status, Status::Queued | Status::Retrying) {
            match self.lookups().queues(&mission.vp_id).await {
                LaneQueues::Known(queues) => around.queue = queues.get(&mission.priority).copied(),
                LaneQueues::Missing => around.queue_missing = true,
                LaneQueues::Unknown => {}
            }
        }
        waiting_because(mission, around, now())
    }
}
