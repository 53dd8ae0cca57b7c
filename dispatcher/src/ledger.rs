//! Asking the ledger, which the bridge serves over NATS.

use serde::Serialize;
use serde::de::DeserializeOwned;
use vp_nats::service::request;
use vp_nats::subject;
use vp_shared::api::{
    Answer, ErrorCode, LedgerGet, LedgerList, LedgerMission, LedgerPage, LedgerQuestion, LedgerStatus,
    ToolError,
};
use vp_shared::ids::MissionId;

use crate::dispatcher::Dispatcher;
use crate::failure::{internal, unasked};

impl Dispatcher {
    /// A mission as the ledger has it; `None` when it has none of that id.
    pub(crate) async fn ledger_mission(
        &self,
        mission_id: &MissionId,
    ) -> Result<Option<LedgerMission>, ToolError> {
        let question = LedgerGet { mission_id: mission_id.clone() };
        match self.ask_ledger(LedgerQuestion::GetMission, &question).await {
            Ok(mission) => Ok(Some(mission)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn ledger_page(&self, question: &LedgerList) -> Result<LedgerPage, ToolError> {
        self.ask_ledger(LedgerQuestion::ListMissions, question).await
    }

    /// How the ledger stands.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub async fn ledger_status(&self) -> Result<LedgerStatus, ToolError> {
        self.ask_ledger(LedgerQuestion::Status, &serde_json::json!({})).await
    }

    async fn ask_ledger<Q: Serialize, A: DeserializeOwned>(
        &self,
        question: LedgerQuestion,
        body: &Q,
    ) -> Result<A, ToolError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| internal("the question to the ledger has no JSON form", &error))?;
        let subject = subject::ledger(question);
        let timeout = self.config().ledger_timeout;
        let reply = request(self.connection(), &subject, body.into(), None, timeout).await;
        let reply = reply.map_err(|error| unasked(&error))?;
        match Answer::from_json(&reply) {
            Ok(Answer(result)) => result,
            Err(error) => Err(internal("the ledger's answer could not be read", &error)),
        }
    }
}
