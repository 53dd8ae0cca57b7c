//! One look through the workspaces.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ignore::WalkBuilder;
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::mission_log::MissionLog;
use vp_shared::api::{ErrorCode, LedgerGet, LedgerMission, LedgerQuestion};
use vp_shared::error::Chain;
use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::{Mission, Status};
use vp_shared::time::UtcTime;
use vp_shared::workspace::{FoundWorkspace, WorkspaceEnd, WorkspacePlace, WorkspaceRecord, plan_workspaces};

use super::{PruneError, PruneReport, PruneRequest, PrunedWorkspace, path_of, place, remove};
use crate::held::HeldMissions;
use crate::ledger;

/// What a sweep works with.
pub(super) struct Sweep<'a> {
    pub(super) conn: &'a Connection,
    pub(super) log: &'a MissionLog,
    pub(super) request: &'a PruneRequest,
    /// What this process has in hand.
    pub(super) held: Option<&'a HeldMissions>,
    pub(super) stop: &'a CancellationToken,
}

/// How a mission stands, as far as it could be found out.
#[derive(Debug, Clone)]
enum Standing {
    Ended {
        at: UtcTime,
        status: Status,
    },
    Alive,
    /// Neither log nor ledger has it, or they could not be asked.
    Unknown(Option<String>),
}

/// Who did not answer in this sweep, and why: everything that they would decide is kept.
#[derive(Debug, Default)]
struct Silent {
    log: Option<String>,
    ledger: Option<String>,
}

impl Sweep<'_> {
    pub(super) async fn run(&self) -> Result<PruneReport, PruneError> {
        let root = self.request.root.clone();
        let looked = blocking(move || place::find(&root)).await?;
        let looked = looked.map_err(|source| PruneError::Look { root: self.request.root.clone(), source })?;
        let mut found: Vec<_> = looked
            .into_iter()
            .map(|(place, record)| FoundWorkspace { in_hand: self.in_hand(&place), place, record })
            .collect();
        let mut silent = Silent::default();
        let troubles = self.look_for_ends(&mut found, &mut silent).await?;
        let verdicts = plan_workspaces(&found, &self.request.owners, &self.request.policy, clock::now());
        let mut report = PruneReport::default();
        for ((one, verdict), trouble) in found.iter().zip(verdicts).zip(troubles) {
            let bytes = one.record.as_ref().and_then(|record| record.ended.as_ref()).map(|end| end.bytes);
            let mut done = PrunedWorkspace { path: path_of(&one.place), verdict, bytes, trouble };
            if verdict.removes() && !self.request.dry_run {
                done.trouble = self.remove(one, &mut silent).await?.err();
            }
            report.add(done);
        }
        Ok(report)
    }

    fn in_hand(&self, place: &WorkspacePlace) -> bool {
        self.held.is_some_and(|held| held.has(&place.mission_id))
    }

    /// Asks which of the missions that are ours have ended, and records it. Returns what went wrong with each.
    async fn look_for_ends(
        &self,
        found: &mut [FoundWorkspace],
        silent: &mut Silent,
    ) -> Result<Vec<Option<String>>, PruneError> {
        let mut standings: HashMap<MissionId, Standing> = HashMap::new();
        let mut troubles = Vec::with_capacity(found.len());
        for one in found {
            let Some(record) = self.undecided(one) else {
                troubles.push(None);
                continue;
            };
            let standing = match standings.get(&record.mission_id) {
                Some(known) => known.clone(),
                None => self.standing(&record.vp_id, &record.mission_id, silent).await,
            };
            standings.insert(record.mission_id.clone(), standing.clone());
            troubles.push(match standing {
                Standing::Alive => None,
                Standing::Unknown(trouble) => trouble,
                Standing::Ended { at, status } => match self.note_end(one, at, status).await? {
                    Ok(record) => {
                        one.record = Some(record);
                        None
                    }
                    Err(error) => Some(format!("its mission's end could not be recorded: {error}")),
                },
            });
        }
        Ok(troubles)
    }

    /// The record of one that is ours and of which no end is known.
    fn undecided(&self, found: &FoundWorkspace) -> Option<WorkspaceRecord> {
        let record = found.record.as_ref().filter(|record| record.is_of(&found.place))?;
        let ours = self.request.owners.contains(&record.worker_id);
        (ours && record.ended.is_none() && !found.in_hand).then(|| record.clone())
    }

    async fn standing(&self, vp_id: &VpId, mission_id: &MissionId, silent: &mut Silent) -> Standing {
        match self.read(vp_id, mission_id, silent).await {
            Ok(Some(mission)) => standing_of(mission.status, mission.finished_at),
            Ok(None) => match self.ask_ledger(mission_id, silent).await {
                Ok(standing) => standing,
                Err(why) => Standing::Unknown(Some(why)),
            },
            Err(why) => Standing::Unknown(Some(why)),
        }
    }

    /// The mission as the log has it. A log that was silent once is not asked again in this sweep.
    async fn read(
        &self,
        vp_id: &VpId,
        mission_id: &MissionId,
        silent: &mut Silent,
    ) -> Result<Option<Mission>, String> {
        if let Some(why) = &silent.log {
            return Err(why.clone());
        }
        match self.log.read(vp_id, mission_id).await {
            Ok(logged) => Ok(logged.map(|logged| logged.mission)),
            Err(error) => Err(silent.log.insert(Chain(&error).to_string()).clone()),
        }
    }

    /// What the ledger knows of a mission that the log has forgotten; asked as the log is.
    async fn ask_ledger(&self, mission_id: &MissionId, silent: &mut Silent) -> Result<Standing, String> {
        if let Some(why) = &silent.ledger {
            return Err(why.clone());
        }
        let question = LedgerGet { mission_id: mission_id.clone() };
        let answer = ledger::ask(self.conn, LedgerQuestion::GetMission, &question).await;
        match answer.map_err(|why| silent.ledger.insert(why).clone())? {
            Ok(LedgerMission { mission, .. }) => Ok(standing_of(mission.status, mission.finished_at)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(Standing::Unknown(None)),
            Err(error) => Err(error.message),
        }
    }

    /// Measures the workspace and records its mission's end in it.
    async fn note_end(
        &self,
        found: &FoundWorkspace,
        at: UtcTime,
        status: Status,
    ) -> Result<Result<WorkspaceRecord, String>, PruneError> {
        let (root, place, dry_run) = (self.request.root.clone(), found.place.clone(), self.request.dry_run);
        let noted = blocking(move || {
            let bytes = disk_use(&root.join(path_of(&place)));
            let Some((_, dir)) = place::open(&root, &place)? else {
                return Err(io::Error::other("it is gone"));
            };
            let record = place::read(&dir).filter(|record| record.is_of(&place));
            let mut record = record.ok_or_else(|| io::Error::other("its record is gone"))?;
            record.ended = Some(WorkspaceEnd { at, status, bytes });
            if !dry_run {
                place::replace(&dir, &record)?;
            }
            Ok(record)
        });
        Ok(noted.await?.map_err(|error| error.to_string()))
    }

    /// Removes it, unless the log says by now that its mission lives (a key may be used again when the log has
    /// forgotten it), or it is no longer the directory that was planned about.
    async fn remove(
        &self,
        found: &FoundWorkspace,
        silent: &mut Silent,
    ) -> Result<Result<(), String>, PruneError> {
        let place = &found.place;
        match self.read(&place.vp_id, &place.mission_id, silent).await {
            Ok(Some(mission)) if !mission.status.is_terminal() => {
                return Ok(Err("its mission lives again".to_owned()));
            }
            Ok(_) => {}
            Err(why) => return Ok(Err(why)),
        }
        if self.in_hand(place) {
            return Ok(Err("its mission is in hand by now".to_owned()));
        }
        let (root, found, stop) = (self.request.root.clone(), found.clone(), self.stop.clone());
        let removed = blocking(move || {
            let Some((parent, dir)) = place::open(&root, &found.place)? else { return Ok(()) };
            if place::read(&dir) != found.record {
                return Err(io::Error::other("it is another directory by now"));
            }
            remove::remove(&parent, &found.place.name, &dir, &stop)?;
            drop(parent);
            place::tidy(&root, &found.place)
        });
        Ok(removed.await?.map_err(|error| error.to_string()))
    }
}

fn standing_of(status: Status, finished_at: Option<UtcTime>) -> Standing {
    match finished_at.filter(|_| status.is_terminal()) {
        Some(at) => Standing::Ended { at, status },
        None => Standing::Alive,
    }
}

impl PruneReport {
    fn add(&mut self, done: PrunedWorkspace) {
        let bytes = done.bytes.unwrap_or_default();
        self.failed += u64::from(done.trouble.is_some());
        if done.verdict.removes() && done.trouble.is_none() {
            self.removed += 1;
            self.removed_bytes += bytes;
        } else {
            if let Some(trouble) = &done.trouble {
                tracing::debug!(path = done.path, trouble, "a workspace is kept because of a trouble");
            }
            self.kept_bytes += bytes;
        }
        self.workspaces.push(done);
    }
}

/// What a directory takes on the disk. What cannot be looked at is left out; links are not followed.
fn disk_use(path: &Path) -> u64 {
    let walk =
        WalkBuilder::new(path).standard_filters(false).follow_links(false).same_file_system(true).build();
    let taken = |metadata: Metadata| metadata.blocks() * 512;
    walk.filter_map(Result::ok).filter_map(|entry| entry.metadata().ok()).map(taken).sum()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PruneError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| PruneError::Broken(error.to_string()))
}
