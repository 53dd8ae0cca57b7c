use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand::distr::{Alphanumeric, SampleString};

use super::config::ConfigPaths;
use super::error::{FileContext, LogTail, ServerError};
use crate::connect::Secret;

/// Characters of a generated password: 190 bits.
const PASSWORD_CHARS: usize = 32;
/// How much of a log's end is read for an error report.
const TAIL_BYTES: u64 = 16 * 1024;
const TAIL_LINES: usize = 8;

/// The files of one managed server, all below `<data_dir>/nats/`.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) data_dir: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) lock: PathBuf,
    pub(super) config: PathBuf,
    pub(super) run: PathBuf,
    password: PathBuf,
    store: PathBuf,
    log: PathBuf,
    stderr: PathBuf,
}

impl Files {
    /// Makes the directory, open to its owner only.
    pub(super) fn create(data_dir: &Path) -> Result<Self, ServerError> {
        let data_dir = std::path::absolute(data_dir).on("find", data_dir)?;
        fs::create_dir_all(&data_dir).on("make the data directory", &data_dir)?;
        let files = Self::below(&data_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&files.dir).on("make", &files.dir)?;
        // The directory may be older than this rule.
        fs::set_permissions(&files.dir, fs::Permissions::from_mode(0o700))
            .on("close to others", &files.dir)?;
        Ok(files)
    }

    /// The files, whether or not they are there.
    pub(super) fn below(data_dir: &Path) -> Self {
        let dir = data_dir.join("nats");
        let file = |name: &str| dir.join(name);
        Self {
            lock: file("lock"),
            config: file("server.conf"),
            run: file("run"),
            password: file("password"),
            // The server makes `jetstream` in it.
            store: dir.clone(),
            log: file("server.log"),
            stderr: file("server.stderr"),
            data_dir: data_dir.to_owned(),
            dir,
        }
    }

    pub(super) fn config_paths(&self) -> ConfigPaths<'_> {
        ConfigPaths { ports_dir: &self.run, log_file: &self.log, store_dir: &self.store }
    }

    /// The password of this data directory, generated the first time.
    pub(super) fn password(&self) -> Result<Secret, ServerError> {
        if let Some(password) = self.known_password()? {
            return Ok(password);
        }
        let password = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_CHARS);
        write_private(&self.password, &password)?;
        Ok(Secret::new(password))
    }

    /// The password of this data directory, if there is one yet.
    pub(super) fn known_password(&self) -> Result<Option<Secret>, ServerError> {
        match fs::read_to_string(&self.password) {
            Ok(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(Secret::new)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).on("read", &self.password),
        }
    }

    /// Moves the logs of the run before out of the way and forgets its ports. Only for who holds the lock.
    pub(super) fn begin_run(&self) -> Result<File, ServerError> {
        for log in [&self.log, &self.stderr] {
            let mut old = log.clone().into_os_string();
            old.push(".old");
            match fs::rename(log, &old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).on("set aside", log);
                }
                _ => {}
            }
        }
        // A killed server leaves its ports file behind, and its pid may come again.
        match fs::remove_dir_all(&self.run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).on("empty", &self.run);
            }
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&self.run).on("make", &self.run)?;
        private_options().truncate(true).open(&self.stderr).on("write", &self.stderr)
    }

    /// The last lines of this run's log, and of what the server wrote to stderr (a panic goes there).
    pub(super) fn log_tail(&self) -> LogTail {
        let mut lines = tail(&self.log);
        lines.extend(tail(&self.stderr));
        LogTail(lines)
    }
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Replaces a file by one that only its owner can read; a crash leaves the old one or the new one.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), ServerError> {
    let fresh = path.with_extension("new");
    let write = || {
        // A left-over of a crash could have other permissions.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private_options().create_new(true).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().on("write", path)
}

fn tail(path: &Path) -> Vec<String> {
    // For an error report only: what cannot be read is left out.
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(without_stamp).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Leaves out the `[pid] date time` of a line of the server's log.
fn without_stamp(line: &str) -> &str {
    let mut fields = line.splitn(4, ' ');
    match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(pid), Some(_), Some(_), Some(rest)) if pid.starts_with('[') && rest.starts_with('[') => {
            rest.trim()
        }
        _ => line.trim(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{Files, TAIL_LINES, without_stamp, write_private};

    #[test]
    fn the_password_is_kept_and_readable_by_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::create(dir.path()).unwrap();
        let first = files.password().unwrap();
        assert_eq!(first.expose().len(), 32);
        assert_eq!(Files::create(dir.path()).unwrap().password().unwrap().expose(), first.expose());
        assert_eq!(fs::metadata(&files.password).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&files.dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn two_data_directories_have_two_passwords() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let password = |dir: &std::path::Path| Files::create(dir).unwrap().password().unwrap();
        assert_ne!(password(a.path()).expose(), password(b.path()).expose());
    }

    #[test]
    fn a_private_file_is_replaced_whole_even_over_a_crashs_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.conf");
        fs::write(path.with_extension("new"), "half of a fi").unwrap();
        write_private(&path, "one").unwrap();
        write_private(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_stamp_of_a_log_line_is_left_out_and_other_lines_are_kept() {
        for (line, rest) in [
            ("[42] 2026/11/22 22:45:28.274397 [INF] Server is ready", "[INF] Server is ready"),
            ("panic: out of it all", "panic: out of it all"),
            ("[1] b", "[1] b"),
            ("   ", ""),
        ] {
            assert_eq!(without_stamp(line), rest);
        }
    }

    #[test]
    fn the_tail_holds_the_last_lines_of_this_run_only() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::create(dir.path()).unwrap();
        fs::write(&files.log, "from the run before\n").unwrap();
        drop(files.begin_run().unwrap());
        assert!(files.log_tail().lines().is_empty());
        let text = (0..5000).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        fs::write(&files.log, text).unwrap();
        let tail = files.log_tail();
        assert_eq!(tail.lines().len(), TAIL_LINES);
        assert_eq!(tail.lines().last().unwrap(), "line 4999");
    }
}
