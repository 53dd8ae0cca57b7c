//! Files below a workspace, and no others: no symlink is followed, no device or pipe is opened.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use sha2::{Digest, Sha256};

/// Larger files are told apart by their size alone; hashing them would take longer than the answer is worth.
const MAX_HASHED_BYTES: u64 = 64 * 1024 * 1024;

/// Where a mission's files are: `workspace://<host>/<path>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResultRef {
    /// The host whose disk it is.
    pub(crate) host: String,
    /// The absolute path of the workspace there.
    pub(crate) path: PathBuf,
}

impl ResultRef {
    /// Reads it; `None` when it is not of that form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("workspace://")?;
        let slash = rest.find('/')?;
        let (host, path) = rest.split_at(slash);
        (!host.is_empty() && path.len() > 1)
            .then(|| Self { host: host.to_owned(), path: PathBuf::from(path) })
    }
}

/// An open workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: rustix::fd::OwnedFd,
}

/// A file of a workspace as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its size.
    pub(crate) bytes: u64,
    /// SHA-256 of it, lower-case hex; `None` when it is too large to be hashed for an answer.
    pub(crate) sha256: Option<String>,
    /// Its beginning, as many bytes as were asked for.
    pub(crate) head: Vec<u8>,
}

impl Workspace {
    /// Opens the folder. The way to it is the worker's own and may hold symlinks.
    ///
    /// # Errors
    /// When it is not there, is no folder, or may not be read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let root = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root })
    }

    /// Reads a file: its size, its digest, and at most `head` bytes of its beginning.
    ///
    /// # Errors
    /// When it is not there, cannot be read, is no regular file, or any part of the way to it is a symlink, `.` or
    /// `..`.
    pub(crate) fn read(&self, path: &str, head: u64) -> io::Result<Content> {
        let file = File::from(self.open_file(path)?);
        let bytes = file.metadata()?.len();
        let mut content = Content { bytes, sha256: None, head: Vec::new() };
        let mut start = (&file).take(head);
        start.read_to_end(&mut content.head)?;
        if bytes > MAX_HASHED_BYTES {
            return Ok(content);
        }
        let mut hash = Sha256::new();
        hash.update(&content.head);
        // A file that grows meanwhile is not read for ever.
        io::copy(&mut (&file).take(MAX_HASHED_BYTES), &mut Hashing(&mut hash))?;
        content.sha256 = Some(hex(&hash.finalize()));
        Ok(content)
    }

    fn open_file(&self, path: &str) -> io::Result<rustix::fd::OwnedFd> {
        let refused =
            |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{why} in an artifact's path"));
        let mut parts = path.split('/').peekable();
        let mut folder: Option<rustix::fd::OwnedFd> = None;
        while let Some(part) = parts.next() {
            if matches!(part, "" | "." | "..") {
                return Err(refused("an empty part, `.` or `..`"));
            }
            let last = parts.peek().is_none();
            // Without a symlink and below the folder before; a pipe does not block the open.
            let kind = if last { OFlags::NONBLOCK | OFlags::NOCTTY } else { OFlags::DIRECTORY };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
            let opened = match &folder {
                Some(folder) => openat(folder, part, flags, Mode::empty())?,
                None => openat(&self.root, part, flags, Mode::empty())?,
            };
            if last {
                let stat = fstat(&opened)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    return Err(refused("something that is no regular file"));
                }
                return Ok(opened);
            }
            folder = Some(opened);
        }
        Err(refused("nothing"))
    }
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The beginning of a file as text of at most `max` bytes, and whether it is all of `bytes`. `None`: it is not text.
pub(crate) fn excerpt(head: &[u8], bytes: u64, media_type: &str, max: usize) -> Option<(String, bool)> {
    let cut = &head[..head.len().min(max)];
    let text = match std::str::from_utf8(cut) {
        Ok(text) => text.to_owned(),
        // Cut within a character.
        Err(error) if error.error_len().is_none() && (cut.len() as u64) < bytes => {
            String::from_utf8_lossy(&cut[..error.valid_up_to()]).into_owned()
        }
        Err(_) if textual(media_type) => vp_shared::text::cut(String::from_utf8_lossy(cut).into_owned(), max),
        Err(_) => return None,
    };
    if text.contains('\0') && !textual(media_type) {
        return None;
    }
    let truncated = bytes > cut.len() as u64 || text.len() < cut.len();
    Some((text, truncated))
}

fn textual(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || ["application/json", "application/xml", "application/toml", "application/yaml"].contains(&essence)
}

/// SHA-256 in lower-case hex.
#[cfg(test)]
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_result_ref_is_host_and_absolute_path() {
        let parsed = ResultRef::parse("workspace://host1/srv/vp/work").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.path.as_path()), ("host1", Path::new("/srv/vp/work")));
        for bad in
            ["", "workspace://", "workspace://host", "workspace://host/", "workspace:///srv", "file:///srv"]
        {
            assert_eq!(ResultRef::parse(bad), None, "{bad}");
        }
    }

    fn world() -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(dir.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(root.join("a.md"), "hello").unwrap();
        std::fs::write(root.join("sub/b.md"), "world").unwrap();
        symlink(dir.path().join("secret.txt"), root.join("out.txt")).unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        symlink("a.md", root.join("alias.md")).unwrap();
        rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let workspace = Workspace::open(&root).unwrap();
        (dir, workspace)
    }

    #[test]
    fn files_are_read_with_size_digest_and_beginning() {
        let (_dir, workspace) = world();
        let content = workspace.read("a.md", 3).unwrap();
        assert_eq!((content.bytes, content.head.as_slice()), (5, b"hel".as_slice()));
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(content.sha256.as_deref(), Some(sha256));
        assert_eq!(workspace.read("sub/b.md", 100).unwrap().head, b"world");
    }

    #[test]
    fn nothing_outside_the_workspace_can_be_read() {
        let (dir, workspace) = world();
        let absolute = dir.path().join("secret.txt");
        for path in [
            "out.txt",
            "up/secret.txt",
            "alias.md",
            "../secret.txt",
            "sub/../../secret.txt",
            "./a.md",
            "sub//b.md",
            "",
            "/",
            absolute.to_str().unwrap(),
            "sub",
            "pipe",
            "none.md",
            "a.md/x",
            "a\0.md",
        ] {
            assert!(workspace.read(path, 10).is_err(), "{path}");
        }
    }

    #[test]
    fn excerpts_are_whole_characters() {
        let text = "aé€😀".repeat(3);
        for max in 0..=text.len() {
            let head = &text.as_bytes()[..max];
            let (shown, truncated) =
                excerpt(head, text.len() as u64, "application/octet-stream", max).unwrap();
            assert!(text.starts_with(&shown) && shown.len() + 4 > max, "{max}");
            assert_eq!(truncated, max < text.len(), "{max}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_have_no_excerpt() {
        assert_eq!(excerpt(b"\xff\xfe\x00", 3, "image/png", 10), None);
        assert_eq!(excerpt(b"a\0b", 3, "application/octet-stream", 10), None);
        assert_eq!(excerpt(b"caf\xe9", 4, "text/plain", 10), Some(("caf\u{fffd}".into(), false)));
    }

    proptest! {
        #[test]
        fn an_excerpt_is_never_longer_than_asked(head in proptest::collection::vec(any::<u8>(), 0..200), max in 0_usize..250) {
            for media_type in ["text/plain", "image/png"] {
                if let Some((text, _)) = excerpt(&head, head.len() as u64, media_type, max) {
                    prop_assert!(text.len() <= max);
                }
            }
        }

        #[test]
        fn no_path_panics(path in "[a-z./\\\\]{0,30}") {
            let (_dir, workspace) = world();
            let _ = workspace.read(&path, 10);
        }
    }
}
