//! What a worker is told when it starts.

use std::path::PathBuf;
use std::time::Duration;

use vp_shared::ids::WorkerId;
use vp_shared::lane::Lanes;
use vp_shared::workspace::WorkspacePolicy;

use crate::error::WorkerError;

/// What a worker is told when it starts.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Its identity, the same after a restart and never in two processes at once.
    pub worker_id: WorkerId,
    /// The host it runs on, as `result_ref` names it.
    pub host: String,
    /// Its version, as `started` names it.
    pub version: String,
    /// Where attempts get their directories: `<root>/<vp_id>/<mission_id>/attempt-<n>/`. Absolute.
    pub workspace_root: PathBuf,
    /// The lanes it serves, with their slots.
    pub lanes: Lanes,
    /// How the helper process that owns an executor is started.
    pub keeper: KeeperCommand,
    /// How long a drain lets running attempts go on before they are given back.
    pub drain_timeout: Duration,
    /// It may re-create the queues of its lanes when they are gone; else that is only logged.
    pub may_create_consumers: bool,
    /// How long after an executor's end another host leaves the finalising to the one that has the files.
    pub finalize_grace: Duration,
    /// After how long without an entry, while slots are free and entries wait, the alarm is given.
    pub starved_after: Duration,
    /// What is kept of the workspaces of missions that have ended.
    pub retention: WorkspacePolicy,
    /// How often workspaces are looked through.
    pub sweep_every: Duration,
}

/// How the keeper is started: the `vp` binary with its hidden subcommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperCommand {
    /// The program; absolute.
    pub program: PathBuf,
    /// Its arguments, such as `keeper`.
    pub args: Vec<String>,
}

impl WorkerConfig {
    /// A configuration with the usual waits: 60 s to drain, 60 s for the finalising host to come back. All
    /// workspaces are kept.
    pub fn new(
        worker_id: WorkerId,
        host: impl Into<String>,
        workspace_root: impl Into<PathBuf>,
        lanes: Lanes,
        keeper: KeeperCommand,
    ) -> Self {
        Self {
            worker_id,
            host: host.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workspace_root: workspace_root.into(),
            lanes,
            keeper,
            drain_timeout: Duration::from_mins(1),
            may_create_consumers: false,
            finalize_grace: Duration::from_mins(1),
            starved_after: Duration::from_mins(1),
            retention: WorkspacePolicy::default(),
            sweep_every: Duration::from_mins(5),
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`WorkerError::Config`] with the field and what was wrong with it.
    pub fn check(&self) -> Result<(), WorkerError> {
        let bad = |field: String, why: &str| Err(WorkerError::Config { field, why: why.to_owned() });
        if self.lanes.is_empty() {
            return bad("lanes".into(), "want at least one");
        }
        for (vp_id, lane) in &self.lanes {
            if let Err(error) = lane.check() {
                return bad(format!("lanes.\"{vp_id}\".{}", error.field), error.why);
            }
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
        if !(1..=253).contains(&self.host.len()) || !self.host.bytes().all(fine) {
            return bad(
                "host".into(),
                "want a host name of 1 to 253 characters a-z, A-Z, 0-9, `-`, `.`, `_`, `:`",
            );
        }
        if !self.workspace_root.is_absolute() || self.workspace_root.to_str().is_none() {
            return bad("workspace_root".into(), "want an absolute path in UTF-8");
        }
        if !self.keeper.program.is_absolute() {
            return bad("keeper.program".into(), "want an absolute path");
        }
        Ok(())
    }
}
