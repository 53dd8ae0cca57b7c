//! The tools behind a connection that may not be there yet, or no longer.
//!
//! An MCP host starts its servers once, with the session; a server that ends because the broker is down takes the tools
//! away for good. So the connection is made at the first call that needs it, and made anew when it is gone: the broker
//! may have come back at another address.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use vp_shared::api::{ErrorCode, ToolError};

use crate::dispatcher::Dispatcher;

/// Makes a connection and the tools over it; answers within seconds.
pub type Open = Box<dyn Fn() -> BoxFuture<'static, Result<Dispatcher, ToolError>> + Send + Sync>;

/// Gives the tools to whoever asks. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    known: Mutex<Option<Dispatcher>>,
    open: Option<Open>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

impl From<Dispatcher> for Provider {
    fn from(dispatcher: Dispatcher) -> Self {
        Self { shared: Arc::new(Shared { known: Mutex::new(Some(dispatcher)), open: None }) }
    }
}

impl Provider {
    /// The tools over a connection that `open` makes when one is needed.
    pub fn lazy(open: Open) -> Self {
        Self { shared: Arc::new(Shared { known: Mutex::new(None), open: Some(open) }) }
    }

    /// The tools.
    ///
    /// # Errors
    /// What `open` says, usually `broker_unavailable`, when there never was a connection.
    pub async fn get(&self) -> Result<Dispatcher, ToolError> {
        // One at a time: who comes meanwhile uses the same connection.
        let mut known = self.shared.known.lock().await;
        let connected = known.as_ref().is_some_and(|tools| tools.connection().state().borrow().connected);
        if let (false, Some(open)) = (connected, &self.shared.open) {
            match open().await {
                Ok(tools) => *known = Some(tools),
                Err(error) if known.is_none() => return Err(error),
                // It may come back where it was; the tools' own patience decides.
                Err(error) => tracing::debug!(%error, "not connected anew"),
            }
        }
        known.clone().ok_or_else(|| ToolError::new(ErrorCode::BrokerUnavailable, "there is no connection"))
    }
}
