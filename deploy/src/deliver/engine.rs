//! The engine: from a session's notices to one sink, in order, each acked after it was accepted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_nats::notices::{NoticeDelivery, NoticeError, NoticeReader};
use vp_nats::retry::Delays;
use vp_shared::ids::{NoticeId, SessionId};
use vp_shared::notice::Notice;
use vp_shared::retry::RetryDelay;

use super::dead::DeadLetters;
use super::trouble::Troubles;

/// From a second to five minutes.
const DELAYS: RetryDelay = RetryDelay { initial_ms: 1_000, multiplier: 2.0, max_ms: 300_000, jitter: 0.2 };
/// From half a second to ten, when the notices cannot be read: a server that is back is found soon.
const READING: RetryDelay = RetryDelay { initial_ms: 500, multiplier: 1.6, max_ms: 10_000, jitter: 0.3 };
/// How long one pull waits; a stop ends it at once.
const PULL: Duration = Duration::from_secs(5);
/// Ids that are remembered of what was accepted.
const REMEMBERED: usize = 1024;
/// Tries of what the target itself refuses.
const REFUSED_TRIES: u32 = 3;

/// Why a target did not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was attempted and what came of it.
    pub why: String,
    /// True when the target is there and does not want this one: trying again will hardly help.
    pub final_word: bool,
}

/// Where notices go.
pub trait Sink: Send {
    /// Takes one; returns when it is kept there. The same one may come again.
    ///
    /// # Errors
    /// [`Refusal`].
    fn accept(&mut self, notice: &Notice) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Whose place in the notices is moved.
#[derive(Debug, Clone)]
pub enum Place {
    /// The session's own: what is delivered is read.
    Session,
    /// This target's.
    Target(String),
}

/// A session's notices on their way to one target.
#[derive(Debug, Clone)]
pub struct Line {
    /// The session.
    pub session_id: SessionId,
    /// Whose place it is.
    pub place: Place,
    /// How often one is tried, and where it goes then; without it, for ever.
    pub limit: Option<(u32, DeadLetters)>,
    /// Where it is written down what is in the way, if anybody may ask.
    pub troubles: Option<Arc<Troubles>>,
}

/// Delivers until `stop`. Whatever fails is tried again, with growing delays; a notice that was not accepted when it
/// stops, comes again to who delivers next.
pub async fn pump<S: Sink>(conn: &Connection, line: &Line, sink: &mut S, stop: &CancellationToken) {
    let mut delays = Delays::new(&READING);
    let mut accepted: VecDeque<NoticeId> = VecDeque::new();
    let mut reader: Option<NoticeReader> = None;
    while !stop.is_cancelled() {
        let next = async {
            let reader = match &mut reader {
                Some(reader) => reader,
                None => reader.insert(line.open(conn).await?),
            };
            reader.next(PULL).await
        };
        let Some(next) = stop.run_until_cancelled(next).await else { return };
        match next {
            Ok(Some(delivery)) => {
                delays = Delays::new(&READING);
                if line.deliver(delivery, sink, &mut accepted, stop).await.is_none() {
                    return;
                }
            }
            Ok(None) => line.gets_on(),
            Err(error) => {
                line.is_troubled(None, &error.to_string());
                let delay = delays.next().unwrap_or(READING.max());
                tracing::warn!(%error, session_id = %line.session_id, ?delay, "notices are late");
                stop.run_until_cancelled(sleep(delay)).await;
            }
        }
    }
}

impl Line {
    async fn open(&self, conn: &Connection) -> Result<NoticeReader, NoticeError> {
        match &self.place {
            Place::Session => NoticeReader::open(conn, &self.session_id).await,
            Place::Target(name) => NoticeReader::open_for(conn, &self.session_id, name).await,
        }
    }

    /// Until it is accepted or a dead letter, and acked. `None`: it was stopped before.
    async fn deliver<S: Sink>(
        &self,
        delivery: NoticeDelivery,
        sink: &mut S,
        accepted: &mut VecDeque<NoticeId>,
        stop: &CancellationToken,
    ) -> Option<()> {
        let notice_id = delivery.notice.notice_id.clone();
        if !accepted.contains(&notice_id) {
            tokio::select! {
                offered = self.offer(&delivery.notice, sink, stop) => offered?,
                never = delivery.keep() => match never {},
            }
            self.gets_on();
            accepted.push_back(notice_id);
            if accepted.len() > REMEMBERED {
                accepted.pop_front();
            }
        }
        let seq = delivery.seq;
        if let Err(error) = delivery.ack().await {
            tracing::warn!(%error, session_id = %self.session_id, seq, "it comes again, and is known then");
        }
        Some(())
    }

    async fn offer<S: Sink>(&self, notice: &Notice, sink: &mut S, stop: &CancellationToken) -> Option<()> {
        let mut delays = Delays::new(&DELAYS);
        let (mut tries, mut refused) = (0_u32, 0_u32);
        loop {
            let refusal = match stop.run_until_cancelled(sink.accept(notice)).await? {
                Ok(()) => return Some(()),
                Err(refusal) => refusal,
            };
            tries += 1;
            self.is_troubled(Some(&notice.notice_id), &refusal.why);
            refused += u32::from(refusal.final_word);
            let (session_id, notice_id, why) = (&self.session_id, &notice.notice_id, &refusal.why);
            if let Some((limit, dead)) = &self.limit
                && (tries >= *limit || refused >= REFUSED_TRIES)
            {
                match dead.put(notice, why, tries).await {
                    Ok(()) => {
                        tracing::error!(%session_id, %notice_id, why, tries, "not delivered: it is a dead letter");
                        return Some(());
                    }
                    Err(error) => {
                        tracing::error!(%session_id, %notice_id, error, "cannot keep a dead letter");
                    }
                }
            }
            let delay = delays.next().unwrap_or(DELAYS.max());
            tracing::warn!(%session_id, %notice_id, why, tries, ?delay, "not accepted yet, trying again");
            stop.run_until_cancelled(sleep(delay)).await?;
        }
    }

    fn is_troubled(&self, notice_id: Option<&NoticeId>, why: &str) {
        if let Some(troubles) = &self.troubles {
            troubles.note(&self.session_id, notice_id, why);
        }
    }

    fn gets_on(&self) {
        if let Some(troubles) = &self.troubles {
            troubles.over(&self.session_id);
        }
    }
}
