//! `vp_list_missions`: a page from the ledger.

use vp_shared::api::{LedgerList, ListMissions, MissionList, ToolError};

use crate::dispatcher::Dispatcher;

impl Dispatcher {
    /// Lists missions, newest first. What was dispatched within the last moments may not be in the ledger yet.
    ///
    /// # Errors
    /// `validation_error`; `ledger_unavailable`.
    pub async fn list(&self, input: ListMissions) -> Result<MissionList, ToolError> {
        input.check()?;
        let question = LedgerList {
            vp_id: input.vp_id,
            status: input.status.map(|status| status.0).unwrap_or_default(),
            session_id: input.session_id,
            limit: input.limit,
            after: input.cursor,
        };
        let page = self.ledger_page(&question).await?;
        Ok(MissionList { count: page.missions.len() as u64, missions: page.missions, next_cursor: page.next })
    }
}
