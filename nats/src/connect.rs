//! A connection to nats-server: options, credentials, reconnects.
//!
//! Invariants:
//! - the first connect fails fast, with a kind for each cause that a reader would treat differently;
//! - after that the connection is retried for ever, and each (re)connect raises
//!   [`ConnectionState::generation`], because who is fenced must re-read the log after a reconnect;
//! - credentials in files are read again at each reconnect, so that they can be renewed in place;
//! - no secret is in an error, a log line or a `Debug` text.

mod address;
mod auth;
mod error;
mod events;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, jetstream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::server::ServerVersion;

use address::Addresses;
pub use auth::{Auth, Secret};
pub use error::{ClientCause, ConnectError, LinkError};
pub use events::ConnectionState;
use events::Link;

/// Client and server notice a dead link after three silent intervals, well before a lease ends.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// JetStream error code: the cluster has no leader at the moment.
const JETSTREAM_NOT_READY: u64 = 10008;
const JETSTREAM_RETRY: Duration = Duration::from_millis(100);

/// Where and as whom to connect. Written with its secrets: only into a pipe between two of our own processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectConfig {
    /// One or more server addresses, separated by commas; user and password may be in them.
    pub url: String,
    /// The client name, shown in the server's list of connections.
    pub name: String,
    /// Credentials; they win over those in the url.
    pub auth: Auth,
    /// Certificates and kind of handshake.
    pub tls: TlsConfig,
    /// The prefix of reply subjects, where permissions ask for one; the usual one is `_INBOX`.
    pub inbox_prefix: Option<String>,
    /// The limit of each connection attempt.
    pub connect_timeout: Duration,
    /// The limit of each request and each wait for a publish acknowledgement.
    pub request_timeout: Duration,
    /// The JetStream domain, where the streams are behind a leaf node.
    pub jetstream_domain: Option<String>,
}

impl ConnectConfig {
    /// Connects to `url` under the client name `name`, without credentials, with 5 s for each wait.
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: name.into(),
            auth: Auth::None,
            tls: TlsConfig::default(),
            inbox_prefix: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            jetstream_domain: None,
        }
    }
}

/// How the link is encrypted; the default leaves it to the url's scheme and the server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TlsConfig {
    /// Root certificates (PEM) to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate (PEM); needs `key`.
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate (PEM).
    pub key: Option<PathBuf>,
    /// Encrypt before the server says a word, for servers with `handshake_first`.
    pub first: bool,
}

impl TlsConfig {
    fn is_wanted(&self) -> bool {
        self.first || self.ca.is_some() || self.cert.is_some()
    }
}

/// A connection that reconnects by itself; clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    client: Client,
    jetstream: jetstream::Context,
    api_prefix: Arc<str>,
    version: ServerVersion,
    state: watch::Receiver<ConnectionState>,
    config: Arc<ConnectConfig>,
}

/// Checks a list of server addresses without connecting; gives it back as it may be shown, without credentials.
///
/// # Errors
/// [`ConnectError::BadConfig`], which does not repeat an address.
pub fn without_credentials(url: &str) -> Result<String, ConnectError> {
    Addresses::parse(url).map(|addresses| addresses.to_string())
}

/// Connects, and checks that the server is new enough and answers JetStream requests.
///
/// Fails fast: each address is tried once. Once connected, a lost connection is retried for ever, after
/// 50 ms at first and at most 2 s later.
///
/// # Errors
/// [`ConnectError`], one kind per cause.
pub async fn connect(config: &ConnectConfig) -> Result<Connection, ConnectError> {
    let addresses = Addresses::parse(&config.url)?;
    let shown = addresses.to_string();
    let (link, state) = Link::new(shown.clone());
    let auth = match &config.auth {
        Auth::None => addresses.auth(),
        auth => auth.clone(),
    };
    let options = configured(auth.options().await?, config, &link).await?;
    let client =
        options.connect(addresses.servers()).await.map_err(|error| ConnectError::of(error, &shown, &auth))?;
    link.established(&client);

    let version = supported_version(&client, &shown)?;
    let jetstream = jetstream_context(config, client.clone());
    answering_jetstream(&jetstream, config.connect_timeout, &shown, &link).await?;
    let api_prefix = api_prefix(config.jetstream_domain.as_deref());
    Ok(Connection { client, jetstream, api_prefix, version, state, config: Arc::new(config.clone()) })
}

impl Connection {
    /// The core NATS client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The JetStream context, with the domain and the timeouts of the configuration.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// What JetStream API subjects begin with: `$JS.API`, or with the domain of the configuration in it.
    pub(crate) fn api_prefix(&self) -> &str {
        &self.api_prefix
    }

    /// The version of the server first connected to.
    pub fn server_version(&self) -> &ServerVersion {
        &self.version
    }

    /// Whether it is connected, and how often it has been; changes are told as they happen.
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }

    /// The limit of each request.
    pub fn request_timeout(&self) -> Duration {
        self.config.request_timeout
    }

    /// What it was made with.
    pub(crate) fn config(&self) -> &ConnectConfig {
        &self.config
    }

    /// Waits until all that was published is written to the socket, at most the request timeout.
    ///
    /// # Errors
    /// [`LinkError`]; the messages are still sent if the connection comes back.
    pub async fn flush(&self) -> Result<(), LinkError> {
        match timeout(self.request_timeout(), self.client.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(LinkError::Closed),
            Err(_) => Err(LinkError::TimedOut { waited: self.request_timeout() }),
        }
    }

    /// Ends all subscriptions, sends what is buffered and closes the connection for all its clones.
    ///
    /// # Errors
    /// [`LinkError::TimedOut`] if it is not closed within the request timeout; it closes later, or never
    /// if the server does not come back.
    pub async fn drain(&self) -> Result<(), LinkError> {
        let mut state = self.state.clone();
        let close = async {
            if self.client.drain().await.is_err() {
                return;
            }
            // An error means that the connection is gone with all its senders.
            let _ = state.wait_for(|state| state.closed).await;
        };
        match timeout(self.request_timeout(), close).await {
            Ok(()) => Ok(()),
            Err(_) => Err(LinkError::TimedOut { waited: self.request_timeout() }),
        }
    }
}

/// Adds all but the credentials.
async fn configured(
    options: ConnectOptions,
    config: &ConnectConfig,
    link: &Arc<Link>,
) -> Result<ConnectOptions, ConnectError> {
    let (events, delays) = (Arc::clone(link), Arc::clone(link));
    let mut options = options
        .name(&config.name)
        .connection_timeout(config.connect_timeout)
        .request_timeout(Some(config.request_timeout))
        .ping_interval(PING_INTERVAL)
        .event_callback(move |event| {
            let link = Arc::clone(&events);
            async move { link.on_event(&event) }
        })
        .reconnect_delay_callback(move |attempts| delays.delay(attempts));
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    tls(options, &config.tls).await
}

async fn tls(mut options: ConnectOptions, tls: &TlsConfig) -> Result<ConnectOptions, ConnectError> {
    for (what, path) in [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)] {
        if let Some(path) = path {
            // The client reads them again at each connect and would report a missing one as unreachable.
            tokio::fs::read(path).await.map_err(|source| ConnectError::File {
                what,
                path: path.clone(),
                source,
            })?;
        }
    }
    if let Some(ca) = &tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    options = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => options.add_client_certificate(cert.clone(), key.clone()),
        (None, None) => options,
        _ => {
            return Err(ConnectError::bad_config(
                "the TLS `cert` and `key` need each other; give both or none",
            ));
        }
    };
    if tls.is_wanted() {
        options = options.require_tls(true);
    }
    Ok(if tls.first { options.tls_first() } else { options })
}

fn supported_version(client: &Client, url: &str) -> Result<ServerVersion, ConnectError> {
    let found = client.server_info().version;
    match ServerVersion::parse(&found) {
        Some(version) if version.is_supported() => Ok(version),
        _ => Err(ConnectError::ServerTooOld { url: url.to_owned(), found, needed: ServerVersion::needed() }),
    }
}

fn api_prefix(domain: Option<&str>) -> Arc<str> {
    domain.map_or_else(|| Arc::from("$JS.API"), |domain| format!("$JS.{domain}.API").into())
}

fn jetstream_context(config: &ConnectConfig, client: Client) -> jetstream::Context {
    let timeout = config.request_timeout;
    match &config.jetstream_domain {
        Some(domain) => ContextBuilder::new().domain(domain).timeout(timeout).build(client),
        None => ContextBuilder::new().timeout(timeout).build(client),
    }
}

/// Asks for the account's JetStream state; a cluster between two leaders is asked again.
async fn answering_jetstream(
    jetstream: &jetstream::Context,
    patience: Duration,
    url: &str,
    link: &Link,
) -> Result<(), ConnectError> {
    use jetstream::context::AccountErrorKind::{JetStream, JetStreamUnavailable, Other, TimedOut};
    let deadline = Instant::now() + patience;
    loop {
        let Err(error) = jetstream.query_account().await else {
            return Ok(());
        };
        let reason = match error.kind() {
            JetStream(error) if error.error_code().0 == JETSTREAM_NOT_READY && Instant::now() < deadline => {
                sleep(JETSTREAM_RETRY).await;
                continue;
            }
            JetStream(error) => error.to_string(),
            JetStreamUnavailable => "nobody answers `$JS.API.INFO`".to_owned(),
            // A denied permission looks like a timeout; the server's word for it came as an event.
            TimedOut => {
                link.last_refusal().unwrap_or_else(|| "`$JS.API.INFO` got no answer in time".to_owned())
            }
            Other => error.to_string(),
        };
        return Err(ConnectError::NoJetStream { url: url.to_owned(), reason });
    }
}
