//! Artifacts as resources: `vp://missions/<id>/artifacts/<path>`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::ErrorData;
use rmcp::model::{ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use vp_shared::api::{ListMissions, ToolError};
use vp_shared::artifact::{Artifact, Category};
use vp_shared::ids::MissionId;

use super::{McpServer, refused};
use crate::config::Caller;
use crate::tools::{ArtifactContent, artifact_uri, as_text, parse_uri};

/// So many of the session's newest missions are looked at for the list.
const MISSIONS_LISTED: u64 = 50;
/// At most so many artifacts are listed.
const LISTED: usize = 200;

/// How to name any artifact.
pub(super) fn template() -> ResourceTemplate {
    ResourceTemplate::new("vp://missions/{mission_id}/artifacts/{+path}", "artifact")
        .with_title("An artifact of a mission")
        .with_description("What a mission left behind; vp_read_result_artifacts gives the uris")
}

impl McpServer {
    /// The work products of the session's newest missions. Every artifact of any mission can be read by its uri.
    pub(super) async fn resources(&self, caller: &Caller) -> Result<ListResourcesResult, ErrorData> {
        let page = async {
            let input = serde_json::json!({"session_id": caller.session_id, "limit": MISSIONS_LISTED});
            let input: ListMissions = vp_shared::api::parse(input.to_string().as_bytes())?;
            self.tools.get().await?.list(input).await
        };
        let page = page.await.map_err(|error: ToolError| refused(&error))?;
        let mut listed = Vec::new();
        for mission in &page.missions {
            let result = mission.result.iter().flat_map(|result| &result.artifacts);
            let products = result.filter(|artifact| artifact.category == Category::PrimaryWorkProduct);
            listed.extend(products.map(|artifact| resource(&mission.mission_id, artifact)));
        }
        listed.truncate(LISTED);
        Ok(ListResourcesResult::with_all_items(listed))
    }

    /// One artifact, whole: as text where it is text, else as base64.
    pub(super) async fn resource(&self, uri: &str) -> Result<ReadResourceResult, ErrorData> {
        let read = async {
            let (mission_id, path) = parse_uri(uri)?;
            self.tools.get().await?.read_artifact(&mission_id, &path).await
        };
        let artifact = read.await.map_err(|error: ToolError| refused(&error))?;
        Ok(ReadResourceResult::new(vec![contents(uri, &artifact)]))
    }
}

fn resource(mission_id: &MissionId, artifact: &Artifact) -> Resource {
    Resource::new(artifact_uri(mission_id, &artifact.path), artifact.path.clone())
        .with_mime_type(artifact.media_type.clone())
        .with_size(artifact.bytes)
        .with_description(format!("{} of mission {mission_id}", artifact.category.label()))
}

fn contents(uri: &str, artifact: &ArtifactContent) -> ResourceContents {
    let contents = match as_text(&artifact.content) {
        Some(text) => ResourceContents::text(text, uri),
        None => ResourceContents::blob(STANDARD.encode(&artifact.content), uri),
    };
    contents.with_mime_type(artifact.media_type.clone())
}
