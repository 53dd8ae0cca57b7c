//! The dispatcher: what all tools share, and the way in for doors that pass JSON through.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vp_nats::connect::Connection;
use vp_nats::mission_log::MissionLog;
use vp_shared::api::{Answer, ErrorCode, RouteWords, ToolError, ToolName, parse};
use vp_shared::ids::VpId;
use vp_shared::lane::LaneProfile;
use vp_shared::routing::{Route, Router};

use crate::config::{Caller, DispatcherConfig};
use crate::lookups::Lookups;

/// The six tools. Cheap to clone; clones share the connection and what was looked up lately.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    conn: Connection,
    log: MissionLog,
    config: DispatcherConfig,
    lookups: Lookups,
    router: Router,
}

impl Dispatcher {
    /// The tools over this connection.
    pub fn new(conn: Connection, config: DispatcherConfig) -> Self {
        let log = MissionLog::new(&conn);
        let lookups = Lookups::new(&conn, config.lookup_timeout);
        let router = Router::new(&config.lanes);
        Self { inner: Arc::new(Inner { conn, log, config, lookups, router }) }
    }

    /// Runs a tool on a JSON input; the answer is JSON as every door gives it. Never panics on any input.
    pub async fn call(&self, tool: ToolName, input: &[u8], caller: &Caller) -> Vec<u8> {
        match tool {
            ToolName::Dispatch => answer(input, async |input| self.dispatch(input, caller).await).await,
            ToolName::Get => answer(input, async |input| self.get(input).await).await,
            ToolName::List => answer(input, async |input| self.list(input).await).await,
            ToolName::Wait => answer(input, async |input| self.wait(input).await).await,
            ToolName::Cancel => answer(input, async |input| self.cancel(input, caller).await).await,
            ToolName::ReadArtifacts => answer(input, async |input| self.read_artifacts(input).await).await,
        }
    }

    /// Reads what the user's own words ask for. The input is [`RouteWords`] as JSON.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn route(&self, input: &[u8]) -> Result<Route, ToolError> {
        let words: RouteWords = parse(input)?;
        words.check()?;
        Ok(self.inner.router.route(&words.text))
    }

    /// The connection it works over.
    pub fn connection(&self) -> &Connection {
        &self.inner.conn
    }

    /// Its options.
    pub fn config(&self) -> &DispatcherConfig {
        &self.inner.config
    }

    /// The lane of that name, as it is configured.
    pub(crate) fn lane(&self, vp_id: &VpId) -> Result<&LaneProfile, ToolError> {
        let lanes = &self.config().lanes;
        lanes.get(vp_id).ok_or_else(|| {
            let known: Vec<_> = lanes.keys().map(|vp_id| format!("`{vp_id}`")).collect();
            let hint = match known.as_slice() {
                [] => "no lane is configured".to_owned(),
                known => format!("known lanes: {}", known.join(", ")),
            };
            let message = format!("`vp_id`: there is no lane `{vp_id}`");
            ToolError::new(ErrorCode::UnknownLane, message).hint(hint)
        })
    }

    pub(crate) fn log(&self) -> &MissionLog {
        &self.inner.log
    }

    pub(crate) fn lookups(&self) -> &Lookups {
        &self.inner.lookups
    }
}

async fn answer<I, O>(input: &[u8], run: impl AsyncFnOnce(I) -> Result<O, ToolError>) -> Vec<u8>
where
    I: DeserializeOwned,
    O: Serialize,
{
    let result = match parse(input) {
        Ok(input) => run(input).await,
        Err(error) => Err(error),
    };
    Answer(result).to_json()
}
