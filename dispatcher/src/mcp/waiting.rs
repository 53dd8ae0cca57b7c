//! `vp_wait_mission` over MCP: the host sees progress while it waits, may stop waiting, or may poll a task instead.

use std::time::Duration;

use rmcp::model::{CallToolResponse, CreateTaskResult, ProgressNotificationParam, ProgressToken};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use vp_shared::api::{Answer, ToolName, WaitMission, parse};

use super::{McpServer, result, tasks};
use crate::config::Caller;
use crate::failure;

/// How often a host that asked for it is told that the wait goes on.
const TELL_EVERY: Duration = Duration::from_secs(2);

impl McpServer {
    /// Waits. A host that announces the Tasks extension gets a task when the mission has not ended yet.
    pub(super) async fn wait(
        &self,
        input: &[u8],
        caller: &Caller,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let known = parse::<WaitMission>(input).ok().filter(|wait| wait.check().is_ok());
        if let Some(wait) = &known
            && context.client_capabilities().is_some_and(|can| can.supports_tasks())
        {
            let details = self.details(wait.mission_id.as_str()).await;
            if let Ok(details) = details.as_ref()
                && !details.terminal
            {
                return Ok(CallToolResponse::Task(CreateTaskResult::new(tasks::task(&details.mission))));
            }
        }
        let Ok(_permit) = self.waits.try_acquire() else {
            let error = Answer::<()>(Err(failure::too_many_waits()));
            return Ok(result(ToolName::Wait, error.to_value()).into());
        };
        let telling = async {
            match (context.meta.get_progress_token(), &known) {
                (Some(token), Some(wait)) => self.tell(token, wait, caller, context).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = self.call(ToolName::Wait, input, caller) => Ok(result(ToolName::Wait, answer).into()),
            () = context.ct.cancelled() => {
                tracing::debug!("a wait was cancelled by the client");
                Err(ErrorData::internal_error("the wait was cancelled; the mission goes on", None))
            }
            () = telling => std::future::pending().await,
        }
    }

    /// Tells how the mission stands until it is dropped, or the host is gone.
    async fn tell(
        &self,
        token: ProgressToken,
        wait: &WaitMission,
        caller: &Caller,
        context: &RequestContext<RoleServer>,
    ) {
        let began = Instant::now();
        let mut ticks = interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let input = json!({"mission_id": wait.mission_id}).to_string();
        loop {
            ticks.tick().await;
            let shown = self.call(ToolName::Get, input.as_bytes(), caller).await;
            let seconds = began.elapsed().as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "at most 3600")]
            let total = wait.timeout_seconds as f64;
            if seconds >= total {
                // Progress that does not grow is none; the answer is due.
                return;
            }
            let told = ProgressNotificationParam::new(token.clone(), seconds)
                .with_total(total)
                .with_message(standing(&shown));
            if let Err(error) = context.peer.notify_progress(told).await {
                tracing::debug!(%error, "progress not told: the client is gone");
                return;
            }
        }
    }
}

/// In one line: what the mission is doing and why it waits.
fn standing(shown: &Value) -> String {
    if let Some(code) = shown["error"]["code"].as_str() {
        return format!("not known at the moment: {code}");
    }
    let status = shown["mission"]["status"].as_str().unwrap_or("not known");
    match (shown["waiting_because"].as_str(), shown["mission"]["attempt"].as_u64()) {
        (Some(because), _) => format!("{status}: {because}"),
        (None, Some(attempt)) if attempt > 0 => format!("{status}, attempt {attempt}"),
        _ => status.to_owned(),
    }
}
