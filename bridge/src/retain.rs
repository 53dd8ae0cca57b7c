//! Deletes by policy what the ledger knows of missions that ended long ago and that the log has forgotten.
//!
//! In small transactions with pauses, so that projecting is never held up. A crash leaves whole missions: each is there
//! with all its rows or not at all. What the log still holds stays, so a rebuild and the ledger always agree.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::reader::{ReaderError, identity};
use vp_nats::topology::MISSIONS;
use vp_shared::error::Chain;
use vp_shared::ids::MissionId;
use vp_shared::mission::Status;

pub(crate) use plan::Ended;
use plan::{Bounds, Verdict, judge};

use crate::ledger::{Ledger, LedgerError, Location, Place};
use crate::status::StatusBoard;

/// How many missions are deleted in one transaction: some thousand rows at most, some milliseconds.
const MISSIONS_AT_ONCE: usize = 100;
/// The projector's turn, between two of them.
const PAUSE: Duration = Duration::from_millis(50);
/// How long after its start a bridge first looks.
const FIRST: Duration = Duration::from_mins(1);
/// How many missions a report names.
const NAMED: usize = 20;

/// What the ledger keeps, and how often it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRetention {
    /// How long after a mission's end its rows are kept; `None` is for ever. Longer than the log keeps its events.
    pub keep_for: Option<Duration>,
    /// How often is looked.
    pub every: Duration,
}

impl Default for LedgerRetention {
    /// Everything, for ever.
    fn default() -> Self {
        Self { keep_for: None, every: Duration::from_hours(1) }
    }
}

/// Why the ledger was not pruned to the end. What was deleted until then is deleted whole.
#[derive(Debug, thiserror::Error)]
pub enum PruneLedgerError {
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What the log still holds is not known, so everything is kept.
    #[error("could not ask the log what it still holds")]
    Log(#[from] ReaderError),
    /// There is no ledger.
    #[error("there is no ledger at `{at}`")]
    Nothing {
        /// Where it was looked for, without credentials.
        at: String,
    },
}

/// What was deleted, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LedgerPruneReport {
    /// How many missions.
    pub missions: u64,
    /// How many rows in all tables; 0 in a dry run, which does not count them.
    pub rows: u64,
    /// How many missions are old enough and stay, because the log still holds something of them or a notice of theirs
    /// waits to be sent.
    pub waiting: u64,
    /// The first of those that went.
    pub named: Vec<MissionId>,
}

/// Deletes what a mission left in the ledger when it ended more than `keep_for` ago, also while a bridge runs on it.
///
/// # Errors
/// [`PruneLedgerError`].
pub async fn prune_ledger(
    conn: &Connection,
    ledger: &str,
    keep_for: Duration,
    dry_run: bool,
) -> Result<LedgerPruneReport, PruneLedgerError> {
    let location = Location::parse(ledger)?;
    if !Ledger::exists(&location).await? {
        return Err(PruneLedgerError::Nothing { at: location.to_string() });
    }
    let ledger = Ledger::open_unlocked(&location).await?;
    let pruned =
        Pass { conn, ledger: &ledger, keep_for, dry_run }.run(&mut LedgerPruneReport::default()).await;
    ledger.close().await;
    pruned
}

/// The duty: prunes until told to stop.
#[derive(Debug)]
pub(crate) struct Retention {
    pub(crate) conn: Connection,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) status: StatusBoard,
    pub(crate) policy: LedgerRetention,
}

impl Retention {
    /// Looks until `stop`; without a policy it only waits for that.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some(keep_for) = self.policy.keep_for else { return stop.cancelled().await };
        let mut pause = self.policy.every.min(FIRST);
        loop {
            let next = clock::now().plus(pause);
            self.status.update(|status| status.retention.next_at = Some(next));
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            pause = self.policy.every;
            let pass = Pass { conn: &self.conn, ledger: &self.ledger, keep_for, dry_run: false };
            let mut report = LedgerPruneReport::default();
            let Some(ended) = stop.run_until_cancelled(pass.run(&mut report)).await else { return };
            self.note(&report, ended.err());
        }
    }

    fn note(&self, report: &LedgerPruneReport, error: Option<PruneLedgerError>) {
        if report.missions > 0 {
            tracing::info!(
                missions = report.missions,
                rows = report.rows,
                "deleted old missions from the ledger"
            );
        }
        let error = error.map(|error| Chain(&error).to_string());
        if let Some(error) = &error {
            tracing::warn!(error, "the ledger was not cleaned to the end, trying again");
        }
        self.status.update(|status| {
            let retention = &mut status.retention;
            retention.ran_at = Some(clock::now());
            retention.missions_deleted += report.missions;
            retention.rows_deleted += report.rows;
            retention.waiting = report.waiting;
            retention.error = error;
        });
    }
}

/// One look through the ledger.
struct Pass<'a> {
    conn: &'a Connection,
    ledger: &'a Ledger,
    keep_for: Duration,
    dry_run: bool,
}

impl Pass<'_> {
    /// Counts in `report` as it goes, so that what was done before an error is told too.
    async fn run(&self, report: &mut LedgerPruneReport) -> Result<LedgerPruneReport, PruneLedgerError> {
        let Some(bounds) = self.bounds().await? else { return Ok(report.clone()) };
        for status in Status::ALL.into_iter().filter(|status| status.is_terminal()) {
            let mut after = None;
            loop {
                let page = self.ledger.ended_before(status, bounds.before, after, MISSIONS_AT_ONCE).await?;
                let Some(last) = page.last() else { break };
                after = Some((last.created_at, last.mission_id.clone()));
                self.page(&page, &bounds, report).await?;
            }
        }
        Ok(report.clone())
    }

    async fn page(
        &self,
        page: &[Ended],
        bounds: &Bounds,
        report: &mut LedgerPruneReport,
    ) -> Result<(), PruneLedgerError> {
        let (go, stay): (Vec<&Ended>, Vec<&Ended>) =
            page.iter().partition(|ended| judge(ended, bounds) == Verdict::Delete);
        report.waiting += stay.len() as u64;
        if go.is_empty() {
            return Ok(());
        }
        if !self.dry_run {
            let born: Vec<i64> = go.iter().map(|ended| ended.born_pos).collect();
            report.rows += self.ledger.delete_missions(&born).await?;
            sleep(PAUSE).await;
        }
        report.missions += go.len() as u64;
        let room = NAMED.saturating_sub(report.named.len());
        report.named.extend(go.iter().take(room).map(|ended| ended.mission_id.clone()));
        Ok(())
    }

    /// What is certain before anything is looked at; each of these only moves on. `None`: the ledger has not seen the
    /// stream there is, so nothing can be said about it.
    async fn bounds(&self) -> Result<Option<Bounds>, PruneLedgerError> {
        let stream = identity(self.conn, MISSIONS).await?;
        let cursors = self.ledger.cursors().await?;
        let Some(cursor) = cursors.iter().find(|cursor| cursor.created_at == stream.created_at) else {
            return Ok(None);
        };
        // A stream with nothing in it begins after its last sequence.
        let log_from = Place::new(cursor.epoch, stream.first_seq.min(cursor.seq + 1)).pos();
        Ok(Some(Bounds {
            before: clock::now().minus(self.keep_for),
            log_from,
            unsent_from: self.ledger.first_unsent().await?,
        }))
    }
}
