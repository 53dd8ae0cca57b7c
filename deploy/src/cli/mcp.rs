//! `vp mcp`: the six tools for an MCP host that starts its servers as child processes.

use clap::Args;
use futures_util::FutureExt as _;
use vp_dispatcher::mcp::McpServer;
use vp_dispatcher::provider::Provider;
use vp_shared::api::{ErrorCode, ToolError};
use vp_shared::ids::SessionId;

use super::{Context, output};
use crate::config::Settings;
use crate::exit::{Exit, Failed};
use crate::{link, shutdown};

/// Serve the tools over MCP.
#[derive(Debug, Args)]
pub struct Mcp {
    /// The session that delegates and is told; also VP_SESSION or `session` in the configuration
    #[arg(long, value_name = "SESSION", env = "VP_SESSION", hide_env_values = true)]
    session: Option<SessionId>,
}

/// `vp mcp`: ends when standard input does. The broker need not be there yet.
pub async fn run(context: &Context, args: Mcp) -> Result<Exit, Failed> {
    let session = args.session.or_else(|| context.settings.session.clone()).ok_or_else(|| {
        Failed::new(Exit::Usage, "no session is known, so nobody could be told how a mission ends")
            .hint("pass --session, or set VP_SESSION")
    })?;
    let settings = context.settings.clone();
    let tools = Provider::lazy(Box::new(move || {
        let settings = settings.clone();
        async move { open(&settings).await }.boxed()
    }));
    let server = McpServer::of_session(tools, session.clone());
    tracing::info!(session_id = %session, "serving mcp on standard input and output");
    let stop = shutdown::token();
    tokio::select! {
        ended = server.serve_stdio() => ended.map_err(|error| Failed::from_error(Exit::Failure, &error))?,
        () = stop.cancelled() => output::say("stopped"),
    }
    Ok(Exit::Ok)
}

async fn open(settings: &Settings) -> Result<vp_dispatcher::Dispatcher, ToolError> {
    let conn = link::connect(settings, "vp-mcp").await.map_err(|failed| {
        let code = match failed.exit {
            Exit::Forbidden => ErrorCode::Forbidden,
            _ => ErrorCode::BrokerUnavailable,
        };
        let error = ToolError::new(code, failed.message);
        match failed.hint {
            Some(hint) => error.hint(hint),
            None => error.hint("see whether nats-server runs and is reachable, then call again"),
        }
    })?;
    Ok(link::dispatcher(settings, &conn))
}
