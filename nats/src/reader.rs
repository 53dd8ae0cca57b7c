//! Ordered reading of a stream from a known place, without acks: the projector's way, and every follower's.

pub(crate) mod feed;

use std::time::Duration;

use async_nats::header;
use async_nats::jetstream::ErrorCode;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};
use vp_shared::retry::RetryDelay;
use vp_shared::time::UtcTime;

use crate::ack::{header_of, is_marker};
use crate::api::{ApiError, Pick, Raw, ask, read_message};
use crate::connect::Connection;
use crate::headers::expected_nothing;
use crate::retry::Delays;

use feed::{Feed, Heard};

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
    /// It was stored on the condition that the log held nothing of its mission: that mission begins here.
    pub begins: bool,
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

impl ReaderError {
    fn of(stream: &str, error: &ApiError) -> Self {
        let missing = error.is(ErrorCode::STREAM_NOT_FOUND);
        Self { stream: stream.to_owned(), why: error.to_string(), missing }
    }
}

/// Reads a stream in order, each message once, contiguous by the consumer's own count; after a lost connection or
/// a gap it resumes behind the last message it gave out. Of a stream that was deleted and made anew it reads everything:
/// the sequences of the one before say nothing there.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    stream: String,
    filters: Vec<String>,
    start: Start,
    /// When the stream was created that it reads; `None` before the first one is open.
    created_at: Option<UtcTime>,
    /// `None` until it has resumed.
    feed: Option<Feed>,
    delays: Delays,
    pending: u64,
    openings: u64,
}

impl Reader {
    /// A reader of `stream`, of subjects that match one of `filters` (none: of all).
    ///
    /// # Errors
    /// [`ReaderError`] when the stream does not exist or the server does not answer.
    pub async fn open(
        conn: &Connection,
        stream: &str,
        filters: &[String],
        start: Start,
    ) -> Result<Self, ReaderError> {
        let start = match start {
            // Said now, so that what is stored before a resumption is not passed over.
            Start::New => Start::After(identity(conn, stream).await?.last_seq),
            start => start,
        };
        let mut reader = Self {
            conn: conn.clone(),
            stream: stream.to_owned(),
            filters: filters.to_vec(),
            start,
            created_at: None,
            feed: None,
            delays: Delays::new(&RetryDelay::REQUEST),
            pending: 0,
            openings: 0,
        };
        reader.resume().await.map_err(|error| ReaderError::of(stream, &error))?;
        Ok(reader)
    }

    /// What has come: at least one message and at most `max`, as soon as there is one; none when `wait` is over.
    /// Cancel safe: what was not returned is returned by the next call.
    ///
    /// # Errors
    /// [`ReaderError`] when it could not resume within `wait`; call again.
    pub async fn next_batch(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>, ReaderError> {
        let deadline = Instant::now() + wait;
        loop {
            self.resume_until(deadline).await?;
            let Some(feed) = &mut self.feed else { continue };
            let ended = match feed.next(max.max(1), deadline).await {
                Heard::Records(records) => {
                    if let Some(last) = records.last() {
                        self.start = Start::After(last.seq);
                        self.pending = feed.pending();
                    }
                    return Ok(records);
                }
                Heard::Nothing => return Ok(Vec::new()),
                Heard::Ended(why) => why,
            };
            tracing::debug!(stream = self.stream, start = ?self.start, why = ended, "resuming a reader");
            self.feed = None;
        }
    }

    /// True when what it gives out is of the stream that was created then.
    pub fn reads(&self, created_at: UtcTime) -> bool {
        self.created_at == Some(created_at)
    }

    /// How often it has begun to read: another number than before says that it has resumed since, and that the server may
    /// have lost or replaced meanwhile what was read before.
    pub fn openings(&self) -> u64 {
        self.openings
    }

    /// How many messages were waiting at the server behind the last one given out, when it was sent.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    async fn resume_until(&mut self, deadline: Instant) -> Result<(), ReaderError> {
        while self.feed.is_none() {
            let error = match timeout_at(deadline, self.resume()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => ReaderError::of(&self.stream, &error),
                Err(_) => {
                    let why = "nats-server did not answer in time".to_owned();
                    return Err(ReaderError { stream: self.stream.clone(), why, missing: false });
                }
            };
            let next = Instant::now() + self.delays.next().unwrap_or_default();
            if next >= deadline {
                sleep_until(deadline).await;
                return Err(error);
            }
            sleep_until(next).await;
        }
        Ok(())
    }

    async fn resume(&mut self) -> Result<(), ApiError> {
        let feed = loop {
            let feed = Feed::open(&self.conn, &self.stream, &self.filters, self.start).await?;
            // Asked behind the opening: the feed is of this stream, or has ended with the one before.
            let created_at = look(&self.conn, &self.stream).await?.created_at;
            if self.created_at.replace(created_at).is_none_or(|known| known == created_at) {
                break feed;
            }
            tracing::warn!(stream = self.stream, "the stream was made anew, reading it from its beginning");
            if self.start != Start::LastPerSubject {
                self.start = Start::After(0);
            }
        };
        self.pending = feed.pending();
        self.feed = Some(feed);
        self.openings += 1;
        self.delays = Delays::new(&RetryDelay::REQUEST);
        Ok(())
    }
}

/// The identity and bounds of a stream, from its leader.
///
/// # Errors
/// [`ReaderError`].
pub async fn identity(conn: &Connection, stream: &str) -> Result<StreamIdentity, ReaderError> {
    look(conn, stream).await.map_err(|error| ReaderError::of(stream, &error))
}

async fn look(conn: &Connection, stream: &str) -> Result<StreamIdentity, ApiError> {
    let info = ask(conn, &format!("STREAM.INFO.{stream}"), &Value::Null).await?;
    let created_at = info["created"].as_str().and_then(|text| UtcTime::parse(text).ok());
    let number = |field: &str| info["state"][field].as_u64();
    let (Some(created_at), Some(first_seq), Some(last_seq)) =
        (created_at, number("first_seq"), number("last_seq"))
    else {
        return Err(ApiError::Client("the server's answer lacks `created` or `state`".to_owned()));
    };
    Ok(StreamIdentity { created_at, first_seq, last_seq })
}

/// The first message after `seq` that a stream still holds, from its leader: its sequence and when it was stored.
///
/// # Errors
/// [`ReaderError`].
pub async fn first_after(
    conn: &Connection,
    stream: &str,
    seq: u64,
) -> Result<Option<(u64, UtcTime)>, ReaderError> {
    let found = first_from(conn, stream, seq.saturating_add(1)).await?;
    Ok(found.map(|record| (record.seq, record.stored_at)))
}

/// The first message that a stream still holds at `seq` or behind it, from its leader.
///
/// # Errors
/// [`ReaderError`].
pub async fn first_from(conn: &Connection, stream: &str, seq: u64) -> Result<Option<Record>, ReaderError> {
    let found = read_message(conn, stream, Pick::Next(seq, ">"), conn.request_timeout()).await;
    Ok(found.map_err(|error| ReaderError::of(stream, &error))?.map(Record::from))
}

impl From<Raw> for Record {
    fn from(raw: Raw) -> Self {
        Self {
            seq: raw.seq,
            stored_at: raw.stored_at,
            deleted: is_marker(&raw.headers),
            message_id: header_of(Some(&raw.headers), &header::NATS_MESSAGE_ID),
            begins: expected_nothing(&raw.headers),
            subject: raw.subject,
            payload: raw.payload,
        }
    }
}
