//! One artifact, whole: what `vp://missions/<id>/artifacts/<path>` names.

use vp_shared::api::ToolError;
use vp_shared::artifact::{Category, MissionResult};
use vp_shared::error::Chain;
use vp_shared::ids::MissionId;

use super::artifacts::{ended, unavailable};
use crate::dispatcher::Dispatcher;
use crate::failure::internal;
use crate::workspace::Workspace;

/// The largest artifact that is given out whole, in bytes.
pub const MAX_ARTIFACT_BYTES: u64 = 16 * 1024 * 1024;
/// What every artifact's uri begins with.
const SCHEME: &str = "vp://missions/";

/// An artifact and all of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactContent {
    /// Where it is, relative to the workspace.
    pub path: String,
    /// Its media type.
    pub media_type: String,
    /// What it is to the session.
    pub category: Category,
    /// All of it.
    pub content: Vec<u8>,
}

impl Dispatcher {
    /// Reads one artifact, all of it.
    ///
    /// # Errors
    /// `not_found`; `artifact_unavailable`: the mission has not ended or names no such artifact, it is on another host,
    /// gone, changed, or larger than [`MAX_ARTIFACT_BYTES`]; `broker_unavailable`, `ledger_unavailable`.
    pub async fn read_artifact(
        &self,
        mission_id: &MissionId,
        path: &str,
    ) -> Result<ArtifactContent, ToolError> {
        let mission = self.find(mission_id).await?.mission;
        let (result, result_ref) = ended(&mission)?;
        let (category, media_type, sha256) = told(result, path).ok_or_else(|| {
            let message = format!("mission {mission_id} has left no artifact `{}`", shown(path));
            unavailable(mission_id, message, "vp_read_result_artifacts lists those it has left")
        })?;
        let folder = self.on_this_host(mission_id, result_ref)?;
        let (id, file) = (mission_id.clone(), path.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            let gone = |error: std::io::Error| {
                let message =
                    format!("artifact `{}` of mission {id} cannot be read: {}", shown(&file), Chain(&error));
                unavailable(&id, message, "vp_get_mission still tells what became of the mission")
            };
            let content = Workspace::open(&folder)
                .and_then(|place| place.read(&file, MAX_ARTIFACT_BYTES))
                .map_err(gone)?;
            if content.bytes > MAX_ARTIFACT_BYTES {
                let message = format!(
                    "artifact `{}` has {} bytes, more than {MAX_ARTIFACT_BYTES}",
                    shown(&file),
                    content.bytes
                );
                return Err(unavailable(&id, message, "read it in the workspace, on its host"));
            }
            if sha256.is_some_and(|told| content.sha256.as_ref().is_none_or(|now| *now != told)) {
                let message = format!("artifact `{}` has changed since mission {id} ended", shown(&file));
                return Err(unavailable(&id, message, "what it was is not kept"));
            }
            Ok(content.head)
        });
        let content = read.await.map_err(|error| internal("reading the artifact failed", &error))??;
        Ok(ArtifactContent { path: path.to_owned(), media_type, category, content })
    }
}

/// What the mission's end told of a file: category, media type and, but for receipt and marker, its digest.
fn told(result: &MissionResult, path: &str) -> Option<(Category, String, Option<String>)> {
    let told = result.artifacts.iter().find(|artifact| artifact.path == path);
    if let Some(artifact) = told {
        return Some((artifact.category, artifact.media_type.clone(), Some(artifact.sha256.clone())));
    }
    let own = [(&result.receipt, Category::Receipt), (&result.sync_marker, Category::SyncMarker)];
    let (_, category) = own.into_iter().find(|(own, _)| own.as_deref() == Some(path))?;
    Some((category, "application/json".to_owned(), None))
}

fn shown(path: &str) -> String {
    vp_shared::text::one_line(path, 200)
}

/// Reads an artifact's uri: its mission and its path.
///
/// # Errors
/// A `validation_error` that names `uri`.
pub fn parse_uri(uri: &str) -> Result<(MissionId, String), ToolError> {
    let wrong =
        |why: &str| ToolError::field("uri", format_args!("{why}; want vp://missions/<id>/artifacts/<path>"));
    let (id, path) = uri
        .strip_prefix(SCHEME)
        .and_then(|rest| rest.split_once("/artifacts/"))
        .ok_or_else(|| wrong("it is not an artifact's"))?;
    let mission_id = MissionId::new(id).map_err(|error| wrong(&error.to_string()))?;
    let path =
        unquote(path).filter(|path| !path.is_empty()).ok_or_else(|| wrong("its path cannot be read"))?;
    Ok((mission_id, path))
}

/// Takes back the percent signs.
fn unquote(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

/// As text, when all of it is.
pub fn as_text(content: &[u8]) -> Option<&str> {
    std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tools::artifacts::uri;
    use proptest::prelude::*;
    use vp_shared::api::ErrorCode;

    const ID: &str = "m-abcdefghijklmnopqrstuvwxyz";

    #[test]
    fn what_is_no_uri_of_an_artifact_is_refused() {
        let id = MissionId::new(ID).unwrap();
        assert_eq!(
            parse_uri(&format!("vp://missions/{ID}/artifacts/a%20b/c.md")).unwrap(),
            (id, "a b/c.md".to_owned())
        );
        for bad in [
            "",
            "file:///etc/passwd",
            "vp://missions/",
            &format!("vp://missions/{ID}"),
            &format!("vp://missions/{ID}/artifacts/"),
            "vp://missions/x/artifacts/a",
            &format!("vp://missions/{ID}/artifacts/%"),
            &format!("vp://missions/{ID}/artifacts/%+1"),
            &format!("vp://missions/{ID}/artifacts/%ff"),
            &format!("vp://missions/{ID}/artifacts/%é"),
        ] {
            assert_eq!(parse_uri(bad).unwrap_err().code, ErrorCode::ValidationError, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_path_comes_back_out_of_its_uri(path in ".{1,40}") {
            let id = MissionId::new(ID).unwrap();
            prop_assert_eq!(parse_uri(&uri(&id, &path)).unwrap(), (id, path));
        }
    }
}
