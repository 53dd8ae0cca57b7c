//! A worker's name on its host, as a locked file. The presence of a process that is frozen expires; the lock it keeps for
//! as long as it lives, and loses with its end, whatever ends it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use vp_shared::ids::WorkerId;

/// The lock on a name, held until it is dropped.
#[derive(Debug)]
pub(crate) struct NameLock {
    /// `None`: this file system does not lock, and only presence tells who has the name.
    _file: Option<File>,
}

/// Takes the lock on a name. `None`: another process on this host lives under it.
pub(crate) fn take(workspace_root: &Path, worker_id: &WorkerId) -> Option<NameLock> {
    let path = workspace_root.join(format!(".worker-{worker_id}.lock"));
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    match opened.and_then(|file| locked(&file).map(|locked| (file, locked))) {
        Ok((file, true)) => Some(NameLock { _file: Some(file) }),
        Ok((_, false)) => None,
        Err(error) => {
            tracing::warn!(
                %worker_id, path = %path.display(), %error,
                "the worker's name cannot be locked on this host: see that no other process has it"
            );
            Some(NameLock { _file: None })
        }
    }
}

fn locked(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
