//! What the executor declared, resolved to real files of the workspace.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use vp_shared::artifact::Category;

use crate::executor::Declared;

/// Declared files and directories, by their real path in the workspace.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    files: HashMap<String, (usize, Category)>,
    directories: Vec<(String, usize, Category)>,
}

impl Declarations {
    /// Resolves what was declared; what is not there or leads out of the workspace is left out, and said so.
    pub(super) fn resolve(root: &Path, declared: &[Declared]) -> Self {
        let mut all = Self::default();
        for (order, Declared { path, category }) in declared.iter().enumerate() {
            match real(root, path) {
                Ok((path, true)) => all.directories.push((format!("{path}/"), order, *category)),
                // Declared twice, the first place and the last word count.
                Ok((path, false)) => all.files.entry(path).or_insert((order, *category)).1 = *category,
                Err(why) => tracing::warn!(path, why, "a declared deliverable is left out"),
            }
        }
        all
    }

    /// The declared files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// True when this very file was declared.
    pub(super) fn names(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Where in the order it was declared, and as what; by its own name, or by a directory it is in.
    pub(super) fn of(&self, path: &str) -> Option<(usize, Category)> {
        self.files.get(path).copied().or_else(|| {
            let within = self.directories.iter().find(|(directory, ..)| path.starts_with(directory));
            within.map(|(_, order, category)| (*order, *category))
        })
    }
}

/// The real path below `root`, and whether it is a directory.
fn real(root: &Path, path: &str) -> Result<(String, bool), &'static str> {
    if path.contains('\0') {
        return Err("its path holds a NUL");
    }
    // An absolute path replaces the root; where it leads is checked all the same.
    let real: PathBuf = root.join(path).canonicalize().map_err(|_| "it does not exist")?;
    let inside = real.strip_prefix(root).map_err(|_| "it is not in the workspace")?;
    let metadata = real.metadata().map_err(|_| "it cannot be looked at")?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err("it is neither a file nor a directory");
    }
    let text = inside.to_str().ok_or("its name is not UTF-8")?;
    if text.is_empty() {
        return Err("the whole workspace is no deliverable");
    }
    Ok((text.to_owned(), metadata.is_dir()))
}
