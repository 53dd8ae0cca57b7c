//! Removing a directory that an executor has filled: any depth, any number of entries, any permissions, and never
//! through a link or into another filesystem.

use std::ffi::OsStr;
use std::fs::{Permissions, set_permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_shared::workspace::WORKSPACE_RECORD;

use super::place::names;

/// How many names are held at a time.
const AT_ONCE: usize = 1024;

/// Removes all in `dir`, its record last, and then `dir`, which is `name` in `parent`. Stopped or failed on the way it
/// leaves a directory that still says whose it is.
///
/// # Errors
/// What the system said. `Interrupted` when `stop` was asked for.
pub(super) fn remove(
    parent: &OwnedFd,
    name: &str,
    dir: &OwnedFd,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut removing =
        Removing { top: dir, device: fstat(dir)?.st_dev, stop, made: 0, mark: clock::event_id().to_string() };
    removing.empty_top()?;
    match unlinkat(dir, WORKSPACE_RECORD, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    // If another directory has this name by now, it is not empty.
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

struct Removing<'a> {
    top: &'a OwnedFd,
    device: u64,
    stop: &'a CancellationToken,
    made: u64,
    mark: String,
}

impl Removing<'_> {
    /// What lies deep is moved up before it is removed, so nothing is ever deeper than two folders.
    fn empty_top(&mut self) -> io::Result<()> {
        loop {
            let mut left = names(self.top, AT_ONCE)?;
            left.retain(|name| name != OsStr::new(WORKSPACE_RECORD));
            if left.is_empty() {
                return Ok(());
            }
            for name in left {
                if !self.unlinked(self.top, &name)? {
                    self.empty_folder(&name)?;
                    unlinkat(self.top, &name, AtFlags::REMOVEDIR)?;
                }
            }
        }
    }

    fn empty_folder(&mut self, name: &OsStr) -> io::Result<()> {
        let dir = self.folder(self.top, name)?;
        loop {
            let inside = names(&dir, AT_ONCE)?;
            if inside.is_empty() {
                return Ok(());
            }
            for name in inside {
                if self.unlinked(&dir, &name)? {
                    continue;
                }
                // It must be writable itself to be moved.
                drop(self.folder(&dir, &name)?);
                self.made += 1;
                renameat(&dir, &name, self.top, format!(".removing-{}-{}", self.mark, self.made))?;
            }
        }
    }

    /// Unlinks what is no folder; false for one. A link is unlinked, never followed.
    fn unlinked(&self, dir: &OwnedFd, name: &OsStr) -> io::Result<bool> {
        if self.stop.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            // What a folder is called by, depending on the system.
            Err(Errno::ISDIR | Errno::PERM) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a folder of this filesystem, and takes what is needed to empty it.
    fn folder(&self, parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
        let stat = fstat(&found)?;
        if stat.st_dev != self.device {
            return Err(io::Error::other("another filesystem is mounted in it"));
        }
        debug_assert!(FileType::from_raw_mode(stat.st_mode).is_dir(), "opened as a folder");
        let mode = stat.st_mode & 0o7777;
        if mode & 0o700 != 0o700 {
            // The opened folder itself, whatever the name is by now.
            set_permissions(
                format!("/proc/self/fd/{}", found.as_raw_fd()),
                Permissions::from_mode(mode | 0o700),
            )?;
        }
        Ok(openat(&found, ".", flags | OFlags::RDONLY, Mode::empty())?)
    }
}

#[cfg(test)]
#[path = "remove_tests.rs"]
mod tests;
