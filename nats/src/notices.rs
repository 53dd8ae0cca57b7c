//! The NOTICES stream: written by the bridge's sender, read by sessions with a durable consumer each.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, Message, header};
use tokio::time::{Instant, timeout};
use vp_shared::error::Chain;
use vp_shared::ids::{NoticeId, SessionId};
use vp_shared::notice::Notice;
use vp_shared::time::UtcTime;

use crate::ack::Place;
use crate::api::ApiError;
use crate::connect::Connection;
use crate::delivery::confirmed_ack;
use crate::pulls::{Ended, PullWait, Puller};
use crate::reader::{Reader, Record, Start};
use crate::subject;
use crate::topology::{NOTICES, ensure_session};

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

/// How long one confirmation is waited for.
const SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Notices in flight at once.
const IN_FLIGHT: usize = 512;
/// How long the stream may take to show what it has.
const CATCH_UP: Duration = Duration::from_secs(10);
const BATCH: usize = 1000;

/// Sends `notices` and waits for every confirmation; they are stored in this order, whatever gets lost. Returns how
/// many, counted from the first, are confirmed without a gap; fewer than all only together with a logged error.
pub async fn send(conn: &Connection, notices: &[Outgoing]) -> usize {
    let (mut confirmed, mut failed) = send_many(conn, notices).await;
    if failed.is_some() {
        // Some may be stored already and answer as duplicates, which a chain does not go over.
        failed = None;
        while failed.is_none() && confirmed < notices.len() {
            match send_one(conn, &notices[confirmed]).await {
                Ok(()) => confirmed += 1,
                Err(error) => failed = Some(error),
            }
        }
    }
    if let Some(error) = failed {
        let (notices, session_id) = (notices.len(), &notices[confirmed].session_id);
        tracing::error!(notices, confirmed, %session_id, %error, "notices not confirmed, they stay pending");
    }
    confirmed
}

/// Many in flight at once, as a chain: the server takes each only behind the one before, so none overtakes one that was
/// lost on the way.
async fn send_many(conn: &Connection, notices: &[Outgoing]) -> (usize, Option<ApiError>) {
    let link = conn.state().borrow().generation;
    let mut confirmed = 0;
    let mut in_flight = VecDeque::with_capacity(IN_FLIGHT.min(notices.len()));
    let mut before = None;
    for notice in notices {
        if in_flight.len() >= IN_FLIGHT
            && let Some(oldest) = in_flight.pop_front()
        {
            match confirmation(conn, link, oldest).await {
                Ok(()) => confirmed += 1,
                Err(error) => return (confirmed, Some(error)),
            }
        }
        let mut headers = identified(notice);
        if let Some(before) = before.replace(&notice.notice_id) {
            headers.insert(header::NATS_EXPECTED_LAST_MESSAGE_ID, before.as_str());
        }
        match hand_over(conn, notice, headers).await {
            Ok(sent) => in_flight.push_back(sent),
            Err(error) => return (confirmed, Some(error)),
        }
    }
    for sent in in_flight {
        match confirmation(conn, link, sent).await {
            Ok(()) => confirmed += 1,
            Err(error) => return (confirmed, Some(error)),
        }
    }
    (confirmed, None)
}

async fn send_one(conn: &Connection, notice: &Outgoing) -> Result<(), ApiError> {
    let link = conn.state().borrow().generation;
    confirmation(conn, link, hand_over(conn, notice, identified(notice)).await?).await
}

fn identified(notice: &Outgoing) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_MESSAGE_ID, notice.notice_id.as_str());
    headers
}

/// Gives it to the client, which sends in the order it is given.
async fn hand_over(
    conn: &Connection,
    notice: &Outgoing,
    headers: HeaderMap,
) -> Result<PublishAckFuture, ApiError> {
    let publish = PublishMessage::build().payload(notice.body.clone()).headers(headers);
    let publish = conn.jetstream().send_publish(subject::notices(&notice.session_id), publish);
    match timeout(SEND_PATIENCE, publish).await {
        Ok(Ok(sent)) => Ok(sent),
        Ok(Err(error)) => Err(ApiError::Client(error.to_string())),
        Err(_) => Err(ApiError::Client("the client takes no more".to_owned())),
    }
}

/// The server's word, which does not come any more when the `link` that the notice went by is no more.
async fn confirmation(conn: &Connection, link: u64, sent: PublishAckFuture) -> Result<(), ApiError> {
    let mut state = conn.state();
    let lost = state.wait_for(|state| state.generation > link || state.closed);
    let answer = tokio::select! {
        biased;
        answer = timeout(SEND_PATIENCE, sent) => answer,
        _ = lost => return Err(ApiError::Client("the connection was lost".to_owned())),
    };
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(ApiError::Client(error.to_string())),
        Err(_) => Err(ApiError::Client("no confirmation in time".to_owned())),
    }
}

/// The ids of all notices stored at or after `since`: read before the first send after a start, so that one that was
/// sent and not marked is not sent again, however long ago.
///
/// # Errors
/// [`NoticeError`].
pub async fn sent_since(conn: &Connection, since: UtcTime) -> Result<HashSet<NoticeId>, NoticeError> {
    let failed = |why: String| NoticeError { what: "look up which notices are sent", why };
    let opened = Reader::open(conn, NOTICES, &[], Start::Time(since)).await;
    let mut reader = opened.map_err(|error| failed(error.to_string()))?;
    let mut ids = HashSet::new();
    while reader.pending() > 0 {
        let records = reader.next_batch(BATCH, CATCH_UP).await.map_err(|error| failed(error.to_string()))?;
        if records.is_empty() {
            return Err(failed("the stream fell silent".to_owned()));
        }
        let id_of = |record: &Record| NoticeId::new(record.message_id.as_deref()?).ok();
        ids.extend(records.iter().filter_map(id_of));
    }
    Ok(ids)
}

/// A session's notices, in order, each until it is acked.
#[derive(Debug)]
pub struct NoticeReader {
    conn: Arc<Connection>,
    puller: Puller,
    session_id: SessionId,
}

/// A notice in a reader's hand. Dropped unacked, it comes again.
#[derive(Debug)]
pub struct NoticeDelivery {
    /// The notice.
    pub notice: Notice,
    /// Its stream sequence.
    pub seq: u64,
    lease: String,
    conn: Arc<Connection>,
}

impl NoticeReader {
    /// Binds the session's durable consumer, which is made when it is not there. It keeps its place across restarts
    /// of everything; two readers of one session share it.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn open(conn: &Connection, session_id: &SessionId) -> Result<Self, NoticeError> {
        ensure(conn, session_id).await?;
        let puller = Puller::new(conn, NOTICES, consumer(session_id));
        Ok(Self { conn: Arc::new(conn.clone()), puller, session_id: session_id.clone() })
    }

    /// The next notice; `None` when `wait` is over. Cancel safe: one that came too late is handed back at once.
    ///
    /// # Errors
    /// [`NoticeError`]; call again.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<NoticeDelivery>, NoticeError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = if left.is_zero() { PullWait::NoWait } else { PullWait::Expires(left) };
            match self.puller.pull(1, wait).next().await {
                Some(Ok(message)) => {
                    if let Some(delivery) = self.delivery(message).await {
                        return Ok(Some(delivery));
                    }
                }
                Some(Err(Ended::Gone)) => ensure(&self.conn, &self.session_id).await?,
                Some(Err(Ended::Interrupted(why))) => {
                    return Err(NoticeError { what: "read the session's notices", why });
                }
                None => return Ok(None),
            }
        }
    }

    /// What is no notice is stepped over, or nothing behind it would ever be shown.
    async fn delivery(&self, message: Message) -> Option<NoticeDelivery> {
        let lease = message.reply?.into_string();
        let seq = Place::parse(&lease).map_or(0, |place| place.stream_seq);
        match serde_json::from_slice(&message.payload) {
            Ok(notice) => Some(NoticeDelivery { notice, seq, lease, conn: Arc::clone(&self.conn) }),
            Err(error) => {
                let session_id = &self.session_id;
                tracing::error!(%session_id, seq, %error, "stepped over a message that is no notice");
                if let Err(error) = confirmed_ack(&self.conn, &lease).await {
                    tracing::debug!(%session_id, seq, %error, "it will come again");
                }
                None
            }
        }
    }
}

/// The durable consumer of a session.
fn consumer(session_id: &SessionId) -> String {
    format!("session-{}", subject::session_token(session_id))
}

async fn ensure(conn: &Connection, session_id: &SessionId) -> Result<(), NoticeError> {
    let made = ensure_session(conn, &consumer(session_id), &subject::notices(session_id)).await;
    made.map_err(|error| NoticeError { what: "bind the session's notices", why: Chain(&error).to_string() })
}

impl NoticeDelivery {
    /// It was shown: confirmed, and never given out again.
    ///
    /// # Errors
    /// [`NoticeError`] when not confirmed in 10 s; it comes again, with the same notice id.
    pub async fn ack(self) -> Result<(), NoticeError> {
        let acked = confirmed_ack(&self.conn, &self.lease).await;
        acked.map_err(|error| NoticeError { what: "confirm that a notice was shown", why: error.to_string() })
    }
}
