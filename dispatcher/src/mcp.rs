//! The six tools for MCP hosts, over stdio and over HTTP.
//!
//! An answer's data is the contract's JSON, success and failure alike; beside it stands a short text. A failure is a
//! tool's error with its code in both; JSON-RPC errors are for what is no call of a tool. The session is bound when the
//! server is made, or by the credential of the HTTP request; no argument decides it.
//!
//! - `offer`: the tools with schemas and annotations. `waiting`: `vp_wait_mission` with progress and cancellation.
//! - `resources`: artifacts as `vp://missions/<id>/artifacts/<path>`.
//! - `tasks`: missions as tasks of the Tasks extension, for hosts that announce it.

mod offer;
mod resources;
mod tasks;
mod waiting;

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ContentBlock, CustomRequest,
    CustomResult, ErrorCode, GetTaskParams, GetTaskResult, Implementation, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use serde_json::Value;
use tokio::sync::Semaphore;
use vp_shared::api::{Answer, ToolError, ToolName};
use vp_shared::door::Admitted;
use vp_shared::ids::SessionId;

use crate::config::Caller;
use crate::provider::Provider;
use crate::words;

/// What the host tells its model of the server.
const INSTRUCTIONS: &str = "Delegates missions to independent VP lanes. vp_dispatch_mission returns at once with a \
    mission_id; the session is told by a notice how the mission ends. vp_wait_mission waits for the end (call it again \
    when timed_out is true), vp_read_result_artifacts reads what was delivered. On an error act on its code: the same \
    call with the same idempotency_key never makes a second mission.";

/// How many calls of the host on standard input may wait for missions at a time.
const MAX_WAITS: usize = 64;
/// What a host may ask of this server.
const METHODS: [&str; 9] = [
    "initialize",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "tasks/get",
    "tasks/cancel",
    "tasks/update",
];

/// The MCP server of one session, or of those that HTTP requests are bound to.
#[derive(Debug, Clone)]
pub struct McpServer {
    tools: Provider,
    session_id: Option<SessionId>,
    /// How many more calls may wait for missions.
    waits: Arc<Semaphore>,
}

/// Why the server on standard input ended.
#[derive(Debug, thiserror::Error)]
#[error("the MCP server ended: {why}")]
pub struct McpError {
    /// The library's words.
    pub why: String,
}

impl McpServer {
    /// A server that speaks for this session.
    pub fn of_session(tools: Provider, session_id: SessionId) -> Self {
        Self { tools, session_id: Some(session_id), waits: Arc::new(Semaphore::new(MAX_WAITS)) }
    }

    /// A server that speaks for whom the guard of the HTTP door has [`Admitted`]; all of them share `waits`.
    pub fn of_requests(tools: Provider, waits: Arc<Semaphore>) -> Self {
        Self { tools, session_id: None, waits }
    }

    /// Serves one client on standard input and output until the input ends. A client that goes away before it has said
    /// anything is no error.
    ///
    /// # Errors
    /// [`McpError`] when the client does not speak MCP, or a task of the server died.
    pub async fn serve_stdio(self) -> Result<(), McpError> {
        let ended = |why: String| McpError { why };
        let running = match Box::pin(self.serve(rmcp::transport::stdio())).await {
            Ok(running) => running,
            Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(ended(error.to_string())),
        };
        running.waiting().await.map(drop).map_err(|error| ended(error.to_string()))
    }

    /// Who calls. Only what the door has established counts.
    fn caller(&self, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
        let of_request = || {
            let parts = context.extensions.get::<http::request::Parts>()?;
            parts.extensions.get::<Admitted>()?.session_id.clone()
        };
        let session_id = self.session_id.clone().or_else(of_request);
        session_id.map(Caller::session).ok_or_else(|| ErrorData::invalid_request("no session is known", None))
    }

    async fn call(&self, tool: ToolName, input: &[u8], caller: &Caller) -> Value {
        let answer = match self.tools.get().await {
            Ok(tools) => tools.call(tool, input, caller).await,
            Err(error) => Answer::<()>(Err(error)).to_json(),
        };
        serde_json::from_slice(&answer).unwrap_or_else(|error| {
            let error = crate::failure::internal("an answer could not be read", &error);
            Answer::<()>(Err(error)).to_value()
        })
    }
}

/// The answer as MCP wants it. Many hosts show their model nothing but the text, so what was read stands there too.
fn result(tool: ToolName, answer: Value) -> CallToolResult {
    let mut text = words::text(tool, &answer);
    for warning in words::warnings(&answer) {
        text.push_str("\nwarning: ");
        text.push_str(warning);
    }
    let mut content = vec![ContentBlock::text(text)];
    content.extend(excerpts(&answer).map(ContentBlock::text));
    let good = answer["ok"] == Value::Bool(true);
    let mut result = if good { CallToolResult::success(content) } else { CallToolResult::error(content) };
    result.structured_content = Some(answer);
    result
}

/// What was read of each artifact, under its path.
fn excerpts(answer: &Value) -> impl Iterator<Item = String> {
    let read = answer["artifacts"].as_array().into_iter().flatten();
    read.filter_map(|file| {
        let cut = if file["excerpt_truncated"] == true { " (its beginning)" } else { "" };
        Some(format!("{}{cut}:\n{}", file["path"].as_str()?, file["excerpt"].as_str()?))
    })
}

/// A failure where no tool was called.
fn refused(error: &ToolError) -> ErrorData {
    use vp_shared::api::ErrorCode as Code;
    let data = serde_json::to_value(error).ok();
    match error.code {
        Code::NotFound | Code::ArtifactUnavailable => {
            ErrorData::resource_not_found(error.message.clone(), data)
        }
        Code::ValidationError => ErrorData::invalid_params(error.message.clone(), data),
        _ => ErrorData::internal_error(error.message.clone(), data),
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_tasks().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("vp", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(offer::tools().to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        offer::tools().iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = ToolName::from_name(&request.name)
            .ok_or_else(|| ErrorData::invalid_params(format!("there is no tool `{}`", request.name), None))?;
        let caller = self.caller(&context)?;
        let input = Value::Object(request.arguments.unwrap_or_default()).to_string();
        if tool == ToolName::Wait {
            return Box::pin(self.wait(input.as_bytes(), &caller, &context)).await;
        }
        Ok(result(tool, self.call(tool, input.as_bytes(), &caller).await).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.resources(&self.caller(&context)?).await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(vec![resources::template()]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.caller(&context)?;
        self.resource(&request.uri).await.map(Into::into)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.caller(&context)?;
        self.task(&request.task_id).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.caller(&context)?;
        self.stop_task(&request.task_id, &caller).await
    }

    /// What the library could not read comes here too: it is no unknown method then, but a call that is malformed.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        Err(if METHODS.contains(&method.as_str()) {
            ErrorData::invalid_params(format!("`{method}`: `params` are not what the protocol wants"), None)
        } else {
            ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method `{method}`"), None)
        })
    }

    async fn update_task(&self, _: UpdateTaskParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Err(ErrorData::invalid_request("a mission asks for no input while it runs", None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_read_is_in_the_text_too() {
        let file = |path: &str| json!({"path": path, "excerpt_truncated": true});
        let mut read = file("result.md");
        read["excerpt"] = "# Result".into();
        let answer = json!({"ok": true, "artifacts": [read, file("raw.bin")]});
        let result = result(ToolName::ReadArtifacts, answer);
        let texts: Vec<_> = result.content.iter().filter_map(|block| block.as_text()).collect();
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[1].text, "result.md (its beginning):\n# Result");
    }
}
