use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::error::{ServerError, Tried};
use super::version::ServerVersion;

/// The environment variable that names the nats-server binary to use.
pub const BINARY_ENV: &str = "VP_NATS_SERVER";

/// Where `make setup` puts a fetched binary, below the checkout.
const FETCHED: &str = ".tools/bin/nats-server";
/// The file by which a directory is known to be a checkout of this project.
const CHECKOUT_MARK: &str = "nats/setup.sh";
/// Debian installs the server here, and an ordinary user's `PATH` lacks it.
const SYSTEM_DIRS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];
/// `nats-server -v` prints one line and ends.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// A nats-server on this machine that is new enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBinary {
    /// Where it is.
    pub path: PathBuf,
    /// What it says it is.
    pub version: ServerVersion,
}

/// Finds a nats-server that is new enough.
///
/// `VP_NATS_SERVER` wins and, if set, is the only one tried; else the one `make setup` fetched into
/// the checkout around the current directory or around this program; else `PATH`.
///
/// # Errors
/// [`ServerError::BinaryUnusable`] if `VP_NATS_SERVER` names an unusable one,
/// [`ServerError::BinaryNotFound`] with all that was tried if there is none.
pub async fn find_binary() -> Result<ServerBinary, ServerError> {
    Search::around_this_process().run().await
}

/// Checks that `path` is a nats-server that runs here and is new enough.
///
/// # Errors
/// [`ServerError::BinaryUnusable`].
pub async fn check_binary(path: &Path) -> Result<ServerBinary, ServerError> {
    probe(path).await.map_err(|reason| ServerError::BinaryUnusable { path: path.to_owned(), reason })
}

/// The places of one search.
#[derive(Debug, Default)]
struct Search {
    named: Option<PathBuf>,
    starts: Vec<PathBuf>,
    path: Vec<PathBuf>,
}

impl Search {
    fn around_this_process() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            named: std::env::var_os(BINARY_ENV).filter(|value| !value.is_empty()).map(PathBuf::from),
            starts: [std::env::current_dir(), std::env::current_exe()].into_iter().flatten().collect(),
            path: path_dirs(&path),
        }
    }

    async fn run(&self) -> Result<ServerBinary, ServerError> {
        if let Some(named) = &self.named {
            return check_binary(named).await;
        }
        let mut tried = Tried(vec![(BINARY_ENV.to_owned(), "not set".to_owned())]);
        let fetched = self.fetched();
        if fetched.is_empty() {
            tried.0.push((FETCHED.to_owned(), "not in a checkout of this project".to_owned()));
        }
        for path in fetched {
            match probe(&path).await {
                Ok(binary) => return Ok(binary),
                Err(reason) => tried.0.push((path.display().to_string(), reason)),
            }
        }
        for path in self.path.iter().map(|dir| dir.join("nats-server")).filter(|path| path.is_file()) {
            match probe(&path).await {
                Ok(binary) => return Ok(binary),
                Err(reason) => tried.0.push((path.display().to_string(), reason)),
            }
        }
        tried.0.push(("PATH".to_owned(), "no suitable nats-server".to_owned()));
        Err(ServerError::BinaryNotFound { tried })
    }

    /// The fetched binary of each checkout around the start points; it need not exist.
    fn fetched(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        for start in &self.starts {
            let checkout = start.ancestors().find(|dir| dir.join(CHECKOUT_MARK).is_file());
            if let Some(path) = checkout.map(|dir| dir.join(FETCHED))
                && !found.contains(&path)
            {
                found.push(path);
            }
        }
        found
    }
}

fn path_dirs(path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path)
        .chain(SYSTEM_DIRS.map(PathBuf::from))
        .filter(|dir| dir.is_absolute())
        .collect()
}

/// Runs `path -v`; the error says what is wrong with the binary.
async fn probe(path: &Path) -> Result<ServerBinary, String> {
    let mut command = tokio::process::Command::new(path);
    command.arg("-v").stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(VERSION_DEADLINE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("it does not run here ({error})")),
        Err(_) => return Err(format!("`-v` did not end within {} s", VERSION_DEADLINE.as_secs())),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("nats-server:").and_then(ServerVersion::parse);
    match version {
        // Absolute, because the server is started in another directory.
        Some(version) if version.is_supported() => {
            Ok(ServerBinary { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()), version })
        }
        Some(version) => Err(format!("version {version} is too old")),
        None => Err("it does not answer `-v` as nats-server does".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::{CHECKOUT_MARK, FETCHED, Search, ServerError};

    /// A script that answers `-v` as a nats-server of that version does.
    fn stand_in(path: &Path, version: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\necho 'nats-server: v{version}'\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn checkout(root: &Path) -> PathBuf {
        fs::create_dir_all(root.join("nats")).unwrap();
        fs::write(root.join(CHECKOUT_MARK), "").unwrap();
        let deep = root.join("deploy/src");
        fs::create_dir_all(&deep).unwrap();
        deep
    }

    #[tokio::test]
    async fn the_named_binary_wins_and_is_the_only_one_tried() {
        let dir = tempfile::tempdir().unwrap();
        let (named, other) = (dir.path().join("named"), dir.path().join("bin/nats-server"));
        stand_in(&named, "2.9.10");
        stand_in(&other, "2.15.1");
        let search =
            Search { named: Some(named.clone()), path: vec![dir.path().join("bin")], ..Search::default() };
        let error = search.run().await.unwrap_err();
        assert!(matches!(&error, ServerError::BinaryUnusable { path, .. } if *path == named), "{error}");
        assert!(error.to_string().contains("version 2.9.10 is too old"), "{error}");
    }

    #[tokio::test]
    async fn the_fetched_binary_of_the_checkout_comes_before_path() {
        let dir = tempfile::tempdir().unwrap();
        let deep = checkout(dir.path());
        stand_in(&dir.path().join(FETCHED), "2.14.0");
        stand_in(&dir.path().join("bin/nats-server"), "2.15.1");
        let search = Search { named: None, starts: vec![deep], path: vec![dir.path().join("bin")] };
        let found = search.run().await.unwrap();
        assert_eq!((found.path, found.version.to_string()), (dir.path().join(FETCHED), "2.14.0".to_owned()));
    }

    #[tokio::test]
    async fn one_that_is_too_old_is_passed_over_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        stand_in(&dir.path().join("a/nats-server"), "2.9.10");
        stand_in(&dir.path().join("b/nats-server"), "2.15.1");
        let search = Search { path: vec![dir.path().join("a"), dir.path().join("b")], ..Search::default() };
        assert_eq!(search.run().await.unwrap().path, dir.path().join("b/nats-server"));
    }

    #[tokio::test]
    async fn without_any_the_error_lists_what_was_tried_and_how_to_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let deep = checkout(dir.path());
        fs::create_dir_all(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/nats-server"), "not a program").unwrap();
        let search = Search { named: None, starts: vec![deep], path: vec![dir.path().join("bin")] };
        let text = search.run().await.unwrap_err().to_string();
        for part in
            ["VP_NATS_SERVER: not set", FETCHED, "bin/nats-server: it does not run here", "make setup"]
        {
            assert!(text.contains(part), "{part:?} is missing in {text:?}");
        }
    }
}
