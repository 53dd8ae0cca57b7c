//! Attempts' directories as they are found on the disk: opened name by name, so that no part of a path can be a link.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use vp_shared::workspace::{WORKSPACE_RECORD, WorkspacePlace, WorkspaceRecord};

/// What the next record is called until it is whole.
pub(super) const NEXT_RECORD: &str = ".workspace.json.next";
/// A record is longer than this only if it is none of ours.
const MAX_RECORD: u64 = 64 * 1024;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Every directory below `root` that has the names of an attempt's, with its record if that can be read.
pub(super) fn find(root: &Path) -> io::Result<Vec<(WorkspacePlace, Option<WorkspaceRecord>)>> {
    // The way to the root is the operator's, and may hold links.
    let root = match openat(CWD, root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found = Vec::new();
    for lane in texts(&root)? {
        let Some(lane_dir) = folder(&root, &lane)? else { continue };
        for mission in texts(&lane_dir)? {
            let Some(mission_dir) = folder(&lane_dir, &mission)? else { continue };
            for name in texts(&mission_dir)? {
                let Some(place) = WorkspacePlace::read(&lane, &mission, &name) else { continue };
                let Some(dir) = folder(&mission_dir, &name)? else { continue };
                let record = read(&dir);
                found.push((place, record));
            }
        }
    }
    found.sort_by(|(one, _), (two, _)| one.cmp(two));
    Ok(found)
}

/// An attempt's directory and the one it is in; `None` when it is gone, or is a link by now.
pub(super) fn open(root: &Path, place: &WorkspacePlace) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
    let root = openat(CWD, root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
    let Some(lane) = folder(&root, place.vp_id.as_str())? else { return Ok(None) };
    let Some(mission) = folder(&lane, place.mission_id.as_str())? else { return Ok(None) };
    let Some(dir) = folder(&mission, &place.name)? else { return Ok(None) };
    Ok(Some((mission, dir)))
}

/// Removes the mission's and the lane's directory if nothing is in them.
pub(super) fn tidy(root: &Path, place: &WorkspacePlace) -> io::Result<()> {
    let root = openat(CWD, root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
    let Some(lane) = folder(&root, place.vp_id.as_str())? else { return Ok(()) };
    match unlinkat(&lane, place.mission_id.as_str(), AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The record in `dir`; `None` when there is none, or none that this build reads.
pub(super) fn read(dir: &OwnedFd) -> Option<WorkspaceRecord> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(dir, WORKSPACE_RECORD, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Puts `record` in the place of the one in `dir`. A crash leaves the old one or the new one.
pub(super) fn replace(dir: &OwnedFd, record: &WorkspaceRecord) -> io::Result<()> {
    match unlinkat(dir, NEXT_RECORD, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(dir, NEXT_RECORD, flags, Mode::from_raw_mode(0o640))?);
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    renameat(dir, NEXT_RECORD, dir, WORKSPACE_RECORD)?;
    Ok(())
}

/// The folder of that name; `None` when it is gone, a link, or no folder.
pub(super) fn folder(parent: impl AsFd, name: &str) -> io::Result<Option<OwnedFd>> {
    match openat(parent, name, FOLDER, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// At most `most` names in a folder, without `.` and `..`.
pub(super) fn names(dir: &OwnedFd, most: usize) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
            if names.len() == most {
                break;
            }
        }
    }
    Ok(names)
}

/// The names that are texts; no other one is ours.
fn texts(dir: &OwnedFd) -> io::Result<Vec<String>> {
    Ok(names(dir, usize::MAX)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
}
