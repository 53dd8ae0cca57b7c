//! The conversations of MCP hosts over HTTP, as many as there may be: a new one beyond that ends the one that has been
//! silent the longest. Its host is told 404 when it comes back, which is MCP's word for beginning again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId, SessionManager};

/// Hosts forget to say that they have ended, and each conversation keeps some 60 kB until it has been silent for a day.
const MAX_CONVERSATIONS: usize = 512;

/// The library's sessions, bounded.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    local: LocalSessionManager,
    used: Mutex<Used>,
}

/// When each was used last, in uses.
#[derive(Debug, Default)]
struct Used {
    uses: u64,
    last: HashMap<SessionId, u64>,
}

impl Used {
    /// It was used; the one that must end for it, if it is one too many.
    fn touch(&mut self, id: &SessionId, max: usize) -> Option<SessionId> {
        self.uses += 1;
        self.last.insert(SessionId::clone(id), self.uses);
        if self.last.len() <= max {
            return None;
        }
        let silent = self.last.iter().min_by_key(|(_, used)| **used).map(|(id, _)| SessionId::clone(id))?;
        self.last.remove(&silent);
        Some(silent)
    }
}

impl Conversations {
    pub(super) fn new(local: LocalSessionManager) -> Self {
        Self { local, used: Mutex::default() }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionManager for Conversations {
    type Error = <LocalSessionManager as SessionManager>::Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let made = self.local.create_session().await?;
        let silent = self.used().touch(&made.0, MAX_CONVERSATIONS);
        if let Some(silent) = silent {
            tracing::warn!(max = MAX_CONVERSATIONS, "too many MCP sessions: the most silent one was ended");
            if let Err(error) = self.local.close_session(&silent).await {
                tracing::debug!(%error, "the most silent MCP session had ended already");
            }
        }
        Ok(made)
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.local.initialize_session(id, message).await
    }

    /// Asked for each request of a conversation, so this is when it is used.
    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        let known = self.local.has_session(id).await?;
        if known {
            self.used().touch(id, usize::MAX);
        }
        Ok(known)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.used().last.remove(id);
        self.local.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.create_stream(id, message).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.local.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.resume(id, last_event_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_silent_one_ends_for_a_new_one() {
        let id = |name: &str| SessionId::from(name);
        let mut used = Used::default();
        for name in ["a", "b", "c"] {
            assert_eq!(used.touch(&id(name), 3), None);
        }
        assert_eq!(used.touch(&id("a"), 3), None);
        assert_eq!(used.touch(&id("d"), 3), Some(id("b")));
        assert_eq!(used.touch(&id("e"), 3), Some(id("c")));
        used.last.remove(&id("a"));
        assert_eq!(used.touch(&id("f"), 3), None);
    }
}
