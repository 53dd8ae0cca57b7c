//! Who is alive: a key per worker with a time to live, and a subject on which it answers for itself.

use std::time::Duration;

use vp_shared::api::{Presence, WorkerAnswer, WorkerQuestion};
use vp_shared::event::WorkerRef;
use vp_shared::ids::{MissionId, WorkerId};
use vp_shared::mission::Liveness;

use crate::connect::Connection;

/// How long a presence key lives without a renewal.
pub const PRESENCE_TTL: Duration = Duration::from_secs(4);
/// How often it is renewed.
pub const PRESENCE_EVERY: Duration = Duration::from_secs(1);

/// Why presence could not be said or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not {what}: {why}")]
pub struct PresenceError {
    /// What was attempted.
    pub what: &'static str,
    /// The server's or the client's words.
    pub why: String,
}

/// Puts the worker's presence key; call each [`PRESENCE_EVERY`].
///
/// # Errors
/// [`PresenceError`] when the server did not confirm it within a second.
pub async fn announce(conn: &Connection, presence: &Presence) -> Result<(), PresenceError> {
    let _ = (conn, presence);
    todo!()
}

/// Removes the worker's presence key: it stops in good order.
///
/// # Errors
/// [`PresenceError`]; the key expires by itself then.
pub async fn withdraw(conn: &Connection, worker_id: &WorkerId) -> Result<(), PresenceError> {
    let _ = (conn, worker_id);
    todo!()
}

/// The worker's presence, from the bucket's leader. `None`: its key is gone.
///
/// # Errors
/// [`PresenceError`].
pub async fn lookup(conn: &Connection, worker_id: &WorkerId) -> Result<Option<Presence>, PresenceError> {
    let _ = (conn, worker_id);
    todo!()
}

/// All workers that are alive.
///
/// # Errors
/// [`PresenceError`].
pub async fn list(conn: &Connection) -> Result<Vec<Presence>, PresenceError> {
    let _ = conn;
    todo!()
}

/// What became of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceChange {
    /// It is alive; also said first for each one that is alive when the watch begins.
    Alive(Presence),
    /// Its key has expired or was removed.
    Gone(WorkerId),
}

/// Follows all presence keys; resumes by itself after a lost connection.
#[derive(Debug)]
pub struct PresenceWatch {
    reader: crate::reader::Reader,
}

impl PresenceWatch {
    /// Begins.
    ///
    /// # Errors
    /// [`PresenceError`].
    pub async fn open(conn: &Connection) -> Result<Self, PresenceError> {
        let _ = conn;
        todo!()
    }

    /// What has changed; empty when `wait` is over. Cancel safe.
    ///
    /// # Errors
    /// [`PresenceError`]; call again.
    pub async fn next(&mut self, wait: Duration) -> Result<Vec<PresenceChange>, PresenceError> {
        let _ = (&mut self.reader, wait);
        todo!()
    }
}

/// Proves, or not, that `owner` no longer holds `mission_id`: its presence key is absent, or it lives another life
/// and says it does not hold it, or its own subject has no responder twice, a second apart. Anything else, such as
/// no answer in time, is [`Liveness::Alive`].
pub async fn prove_gone(conn: &Connection, owner: &WorkerRef, mission_id: &MissionId) -> Liveness {
    let _ = (conn, owner, mission_id);
    todo!()
}

/// The questions asked of a worker.
#[derive(Debug)]
pub struct Questions {
    subscriber: async_nats::Subscriber,
    conn: Connection,
}

impl Questions {
    /// Subscribes to the worker's own subject.
    ///
    /// # Errors
    /// [`PresenceError`].
    pub async fn open(conn: &Connection, worker_id: &WorkerId) -> Result<Self, PresenceError> {
        let _ = (conn, worker_id);
        todo!()
    }

    /// Answers questions until the subscription ends; `answer` must be quick.
    pub async fn serve(&mut self, answer: impl Fn(&WorkerQuestion) -> WorkerAnswer + Send) {
        let _ = (&mut self.subscriber, &self.conn, answer);
        todo!()
    }
}
