//! The NOTICES stream: written by the bridge's sender, read by sessions with a durable consumer each.

use std::time::Duration;

use vp_shared::ids::{NoticeId, SessionId};
use vp_shared::notice::Notice;
use vp_shared::time::UtcTime;

use crate::connect::Connection;

/// Why notices could not be sent or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not {what}: {why}")]
pub struct NoticeError {
    /// What was attempted.
    pub what: &'static str,
    /// The server's or the client's words.
    pub why: String,
}

/// A notice to be sent: its id, its session, its body as JSON.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Becomes the message id, by which the server drops a repeat.
    pub notice_id: NoticeId,
    /// Decides the subject.
    pub session_id: SessionId,
    /// The notice as JSON.
    pub body: bytes::Bytes,
}

/// Sends `notices` in order, all in flight at once, and waits for every confirmation. Returns how many, counted
/// from the first, are confirmed without a gap; fewer than all only together with a logged error.
pub async fn send(conn: &Connection, notices: &[Outgoing]) -> usize {
    let _ = (conn, notices);
    todo!()
}

/// The ids of all notices stored at or after `since`: read before the first send after a start, so that one that was
/// sent and not marked is not sent again, however long ago.
///
/// # Errors
/// [`NoticeError`].
pub async fn sent_since(
    conn: &Connection,
    since: UtcTime,
) -> Result<std::collections::HashSet<NoticeId>, NoticeError> {
    let _ = (conn, since);
    todo!()
}

/// A session's notices, in order, each until it is acked.
#[derive(Debug)]
pub struct NoticeReader {
    conn: Connection,
}

/// A notice in a reader's hand. Dropped unacked, it comes again.
#[derive(Debug)]
pub struct NoticeDelivery {
    /// The notice.
    pub notice: Notice,
    /// Its stream sequence.
    pub seq: u64,
    lease: String,
    conn: Connection,
}

impl NoticeReader {
    /// Binds the session's durable consumer, which is made when it is not there. It keeps its place across restarts
    /// of everything; two readers of one session share it.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn open(conn: &Connection, session_id: &SessionId) -> Result<Self, NoticeError> {
        let _ = (conn, session_id);
        todo!()
    }

    /// The next notice; `None` when `wait` is over. Not cancel safe: await it to its end.
    ///
    /// # Errors
    /// [`NoticeError`]; call again.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<NoticeDelivery>, NoticeError> {
        let _ = (&self.conn, wait);
        todo!()
    }
}

impl NoticeDelivery {
    /// It was shown: confirmed, and never given out again.
    ///
    /// # Errors
    /// [`NoticeError`] when not confirmed in 10 s; it comes again, with the same notice id.
    pub async fn ack(self) -> Result<(), NoticeError> {
        let _ = (&self.lease, &self.conn);
        todo!()
    }
}
