//! The projector: the log, in order from the ledger's cursor, one transaction a batch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_nats::crash;
use vp_nats::reader::{Reader, ReaderError, Record, Start, StreamIdentity, identity};
use vp_nats::retry::Delays;
use vp_nats::topology::MISSIONS;
use vp_shared::error::Chain;
use vp_shared::retry::RetryDelay;

use crate::batch::Batch;
use crate::ledger::{Changes, Committed, Cursor, Ledger, LedgerError, Place, Texts};
use crate::live::Cache;
use crate::lost::end_lost;
use crate::project::{Names, anomaly_row};
use crate::proof::{ProofError, prove};
use crate::status::StatusBoard;

/// How long to wait for a message before looking whether the stream is still the same one; first, and from then on.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(30);
/// So many messages at once mean a busy log: then a moment is waited for more, because a transaction has a price of its
/// own and a mission's row is written once for all its events in it. A lone message never waits.
const BUSY: usize = 32;
const MOMENT: Duration = Duration::from_millis(25);
/// A transaction is cut when its messages hold so much.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A transaction slower than this is told.
const SLOW: Duration = Duration::from_secs(1);

/// What stops a projector for a while.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The log is not known to be the one that was projected.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The stream is one that the ledger has left for another one, whose missions it has ended.
    #[error(
        "the log is one that this ledger has left: since then it was projected from another stream, and the missions \
             that had not ended here were failed; stop the bridge, and run `vp ledger rebuild` if this is the right server"
    )]
    Left,
}

/// Why a projector must look anew where the ledger and the log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Displaced {
    /// Another projector writes the ledger too.
    ByAnother,
    /// The stream is another one.
    StreamChanged,
    /// The bridge stops.
    Stopped,
}

/// Projects the log onto a ledger.
#[derive(Debug)]
pub(crate) struct Projector {
    pub(crate) conn: Connection,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) names: Names,
    /// How many batches it has stored.
    pub(crate) stored: u64,
    /// The most messages of a transaction.
    pub(crate) batch: usize,
    pub(crate) cache: Cache,
    pub(crate) texts: Texts,
    pub(crate) status: StatusBoard,
    /// Told after each commit that holds notices.
    pub(crate) wake: Arc<Notify>,
}

impl Projector {
    /// Projects until `stop`. Whatever fails is tried again, for ever, from the ledger's cursor; nothing is skipped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        while !stop.is_cancelled() {
            let before = self.stored;
            match self.follow(&stop).await {
                Ok(Displaced::Stopped) => return,
                Ok(why) => tracing::info!(?why, "looking anew where the ledger stands"),
                Err(error) => {
                    let text = Chain(&error).to_string();
                    tracing::error!(error = text, "projecting the log has failed, trying again");
                    self.status.update(|status| status.projector_error = Some(text));
                }
            }
            if self.stored > before {
                delays = Delays::new(&RetryDelay::REQUEST);
            }
            let delay = delays.next().unwrap_or(RetryDelay::REQUEST.max());
            stop.run_until_cancelled(tokio::time::sleep(delay)).await;
        }
    }

    /// Projects from where the ledger stands until something is in the way.
    async fn follow(&mut self, stop: &CancellationToken) -> Result<Displaced, ProjectError> {
        // What is remembered may never have been stored.
        self.cache.clear();
        let Some((mut cursor, mut reader)) = stop.run_until_cancelled(self.begin()).await.transpose()? else {
            return Ok(Displaced::Stopped);
        };
        self.status.update(|status| status.cursor = cursor.seq);
        // Which opening of the reader is known to read what the ledger was projected from.
        let mut proven = None;
        let (mut busy, mut wait) = (false, FIRST_LOOK);
        loop {
            if busy {
                stop.run_until_cancelled(tokio::time::sleep(MOMENT)).await;
            }
            let Some(records) = stop.run_until_cancelled(reader.next_batch(self.batch, wait)).await else {
                return Ok(Displaced::Stopped);
            };
            let records = records?;
            if !reader.reads(cursor.created_at) {
                return Ok(Displaced::StreamChanged);
            }
            wait = IDLE;
            busy = (BUSY..self.batch).contains(&records.len());
            // A reader that had to resume may read a log that has lost its end.
            if records.is_empty() || proven != Some(reader.openings()) {
                let now = identity(&self.conn, MISSIONS).await?;
                if now.created_at != cursor.created_at {
                    return Ok(Displaced::StreamChanged);
                }
                prove(&self.conn, &self.ledger, &cursor, &now).await?;
                proven = Some(reader.openings());
            }
            for records in cut(records) {
                match self.project(cursor, records).await? {
                    Some(moved) => cursor = moved,
                    None => return Ok(Displaced::ByAnother),
                }
            }
            self.status.update(|status| {
                status.cursor = cursor.seq;
                status.behind = reader.pending();
                status.projector_error = None;
            });
        }
    }

    /// Where the ledger stands, and a reader from there on.
    async fn begin(&self) -> Result<(Cursor, Reader), ProjectError> {
        let stream = identity(&self.conn, MISSIONS).await?;
        let mut cursor = place(&self.ledger, &self.names, &stream).await?;
        // Said before a reader is opened, which the server keeps for a while: a log that has lost its end is asked again
        // and again. What is projected is proven once more behind the opening.
        prove(&self.conn, &self.ledger, &cursor, &stream).await?;
        if stream.first_seq > cursor.seq + 1 {
            cursor = self.step_over_gap(cursor, &stream).await?;
        }
        // Without a filter, though one would match the same: the server finds the next message sooner.
        let reader = Reader::open(&self.conn, MISSIONS, &[], Start::After(cursor.seq)).await?;
        tracing::info!(seq = cursor.seq, stream_last = stream.last_seq, "projecting the log");
        Ok((cursor, reader))
    }

    /// Notes that messages are gone which were never projected, and goes on behind them.
    async fn step_over_gap(&self, cursor: Cursor, stream: &StreamIdentity) -> Result<Cursor, ProjectError> {
        let (from, to) = (cursor.seq + 1, stream.first_seq - 1);
        tracing::warn!(seq = from, until = to, "messages have left the log before they were projected");
        let mut changes = Changes::new(cursor);
        let what = format!("the messages {from} to {to} have left the log before they were projected");
        changes.anomalies.push(anomaly_row(Place::new(cursor.epoch, from), MISSIONS, what));
        changes.to.seq = to;
        let to = changes.to;
        match self.ledger.commit(changes, &mut Texts::default()).await? {
            Committed::Done => Ok(to),
            // Whoever was faster has noted it; the first commit will tell us.
            Committed::Lost => Ok(cursor),
        }
    }

    /// Projects a batch and stores it. `None`: another projector was faster, and nothing was stored.
    async fn project(
        &mut self,
        cursor: Cursor,
        records: Vec<Record>,
    ) -> Result<Option<Cursor>, ProjectError> {
        let began = tokio::time::Instant::now();
        let batch = Batch::decode(records);
        let missing = batch.missing(&self.cache);
        for live in self.ledger.load(&missing, cursor.epoch).await? {
            self.cache.put(live);
        }
        let changes = batch.project(cursor, &mut self.cache, &self.names);
        for anomaly in &changes.anomalies {
            let seq = Place::of(anomaly.pos).seq;
            tracing::warn!(
                seq,
                subject = anomaly.subject,
                what = anomaly.what,
                "anomaly in the log, stepping over it"
            );
        }
        let (to, events, notices) = (changes.to, changes.events(), changes.notices());
        if self.ledger.commit(changes, &mut self.texts).await? == Committed::Lost {
            return Ok(None);
        }
        crash::point("after_commit");
        self.stored += 1;
        if notices > 0 {
            self.wake.notify_one();
        }
        self.status.update(|status| status.events += events as u64);
        if began.elapsed() > SLOW {
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(events, ms, "a batch was projected slowly: is the disk busy?");
        }
        Ok(Some(to))
    }
}

/// The ledger's cursor for the stream as it is now. For a stream it has never seen a new one, once the missions of the
/// one before are ended.
pub(crate) async fn place(
    ledger: &Ledger,
    names: &Names,
    stream: &StreamIdentity,
) -> Result<Cursor, ProjectError> {
    let known = ledger.cursors().await?;
    if let Some((last, earlier)) = known.split_last() {
        if last.created_at == stream.created_at {
            return Ok(*last);
        }
        if earlier.iter().any(|cursor| cursor.created_at == stream.created_at) {
            return Err(ProjectError::Left);
        }
    }
    let before = known.last().map(|last| last.epoch);
    let lost = match before {
        Some(epoch) => end_lost(ledger, names, epoch).await?,
        None => 0,
    };
    let epoch = before.map_or(0, |epoch| epoch + 1);
    let cursor = Cursor { created_at: stream.created_at, epoch, seq: 0, event_at: None };
    ledger.add_cursor(cursor).await?;
    if epoch > 0 {
        let what =
            format!("the stream was made anew; {lost} missions of the one before had not ended and failed");
        tracing::error!(epoch, lost, "{what}");
        let mut changes = Changes::new(cursor);
        changes.anomalies.push(anomaly_row(Place::new(epoch, 0), MISSIONS, what));
        // Lost to another projector, it is noted all the same.
        ledger.commit(changes, &mut Texts::default()).await?;
    }
    Ok(cursor)
}

/// Cuts what was read at once into parts that fit a transaction.
fn cut(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut parts = Vec::new();
    let mut part = Vec::with_capacity(records.len());
    let mut bytes = 0;
    for record in records {
        bytes += record.payload.len();
        part.push(record);
        if bytes >= BATCH_BYTES {
            bytes = 0;
            parts.push(std::mem::take(&mut part));
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}
