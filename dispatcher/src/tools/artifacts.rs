//! `vp_read_result_artifacts`: what a mission left behind, read where its worker left it.
//!
//! Primary work products first, receipt and marker last. Each excerpt has at most 64 KiB, all together at most
//! `max_bytes`. A file that is not what the mission's end told of is listed without an excerpt.

use std::path::{Path, PathBuf};

use vp_shared::api::{
    ArtifactExcerpt, ErrorCode, MissionView, ReadResultArtifacts, ResultArtifacts, ToolError,
};
use vp_shared::artifact::{Artifact, Category, MissionResult};
use vp_shared::error::Chain;
use vp_shared::ids::MissionId;

use crate::dispatcher::Dispatcher;
use crate::failure::internal;
use crate::workspace::{Content, ResultRef, Workspace, excerpt};

/// The longest excerpt of one file, so that the first one does not use up the whole answer.
const MAX_EXCERPT_BYTES: u64 = 64 * 1024;

/// A file to be shown, and what the mission's end told of it.
struct Wanted {
    path: String,
    category: Category,
    /// `None` for receipt and marker, of which only the path is told.
    told: Option<Artifact>,
}

impl Dispatcher {
    /// Lists what a mission left behind and shows the beginning of what is text.
    ///
    /// # Errors
    /// `validation_error`; `not_found`; `artifact_unavailable`: the mission has not ended, left no workspace, or its
    /// workspace is on another host or gone; `broker_unavailable`, `ledger_unavailable`.
    pub async fn read_artifacts(&self, input: ReadResultArtifacts) -> Result<ResultArtifacts, ToolError> {
        input.check()?;
        let mission = self.find(&input.mission_id).await?.mission;
        let (result, result_ref) = ended(&mission)?;
        let path = self.on_this_host(&mission.mission_id, result_ref)?;
        let max_files = usize::try_from(input.max_files).unwrap_or(usize::MAX);
        let mut wanted = wanted(result, input.category);
        wanted.truncate(max_files);
        let (mission_id, max_bytes) = (mission.mission_id.clone(), input.max_bytes);
        let read = tokio::task::spawn_blocking(move || read_all(&mission_id, &path, wanted, max_bytes)).await;
        let artifacts = read.map_err(|error| internal("reading the artifacts failed", &error))??;
        Ok(ResultArtifacts {
            result_ref: result_ref.to_owned(),
            summary: mission.summary.clone(),
            files_total: files_total(result, input.category),
            files_listed: artifacts.len() as u64,
            artifacts,
        })
    }

    pub(super) fn on_this_host(
        &self,
        mission_id: &MissionId,
        result_ref: &str,
    ) -> Result<PathBuf, ToolError> {
        let parsed = ResultRef::parse(result_ref).ok_or_else(|| {
            unavailable(
                mission_id,
                format!("`{result_ref}` is no place of a workspace"),
                "see the mission's events",
            )
        })?;
        let here = &self.config().host;
        if parsed.host == *here {
            return Ok(parsed.path);
        }
        let message = format!(
            "the artifacts of mission {mission_id} are on host `{}`, and this is `{here}`",
            parsed.host
        );
        Err(unavailable(mission_id, message, format!("make the same call on host `{}`", parsed.host)))
    }
}

/// The result of a mission that has ended and left a workspace.
pub(super) fn ended(mission: &MissionView) -> Result<(&MissionResult, &str), ToolError> {
    let id = &mission.mission_id;
    let Some(result) = mission.result.as_ref().filter(|_| mission.status.is_terminal()) else {
        let message = format!("mission {id} has not ended: it is {}", mission.status);
        return Err(unavailable(id, message, "wait for it with vp_wait_mission"));
    };
    let Some(result_ref) = result.result_ref.as_deref() else {
        let message = format!("mission {id} is {} and left no workspace behind", mission.status);
        return Err(unavailable(id, message, "vp_get_mission tells what became of it"));
    };
    Ok((result, result_ref))
}

pub(super) fn unavailable(
    mission_id: &MissionId,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> ToolError {
    ToolError::new(ErrorCode::ArtifactUnavailable, message).hint(hint).about(mission_id)
}

/// The files of that category that the mission's end names, in the order of showing.
fn wanted(result: &MissionResult, category: Option<Category>) -> Vec<Wanted> {
    let told = result.artifacts.iter().map(|artifact| Wanted {
        path: artifact.path.clone(),
        category: artifact.category,
        told: Some(artifact.clone()),
    });
    let own = [(&result.receipt, Category::Receipt), (&result.sync_marker, Category::SyncMarker)];
    let own = own.into_iter().filter_map(|(path, category)| {
        // Told among the artifacts already, if an executor's worker did so.
        let path =
            path.clone().filter(|path| result.artifacts.iter().all(|artifact| artifact.path != *path))?;
        Some(Wanted { path, category, told: None })
    });
    let mut all: Vec<_> =
        told.chain(own).filter(|file| category.is_none_or(|only| file.category == only)).collect();
    all.sort_by_key(|file| file.category);
    all
}

fn files_total(result: &MissionResult, category: Option<Category>) -> u64 {
    let supporting = result.artifacts_total.saturating_sub(result.primary_total);
    let (receipt, marker) = (u64::from(result.receipt.is_some()), u64::from(result.sync_marker.is_some()));
    match category {
        None => result.artifacts_total + receipt + marker,
        Some(Category::PrimaryWorkProduct) => result.primary_total,
        Some(Category::SupportingArtifact) => supporting,
        Some(Category::Receipt) => receipt,
        Some(Category::SyncMarker) => marker,
    }
}

fn read_all(
    mission_id: &MissionId,
    path: &Path,
    wanted: Vec<Wanted>,
    max_bytes: u64,
) -> Result<Vec<ArtifactExcerpt>, ToolError> {
    let workspace = Workspace::open(path).map_err(|error| closed(mission_id, path, &error))?;
    let mut left = max_bytes;
    let shown = wanted.into_iter().map(|file| {
        let room = left.min(MAX_EXCERPT_BYTES);
        let shown = show(mission_id, &workspace, file, room);
        left = left.saturating_sub(shown.excerpt.as_ref().map_or(0, |text| text.len() as u64));
        shown
    });
    Ok(shown.collect())
}

/// What is said of a workspace that cannot be opened: most likely its time was over.
fn closed(mission_id: &MissionId, path: &Path, error: &std::io::Error) -> ToolError {
    let path = path.display();
    if error.kind() == std::io::ErrorKind::NotFound {
        let message =
            format!("the artifacts of mission {mission_id} have expired: the workspace {path} is gone");
        let hint = "`retention.workspace_days` says how long workspaces are kept; vp_get_mission still tells what \
                    became of the mission";
        return unavailable(mission_id, message, hint);
    }
    let message = format!("the workspace {path} of mission {mission_id} cannot be opened: {error}");
    unavailable(mission_id, message, "see that it is a folder that this process may read")
}

fn show(mission_id: &MissionId, workspace: &Workspace, file: Wanted, room: u64) -> ArtifactExcerpt {
    let uri = uri(mission_id, &file.path);
    let content = match workspace.read(&file.path, room) {
        Ok(content) => Some(content),
        Err(error) => {
            tracing::warn!(%mission_id, path = file.path, error = %Chain(&error), "artifact not read");
            None
        }
    };
    let content = content.filter(|content| unchanged(mission_id, &file, content));
    let told = file.told.unwrap_or_else(|| known_by_reading(&file.path, file.category, content.as_ref()));
    let text = content.and_then(|content| {
        excerpt(&content.head, content.bytes, &told.media_type, usize::try_from(room).unwrap_or(usize::MAX))
    });
    let (text, truncated) = text.map_or((None, false), |(text, truncated)| (Some(text), truncated));
    ArtifactExcerpt {
        path: told.path,
        category: told.category,
        bytes: told.bytes,
        media_type: told.media_type,
        sha256: told.sha256,
        // With no room left there is nothing to show, but more of it.
        excerpt: text.filter(|text| !text.is_empty() || !truncated),
        excerpt_truncated: truncated,
        uri,
    }
}

/// True when the file is the one the mission's end told of.
fn unchanged(mission_id: &MissionId, file: &Wanted, content: &Content) -> bool {
    let Some(told) = &file.told else { return true };
    let same =
        content.bytes == told.bytes && content.sha256.as_ref().is_none_or(|sha256| *sha256 == told.sha256);
    if !same {
        tracing::warn!(%mission_id, path = file.path, told_bytes = told.bytes, bytes = content.bytes,
            "artifact changed since the mission ended, not shown");
    }
    same
}

/// Receipt and marker are told by their path alone.
fn known_by_reading(path: &str, category: Category, content: Option<&Content>) -> Artifact {
    Artifact {
        path: path.to_owned(),
        category,
        bytes: content.map_or(0, |content| content.bytes),
        media_type: "application/json".into(),
        sha256: content.and_then(|content| content.sha256.clone()).unwrap_or_default(),
        stored: false,
    }
}

/// `vp://missions/<id>/artifacts/<path>`, with nothing in it that needs quoting.
pub(crate) fn uri(mission_id: &MissionId, path: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = format!("vp://missions/{mission_id}/artifacts/");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn artifact(path: &str, category: Category, text: &str) -> Artifact {
        let sha256 = crate::workspace::sha256_hex(text.as_bytes());
        Artifact {
            path: path.into(),
            category,
            bytes: text.len() as u64,
            media_type: "text/plain".into(),
            sha256,
            stored: false,
        }
    }

    fn id() -> MissionId {
        MissionId::new("m-aaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap()
    }

    fn result() -> MissionResult {
        MissionResult {
            artifacts: vec![
                artifact("run.log", Category::SupportingArtifact, "log"),
                artifact("report.md", Category::PrimaryWorkProduct, "the report"),
            ],
            artifacts_total: 7,
            primary_total: 3,
            receipt: Some("mission_receipt.json".into()),
            sync_marker: Some("sync_ready.json".into()),
            ..MissionResult::default()
        }
    }

    fn files() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("run.log", "log"),
            ("report.md", "the report"),
            ("mission_receipt.json", "{}"),
            ("sync_ready.json", "{}"),
        ] {
            std::fs::write(dir.path().join(path), text).unwrap();
        }
        dir
    }

    #[test]
    fn primary_comes_first_and_the_marker_last() {
        let all = wanted(&result(), None);
        let paths: Vec<_> = all.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["report.md", "run.log", "mission_receipt.json", "sync_ready.json"]);
        assert_eq!(files_total(&result(), None), 9);
        for (category, listed, total) in [
            (Category::PrimaryWorkProduct, 1, 3),
            (Category::SupportingArtifact, 1, 4),
            (Category::Receipt, 1, 1),
            (Category::SyncMarker, 1, 1),
        ] {
            assert_eq!(wanted(&result(), Some(category)).len(), listed, "{category}");
            assert_eq!(files_total(&result(), Some(category)), total, "{category}");
        }
    }

    #[test]
    fn a_changed_or_missing_file_is_listed_without_an_excerpt() {
        let dir = files();
        std::fs::write(dir.path().join("report.md"), "THE REPORT").unwrap();
        std::fs::remove_file(dir.path().join("run.log")).unwrap();
        let shown = read_all(&id(), dir.path(), wanted(&result(), None), 1000).unwrap();
        assert_eq!(shown[0].excerpt, None);
        assert_eq!(shown[0].bytes, 10);
        assert_eq!(shown[1].excerpt, None);
        assert_eq!(shown[2].excerpt.as_deref(), Some("{}"));
    }

    #[test]
    fn the_bytes_are_shared_in_the_order_of_showing() {
        let dir = files();
        let shown = read_all(&id(), dir.path(), wanted(&result(), None), 12).unwrap();
        let texts: Vec<_> =
            shown.iter().map(|file| (file.excerpt.as_deref(), file.excerpt_truncated)).collect();
        assert_eq!(texts, [(Some("the report"), false), (Some("lo"), true), (None, true), (None, true)]);
        assert_eq!(shown[2].bytes, 2);
    }

    #[test]
    fn uris_hold_nothing_that_needs_quoting() {
        assert_eq!(uri(&id(), "a b/ü?.md"), format!("vp://missions/{}/artifacts/a%20b/%C3%BC%3F.md", id()));
    }

    #[test]
    fn a_workspace_that_is_gone_is_an_error_and_not_an_empty_list() {
        let error = read_all(&id(), Path::new("/nowhere/at/all"), wanted(&result(), None), 12).unwrap_err();
        assert_eq!(error.code, ErrorCode::ArtifactUnavailable);
    }
}
