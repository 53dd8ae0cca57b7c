//! Opens files of a workspace without ever following a link.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use sha2::{Digest, Sha256};

use super::hex;

/// The digest of the file at `path` below `root`, and its size.
pub(super) fn digest_of(root: &File, path: &str) -> io::Result<(String, u64)> {
    let mut file = open_beneath(root, path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&chunk[..read]);
        bytes += read as u64;
    }
    Ok((hex(&hash.finalize()), bytes))
}

/// Opens the file at `path` below `root`, name by name, so that no part of the path can be a link, whoever changes it
/// meanwhile.
pub(crate) fn open_beneath(root: &File, path: &str) -> io::Result<File> {
    let path = Path::new(path);
    let (Some(name), parents) = (path.file_name(), path.parent()) else {
        return Err(io::Error::other("not the path of a file"));
    };
    let mut directory = root.as_fd().try_clone_to_owned()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for part in parents.into_iter().flat_map(Path::components) {
        directory = openat(&directory, part.as_os_str(), flags | OFlags::DIRECTORY, Mode::empty())?;
    }
    // A FIFO would wait for a writer.
    let file = File::from(openat(&directory, name, flags | OFlags::NONBLOCK, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_part_of_a_path_may_be_a_link() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/a"), "a").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("d/a", dir.path().join("link")).unwrap();
        let root = File::open(dir.path()).unwrap();
        assert_eq!(digest_of(&root, "d/a").unwrap().1, 1);
        for bad in ["out/secret", "link", "d", "d/b", "../x", "."] {
            assert!(digest_of(&root, bad).is_err(), "{bad}");
        }
    }
}
