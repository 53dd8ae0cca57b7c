//! Options of the dispatcher, and who is asking.

use std::time::Duration;

use vp_shared::event::{Actor, ActorKind};
use vp_shared::ids::SessionId;
use vp_shared::lane::Lanes;

/// Options of the dispatcher.
#[derive(Debug, Clone)]
pub struct DispatcherConfig {
    /// The lanes that exist; a mission for any other is refused.
    pub lanes: Lanes,
    /// This host's name, as workers on it write it into `workspace://<host>/...`.
    pub host: String,
    /// How long the ledger may take for an answer.
    pub ledger_timeout: Duration,
    /// How long a look at the workers' presence or at a queue may take; it only feeds warnings and limits.
    pub lookup_timeout: Duration,
    /// How many `vp_wait_mission` calls may stand at a time in the NATS service.
    pub max_waits: usize,
}

impl DispatcherConfig {
    /// The usual options for these lanes on this host.
    pub fn new(lanes: Lanes, host: impl Into<String>) -> Self {
        Self {
            lanes,
            host: host.into(),
            ledger_timeout: Duration::from_secs(5),
            lookup_timeout: Duration::from_millis(500),
            max_waits: 2048,
        }
    }
}

/// Who is asking. From the door's own configuration or the authenticated connection, never from arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The session that is told of the end of what it delegates. Needed for dispatch only.
    pub session_id: Option<SessionId>,
    /// Who acts when there is no session, such as a user at a host; at most 64 characters are kept.
    pub actor_id: String,
}

impl Caller {
    /// A caller on behalf of this session.
    pub fn session(session_id: SessionId) -> Self {
        Self { actor_id: session_id.to_string(), session_id: Some(session_id) }
    }

    /// A caller without a session: it may look, wait, cancel and read, not dispatch.
    pub fn actor(actor_id: impl Into<String>) -> Self {
        Self { session_id: None, actor_id: actor_id.into() }
    }

    /// As it stands in events.
    pub(crate) fn as_actor(&self) -> Actor {
        Actor { kind: ActorKind::Dispatcher, id: self.name() }
    }

    /// Its session, else who it is.
    pub(crate) fn name(&self) -> String {
        let name = self.session_id.as_ref().map_or(self.actor_id.as_str(), SessionId::as_str);
        vp_shared::text::cut(name.to_owned(), 64)
    }
}
