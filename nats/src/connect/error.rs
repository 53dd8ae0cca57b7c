use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectErrorKind, rustls};
use thiserror::Error;

use super::auth::Auth;

/// Why a first connection was not made. Urls are shown without credentials.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server answered there.
    #[error("cannot reach NATS at `{url}`: {cause}; start the server, or correct the url")]
    Unreachable {
        /// The addresses tried.
        url: String,
        /// What the last attempt met.
        cause: ClientCause,
    },
    /// The server does not accept who we say we are.
    #[error(
        "NATS at `{url}` refuses us (presented: {presented}): {cause}; check the credentials and the server's users"
    )]
    AuthRefused {
        /// The addresses tried.
        url: String,
        /// The kind of credentials presented, without secrets.
        presented: String,
        /// The refusal.
        cause: ClientCause,
    },
    /// The server lacks features that the mission log rests on.
    #[error("NATS at `{url}` is version {found}, {needed} or newer is needed; upgrade nats-server")]
    ServerTooOld {
        /// The addresses tried.
        url: String,
        /// The version in the server's greeting.
        found: String,
        /// The oldest usable version.
        needed: String,
    },
    /// The server has no JetStream for this user.
    #[error(
        "NATS at `{url}` has no JetStream for us: {reason}; start the server with `-js`, enable JetStream for \
         the account, and allow the user `$JS.API.INFO`"
    )]
    NoJetStream {
        /// The addresses tried.
        url: String,
        /// What the server said, or that it said nothing.
        reason: String,
    },
    /// No encrypted link could be made.
    #[error(
        "cannot encrypt the link to NATS at `{url}`: {cause}; check the certificates and the server's name in them"
    )]
    Tls {
        /// The addresses tried.
        url: String,
        /// What the handshake met.
        cause: ClientCause,
    },
    /// The options are wrong in themselves; no server was asked.
    #[error("cannot connect to NATS: {reason}")]
    BadConfig {
        /// Which option, what is wrong, and what would be right.
        reason: String,
    },
    /// A file that the options name cannot be read.
    #[error("cannot read the {what} file `{}` to connect to NATS; check its path and permissions", path.display())]
    File {
        /// Which option names it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl ConnectError {
    pub(super) fn bad_config(reason: impl Into<String>) -> Self {
        Self::BadConfig { reason: reason.into() }
    }

    /// Sorts the client's error into the kinds that a reader treats differently.
    pub(super) fn of(error: async_nats::ConnectError, url: &str, auth: &Auth) -> Self {
        let url = url.to_owned();
        let tls = is_tls(&error);
        let kind = error.kind();
        let cause = ClientCause(error);
        match kind {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Self::AuthRefused { url, presented: auth.describe(), cause }
            }
            ConnectErrorKind::Tls => Self::Tls { url, cause },
            _ if tls => Self::Tls { url, cause },
            ConnectErrorKind::ServerParse => Self::bad_config(format!("the server url is wrong: {cause}")),
            _ => Self::Unreachable { url, cause },
        }
    }
}

/// A failed handshake comes as an I/O error with the reason inside.
fn is_tls(error: &async_nats::ConnectError) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if cause.is::<rustls::Error>()
            || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        source = cause.source();
    }
    false
}

/// An error of the NATS client. Its text is complete, so it has no source of its own.
#[derive(Debug)]
pub struct ClientCause(async_nats::ConnectError);

impl ClientCause {
    /// The client's kind of error.
    pub fn kind(&self) -> ConnectErrorKind {
        self.0.kind()
    }
}

impl fmt::Display for ClientCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client prints its kind before its source, which alone is enough.
        match self.0.source() {
            Some(source) => f.write_str(source.to_string().trim_start_matches("nats: ")),
            None => write!(f, "{}", self.0.kind()),
        }
    }
}

impl std::error::Error for ClientCause {}

/// Why a live connection could not be flushed or closed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It is closed.
    #[error("the NATS connection is closed; connect again")]
    Closed,
    /// It took longer than the request timeout.
    #[error("the NATS connection did not finish within {} ms; the server may be down, see `state`", waited.as_millis())]
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
}
