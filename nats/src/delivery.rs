//! A queue entry in a worker's hand, and the pulls that bring them.

use std::time::Duration;

use bytes::Bytes;
use vp_shared::event::{BadEvent, Event};
use vp_shared::ids::VpId;
use vp_shared::tier::Tier;

use crate::connect::Connection;
use crate::subject::MissionSubject;

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
    conn: Connection,
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
        todo!()
    }

    /// Confirmed ack: only after the terminal event is stored, or for an entry that has nothing left to do.
    /// Retried until confirmed, at most 10 s.
    ///
    /// # Errors
    /// [`SettleError`] when it was not confirmed; the entry comes again and is acked then.
    pub async fn ack(self) -> Result<(), SettleError> {
        let _ = &self.conn;
        todo!()
    }

    /// Hands it back, to come again after `delay` (at once when zero).
    ///
    /// # Errors
    /// [`SettleError`] when the connection is gone; it comes again when its lease has run out.
    pub async fn nak(self, delay: Duration) -> Result<(), SettleError> {
        let _ = delay;
        todo!()
    }

    /// Neither acks nor naks: for who is fenced, or must leave a running mission alone.
    pub fn leave(self) {}
}

/// Renews the lease of one delivery.
#[derive(Debug, Clone)]
pub struct Renewer {
    lease: String,
    conn: Connection,
}

impl Renewer {
    /// Asks the server for another `ack_wait`, by request. A confirmed renewal proves that the consumer exists,
    /// not that the mission is still ours.
    ///
    /// # Errors
    /// [`SettleError`] when it was not confirmed within `timeout`.
    pub async fn renew(&self, timeout: Duration) -> Result<(), SettleError> {
        let _ = (&self.lease, &self.conn, timeout);
        todo!()
    }
}

/// Hands back somebody else's delivery by its lease, once that somebody is proven dead. Harmless when wrong:
/// the next claim is a compare-and-set.
///
/// # Errors
/// [`SettleError`] when the connection is gone.
pub async fn hand_back(conn: &Connection, lease: &str) -> Result<(), SettleError> {
    let _ = (conn, lease);
    todo!()
}

/// How long a pull waits at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullWait {
    /// Answered at once with what is there.
    NoWait,
    /// Stands until filled or this is over.
    Expires(Duration),
}

/// The queue of one lane and tier, to pull from. Binds only: the admin step creates the consumer.
#[derive(Debug, Clone)]
pub struct LaneQueue {
    conn: Connection,
    vp_id: VpId,
    tier: Tier,
}

/// Why a pull ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PullError {
    /// The consumer or the stream is gone: ask for re-creation, keep what runs running.
    #[error("the queue of {vp_id}, {tier}, has no consumer: run `vp lanes --apply`, or restart what serves the lane")]
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
        Self { conn: conn.clone(), vp_id: vp_id.clone(), tier }
    }

    /// Which tier this is.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Asks for up to `max` entries. The pull is owned by a task that polls it to its end; when the returned
    /// handle is dropped, what still arrives is handed back at once.
    pub fn pull(&self, max: usize, wait: PullWait) -> Pull {
        let _ = (&self.conn, &self.vp_id, max, wait);
        todo!()
    }
}

/// A pull under way.
#[derive(Debug)]
pub struct Pull {
    rx: tokio::sync::mpsc::Receiver<Result<Delivery, PullError>>,
}

impl Pull {
    /// The next entry; `None` when the pull is over (filled, expired, or empty). Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Delivery, PullError>> {
        self.rx.recv().await
    }
}
