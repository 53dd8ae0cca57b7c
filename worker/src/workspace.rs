//! The directory of one attempt: `<root>/<vp_id>/<mission_id>/attempt-<n>/`.
//!
//! `work/` is where the executor runs and what artifacts are relative to. What we need for ourselves lies beside
//! it, out of the way of discovery: the record of whose directory it is, the mission, its objective, the logs while they are written, and what the
//! executor declared. A directory is made once and never used again, so no attempt sees what another one left.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use vp_nats::clock;
use vp_shared::artifact::{
    CategoryRule, LOGS_DIR, MissionResult, RECEIPT_FILE, STDERR_LOG, STDOUT_LOG, SYNC_MARKER_FILE,
};
use vp_shared::event::Outcome;
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::ids::{Attempt, MissionId, VpId, WorkerId};
use vp_shared::mission::{InputSource, Mission, MissionSpec};
use vp_shared::workspace::{WORKSPACE_RECORD, WorkspaceRecord};

use crate::artifacts::{self, Inputs, Looked};
use crate::executor::{Attempted, Declared};
use crate::owner::Owned;

const WORK: &str = "work";
const MISSION_FILE: &str = "mission.json";
const OBJECTIVE_FILE: &str = "objective.txt";
/// What is known of an attempt whose executor has ended and that is not in the log.
const ENDED_FILE: &str = "ended.json";

/// The directory of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    control: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ended {
    declared: Vec<Declared>,
    no_deliverable: bool,
}

/// Why a workspace could not be made.
#[derive(Debug)]
enum Trouble {
    Io { what: String, error: io::Error },
    Input { path: String, why: &'static str },
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Io { what, error } => {
                Self::new(FailureClass::Internal, format!("could not {what} in the workspace: {error}"))
            }
            Trouble::Input { path, why } => Self::new(
                FailureClass::InvalidMission,
                format!("the input `{path}` cannot be laid down: {why}"),
            ),
        }
    }
}

impl Workspace {
    /// Makes the attempt's directory and lays the mission and its inputs into it.
    pub(crate) async fn create(own: &Owned<'_>) -> Result<Self, Failure> {
        let mission = own.mission.clone();
        let root = own.lane.shared.config.workspace_root.clone();
        let worker_id = own.lane.shared.me.worker_id.clone();
        match tokio::task::spawn_blocking(move || make(&root, &mission, &worker_id)).await {
            Ok(made) => made.map_err(Failure::from),
            Err(error) => {
                Err(Failure::new(FailureClass::Internal, format!("making the workspace failed: {error}")))
            }
        }
    }

    /// The directory of the mission's last attempt, if it was made here.
    pub(crate) async fn existing(root: &Path, mission: &Mission) -> Option<Self> {
        let found = Self { control: directory(root, mission, mission.attempt) };
        found.is_intact().await.then_some(found)
    }

    /// True when the directory is still one, and not a link that the executor has put in its place.
    pub(crate) async fn is_intact(&self) -> bool {
        tokio::fs::symlink_metadata(self.work()).await.is_ok_and(|found| found.is_dir())
    }

    /// Where the executor runs.
    pub(crate) fn work(&self) -> PathBuf {
        self.control.join(WORK)
    }

    /// Where our own files are.
    pub(crate) fn control(&self) -> &Path {
        &self.control
    }

    pub(crate) fn mission_file(&self) -> PathBuf {
        self.control.join(MISSION_FILE)
    }

    pub(crate) fn objective_file(&self) -> PathBuf {
        self.control.join(OBJECTIVE_FILE)
    }

    /// As a session is told where it is.
    pub(crate) fn result_ref(&self, host: &str) -> String {
        format!("workspace://{host}{}", self.work().display())
    }

    /// Saves what the log does not hold. What cannot be saved is only missed after a crash.
    pub(crate) async fn save(&self, declared: &[Declared], no_deliverable: bool) {
        let ended = Ended { declared: declared.to_vec(), no_deliverable };
        let control = self.control.clone();
        let saved = tokio::task::spawn_blocking(move || {
            write_atomic(&control, ENDED_FILE, &serde_json::to_vec(&ended)?)
        });
        let why = match saved.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(path = %self.control.display(), error = why, "what the executor declared was not saved");
    }

    /// The attempt as it was saved here before its end was recorded.
    pub(crate) async fn saved(self, outcome: Outcome) -> Attempted {
        let path = self.control.join(ENDED_FILE);
        let ended: Ended = match tokio::fs::read(&path).await {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "what the executor declared cannot be read");
                Ended::default()
            }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what the executor declared is not here");
                Ended::default()
            }
        };
        Attempted {
            outcome,
            workspace: Some(self),
            declared: ended.declared,
            no_deliverable: ended.no_deliverable,
            keeper: None,
        }
    }

    /// Looks what the attempt left behind.
    pub(crate) async fn discover(
        &self,
        attempted: &Attempted,
        mission: &Mission,
        rules: &[CategoryRule],
    ) -> MissionResult {
        let (this, declared, rules) = (self.clone(), attempted.declared.clone(), rules.to_vec());
        let inputs = artifacts::inputs(&mission.spec);
        let looked = tokio::task::spawn_blocking(move || this.look(&declared, &inputs, &rules)).await;
        let why = match looked {
            Ok(Ok(looked)) => {
                return MissionResult {
                    artifacts: looked.listed,
                    artifacts_total: looked.total,
                    primary_total: looked.primary,
                    ..MissionResult::default()
                };
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            mission_id = %mission.mission_id, vp_id = %mission.vp_id, attempt = mission.attempt, error = why,
            "what the attempt left behind cannot be looked at"
        );
        MissionResult::default()
    }

    fn look(&self, declared: &[Declared], inputs: &Inputs, rules: &[CategoryRule]) -> io::Result<Looked> {
        let work = self.work();
        self.hand_over_logs(&work);
        artifacts::look(&work, declared, inputs, rules)
    }

    /// Moves the logs to where they are found. They were written beside, out of the executor's reach.
    fn hand_over_logs(&self, work: &Path) {
        for name in [STDOUT_LOG, STDERR_LOG] {
            let from = self.control.join(name);
            if !from.exists() {
                continue;
            }
            if let Err(error) = hand_over(&from, &work.join(LOGS_DIR), name) {
                tracing::warn!(path = %from.display(), %error, "a log stays beside the workspace");
            }
        }
    }
}

/// Moves a file into `dir`, which the executor may have made as well, also as a link to elsewhere.
fn hand_over(from: &Path, dir: &Path, name: &str) -> io::Result<()> {
    match DirBuilder::new().mode(0o750).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(dir)?.is_dir() {
                return Err(io::Error::other("the executor has made `logs` something else than a directory"));
            }
        }
        made => made?,
    }
    let mut to = dir.join(name);
    if fs::symlink_metadata(&to).is_ok() {
        to = dir.join(format!("executor-{name}"));
    }
    fs::rename(from, to)
}

fn directory(root: &Path, mission: &Mission, attempt: Attempt) -> PathBuf {
    attempt_dir(root, &mission.vp_id, &mission.mission_id, attempt)
}

/// Where an attempt's own files are below the root.
pub(crate) fn attempt_dir(root: &Path, vp_id: &VpId, mission_id: &MissionId, attempt: Attempt) -> PathBuf {
    root.join(vp_id.as_str()).join(mission_id.as_str()).join(format!("attempt-{attempt}"))
}

fn make(root: &Path, mission: &Mission, worker_id: &WorkerId) -> Result<Workspace, Trouble> {
    let trouble = |what: &str| {
        let what = what.to_owned();
        move |error| Trouble::Io { what, error }
    };
    let control = directory(root, mission, mission.attempt);
    let parent = control.parent().unwrap_or(root);
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(parent)
        .map_err(trouble("make the mission's directory"))?;
    if fs::symlink_metadata(&control).is_ok() {
        // Of an attempt that the log does not know: a server that lost its last writes.
        let name = format!("attempt-{}.unknown-{}", mission.attempt, clock::now().as_micros());
        fs::rename(&control, parent.join(name)).map_err(trouble("put an unknown attempt aside"))?;
    }
    let fresh = |path: &Path| DirBuilder::new().mode(0o750).create(path);
    fresh(&control).map_err(trouble("make the attempt's directory"))?;
    // Before it is used: what has no record of ours is never removed.
    write_new(&control.join(WORKSPACE_RECORD), &record(mission, worker_id))
        .map_err(trouble("record whose the attempt's directory is"))?;
    let work = control.join(WORK);
    fresh(&work).map_err(trouble("make the attempt's directory"))?;
    write_new(&control.join(OBJECTIVE_FILE), mission.spec.objective.as_bytes())
        .map_err(trouble("write the objective"))?;
    write_new(&control.join(MISSION_FILE), &described(mission)).map_err(trouble("write the mission"))?;
    lay_inputs(&work, &mission.spec)?;
    Ok(Workspace { control })
}

/// Whose directory it is.
fn record(mission: &Mission, worker_id: &WorkerId) -> Vec<u8> {
    let record = WorkspaceRecord {
        v: WorkspaceRecord::VERSION,
        vp_id: mission.vp_id.clone(),
        mission_id: mission.mission_id.clone(),
        attempt: mission.attempt,
        worker_id: worker_id.clone(),
        created_at: clock::now(),
        ended: None,
    };
    let mut text = json!(record).to_string();
    text.push('\n');
    text.into_bytes()
}

/// The mission as an executor reads it.
fn described(mission: &Mission) -> Vec<u8> {
    let spec = &mission.spec;
    let paths: Vec<&str> = spec.inputs.iter().map(|input| input.path.as_str()).collect();
    let mut text = json!({
        "mission_id": mission.mission_id,
        "vp_id": mission.vp_id,
        "attempt": mission.attempt,
        "mission_type": spec.mission_type,
        "objective": spec.objective,
        "constraints": spec.constraints,
        "budget": spec.budget,
        "deadline": spec.deadline,
        "inputs": paths,
        "session_id": mission.source.session_id,
    })
    .to_string();
    text.push('\n');
    text.into_bytes()
}

fn lay_inputs(work: &Path, spec: &MissionSpec) -> Result<(), Trouble> {
    for input in &spec.inputs {
        let bad = |why| Trouble::Input { path: vp_shared::text::cut(input.path.clone(), 200), why };
        check_path(&input.path).map_err(bad)?;
        let InputSource::Text(text) = &input.source else {
            return Err(bad("this worker cannot fetch objects from the object store; give the text itself"));
        };
        let path = work.join(&input.path);
        let clash = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                bad("another input has this path, or a part of it")
            }
            _ => Trouble::Io { what: format!("write the input `{}`", input.path), error },
        };
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o750).create(parent).map_err(clash)?;
        }
        write_new(&path, text.as_bytes()).map_err(clash)?;
    }
    Ok(())
}

/// The workspace is fresh and holds no links, so a path of plain names cannot lead out of it.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.len() > 1024 || path.contains('\0') {
        return Err("want a path of 1 to 1024 bytes without NUL");
    }
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) || path.ends_with('/') {
        return Err("want a path below the workspace, without `..` and without a leading `/`");
    }
    if path == RECEIPT_FILE || path == SYNC_MARKER_FILE {
        return Err("the name is reserved");
    }
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?.write_all(bytes)
}

/// Writes a file so that it is there whole or not at all, also after a power cut.
pub(crate) fn write_atomic(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!(".{name}.{}", clock::event_id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(name))?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        // It may not even have been made; either way it is in nobody's way.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
#[path = "workspace/tests.rs"]
mod tests;
