use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::version::ServerVersion;
use crate::connect::ConnectError;

/// Why the managed nats-server could not be found, started or kept running.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No usable binary is anywhere it was looked for.
    #[error(
        "no nats-server {} or newer found (tried: {tried}); run `make setup` in the checkout, \
         or install one, or set `VP_NATS_SERVER` to its path",
        ServerVersion::needed()
    )]
    BinaryNotFound {
        /// The places looked at, with what was wrong there.
        tried: Tried,
    },
    /// The binary asked for by name cannot be used.
    #[error(
        "cannot use `{}` as nats-server: {reason}; give the path of a nats-server {} or newer",
        path.display(), ServerVersion::needed()
    )]
    BinaryUnusable {
        /// The binary asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process serves this data directory; two servers on one store would corrupt it.
    #[error(
        "`{}` is already served by {owner}; stop that one first, or choose another data directory",
        data_dir.display()
    )]
    DataDirBusy {
        /// The directory that is in use.
        data_dir: PathBuf,
        /// Who holds it.
        owner: String,
    },
    /// A file or directory of the server could not be read or written.
    #[error("cannot {action} `{}`; check its owner, its permissions and the free space", path.display())]
    File {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The options given cannot be turned into a server configuration.
    #[error("cannot configure nats-server: {reason}")]
    BadConfig {
        /// Which option, and what is wrong with it.
        reason: String,
    },
    /// nats-server itself refused the configuration written for it.
    #[error("nats-server refused `{}`: {reason}; this is a fault of vp or of an unknown server version", config.display())]
    ConfigRefused {
        /// The configuration file.
        config: PathBuf,
        /// The words of nats-server.
        reason: String,
    },
    /// The port asked for is in use.
    #[error(
        "cannot listen on port {port} of this machine: it is in use; stop its owner, or choose another port"
    )]
    PortTaken {
        /// The port asked for.
        port: u16,
    },
    /// The process ended before it was ready.
    #[error("nats-server ended during its start ({exit}); its last words: {log}")]
    FailedToStart {
        /// How it ended.
        exit: Exit,
        /// The end of its log.
        log: LogTail,
    },
    /// The process runs but did not become ready in time; it was killed.
    #[error("nats-server was not ready after {} s and was killed; its last words: {log}", waited.as_secs())]
    NotReady {
        /// How long it was given.
        waited: Duration,
        /// The end of its log.
        log: LogTail,
    },
    /// The process is up but a first JetStream round trip failed; it was stopped.
    #[error("nats-server is up but does not answer as it should; its last words: {log}")]
    NoRoundTrip {
        /// Why the round trip failed.
        source: Box<ConnectError>,
        /// The end of its log.
        log: LogTail,
    },
    /// The running process ended although nobody stopped it.
    #[error("nats-server ended unexpectedly ({exit}); its last words: {log}")]
    Died {
        /// How it ended.
        exit: Exit,
        /// The end of its log.
        log: LogTail,
    },
}

/// How the child process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub(super) Option<std::process::ExitStatus>);

impl Exit {
    /// Whether it ended by itself with code 0.
    pub fn is_clean(&self) -> bool {
        self.0.is_some_and(|status| status.success())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => write!(f, "{status}"),
            None => f.write_str("exit status unknown"),
        }
    }
}

/// The last lines of the server's log, printed on one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTail(pub(super) Vec<String>);

impl LogTail {
    /// The lines, oldest first.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.0.join(" | "))
    }
}

/// Where a binary was looked for, each with what was found there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried(pub(super) Vec<(String, String)>);

impl Tried {
    /// Pairs of place and finding, in the order tried.
    pub fn places(&self) -> &[(String, String)] {
        &self.0
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (place, finding)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{place}: {finding}")?;
        }
        Ok(())
    }
}

/// Adds what was attempted on which path to an I/O error.
pub(super) trait FileContext<T> {
    /// Wraps the error; `action` is a verb phrase such as "write".
    fn on(self, action: &'static str, path: &std::path::Path) -> Result<T, ServerError>;
}

impl<T> FileContext<T> for io::Result<T> {
    fn on(self, action: &'static str, path: &std::path::Path) -> Result<T, ServerError> {
        self.map_err(|source| ServerError::File { action, path: path.to_owned(), source })
    }
}
