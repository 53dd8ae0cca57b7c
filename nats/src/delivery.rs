//! A queue entry in a worker's hand, and the pulls that bring them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subject, header};
use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};
use vp_shared::event::{BadEvent, Event};
use vp_shared::ids::VpId;
use vp_shared::retry::RetryDelay;
use vp_shared::tier::Tier;

use crate::ack::{self, Place};
use crate::api;
use crate::connect::Connection;
use crate::headers::TRACEPARENT;
use crate::pulls::{Ended, Messages, Puller};
use crate::retry::Delays;
use crate::subject::MissionSubject;
use crate::topology::{MISSIONS, queue_consumer};

pub use crate::pulls::PullWait;

/// How long an ack is tried.
const ACK_PATIENCE: Duration = Duration::from_secs(10);
/// How long one try of it waits.
const ACK_TRY: Duration = Duration::from_secs(2);
/// How long a nak waits for a place in the client's queue.
const SEND_PATIENCE: Duration = Duration::from_secs(2);

/// A queue entry. Consumed by what becomes of it; dropped, its lease runs out and it comes again.
#[derive(Debug)]
pub struct Delivery {
    /// Where it is stored.
    pub subject: MissionSubject,
    /// Its stream sequence.
    pub seq: u64,
    /// How often it was handed out; decides nothing (a killed server forgets).
    pub delivered: u64,
    /// It was fired by a timer: read the mission before claiming it.
    pub fired_by_timer: bool,
    /// The `dispatched` event, as stored.
    pub payload: Bytes,
    /// W3C trace context of the dispatch, if any.
    pub traceparent: Option<String>,
    lease: String,
    conn: Arc<Connection>,
}

/// Why a delivery was not settled. It comes again, which is harmless.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not {what} the delivery of {subject}: {why}; it will come again")]
pub struct SettleError {
    /// `ack`, `nak` or `renew`.
    pub what: &'static str,
    /// Its subject.
    pub subject: String,
    /// What went wrong.
    pub why: String,
}

impl Delivery {
    /// The event in it.
    ///
    /// # Errors
    /// When the body is not an event.
    pub fn event(&self) -> Result<Event, BadEvent> {
        Event::from_json(&self.payload)
    }

    /// Its exact ack subject: who knows it can hand the delivery back.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// Renews its lease; cheap to clone, lives on its own task.
    pub fn renewer(&self) -> Renewer {
        Renewer { lease: self.lease.clone(), subject: self.subject.clone(), conn: Arc::clone(&self.conn) }
    }

    /// Confirmed ack: only after the terminal event is stored, or for an entry that has nothing left to do.
    /// Retried until confirmed, at most 10 s.
    ///
    /// # Errors
    /// [`SettleError`] when it was not confirmed; the entry comes again and is acked then.
    pub async fn ack(self) -> Result<(), SettleError> {
        confirmed_ack(&self.conn, &self.lease).await.map_err(|error| self.unsettled("ack", error.to_string()))
    }

    /// Hands it back, to come again after `delay` (at once when zero).
    ///
    /// # Errors
    /// [`SettleError`] when the connection is gone; it comes again when its lease has run out.
    pub async fn nak(self, delay: Duration) -> Result<(), SettleError> {
        publish(&self.conn, &self.lease, ack::nak_body(delay)).await.map_err(|why| self.unsettled("nak", why))
    }

    /// Neither acks nor naks: for who is fenced, or must leave a running mission alone.
    pub fn leave(self) {}

    fn unsettled(&self, what: &'static str, why: String) -> SettleError {
        SettleError { what, subject: self.subject.to_string(), why }
    }

    /// What a message of a lane's queue is; `None` when it cannot be one.
    fn of(message: Message, conn: &Arc<Connection>) -> Option<Self> {
        let lease = message.reply?;
        let place = Place::parse(&lease)?;
        let headers = message.headers.as_ref();
        Some(Self {
            // The message comes on the pull's inbox under the subject it is stored at.
            subject: message.subject.parse().ok()?,
            seq: place.stream_seq,
            delivered: place.delivered,
            fired_by_timer: headers.is_some_and(|headers| headers.get(header::NATS_SCHEDULER).is_some()),
            traceparent: ack::header_of(headers, &TRACEPARENT),
            payload: message.payload,
            lease: lease.into_string(),
            conn: Arc::clone(conn),
        })
    }
}

/// Acks by request, again and again until confirmed.
pub(crate) async fn confirmed_ack(conn: &Connection, lease: &str) -> Result<(), api::ApiError> {
    let deadline = Instant::now() + ACK_PATIENCE;
    let mut delays = Delays::new(&RetryDelay::REQUEST);
    loop {
        let ack = Bytes::from_static(ack::ACK);
        let Err(error) = api::request(conn, lease.to_owned(), None, ack, ACK_TRY).await else {
            return Ok(());
        };
        let next = Instant::now() + delays.next().unwrap_or(ACK_TRY);
        if next >= deadline {
            return Err(error);
        }
        sleep_until(next).await;
    }
}

/// Publishes on an ack subject, unconfirmed.
async fn publish(conn: &Connection, lease: &str, body: Bytes) -> Result<(), String> {
    match timeout(SEND_PATIENCE, conn.client().publish(Subject::from(lease), body)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the connection is down".to_owned()),
    }
}

/// Renews the lease of one delivery.
#[derive(Debug, Clone)]
pub struct Renewer {
    lease: String,
    subject: MissionSubject,
    conn: Arc<Connection>,
}

impl Renewer {
    /// Asks the server for another `ack_wait`, by request. A confirmed renewal proves that the consumer exists,
    /// not that the mission is still ours.
    ///
    /// # Errors
    /// [`SettleError`] when it was not confirmed within `timeout`.
    pub async fn renew(&self, timeout: Duration) -> Result<(), SettleError> {
        let body = Bytes::from_static(ack::IN_PROGRESS);
        match api::request(&self.conn, self.lease.clone(), None, body, timeout).await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(SettleError { what: "renew", subject: self.subject.to_string(), why: error.to_string() })
            }
        }
    }
}

/// Hands back somebody else's delivery by its lease, once that somebody is proven dead. Harmless when wrong:
/// the next claim is a compare-and-set.
///
/// # Errors
/// [`SettleError`] when the connection is gone.
pub async fn hand_back(conn: &Connection, lease: &str) -> Result<(), SettleError> {
    let failed = |why: String| SettleError { what: "hand back", subject: lease.to_owned(), why };
    if !ack::is_lease(lease, MISSIONS) {
        return Err(failed("it is not the ack subject of a mission's delivery".to_owned()));
    }
    publish(conn, lease, Bytes::from_static(ack::NAK)).await.map_err(&failed)?;
    conn.flush().await.map_err(|error| failed(error.to_string()))
}

/// The queue of one lane and tier, to pull from. Binds only: the admin step creates the consumer.
#[derive(Debug, Clone)]
pub struct LaneQueue {
    conn: Arc<Connection>,
    puller: Puller,
    vp_id: VpId,
    tier: Tier,
}

/// Why a pull ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PullError {
    /// The consumer or the stream is gone: ask for re-creation, keep what runs running.
    #[error(
        "the queue of {vp_id}, {tier}, has no consumer: run `vp lanes --apply`, or restart what serves the lane"
    )]
    ConsumerGone {
        /// The lane.
        vp_id: VpId,
        /// The tier.
        tier: Tier,
    },
    /// The server did not answer or is electing a leader: pull again soon.
    #[error("a pull from {vp_id}, {tier}, ended early: {why}")]
    Interrupted {
        /// The lane.
        vp_id: VpId,
        /// The tier.
        tier: Tier,
        /// The server's or the client's words.
        why: String,
    },
}

impl LaneQueue {
    /// The queue of this lane and tier.
    pub fn new(conn: &Connection, vp_id: &VpId, tier: Tier) -> Self {
        let puller = Puller::new(conn, MISSIONS, queue_consumer(vp_id, tier));
        Self { conn: Arc::new(conn.clone()), puller, vp_id: vp_id.clone(), tier }
    }

    /// Which tier this is.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Asks for up to `max` entries. When the returned handle is dropped, what still arrives is handed back at
    /// once.
    pub fn pull(&self, max: usize, wait: PullWait) -> Pull {
        let messages = self.puller.pull(max, wait);
        Pull { messages, conn: Arc::clone(&self.conn), vp_id: self.vp_id.clone(), tier: self.tier }
    }
}

/// How long a pull may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A pull under way.
#[derive(Debug)]
pub struct Pull {
    messages: Messages,
    conn: Arc<Connection>,
    vp_id: VpId,
    tier: Tier,
}

impl Pull {
    /// The next entry; `None` when the pull is over (filled, expired, or empty). Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Delivery, PullError>> {
        loop {
            let message = match self.messages.next().await? {
                Ok(message) => message,
                Err(ended) => return Some(Err(self.error(ended))),
            };
            let (subject, lease) = (message.subject.clone(), message.reply.clone());
            if let Some(delivery) = Delivery::of(message, &self.conn) {
                return Some(Ok(delivery));
            }
            self.step_over(subject, lease).await;
        }
    }

    /// Ends it and hands back what the server had sent by then, within two seconds. Dropped instead, a task of this
    /// process does that.
    pub async fn close(self) {
        self.messages.close(CLOSE_PATIENCE).await;
    }

    fn error(&self, ended: Ended) -> PullError {
        let (vp_id, tier) = (self.vp_id.clone(), self.tier);
        match ended {
            Ended::Gone => PullError::ConsumerGone { vp_id, tier },
            Ended::Interrupted(why) => PullError::Interrupted { vp_id, tier, why },
        }
    }

    /// What was stored under a subject that names no mission can never be run: acked, or it would come for ever.
    async fn step_over(&self, subject: Subject, lease: Option<Subject>) {
        tracing::error!(%subject, vp_id = %self.vp_id, "stepped over a queue entry that names no mission");
        let Some(lease) = lease else { return };
        if let Err(why) = publish(&self.conn, &lease, Bytes::from_static(ack::ACK)).await {
            tracing::debug!(%subject, why, "it will come again");
        }
    }
}
