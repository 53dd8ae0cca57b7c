//! Artifacts, read where the worker left them, when that is this host; and only as the mission's end tells of them.

mod read;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use vp_shared::api::MissionView;
use vp_shared::artifact::{Category, MissionResult};
use vp_shared::ids::MissionId;

use super::desk::Desk;
use super::refused::{Refused, written};
use super::view::{FileShown, Message, Outputs, Preview, size};
use read::{NoFile, Opened, Wanted};

/// A larger log is not read for the end of it.
const MAX_LOG: u64 = 32 * 1024 * 1024;
/// How much of a file a list shows.
const PREVIEW_BYTES: usize = 2 * 1024;
/// How many files of a message have a preview.
const PREVIEWS: usize = 3;
/// How much of a file its own page shows.
const TEXT_BYTES: usize = 256 * 1024;
/// Larger files are not read for a list.
const MAX_PREVIEWED: u64 = 1024 * 1024;
/// Larger files are not given out, as they are read twice: once to see that they are what was told.
const MAX_GIVEN: u64 = 2 * 1024 * 1024 * 1024;

#[derive(Deserialize)]
pub(super) struct Asked {
    path: String,
}

#[derive(Template)]
#[template(path = "text.html")]
struct Page {
    here: &'static str,
    mission: MissionView,
    vp_name: String,
    file: FileShown,
}

/// The file itself, to be kept.
pub(super) async fn download(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
    Query(Asked { path }): Query<Asked>,
) -> Result<Response, Refused> {
    let (opened, _) = opened(&desk, &mission_id, &path, MAX_GIVEN).await?;
    let name = path.rsplit('/').next().unwrap_or("file");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, opened.bytes.to_string()),
        (header::CONTENT_DISPOSITION, disposition(name)),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    Ok((headers, body(opened)).into_response())
}

/// An image, to be shown: only what is one by its first bytes, and never with a script in it.
pub(super) async fn image(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
    Query(Asked { path }): Query<Asked>,
) -> Result<Response, Refused> {
    let (opened, _) = opened(&desk, &mission_id, &path, 32 * 1024 * 1024).await?;
    let Some(media_type) = opened.image else {
        return Err(Refused::Wrong(path));
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_LENGTH, opened.bytes.to_string()),
        (header::CONTENT_DISPOSITION, "inline".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    Ok((headers, body(opened)).into_response())
}

/// The beginning of a file as a page: as text, or as the image it is.
pub(super) async fn text(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
    Query(Asked { path }): Query<Asked>,
) -> Result<Html<String>, Refused> {
    let (mission, result) = ended(&desk, &mission_id).await?;
    let mut outputs = Outputs::of(&mission.mission_id, &result);
    let file = [&mut outputs.primary, &mut outputs.supporting, &mut outputs.receipts].into_iter().find_map(
        |group| {
            let place = group.files.iter().position(|file| file.path == path)?;
            Some(group.files.swap_remove(place))
        },
    );
    let Some(mut file) = file else { return Err(Refused::NotFound(path)) };
    let host = desk.host.clone();
    let turn = desk.file_turn().await?;
    let file = tokio::task::spawn_blocking(move || {
        file.preview = Some(preview(&result, &host, &file, TEXT_BYTES, MAX_GIVEN));
        drop(turn);
        file
    });
    let file = file.await.map_err(|error| fault(&error))?;
    written(&Page { here: "missions", vp_name: desk.lane_name(&mission.vp_id), mission, file })
}

/// Lays the first previews into messages.
pub(super) async fn with_previews(desk: &Desk, mut messages: Vec<Message>) -> Result<Vec<Message>, Refused> {
    if messages.iter().all(|message| message.outputs.is_none()) {
        return Ok(messages);
    }
    let (host, turn) = (desk.host.clone(), desk.file_turn().await?);
    let read = tokio::task::spawn_blocking(move || {
        for message in &mut messages {
            if let (Some(outputs), Some(result)) = (&mut message.outputs, &message.notice.result) {
                lay_in(outputs, result, &host);
            }
        }
        drop(turn);
        messages
    });
    read.await.map_err(|error| fault(&error))
}

/// Lays the first previews into outputs.
pub(super) async fn previewed(
    desk: &Desk,
    mut outputs: Outputs,
    result: MissionResult,
) -> Result<Outputs, Refused> {
    let (host, turn) = (desk.host.clone(), desk.file_turn().await?);
    let read = tokio::task::spawn_blocking(move || {
        lay_in(&mut outputs, &result, &host);
        drop(turn);
        outputs
    });
    read.await.map_err(|error| fault(&error))
}

/// Why the end of a file is not told.
pub(super) enum NoTail {
    /// Too many files are read just now.
    Busy,
    /// It cannot be read.
    Unreadable(String),
}

/// The end of a file that an ended mission has left behind, and how many bytes stand before it. `None`: the
/// mission's end tells of none of this name.
pub(super) async fn end_of(
    desk: &Desk,
    result: &MissionResult,
    path: String,
    most: u64,
) -> Result<Option<(String, u64)>, NoTail> {
    let turn = desk.file_turn().await.map_err(|_| NoTail::Busy)?;
    let (host, result) = (desk.host.clone(), result.clone());
    let read = tokio::task::spawn_blocking(move || {
        let opened = Wanted { result: &result, host: &host, path: &path }.open(MAX_LOG);
        let end = opened.and_then(|opened| opened.end(most));
        drop(turn);
        end
    });
    match read.await {
        Ok(Ok(end)) => Ok(Some(end)),
        Ok(Err(NoFile::NotTold)) => Ok(None),
        Ok(Err(error)) => Err(NoTail::Unreadable(error.to_string())),
        Err(error) => {
            tracing::error!(%error, "reading a file ended abnormally");
            Err(NoTail::Unreadable("it could not be read".to_owned()))
        }
    }
}

fn lay_in(outputs: &mut Outputs, result: &MissionResult, host: &str) {
    for file in outputs.primary.files.iter_mut().take(PREVIEWS) {
        let found = preview(result, host, file, PREVIEW_BYTES, MAX_PREVIEWED);
        // One that is away is said once; the others are away with it.
        let gone = matches!(found, Preview::Gone(_));
        file.preview = Some(found);
        if gone {
            return;
        }
    }
}

fn preview(result: &MissionResult, host: &str, file: &FileShown, most: usize, max: u64) -> Preview {
    let wanted = Wanted { result, host, path: &file.path };
    match wanted.open(max) {
        Ok(Opened { image: Some(_), .. }) => Preview::Image,
        Ok(mut opened) => match opened.text(most) {
            Ok((text, cut)) => Preview::Text { text, cut },
            Err(error) => Preview::Gone(error.to_string()),
        },
        Err(error) => Preview::Gone(error.to_string()),
    }
}

async fn ended(desk: &Desk, mission_id: &str) -> Result<(MissionView, MissionResult), Refused> {
    let id = MissionId::new(mission_id).map_err(|_| Refused::NotFound("mission".to_owned()))?;
    let found = desk.ledger().await?.whole(&id).await?;
    let mission = found.ok_or_else(|| Refused::NotFound("mission".to_owned()))?;
    let view = MissionView::from(&mission);
    match mission.result {
        Some(result) => Ok((view, result)),
        None => Err(Refused::File(NoFile::NotEnded.to_string())),
    }
}

async fn opened(
    desk: &Desk,
    mission_id: &str,
    path: &str,
    max: u64,
) -> Result<(Opened, MissionView), Refused> {
    let (mission, result) = ended(desk, mission_id).await?;
    let (host, path, turn) = (desk.host.clone(), path.to_owned(), desk.file_turn().await?);
    let opening = tokio::task::spawn_blocking(move || {
        let opened = Wanted { result: &result, host: &host, path: &path }.open(max);
        drop(turn);
        opened
    });
    match opening.await.map_err(|error| fault(&error))? {
        Ok(opened) => Ok((opened, mission)),
        Err(NoFile::NotTold) => Err(Refused::NotFound("file".to_owned())),
        Err(error) => Err(Refused::File(error.to_string())),
    }
}

fn body(opened: Opened) -> Body {
    use tokio::io::AsyncReadExt as _;
    let bytes = opened.bytes;
    Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(opened.file).take(bytes)))
}

fn fault(error: &tokio::task::JoinError) -> Refused {
    tracing::error!(%error, "reading a file ended abnormally");
    Refused::Fault
}

/// To be kept under this name, in whatever letters it has.
fn disposition(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._ ".contains(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", super::view::quoted(name))
}

impl FileShown {
    /// What a download of it is called, for who hears the page.
    pub(super) fn label(&self) -> String {
        let size = self.told.as_ref().map(|told| format!(", {}", size(told.bytes))).unwrap_or_default();
        format!("{}{size}", self.path)
    }

    pub(super) fn is_receipt(&self) -> bool {
        self.category == Category::Receipt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        let header = disposition("a\"; x=\r\ny\u{202e}.md");
        assert_eq!(
            header,
            "attachment; filename=\"a__ x___y_.md\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0Ay%E2%80%AE.md"
        );
    }
}
