//! A mission by its id: from its log, which is the truth, and from the ledger, which remembers longer.

use vp_nats::mission_log::LoggedMission;
use vp_shared::api::{AttemptView, EventView, LedgerMission, MissionView, ToolError, apply_attempt};
use vp_shared::ids::{MissionId, VpId};

use crate::dispatcher::Dispatcher;
use crate::failure::{not_found, unread};

/// How many events a view has at most: the newest.
const EVENTS_SHOWN: usize = 100;

impl Dispatcher {
    /// The mission's lane, by the log; `None` when the log has nothing of it.
    pub(crate) async fn lane_of(&self, mission_id: &MissionId) -> Result<Option<VpId>, ToolError> {
        self.log().lane_of(mission_id).await.map_err(|error| unread(&error))
    }

    /// The mission by its log; `None` when the log has nothing of it.
    pub(crate) async fn logged(
        &self,
        vp_id: &VpId,
        mission_id: &MissionId,
    ) -> Result<Option<LoggedMission>, ToolError> {
        self.log().read(vp_id, mission_id).await.map_err(|error| unread(&error))
    }

    /// The mission by its log, its lane unknown.
    pub(crate) async fn logged_in_any_lane(
        &self,
        mission_id: &MissionId,
    ) -> Result<Option<LoggedMission>, ToolError> {
        match self.lane_of(mission_id).await? {
            Some(vp_id) => self.logged(&vp_id, mission_id).await,
            None => Ok(None),
        }
    }

    /// The mission as the ledger has it, unless the log knows more: a caller always sees what it has just done.
    ///
    /// # Errors
    /// `not_found`; `ledger_unavailable` when only the ledger could know it and did not answer;
    /// `broker_unavailable` when neither did.
    pub(crate) async fn find(&self, mission_id: &MissionId) -> Result<LedgerMission, ToolError> {
        let (ledger, unasked) = match self.ledger_mission(mission_id).await {
            Ok(Some(known)) if known.mission.status.is_terminal() => return Ok(known),
            Ok(known) => (known, None),
            Err(error) => {
                tracing::debug!(%mission_id, %error, "ledger not asked, reading the log instead");
                (None, Some(error))
            }
        };
        // What has not ended may have moved on since the ledger was written.
        let logged = match &ledger {
            Some(known) => self.logged(&known.mission.vp_id, mission_id).await,
            None => self.logged_in_any_lane(mission_id).await,
        };
        match (ledger, logged) {
            (known, Ok(Some(logged))) => {
                let seen = view(&logged);
                Ok(known.filter(|known| known.mission.last_seq >= seen.mission.last_seq).unwrap_or(seen))
            }
            (Some(known), Ok(None)) => Ok(known),
            (Some(known), Err(error)) => {
                tracing::warn!(%mission_id, %error, "log not read, answering from the ledger");
                Ok(known)
            }
            (None, Ok(None)) => Err(unasked.unwrap_or_else(|| not_found(mission_id))),
            (None, Err(error)) => Err(error),
        }
    }
}

/// What the ledger would say, from the log.
pub(crate) fn view(logged: &LoggedMission) -> LedgerMission {
    let illegal = |seq: u64| logged.anomalies.iter().any(|(at, _)| *at == seq);
    let lawful: Vec<_> = logged.events.iter().filter(|(seq, _)| !illegal(*seq)).collect();
    let mut attempts: Vec<AttemptView> = Vec::new();
    for (_, event) in &lawful {
        apply_attempt(&mut attempts, event);
    }
    let mut mission = MissionView::from(&logged.mission);
    if let Some((seq, _)) = logged.events.last() {
        // The log counts a timer too; who looks is told of events.
        mission.last_seq = *seq;
    }
    let newest = lawful.len().saturating_sub(EVENTS_SHOWN);
    LedgerMission {
        mission,
        attempts,
        events: lawful[newest..].iter().map(|(seq, event)| EventView::of(event, *seq)).collect(),
        events_total: lawful.len() as u64,
    }
}
