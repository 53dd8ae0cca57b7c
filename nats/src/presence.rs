//! Who is alive: a key per worker with a time to live, and a subject on which it answers for itself.

mod proof;
mod testament;

use std::collections::HashMap;
use std::time::Duration;

use async_nats::{HeaderMap, Message, header};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, timeout};
use vp_shared::api::{LogTail, MAX_LOG_TAIL_BYTES, Presence, WorkerAnswer, WorkerQuestion};
use vp_shared::ids::{MissionId, WorkerId};
use vp_shared::time::UtcTime;

use crate::ack::is_marker;
use crate::api::{self, ApiError, Pick, ask, read_message};
use crate::connect::Connection;
use crate::headers::{KV_OPERATION, key_unchanged_since};
use crate::reader::{Reader, Record, Start};
use crate::subject;

pub use proof::{absent_for, prove_dead, prove_gone};
pub use testament::Testament;

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

/// The stream under the bucket.
const STREAM: &str = "KV_WORKERS";
const KEYS: &str = "$KV.WORKERS.";
/// A renewal that is not confirmed by then is late anyway.
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions answered at a time; more wait in the client.
const ANSWERS: usize = 64;
/// Keys looked up at a time.
const LOOKUPS: usize = 64;

/// Puts the worker's presence key; call each [`PRESENCE_EVERY`].
///
/// # Errors
/// [`PresenceError`] when the server did not confirm it within a second.
pub async fn announce(conn: &Connection, presence: &Presence) -> Result<(), PresenceError> {
    announce_with(conn, presence, HeaderMap::new()).await
}

/// Puts the worker's presence key for the first time, over what a [`glimpse`] has seen there; refused when somebody else
/// has put it since.
///
/// # Errors
/// [`PresenceError`].
pub async fn announce_over(conn: &Connection, presence: &Presence, seen: u64) -> Result<(), PresenceError> {
    announce_with(conn, presence, key_unchanged_since(seen)).await
}

async fn announce_with(
    conn: &Connection,
    presence: &Presence,
    mut headers: HeaderMap,
) -> Result<(), PresenceError> {
    headers.insert(header::NATS_MESSAGE_TTL, format!("{}s", PRESENCE_TTL.as_secs()));
    let failed = |why: String| PresenceError { what: "announce the worker's presence", why };
    let body = serde_json::to_vec(presence).map_err(|error| failed(error.to_string()))?;
    put(conn, &presence.worker.worker_id, headers, body.into())
        .await
        .map_err(|error| failed(error.to_string()))
}

/// Removes the worker's presence key: it stops in good order.
///
/// # Errors
/// [`PresenceError`]; the key expires by itself then.
pub async fn withdraw(conn: &Connection, worker_id: &WorkerId) -> Result<(), PresenceError> {
    let mut headers = HeaderMap::new();
    headers.insert(KV_OPERATION, "DEL");
    put(conn, worker_id, headers, Bytes::new())
        .await
        .map_err(|error| PresenceError { what: "withdraw the worker's presence", why: error.to_string() })
}

async fn put(
    conn: &Connection,
    worker_id: &WorkerId,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(), ApiError> {
    api::put(conn, format!("{KEYS}{worker_id}"), headers, body, PATIENCE).await
}

/// The worker's presence, from the bucket's leader. `None`: its key is gone.
///
/// # Errors
/// [`PresenceError`].
pub async fn lookup(conn: &Connection, worker_id: &WorkerId) -> Result<Option<Presence>, PresenceError> {
    Ok(glimpse(conn, worker_id).await?.0)
}

/// As [`lookup`], with the sequence of the key's last message, to be replaced by [`announce_over`].
///
/// # Errors
/// [`PresenceError`].
pub async fn glimpse(
    conn: &Connection,
    worker_id: &WorkerId,
) -> Result<(Option<Presence>, u64), PresenceError> {
    let (key, seq) = read_key(conn, worker_id).await?;
    match key {
        Key::Present(presence) => Ok((Some(*presence), seq)),
        Key::Absent { .. } => Ok((None, seq)),
    }
}

/// A worker's presence key.
enum Key {
    Present(Box<Presence>),
    /// It has expired or was removed; long ago when nothing tells when.
    Absent {
        since: Option<UtcTime>,
    },
}

/// The key, and the sequence of its last message; 0 when there is none.
async fn read_key(conn: &Connection, worker_id: &WorkerId) -> Result<(Key, u64), PresenceError> {
    let failed = |why: String| PresenceError { what: "look up a worker's presence", why };
    let key = format!("{KEYS}{worker_id}");
    let found = read_message(conn, STREAM, Pick::Last(&key), PATIENCE).await;
    match found.map_err(|error| failed(error.to_string()))? {
        Some(message) if is_marker(&message.headers) => {
            Ok((Key::Absent { since: Some(message.stored_at) }, message.seq))
        }
        Some(message) => serde_json::from_slice(&message.payload)
            .map(|presence| (Key::Present(presence), message.seq))
            .map_err(|error| failed(error.to_string())),
        None => Ok((Key::Absent { since: None }, 0)),
    }
}

/// The time at the server that keeps the presence keys; `None` when it does not say.
async fn server_time(conn: &Connection) -> Option<UtcTime> {
    let info = ask(conn, &format!("STREAM.INFO.{STREAM}"), &json!({})).await;
    match info {
        Ok(info) => info["ts"].as_str().and_then(|text| UtcTime::parse(text).ok()),
        Err(error) => {
            tracing::debug!(%error, "the server does not say what time it is");
            None
        }
    }
}

/// All workers that are alive.
///
/// # Errors
/// [`PresenceError`].
pub async fn list(conn: &Connection) -> Result<Vec<Presence>, PresenceError> {
    let failed = |why: String| PresenceError { what: "list the workers", why };
    let wanted = json!({ "subjects_filter": format!("{KEYS}>") });
    let info = ask(conn, &format!("STREAM.INFO.{STREAM}"), &wanted).await;
    let info = info.map_err(|error| failed(error.to_string()))?;
    let keys = info["state"]["subjects"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    // Each look owns its id: a borrowed one would make this future impossible to spawn.
    let looks: Vec<_> =
        keys.filter_map(worker_of).map(async |worker_id| lookup(conn, &worker_id).await).collect();
    let found: Vec<_> = stream::iter(looks).buffered(LOOKUPS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

fn worker_of(key: &str) -> Option<WorkerId> {
    WorkerId::new(key.strip_prefix(KEYS)?).ok()
}

/// What became of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceChange {
    /// It is alive: said first for each one that is alive when the watch begins, then whenever what it says of itself
    /// has changed.
    Alive(Presence),
    /// Its key has expired or was removed.
    Gone(WorkerId),
}

/// Follows all presence keys; resumes by itself after a lost connection.
#[derive(Debug)]
pub struct PresenceWatch {
    reader: Reader,
    /// What each worker said last, so that a mere renewal is not told.
    said: HashMap<WorkerId, Bytes>,
}

impl PresenceWatch {
    /// Begins.
    ///
    /// # Errors
    /// [`PresenceError`].
    pub async fn open(conn: &Connection) -> Result<Self, PresenceError> {
        let opened = Reader::open(conn, STREAM, &[], Start::LastPerSubject).await;
        let reader = opened.map_err(watch_failed)?;
        Ok(Self { reader, said: HashMap::new() })
    }

    /// What has changed; empty when `wait` is over. Cancel safe.
    ///
    /// # Errors
    /// [`PresenceError`]; call again.
    pub async fn next(&mut self, wait: Duration) -> Result<Vec<PresenceChange>, PresenceError> {
        const BATCH: usize = 256;
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let records = self.reader.next_batch(BATCH, left).await.map_err(watch_failed)?;
            let over = records.is_empty();
            let changes: Vec<_> = records.into_iter().filter_map(|record| self.change(record)).collect();
            if over || !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    fn change(&mut self, record: Record) -> Option<PresenceChange> {
        let worker_id = worker_of(&record.subject)?;
        if record.deleted {
            self.said.remove(&worker_id);
            return Some(PresenceChange::Gone(worker_id));
        }
        if self.said.get(&worker_id) == Some(&record.payload) {
            return None;
        }
        match serde_json::from_slice(&record.payload) {
            Ok(presence) => {
                self.said.insert(worker_id, record.payload);
                Some(PresenceChange::Alive(presence))
            }
            Err(error) => {
                tracing::warn!(%worker_id, seq = record.seq, %error, "a presence that cannot be read");
                None
            }
        }
    }
}

fn watch_failed(error: crate::reader::ReaderError) -> PresenceError {
    PresenceError { what: "follow the workers' presence", why: error.why }
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
        let failed = |why: String| PresenceError { what: "listen for questions", why };
        let opened = conn.client().subscribe(subject::worker(worker_id)).await;
        let subscriber = opened.map_err(|error| failed(error.to_string()))?;
        conn.flush().await.map_err(|error| failed(error.to_string()))?;
        Ok(Self { subscriber, conn: conn.clone() })
    }

    /// Answers questions until the subscription ends, each as soon as its answer is there. `None`: others may know.
    pub async fn serve<F>(&mut self, answer: impl Fn(WorkerQuestion) -> F + Send + Sync)
    where
        F: Future<Output = Option<WorkerAnswer>> + Send,
    {
        let (answer, conn) = (&answer, &self.conn);
        let mut answering = FuturesUnordered::new();
        loop {
            tokio::select! {
                message = self.subscriber.next(), if answering.len() < ANSWERS => match message {
                    Some(message) => answering.push(answered(conn, answer, message)),
                    None => return,
                },
                Some(()) = answering.next() => {}
            }
        }
    }
}

async fn answered<F>(conn: &Connection, answer: &(impl Fn(WorkerQuestion) -> F + Sync), message: Message)
where
    F: Future<Output = Option<WorkerAnswer>> + Send,
{
    let Some(reply) = message.reply else { return };
    let answer = match serde_json::from_slice(&message.payload) {
        Ok(question) => answer(question).await,
        Err(_) => Some(WorkerAnswer::Unknown),
    };
    let Some(answer) = answer else { return };
    let body = match serde_json::to_vec(&answer) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "could not write an answer");
            return;
        }
    };
    // Whoever asked asks again when this is lost.
    if let Ok(Err(error)) = timeout(PATIENCE, conn.client().publish(reply, body.into())).await {
        tracing::debug!(%error, "could not answer a question");
    }
}

/// Asks the worker that holds a mission for the end of its log. `None`: it does not hold it, or does not tell.
///
/// # Errors
/// [`PresenceError`] when it did not answer within `patience`.
pub async fn ask_log(
    conn: &Connection,
    worker_id: &WorkerId,
    mission_id: &MissionId,
    patience: Duration,
) -> Result<Option<LogTail>, PresenceError> {
    let failed = |why: String| PresenceError { what: "ask a worker for a log", why };
    let question = WorkerQuestion::Log { mission_id: mission_id.clone(), max_bytes: MAX_LOG_TAIL_BYTES };
    let body = serde_json::to_vec(&question).map_err(|error| failed(error.to_string()))?;
    let asked = api::request(conn, subject::worker(worker_id), None, body.into(), patience).await;
    let answer = asked.map_err(|error| failed(error.to_string()))?;
    match serde_json::from_slice(&answer.payload) {
        Ok(WorkerAnswer::Log(tail)) => Ok(Some(tail)),
        Ok(WorkerAnswer::Holds { .. } | WorkerAnswer::DoesNotHold | WorkerAnswer::Unknown) => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}
