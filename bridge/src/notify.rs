//! The sender: notices from the ledger to the sessions' stream, in order, then marked sent.
//!
//! After a crash between sending and marking, or with a ledger that is filled anew, what the stream already holds is read
//! before the first send of anything that is older than this sender. With a ledger that is filled anew, what is older than
//! the stream keeps notices counts as sent: nothing can tell any more, and a session would not find it there either. Each
//! send expects the stream to end where this sender knows it to: of two senders only one goes on, and the other one looks
//! anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::notices::{
    NoticeError, NoticeStream, Outgoing, largest, notice_stream, send, send_by_ids, sent_since,
};
use vp_nats::retry::Delays;
use vp_shared::error::Chain;
use vp_shared::ids::{NoticeId, SessionId};
use vp_shared::notice::Notice;
use vp_shared::retry::RetryDelay;
use vp_shared::time::UtcTime;

use crate::ledger::{Ledger, LedgerError, Place, json, notice};
use crate::status::StatusBoard;

/// How many notices are read and sent at a time.
const AT_ONCE: u64 = 2_048;
/// How long marks may be put off while there is more to send: each is a write that the projector waits for.
const MARK_AFTER: Duration = Duration::from_millis(250);
/// How long to wait for the projector's word before looking all the same.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// How far the clocks of two servers of a cluster may be apart.
const SKEW: Duration = Duration::from_mins(1);

/// What stops a sender for a while.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The stream.
    #[error(transparent)]
    Notices(#[from] NoticeError),
    /// The server did not confirm them all.
    #[error("{unconfirmed} of {total} notices were not confirmed by nats-server")]
    Unconfirmed { unconfirmed: usize, total: usize },
}

/// Sends notices.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) conn: Connection,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) status: StatusBoard,
    pub(crate) wake: Arc<Notify>,
}

/// Where a sender stands.
#[derive(Debug)]
struct Standing {
    /// The place of the last notice that is sent.
    sent: i64,
    /// The place up to which the ledger has them marked, and since when.
    marked: i64,
    marked_at: Instant,
    /// Notices behind it that the stream has all the same; `None` until that was looked up.
    already: Option<HashSet<NoticeId>>,
    /// The last sequence of the stream that is known to hold no others.
    last: u64,
    /// The stream as it was when this sender began, and when that was.
    stream: NoticeStream,
    began: Instant,
    /// The ledger knew of no sent notice then: it is new, or is filled anew.
    anew: bool,
}

impl Standing {
    /// True when this notice must not be sent: the stream has it, or may have had it.
    fn is_sent(&self, row: &notice::Model) -> bool {
        let born = UtcTime::from_micros(row.created_us);
        let in_stream = |ids: &HashSet<NoticeId>| {
            NoticeId::new(&row.notice_id).is_ok_and(|notice_id| ids.contains(&notice_id))
        };
        let expired = self.anew && self.stream.has_expired(born, self.began.elapsed());
        expired || self.already.as_ref().is_some_and(in_stream)
    }
}

impl Sender {
    /// Sends until `stop`. Whatever fails is tried again, for ever; nothing is skipped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        let mut standing = None;
        while !stop.is_cancelled() {
            match self.turn(&mut standing).await {
                Ok(()) => {
                    delays = Delays::new(&RetryDelay::REQUEST);
                    self.status.update(|status| status.sender_error = None);
                    let told = tokio::time::timeout(LOOK_AFTER, self.wake.notified());
                    // Told or not, the ledger says what there is to send.
                    let _ = stop.run_until_cancelled(told).await;
                }
                Err(error) => {
                    let text = Chain(&error).to_string();
                    tracing::error!(error = text, "sending notices has failed, trying again");
                    self.status.update(|status| status.sender_error = Some(text));
                    // What the stream has of those not confirmed is looked up before the next try.
                    standing = None;
                    let delay = delays.next().unwrap_or(RetryDelay::REQUEST.max());
                    stop.run_until_cancelled(tokio::time::sleep(delay)).await;
                }
            }
        }
        // The projector has stopped before: what it wrote last is sent now if the server answers.
        if let Err(error) = self.turn(&mut standing).await {
            tracing::warn!(error = %Chain(&error), "some notices stay in the ledger until the next start");
        }
    }

    /// Sends all there is.
    async fn turn(&self, standing: &mut Option<Standing>) -> Result<(), SendError> {
        let standing = match standing {
            Some(standing) => standing,
            None => standing.insert(self.stand().await?),
        };
        loop {
            let rows = self.ledger.unsent(standing.sent, AT_ONCE).await?;
            let Some(oldest) = rows.first() else { return self.mark(standing).await };
            self.look_up(standing, UtcTime::from_micros(oldest.created_us)).await?;
            let sent = self.send(standing, rows).await;
            if sent.is_err() || standing.marked_at.elapsed() > MARK_AFTER {
                self.mark(standing).await?;
            }
            sent?;
        }
    }

    /// Notes in the ledger what is sent.
    async fn mark(&self, standing: &mut Standing) -> Result<(), SendError> {
        if standing.sent > standing.marked {
            self.ledger.mark_sent(standing.sent, clock::now()).await?;
            standing.marked = standing.sent;
        }
        standing.marked_at = Instant::now();
        Ok(())
    }

    /// Where the sender before this one has stopped, by its own marks.
    async fn stand(&self) -> Result<Standing, SendError> {
        let (stream, began) = (notice_stream(&self.conn).await?, Instant::now());
        let sent = self.ledger.sent().await?;
        let (last, anew) = (stream.last, sent == 0);
        Ok(Standing { sent, marked: sent, marked_at: began, already: None, last, stream, began, anew })
    }

    /// Learns what the stream has of notices whose events were stored from `oldest` on, if any of them may be a sender's
    /// before this one: a ledger that is filled from the log writes old ones at any time.
    async fn look_up(&self, standing: &mut Standing, oldest: UtcTime) -> Result<(), SendError> {
        if oldest > standing.stream.asked_at.plus(SKEW) {
            standing.already = None;
        } else if standing.already.is_none() {
            // A notice is stored after its event, by the clock of the same server or one near it.
            let stored = sent_since(&self.conn, oldest.minus(SKEW)).await?;
            if !stored.ids.is_empty() {
                tracing::info!(
                    notices = stored.ids.len(),
                    "found notices that were sent and may not be marked"
                );
            }
            // What is stored behind this is not in the ids, and moves the stream's end.
            standing.last = stored.last;
            standing.already = Some(stored.ids);
        }
        Ok(())
    }

    /// Sends `rows`, in order; what is confirmed without a gap is sent.
    async fn send(&self, standing: &mut Standing, rows: Vec<notice::Model>) -> Result<(), SendError> {
        let places: Vec<i64> = rows.iter().map(|row| row.pos).collect();
        // The row's place in `rows` of each notice that is to be sent.
        let mut wanted = Vec::with_capacity(rows.len());
        let mut outgoing = Vec::with_capacity(rows.len());
        let largest = largest(&self.conn);
        for (nth, row) in rows.into_iter().enumerate() {
            let pos = row.pos;
            if standing.is_sent(&row) {
                continue;
            }
            match outgoing_of(row, largest) {
                Ok(notice) => {
                    wanted.push(nth);
                    outgoing.push(notice);
                }
                Err(why) => tracing::error!(
                    seq = Place::of(pos).seq,
                    why,
                    "a notice cannot be sent, stepping over it"
                ),
            }
        }
        let done = if standing.stream.replicated {
            send_by_ids(&self.conn, &outgoing).await
        } else {
            send(&self.conn, &outgoing, standing.last).await
        };
        standing.last = done.last;
        let confirmed = done.confirmed.min(outgoing.len());
        // Up to the first that is not confirmed, all are.
        let done = wanted.get(confirmed).copied().unwrap_or(places.len());
        if let Some(last) = done.checked_sub(1).map(|last| places[last]) {
            standing.sent = last;
        }
        self.status.update(|status| status.notices_sent += confirmed as u64);
        match outgoing.len() - confirmed {
            0 => Ok(()),
            unconfirmed => Err(SendError::Unconfirmed { unconfirmed, total: outgoing.len() }),
        }
    }
}

/// A notice as it is sent. Of one that is too large for a message all of it stays in the ledger: nothing may block those
/// behind it.
fn outgoing_of(row: notice::Model, largest: usize) -> Result<Outgoing, &'static str> {
    const DAMAGED: &str = "it is damaged in the ledger";
    let notice_id = NoticeId::new(&row.notice_id).map_err(|_| DAMAGED)?;
    let session_id = SessionId::new(&row.session_id).map_err(|_| DAMAGED)?;
    let body = if row.body.len() <= largest {
        row.body
    } else {
        let notice: Notice = serde_json::from_str(&row.body).map_err(|_| DAMAGED)?;
        json(&notice.within(largest).ok_or("it is too large for nats-server even without its lists")?)
    };
    Ok(Outgoing { notice_id, session_id, body: Bytes::from(body) })
}
