//! A file for each session: a notice a line, or markdown. Each is one write, and on the disk before it is acked.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vp_nats::subject::session_token;
use vp_shared::ids::SessionId;
use vp_shared::notice::Notice;

use super::engine::{Refusal, Sink};

/// What is read of a file to know which notices it has, in bytes from its end.
const TAIL: u64 = 4 * 1024 * 1024;
/// How an entry of a markdown inbox ends: it is whole when this is there.
const MARK: &str = "<!-- notice ";

/// A session's inbox.
#[derive(Debug)]
pub struct Inbox {
    path: PathBuf,
    markdown: bool,
    /// The file with the ids it has; opened at the first notice, and again after a failure.
    open: Option<(File, HashSet<String>)>,
}

impl Inbox {
    /// The session's inbox below `dir`.
    pub fn new(dir: &Path, session_id: &SessionId, markdown: bool) -> Self {
        let extension = if markdown { "md" } else { "ndjson" };
        let path = dir.join(format!("{}.{extension}", session_token(session_id)));
        Self { path, markdown, open: None }
    }

    fn append(&mut self, notice: &Notice) -> io::Result<()> {
        let (file, known) = match &mut self.open {
            // Somebody may have taken the file away to read it, and put another one there: what comes is not written
            // into the void.
            Some(open) if is_in_place(&open.0, &self.path)? => open,
            open => open.insert(open_file(&self.path, self.markdown)?),
        };
        let notice_id = notice.notice_id.as_str();
        if known.contains(notice_id) {
            return Ok(());
        }
        let text = if self.markdown {
            format!("## {} at {}\n\n{}\n\n{MARK}{notice_id} -->\n\n", notice.event, notice.time, notice.text)
        } else {
            serde_json::to_string(notice)? + "\n"
        };
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        known.insert(notice_id.to_owned());
        Ok(())
    }
}

impl Sink for Inbox {
    async fn accept(&mut self, notice: &Notice) -> Result<(), Refusal> {
        self.append(notice).map_err(|error| {
            self.open = None;
            let why = format!("could not append to `{}`: {error}", self.path.display());
            Refusal { why, final_word: false }
        })
    }
}

/// True when the path still leads to this file, and not to none or another one.
fn is_in_place(file: &File, path: &Path) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let ours = file.metadata()?;
    Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
}

/// Opens it and learns which notices it has. A line that a crash has cut off is taken away: its notice comes again.
fn open_file(path: &Path, markdown: bool) -> io::Result<(File, HashSet<String>)> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if !markdown && whole < tail.len() && (whole > 0 || from == 0) {
        file.set_len(from + whole as u64)?;
    }
    let text = String::from_utf8_lossy(&tail[..whole]);
    let id_of = |line: &str| {
        if markdown {
            Some(line.strip_prefix(MARK)?.strip_suffix(" -->")?.to_owned())
        } else {
            let notice: Value = serde_json::from_str(line).ok()?;
            Some(notice["notice_id"].as_str()?.to_owned())
        }
    };
    let known = text.lines().filter_map(id_of).collect();
    // A new file is there after a crash only when its directory's entry is.
    if length == 0
        && let Some(dir) = path.parent()
    {
        File::open(dir)?.sync_all()?;
    }
    Ok((file, known))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::sample::notice;
    use super::*;

    #[tokio::test]
    async fn what_comes_after_the_file_was_replaced_is_in_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::new(dir.path(), &notice("a").session_id, false);
        let (path, rotated) = (inbox.path.clone(), dir.path().join("rotated"));
        inbox.accept(&notice("a")).await.unwrap();
        fs::rename(&path, &rotated).unwrap();
        File::create(&path).unwrap();
        inbox.accept(&notice("b")).await.unwrap();
        fs::rename(&path, &rotated).unwrap();
        inbox.accept(&notice("c")).await.unwrap();
        let objectives = |path: &Path| {
            let text = fs::read_to_string(path).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<Notice>(line).unwrap().objective);
            lines.collect::<Vec<_>>()
        };
        assert_eq!((objectives(&rotated), objectives(&path)), (vec!["b".to_owned()], vec!["c".to_owned()]));
    }
}
