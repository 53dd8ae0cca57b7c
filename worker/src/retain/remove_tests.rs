#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::retain::place::folder;

fn fds(parent: &Path, name: &str) -> (OwnedFd, OwnedFd) {
    let parent = OwnedFd::from(fs::File::open(parent).unwrap());
    let dir = folder(&parent, name).unwrap().unwrap();
    (parent, dir)
}

fn removed(parent: &Path, name: &str) -> io::Result<()> {
    let (parent, dir) = fds(parent, name);
    remove(&parent, name, &dir, &CancellationToken::new())
}

#[test]
fn a_tree_of_any_depth_and_any_permissions_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let top = root.path().join("a");
    fs::create_dir_all(top.join("work/x/y")).unwrap();
    fs::write(top.join("work/x/y/file"), "f").unwrap();
    fs::write(top.join(WORKSPACE_RECORD), "{}").unwrap();
    for name in ["x/y", "x"] {
        set_permissions(top.join("work").join(name), Permissions::from_mode(0o0)).unwrap();
    }
    // Deeper than a path can be long and than there are files to open.
    let mut dir = folder(OwnedFd::from(fs::File::open(&top).unwrap()), "work").unwrap().unwrap();
    for _ in 0..2_500 {
        rustix::fs::mkdirat(&dir, "d", Mode::from_raw_mode(0o755)).unwrap();
        dir = folder(&dir, "d").unwrap().unwrap();
    }
    for nth in 0..3_000 {
        fs::write(top.join(format!("work/{nth}")), "").unwrap();
    }
    removed(root.path(), "a").unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn what_a_link_leads_to_stays() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let top = root.path().join("a");
    fs::create_dir_all(top.join("work/d")).unwrap();
    fs::write(outside.path().join("precious"), "p").unwrap();
    set_permissions(outside.path(), Permissions::from_mode(0o750)).unwrap();
    symlink(outside.path(), top.join("link")).unwrap();
    symlink(outside.path(), top.join("work/link")).unwrap();
    symlink(outside.path().join("precious"), top.join("work/d/link")).unwrap();
    removed(root.path(), "a").unwrap();
    assert!(!top.exists());
    assert_eq!(fs::read_to_string(outside.path().join("precious")).unwrap(), "p");
    assert_eq!(fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777, 0o750);
}

#[test]
fn a_directory_made_anew_under_the_name_is_not_touched() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("a")).unwrap();
    fs::write(root.path().join("a/old"), "o").unwrap();
    let (parent, dir) = fds(root.path(), "a");
    fs::rename(root.path().join("a"), root.path().join("aside")).unwrap();
    fs::create_dir(root.path().join("a")).unwrap();
    fs::write(root.path().join("a/new"), "n").unwrap();
    remove(&parent, "a", &dir, &CancellationToken::new()).unwrap_err();
    assert_eq!(fs::read_to_string(root.path().join("a/new")).unwrap(), "n");
    assert!(!root.path().join("aside/old").exists());
}

#[test]
fn a_removal_that_is_stopped_leaves_the_record() {
    let root = tempfile::tempdir().unwrap();
    let top = root.path().join("a");
    fs::create_dir(&top).unwrap();
    fs::write(top.join(WORKSPACE_RECORD), "{}").unwrap();
    fs::write(top.join("file"), "f").unwrap();
    let (parent, dir) = fds(root.path(), "a");
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(remove(&parent, "a", &dir, &stop).unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert!(top.join(WORKSPACE_RECORD).exists() && top.join("file").exists());
}
