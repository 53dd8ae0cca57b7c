//! Removes the workspaces of missions that ended long ago, by policy: the worker's own, recorded ones, and no others.
//!
//! A sweep looks what is there, asks the log (and, where that has forgotten, the ledger) which of the missions have
//! ended, records that, plans with `vp_shared::workspace`, and asks the log once more before each removal. A crash
//! leaves a directory that still has its record, and the next sweep goes on with it.

mod place;
mod remove;
mod sweep;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::mission_log::MissionLog;
use vp_shared::api::WorkspaceStatus;
use vp_shared::error::Chain;
use vp_shared::ids::WorkerId;
use vp_shared::workspace::{WorkspacePlace, WorkspacePolicy, WorkspaceVerdict};

use crate::worker::Shared;
use sweep::Sweep;

/// Why workspaces were not looked through. What could not be asked or removed one by one is in the [`PruneReport`].
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The root cannot be read.
    #[error("could not look through the workspaces in `{}`", root.display())]
    Look {
        /// The root.
        root: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part of it panicked: a bug.
    #[error("looking through the workspaces has failed: {0}")]
    Broken(String),
}

/// Which workspaces are looked through, in whose name, and what is kept.
#[derive(Debug, Clone)]
pub struct PruneRequest {
    /// The workspace root.
    pub root: PathBuf,
    /// The workers whose workspaces may go.
    pub owners: BTreeSet<WorkerId>,
    /// What is kept.
    pub policy: WorkspacePolicy,
    /// Remove and record nothing.
    pub dry_run: bool,
}

/// What became of each workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Each directory that has an attempt's names.
    pub workspaces: Vec<PrunedWorkspace>,
    /// How many were removed, or would be.
    pub removed: u64,
    /// What those took, in bytes, as it was when their missions were found ended.
    pub removed_bytes: u64,
    /// What the workspaces of ended missions still take.
    pub kept_bytes: u64,
    /// How many could not be asked about, measured or removed; each is kept.
    pub failed: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedWorkspace {
    /// Its path below the root.
    pub path: String,
    /// What was decided.
    pub verdict: WorkspaceVerdict,
    /// What it took when its mission was found ended, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why it is kept against the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Looks through the workspaces once, and removes what the policy does not keep.
///
/// # Errors
/// [`PruneError`]; nothing was removed.
pub async fn prune(conn: &Connection, request: &PruneRequest) -> Result<PruneReport, PruneError> {
    let (log, stop) = (MissionLog::new(conn), CancellationToken::new());
    Sweep { conn, log: &log, request, held: None, stop: &stop }.run().await
}

/// How the last sweep went, and what all of them have removed.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Option<WorkspaceStatus>>);

impl Tally {
    /// `None` before the first sweep.
    pub(crate) fn now(&self) -> Option<WorkspaceStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, swept: Result<&PruneReport, String>) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = tally.get_or_insert_default();
        status.swept_at = Some(clock::now());
        match swept {
            Ok(report) => {
                status.kept = report.workspaces.len() as u64 - report.removed;
                status.kept_bytes = report.kept_bytes;
                status.removed += report.removed;
                status.removed_bytes += report.removed_bytes;
                status.failed = report.failed;
                status.error = None;
            }
            Err(error) => status.error = Some(error),
        }
    }
}

/// Sweeps until `end`.
pub(crate) async fn keep(shared: Arc<Shared>, end: CancellationToken) {
    let request = PruneRequest {
        root: shared.config.workspace_root.clone(),
        owners: BTreeSet::from([shared.me.worker_id.clone()]),
        policy: shared.config.retention,
        dry_run: false,
    };
    loop {
        if end.run_until_cancelled(sleep(spread(shared.config.sweep_every))).await.is_none() {
            return;
        }
        let sweep = Sweep {
            conn: &shared.conn,
            log: &shared.log,
            request: &request,
            held: Some(&shared.held),
            stop: &end,
        };
        let Some(swept) = end.run_until_cancelled(sweep.run()).await else { return };
        match swept {
            Ok(report) => {
                if let Some(first) = report.workspaces.iter().find(|one| one.trouble.is_some()) {
                    tracing::warn!(
                        worker_id = %shared.me.worker_id, failed = report.failed, path = first.path,
                        trouble = first.trouble, "workspaces are kept because of a trouble"
                    );
                }
                if report.removed > 0 {
                    tracing::info!(
                        worker_id = %shared.me.worker_id, removed = report.removed, bytes = report.removed_bytes,
                        "removed workspaces of ended missions"
                    );
                }
                shared.swept.note(Ok(&report));
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                tracing::warn!(worker_id = %shared.me.worker_id, error, "workspaces are not cleaned, trying again");
                shared.swept.note(Err(error));
            }
        }
    }
}

/// A while between three quarters and the whole of `every`, so that the workers of a host do not sweep together.
fn spread(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.75..1.0))
}

fn path_of(place: &WorkspacePlace) -> String {
    format!("{}/{}/{}", place.vp_id, place.mission_id, place.name)
}
