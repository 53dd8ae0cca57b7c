//! Ordered reading of a stream from a known place, without acks: the projector's way, and every follower's.

use std::time::Duration;

use bytes::Bytes;
use vp_shared::time::UtcTime;

use crate::connect::Connection;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After this sequence (0: from the beginning).
    After(u64),
    /// With what is stored from now on.
    New,
    /// With what was stored at or after this moment.
    Time(UtcTime),
    /// With the last message of each subject, then what is stored from now on.
    LastPerSubject,
}

/// A stored message.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its stream sequence.
    pub seq: u64,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
    /// When the server stored it.
    pub stored_at: UtcTime,
    /// A key-value marker: deleted or expired, with no value.
    pub deleted: bool,
    /// Its message id, if any.
    pub message_id: Option<String>,
}

/// What identifies a stream: the same name after a deletion is another stream, whose sequences start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamIdentity {
    /// When it was created.
    pub created_at: UtcTime,
    /// The first sequence it still holds.
    pub first_seq: u64,
    /// The last sequence it gave.
    pub last_seq: u64,
}

/// Why reading failed. The reader starts again by itself; this is said when it cannot.
#[derive(Debug, thiserror::Error)]
#[error("could not read stream {stream}: {why}")]
pub struct ReaderError {
    /// Which stream.
    pub stream: String,
    /// The server's or the client's words.
    pub why: String,
    /// True when the stream does not exist.
    pub missing: bool,
}

/// Reads a stream in order, each message once, contiguous by the consumer's own count; after a lost connection or
/// a gap it resumes behind the last message it gave out.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

impl Reader {
    /// A reader of `stream`, of subjects that match one of `filters`.
    ///
    /// # Errors
    /// [`ReaderError`] when the stream does not exist or the server does not answer.
    pub async fn open(conn: &Connection, stream: &str, filters: &[String], start: Start) -> Result<Self, ReaderError> {
        let _ = (stream, filters, start);
        let _ = &conn;
        todo!()
    }

    /// What has come: at least one message and at most `max`, as soon as there is one; none when `wait` is over.
    /// Cancel safe: what was not returned is returned by the next call.
    ///
    /// # Errors
    /// [`ReaderError`] when it could not resume within `wait`; call again.
    pub async fn next_batch(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>, ReaderError> {
        let _ = (&self.conn, max, wait);
        todo!()
    }

    /// How many messages were waiting at the server behind the last one given out, when it was sent.
    pub fn pending(&self) -> u64 {
        todo!()
    }
}

/// The identity and bounds of a stream, from its leader.
///
/// # Errors
/// [`ReaderError`].
pub async fn identity(conn: &Connection, stream: &str) -> Result<StreamIdentity, ReaderError> {
    let _ = (conn, stream);
    todo!()
}
