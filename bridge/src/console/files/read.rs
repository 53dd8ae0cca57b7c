//! One file of a workspace: no symlink is followed, no device or pipe is opened, and what is not what the mission's end
//! told of is not shown.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use sha2::{Digest, Sha256};
use vp_shared::artifact::{Artifact, MissionResult, RECEIPT_FILE, SYNC_MARKER_FILE};
use vp_shared::text::last_lines;

/// Receipts and markers are small.
const MAX_UNTOLD: u64 = 1024 * 1024;

/// Why a file is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFile {
    #[error("the mission has not ended")]
    NotEnded,
    #[error("the mission's end does not tell of it")]
    NotTold,
    #[error("it is on host `{0}`: see it there")]
    Elsewhere(String),
    #[error("the mission left no workspace behind")]
    NoWorkspace,
    #[error("it has {0} bytes, which is more than is read here: see it in the workspace")]
    TooLarge(u64),
    #[error("it has changed since the mission ended")]
    Changed,
    #[error("it is no longer where the worker left it: workspaces are kept for `retention.workspace_days`")]
    Expired,
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is not text")]
    NotText,
}

/// A file that a page asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) result: &'a MissionResult,
    /// This host.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
}

/// A file that is what the mission's end told of, at its beginning.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) bytes: u64,
    /// Its media type when it is an image by its first bytes.
    pub(super) image: Option<&'static str>,
}

impl Wanted<'_> {
    /// Opens it when it has at most `max` bytes and those that were told of.
    ///
    /// # Errors
    /// [`NoFile`].
    pub(super) fn open(self, max: u64) -> Result<Opened, NoFile> {
        let told = self.told()?;
        let place = self.result.result_ref.as_deref().ok_or(NoFile::NoWorkspace)?;
        let (host, root) = place_of(place).ok_or(NoFile::NoWorkspace)?;
        if host != self.host {
            return Err(NoFile::Elsewhere(host.to_owned()));
        }
        let mut file = open_below(Path::new(root), self.path)?;
        let bytes = file.metadata()?.len();
        if told.is_some_and(|told| told.bytes != bytes) {
            return Err(NoFile::Changed);
        }
        if bytes > if told.is_some() { max } else { MAX_UNTOLD } {
            return Err(NoFile::TooLarge(bytes));
        }
        if let Some(told) = told
            && digest(&mut file, bytes)? != told.sha256
        {
            return Err(NoFile::Changed);
        }
        file.rewind()?;
        let mut head = Vec::new();
        (&file).take(16).read_to_end(&mut head)?;
        file.rewind()?;
        Ok(Opened { file, bytes, image: image_by_its_bytes(&head) })
    }

    /// What the mission's end tells of it; receipt and marker are told by their names alone.
    fn told(&self) -> Result<Option<&Artifact>, NoFile> {
        if let Some(told) = self.result.artifacts.iter().find(|artifact| artifact.path == self.path) {
            return Ok(Some(told));
        }
        let own = [(&self.result.receipt, RECEIPT_FILE), (&self.result.sync_marker, SYNC_MARKER_FILE)];
        let is_own =
            |(told, name): &(&Option<String>, &str)| told.as_deref() == Some(self.path) && *name == self.path;
        own.iter().any(is_own).then_some(None).ok_or(NoFile::NotTold)
    }
}

impl Opened {
    /// The beginning of it as text, and whether there is more.
    ///
    /// # Errors
    /// [`NoFile::NotText`], `Unreadable`.
    pub(super) fn text(&mut self, most: usize) -> Result<(String, bool), NoFile> {
        let mut head = Vec::new();
        (&self.file).take(most as u64).read_to_end(&mut head)?;
        let more = self.bytes > head.len() as u64;
        let text = match std::str::from_utf8(&head) {
            Ok(text) => text,
            // Cut within a character.
            Err(error) if error.error_len().is_none() && more => {
                std::str::from_utf8(&head[..error.valid_up_to()]).map_err(|_| NoFile::NotText)?
            }
            Err(_) => return Err(NoFile::NotText),
        };
        if text.contains('\0') { Err(NoFile::NotText) } else { Ok((text.to_owned(), more)) }
    }
}

impl Opened {
    /// The end of it from the beginning of a line, and how many bytes stand before that. Bytes that are no UTF-8 are
    /// replaced.
    ///
    /// # Errors
    /// [`NoFile::Unreadable`].
    pub(super) fn end(mut self, most: u64) -> Result<(String, u64), NoFile> {
        let start = self.bytes.saturating_sub(most);
        self.file.seek(io::SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        self.file.take(most).read_to_end(&mut bytes)?;
        let (text, cut) = last_lines(&bytes, start == 0);
        Ok((text, start + cut))
    }
}

/// Host and path of `workspace://<host>/<path>`.
fn place_of(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("workspace://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    (!host.is_empty() && path.len() > 1).then_some((host, path))
}

/// Opens a regular file below `root`, with no symlink on the way.
fn open_below(root: &Path, path: &str) -> Result<File, NoFile> {
    let gone = |error: rustix::io::Errno| match error {
        rustix::io::Errno::NOENT => NoFile::Expired,
        error => NoFile::Unreadable(error.into()),
    };
    let folder = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let mut at = openat(CWD, root, folder, Mode::empty()).map_err(gone)?;
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        if matches!(part, "" | "." | "..") {
            return Err(NoFile::NotTold);
        }
        // A pipe does not block the open.
        let last = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = if parts.peek().is_some() { folder } else { last };
        at = openat(&at, part, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(gone)?;
    }
    let stat = fstat(&at).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(NoFile::Changed);
    }
    Ok(File::from(at))
}

fn digest(file: &mut File, bytes: u64) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut room = vec![0; 64 * 1024];
    // A file that grows meanwhile is not read for ever.
    let mut left = file.take(bytes);
    loop {
        match left.read(&mut room)? {
            0 => return Ok(super::super::desk::hex(&hash.finalize())),
            read => hash.update(&room[..read]),
        }
    }
}

/// The kinds of image that hold pixels and nothing that runs.
fn image_by_its_bytes(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
