//! The NOTICES stream: written by the bridge's sender, read by sessions with a durable consumer each.

mod follow;
mod standing;
mod stored;
mod unread;
mod waiting;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::{self, HeaderName};
use async_nats::{HeaderMap, Message};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::time::{Instant, sleep, timeout};
use vp_shared::error::Chain;
use vp_shared::ids::{NoticeId, SessionId};
use vp_shared::notice::Notice;

use crate::ack::{IN_PROGRESS, NAK, Place};
use crate::connect::Connection;
use crate::delivery::confirmed_ack;
use crate::pulls::{Ended, PullWait, Puller};
use crate::subject;
use crate::topology::{NOTICES, ensure_session};

pub use follow::{NoticeFollower, ack_up_to};
pub use standing::{Standing, standing};
pub use stored::{NoticeStream, Stored, last_sent, notice_stream, sent_since};
pub use unread::unread;
pub use waiting::Waiting;

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

/// What the headers of a notice may take.
const HEADERS: usize = 1024;
/// How long one confirmation is waited for.
const SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Notices in flight at once.
const IN_FLIGHT: usize = 512;
/// How long one call may send: less than the server remembers ids for.
const SEND_LIMIT: Duration = Duration::from_mins(1);
/// How long a notice may be in a session's hand before it is shown again.
const SESSION_ACK_WAIT: Duration = Duration::from_secs(30);
/// The same for a target, which is asked again and again by one process; a late ack counts all the same.
const TARGET_ACK_WAIT: Duration = Duration::from_secs(5);

/// What became of notices that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// How many, counted from the first, are confirmed without a gap.
    pub confirmed: usize,
    /// The stream's last sequence after them.
    pub last: u64,
}

/// How large the body of a notice may be for the server to take it.
pub fn largest(conn: &Connection) -> usize {
    conn.client().max_payload().saturating_sub(HEADERS)
}

/// Sends `notices` in order, many in flight at once, and waits for every confirmation. Fewer are confirmed than all only
/// together with a logged error.
///
/// The first one is stored only if the stream's last sequence is `after`, each other one only directly behind the one
/// before it. So of two senders that do not know of each other none stores what the other one has, in no other order,
/// however long ago that was and whatever the server remembers of ids. (Counting sequences on would not do: a stale
/// count meets the stream's end somewhere in the middle.)
pub async fn send(conn: &Connection, notices: &[Outgoing], after: u64) -> Sent {
    send_if(conn, notices, Some(after)).await
}

/// As [`send`], with no condition but the ids, which the server remembers for two minutes: for a replicated stream. There
/// a refused condition on the last message's id leaves later conditional writes without an answer (server 2.15.1).
/// It gives up well before the server forgets, so that one that was frozen sends no more of what it has at hand.
pub async fn send_by_ids(conn: &Connection, notices: &[Outgoing]) -> Sent {
    send_if(conn, notices, None).await
}

async fn send_if(conn: &Connection, notices: &[Outgoing], after: Option<u64>) -> Sent {
    let (began, link) = (Instant::now(), conn.state().borrow().generation);
    let mut done = Sent { confirmed: 0, last: after.unwrap_or(0) };
    let mut unconfirmed = FuturesOrdered::new();
    let (mut refused, mut unsent) = (None, None);
    let mut expected = after.map(|after| (header::NATS_EXPECTED_LAST_SEQUENCE, after.to_string()));
    for notice in notices {
        if unconfirmed.len() == IN_FLIGHT {
            refused = done.confirm(unconfirmed.next().await);
        }
        if refused.is_some() {
            break;
        }
        if began.elapsed() > SEND_LIMIT {
            unsent = Some(format!("not done within {} s", SEND_LIMIT.as_secs()));
            break;
        }
        // Each is on its way before the next one.
        match send_one(conn, link, notice, expected).await {
            Ok(confirmation) => unconfirmed.push_back(confirmation),
            Err(error) => {
                unsent = Some(error);
                break;
            }
        }
        let this = notice.notice_id.as_str().to_owned();
        expected = after.map(|_| (header::NATS_EXPECTED_LAST_MESSAGE_ID, this));
    }
    while let Some(confirmation) = unconfirmed.next().await {
        // The first error says what is wrong; the rest fails for the same reason, and none of it counts.
        if refused.is_none() {
            refused = done.confirm(Some(confirmation));
        }
    }
    if let Some(error) = refused.or(unsent) {
        let (notices, confirmed) = (notices.len(), done.confirmed);
        tracing::error!(notices, confirmed, %error, "notices not confirmed, they stay pending");
    }
    done
}

impl Sent {
    /// Counts a confirmation, or says why it is none.
    fn confirm(&mut self, confirmation: Option<Result<u64, String>>) -> Option<String> {
        match confirmation? {
            Ok(seq) => {
                self.confirmed += 1;
                self.last = self.last.max(seq);
                None
            }
            Err(error) => Some(error),
        }
    }
}

/// Sends one and returns what waits for its confirmation, which does not come any more when the `link` it went by is no
/// more.
async fn send_one(
    conn: &Connection,
    link: u64,
    notice: &Outgoing,
    condition: Option<(HeaderName, String)>,
) -> Result<impl Future<Output = Result<u64, String>> + Send + use<>, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_MESSAGE_ID, notice.notice_id.as_str());
    if let Some((name, value)) = condition {
        headers.insert(name, value);
    }
    let subject = subject::notices(&notice.session_id);
    let sending = conn.jetstream().publish_with_headers(subject, headers, notice.body.clone());
    let late = |_| format!("no answer within {} s", SEND_PATIENCE.as_secs());
    // The client's own patience does not cover the wait for a place in its queue.
    let sent = timeout(SEND_PATIENCE, sending).await.map_err(late)?.map_err(|error| error.to_string())?;
    let mut state = conn.state();
    Ok(async move {
        let lost = state.wait_for(|state| state.generation > link || state.closed);
        let confirmed = tokio::select! {
            biased;
            confirmed = timeout(SEND_PATIENCE, sent.into_future()) => confirmed.map_err(late)?,
            _ = lost => return Err("the connection was lost".to_owned()),
        };
        confirmed.map(|ack| ack.sequence).map_err(|error| error.to_string())
    })
}

/// A session's notices, in order, each until it is acked.
#[derive(Debug)]
pub struct NoticeReader {
    conn: Arc<Connection>,
    puller: Puller,
    session_id: SessionId,
    place: ReadingPlace,
}

/// A durable consumer: where one reader of a session's notices stands.
#[derive(Debug, Clone)]
struct ReadingPlace {
    name: String,
    ack_wait: Duration,
}

impl ReadingPlace {
    /// Where the session itself stands.
    fn of_session(session_id: &SessionId) -> Self {
        let name = format!("session-{}", subject::session_token(session_id));
        Self { name, ack_wait: SESSION_ACK_WAIT }
    }

    /// Where this target stands in the session's notices.
    fn of_target(session_id: &SessionId, target: &str) -> Self {
        let name = format!("deliver-{target}-{}", subject::session_token(session_id));
        Self { name, ack_wait: TARGET_ACK_WAIT }
    }
}

/// A notice in a reader's hand. Dropped unacked, it comes again.
#[derive(Debug)]
pub struct NoticeDelivery {
    /// The notice.
    pub notice: Notice,
    /// Its stream sequence.
    pub seq: u64,
    lease: String,
    ack_wait: Duration,
    conn: Arc<Connection>,
}

impl NoticeReader {
    /// Binds the session's durable consumer, which is made when it is not there. It keeps its place across restarts
    /// of everything; two readers of one session share it.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn open(conn: &Connection, session_id: &SessionId) -> Result<Self, NoticeError> {
        Self::open_at(conn, session_id, ReadingPlace::of_session(session_id)).await
    }

    /// As [`open`](Self::open), with a place of its own for this `target`, which is one token of `a-z`, `0-9` and `-`:
    /// what is delivered there is still unread by the session itself.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn open_for(
        conn: &Connection,
        session_id: &SessionId,
        target: &str,
    ) -> Result<Self, NoticeError> {
        Self::open_at(conn, session_id, ReadingPlace::of_target(session_id, target)).await
    }

    async fn open_at(
        conn: &Connection,
        session_id: &SessionId,
        place: ReadingPlace,
    ) -> Result<Self, NoticeError> {
        ensure(conn, session_id, &place).await?;
        let puller = Puller::new(conn, NOTICES, place.name.clone());
        Ok(Self { conn: Arc::new(conn.clone()), puller, session_id: session_id.clone(), place })
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
                Some(Err(Ended::Gone)) => ensure(&self.conn, &self.session_id, &self.place).await?,
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
            Ok(notice) => {
                let (ack_wait, conn) = (self.place.ack_wait, Arc::clone(&self.conn));
                Some(NoticeDelivery { notice, seq, lease, ack_wait, conn })
            }
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

async fn ensure(conn: &Connection, session_id: &SessionId, place: &ReadingPlace) -> Result<(), NoticeError> {
    let filter = subject::notices(session_id);
    let made = ensure_session(conn, &place.name, &filter, place.ack_wait).await;
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

    /// Keeps it in hand for as long as this is polled: no other reader is given it meanwhile.
    pub async fn keep(&self) -> Infallible {
        loop {
            sleep(self.ack_wait / 3).await;
            let lease = self.lease.clone();
            if let Err(error) = self.conn.client().publish(lease, IN_PROGRESS.into()).await {
                tracing::debug!(seq = self.seq, %error, "a notice in hand may be given to another reader");
            }
        }
    }

    /// It was not shown: it comes again at once, to whoever reads next.
    ///
    /// # Errors
    /// [`NoticeError`] when the client could not send that; it comes again all the same, later.
    pub async fn hand_back(self) -> Result<(), NoticeError> {
        let sent = self.conn.client().publish(self.lease, NAK.into()).await;
        sent.map_err(|error| NoticeError { what: "hand back a notice", why: error.to_string() })
    }
}
