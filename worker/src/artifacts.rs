//! Discovery: what did this attempt leave behind.
//!
//! Only what it created or changed counts; what version control, package managers and builds keep for themselves
//! does not. A hundred thousand files cost time, not memory: they are walked as they come, counted, and only the
//! best by rank are kept, hashed and listed. Links are not followed, so nothing outside the workspace is read.

mod declared;
mod open;
mod rank;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use ignore::{DirEntry, WalkBuilder};
use sha2::{Digest, Sha256};
use vp_shared::artifact::{
    Artifact, Category, CategoryRule, MissionResult, RECEIPT_FILE, SYNC_MARKER_FILE, categorize,
};
use vp_shared::mission::{InputSource, MissionSpec};

use self::declared::Declarations;
use self::open::digest_of;
pub(crate) use self::open::open_beneath;
use self::rank::{Best, Candidate};
use crate::executor::Declared;

/// Trees that are never products, wherever they are.
const SKIPPED: [&str; 20] = [
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "target",
    "node_modules",
    ".venv",
    "venv",
    "__pycache__",
    ".cache",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".gradle",
    ".terraform",
    ".next",
    ".direnv",
    ".ipynb_checkpoints",
];

/// The files laid down before the executor started: path and digest.
pub(crate) type Inputs = HashMap<String, String>;

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Looked {
    /// The best by rank, at most as many as a terminal event lists.
    pub(crate) listed: Vec<Artifact>,
    /// How many there are.
    pub(crate) total: u64,
    /// How many of them are primary work products.
    pub(crate) primary: u64,
}

/// What was laid down for this mission.
pub(crate) fn inputs(spec: &MissionSpec) -> Inputs {
    let laid = spec.inputs.iter().filter_map(|input| match &input.source {
        InputSource::Text(text) => Some((input.path.clone(), hex(&Sha256::digest(text.as_bytes())))),
        InputSource::Object(_) => None,
    });
    laid.collect()
}

/// Looks at everything below `work`.
pub(crate) fn look(
    work: &Path,
    declared: &[Declared],
    inputs: &Inputs,
    rules: &[CategoryRule],
) -> io::Result<Looked> {
    let root = work.canonicalize()?;
    let handle = File::open(&root)?;
    let declarations = Declarations::resolve(&root, declared);
    let search = Search { root: &root, handle: &handle, declarations: &declarations, inputs, rules };
    let found = search.walk(Ignoring::Yes);
    if found.primary > 0 {
        return Ok(search.listed(found));
    }
    // A `.gitignore` may have hidden the only product there is.
    Ok(search.listed(search.walk(Ignoring::No)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ignoring {
    Yes,
    No,
}

struct Search<'a> {
    root: &'a Path,
    handle: &'a File,
    declarations: &'a Declarations,
    inputs: &'a Inputs,
    rules: &'a [CategoryRule],
}

#[derive(Default)]
struct Found {
    best: Best,
    total: u64,
    primary: u64,
}

impl Search<'_> {
    fn walk(&self, ignoring: Ignoring) -> Found {
        let mut found = Found::default();
        // What is declared counts wherever it is, also where nobody looks.
        for path in self.declarations.files() {
            if let Ok(metadata) = std::fs::symlink_metadata(self.root.join(path)) {
                self.consider(path, &metadata, &mut found);
            }
        }
        let walk = WalkBuilder::new(self.root)
            .standard_filters(false)
            .git_ignore(ignoring == Ignoring::Yes)
            .ignore(ignoring == Ignoring::Yes)
            .require_git(false)
            .follow_links(false)
            .filter_entry(worth_a_look)
            .build();
        for entry in walk {
            match entry {
                Ok(entry) => self.entry(&entry, &mut found),
                Err(error) => tracing::warn!(%error, "a part of a workspace cannot be looked at"),
            }
        }
        found
    }

    fn entry(&self, entry: &DirEntry, found: &mut Found) {
        // A link is not a file, even where it leads to one.
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            return;
        }
        let Some(path) = entry.path().strip_prefix(self.root).ok().and_then(Path::to_str) else {
            tracing::warn!("a file whose name is not UTF-8 is left out of an attempt's artifacts");
            return;
        };
        if self.declarations.names(path) {
            return;
        }
        match entry.metadata() {
            Ok(metadata) => self.consider(path, &metadata, found),
            Err(error) => tracing::warn!(%error, "a file of a workspace cannot be looked at"),
        }
    }

    fn consider(&self, path: &str, metadata: &std::fs::Metadata, found: &mut Found) {
        if !metadata.is_file() || path == RECEIPT_FILE || path == SYNC_MARKER_FILE {
            return;
        }
        if let Some(before) = self.inputs.get(path)
            && digest_of(self.handle, path).is_ok_and(|(now, _)| now == *before)
        {
            return;
        }
        let declared = self.declarations.of(path);
        let category = categorize(path, declared.map(|(_, category)| category), self.rules);
        found.total += 1;
        found.primary += u64::from(category == Category::PrimaryWorkProduct);
        let order = declared.map_or(usize::MAX, |(order, _)| order);
        found.best.offer(Candidate::new(order, category, path, metadata));
    }

    /// Hashes the best, as many as an event has room for. One that cannot be read is not delivered.
    fn listed(&self, found: Found) -> Looked {
        let mut looked = Looked { total: found.total, primary: found.primary, listed: Vec::new() };
        let mut room = MissionResult::MAX_LISTED_BYTES;
        for candidate in found.best.in_order() {
            let (path, category) = (candidate.path, candidate.category);
            match digest_of(self.handle, &path) {
                Ok((sha256, bytes)) => {
                    let media_type =
                        mime_guess::from_path(&path).first_raw().unwrap_or("application/octet-stream");
                    let media_type = media_type.to_owned();
                    let artifact = Artifact { path, category, bytes, media_type, sha256, stored: false };
                    let Some(left) = room.checked_sub(json_bytes(&artifact)) else { break };
                    room = left;
                    looked.listed.push(artifact);
                }
                Err(error) => {
                    tracing::warn!(path, %error, "a file of a workspace cannot be read and does not count");
                    looked.total -= 1;
                    looked.primary -= u64::from(category == Category::PrimaryWorkProduct);
                }
            }
        }
        looked
    }
}

fn worth_a_look(entry: &DirEntry) -> bool {
    let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
    !(is_dir && entry.depth() > 0 && entry.file_name().to_str().is_some_and(|name| SKIPPED.contains(&name)))
}

/// What it takes in an event.
fn json_bytes(artifact: &Artifact) -> usize {
    serde_json::to_vec(artifact).map_or(usize::MAX, |json| json.len())
}

/// How many artifacts are listed.
const LISTED: usize = MissionResult::MAX_LISTED;

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "artifacts/tests.rs"]
mod tests;
