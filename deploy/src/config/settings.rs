//! The values, by section. What each means and its unit is in the manual, `deploy/config/vp.toml`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use vp_nats::connect::Secret;
use vp_nats::context::ContextDirs;
use vp_nats::server::SyncMode;
use vp_shared::ids::{SessionId, VpId, WorkerId};
use vp_shared::lane::Lanes;

use super::deliver::DeliverTarget;

/// All of the configuration, checked. Its `Debug` text holds no secret but those in a lane's `executor.env`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The session that commands act as.
    #[serde(deserialize_with = "unset_if_empty")]
    pub session: Option<SessionId>,
    /// Where everything that must survive is kept; absolute, and not necessarily there yet.
    pub data_dir: PathBuf,
    /// The connection.
    pub nats: NatsSettings,
    /// The managed nats-server.
    pub server: ServerSettings,
    /// The bridge.
    pub bridge: BridgeSettings,
    /// The dispatcher.
    pub dispatcher: DispatcherSettings,
    /// The workers.
    pub worker: WorkerSettings,
    /// The doors over HTTP.
    pub http: HttpSettings,
    /// What is kept of missions that have ended.
    pub retention: RetentionSettings,
    /// Enforcement inside an agent's session.
    pub hook: HookSettings,
    /// What is logged.
    pub log: LogSettings,
    /// Where notices are delivered besides.
    #[serde(skip)]
    pub deliver: Vec<DeliverTarget>,
    /// The lanes that are enabled, with `{data_dir}` in argv and env filled in.
    #[serde(skip)]
    pub lanes: Lanes,
    /// The same before it was filled in.
    #[serde(skip)]
    pub(super) lanes_as_written: Lanes,
}

/// The connection to NATS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsSettings {
    /// The servers, separated by commas; empty when not set.
    pub url: ServerUrl,
    /// A context of the nats tool.
    #[serde(deserialize_with = "unset_if_empty")]
    pub context: Option<String>,
    /// A file with a JWT and a seed.
    #[serde(deserialize_with = "unset_if_empty")]
    pub creds: Option<PathBuf>,
    /// A file with a seed.
    #[serde(deserialize_with = "unset_if_empty")]
    pub nkey: Option<PathBuf>,
    /// The user's name, always with a password.
    #[serde(deserialize_with = "unset_if_empty")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(deserialize_with = "secret_unset_if_empty")]
    pub password: Option<Secret>,
    /// A token.
    #[serde(deserialize_with = "secret_unset_if_empty")]
    pub token: Option<Secret>,
    /// Root certificates.
    #[serde(deserialize_with = "unset_if_empty")]
    pub ca: Option<PathBuf>,
    /// The client's certificate, always with a key.
    #[serde(deserialize_with = "unset_if_empty")]
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate.
    #[serde(deserialize_with = "unset_if_empty")]
    pub key: Option<PathBuf>,
    /// Encrypt before the server says a word.
    pub tls_first: bool,
    /// The prefix of reply subjects.
    #[serde(deserialize_with = "unset_if_empty")]
    pub inbox_prefix: Option<String>,
    /// The JetStream domain.
    #[serde(deserialize_with = "unset_if_empty")]
    pub jetstream_domain: Option<String>,
    /// The limit of each attempt to connect, in seconds.
    pub connect_timeout_seconds: u64,
    /// The limit of each request, in seconds.
    pub request_timeout_seconds: u64,
    /// How long what serves waits at its start for what is not there yet, in seconds.
    pub start_wait_seconds: u64,
    /// Copies of each stream.
    pub replicas: usize,
    /// How long events are kept, in days.
    pub retention_days: u64,
    /// How long notices are kept, in days.
    pub notice_retention_days: u64,
    /// Where the nats tool's contexts are, where that is known.
    #[serde(skip)]
    pub(super) context_dirs: Option<ContextDirs>,
}

/// Server addresses, in which a password may be: printed without it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// True when no server is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The addresses as they were written; keep them out of logs and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match vp_nats::connect::without_credentials(&self.0) {
            Ok(shown) => f.write_str(&shown),
            Err(_) => Ok(()),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// The managed nats-server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// The port on the loopback address; 0 is any free one.
    pub port: u16,
    /// When a write is on the disk.
    #[serde(deserialize_with = "sync_mode")]
    pub sync: SyncMode,
    /// The limit of all file storage, in MiB.
    pub max_file_store_mib: u64,
    /// The limit of all memory storage, in MiB.
    pub max_memory_store_mib: u64,
    /// The program.
    #[serde(deserialize_with = "unset_if_empty")]
    pub binary: Option<PathBuf>,
}

/// The bridge.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeSettings {
    /// The ledger's SQLite file or its server's URL; see [`Settings::ledger`].
    #[serde(deserialize_with = "unset_if_empty")]
    pub ledger: Option<String>,
}

impl std::fmt::Debug for BridgeSettings {
    /// Without the password that a URL may hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ledger = self.ledger.as_deref().map(vp_bridge::shown_ledger);
        f.debug_struct("BridgeSettings").field("ledger", &ledger).finish()
    }
}

/// The dispatcher.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatcherSettings {
    /// How long a tool waits for the ledger, in seconds.
    pub ledger_timeout_seconds: u64,
}

/// The workers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSettings {
    /// The worker's name, if the user chose it.
    #[serde(deserialize_with = "unset_if_empty")]
    pub worker_id: Option<WorkerId>,
    /// Where workspaces are made; see [`Settings::workspace_root`].
    #[serde(deserialize_with = "unset_if_empty")]
    pub workspace_root: Option<PathBuf>,
    /// How long running missions may go on at a drain, in seconds.
    pub drain_seconds: u64,
    /// The lanes to serve, all if empty; see [`Settings::served_lanes`].
    pub lanes: Vec<VpId>,
}

/// The doors over HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Where the dispatcher serves the tools; port 0 is any free one.
    #[serde(deserialize_with = "unset_if_empty")]
    pub dispatcher: Option<Address>,
    /// Where the bridge serves the console; port 0 is any free one.
    #[serde(deserialize_with = "unset_if_empty")]
    pub console: Option<Address>,
    /// Opens everything.
    #[serde(deserialize_with = "secret_unset_if_empty")]
    pub token: Option<Secret>,
    /// `SESSION:TOKEN`, each for its session.
    #[serde(deserialize_with = "secrets")]
    pub credentials: Vec<Secret>,
    /// Names under which the doors may be addressed, beside the loopback ones.
    pub allowed_hosts: Vec<String>,
}

/// An address to serve at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl TryFrom<String> for Address {
    type Error = std::net::AddrParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// What is kept of missions that have ended; 0 is everything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// How long the ledger keeps them, in days; see [`Settings::ledger_keeps`].
    pub ledger_days: u64,
    /// How long workers keep their directories, in days; see [`Settings::workspace_policy`].
    pub workspace_days: u64,
    /// How much those may take together, in MiB.
    pub workspace_max_mib: u64,
}

/// Enforcement inside an agent's session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// What is impossible or cannot be decided is told, and nothing else is done instead.
    pub strict: bool,
    /// A delegation needs a live worker of its lane.
    pub require_live_worker: bool,
    /// How long such a worker is waited for, in seconds.
    pub worker_wait_seconds: u64,
    /// How long a hook may take to answer, in seconds.
    pub answer_seconds: u64,
    /// How long the state of a silent session is kept, in days.
    pub keep_days: u64,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// Levels, as `tracing-subscriber` reads them.
    pub filter: String,
    /// For whom.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn unset_if_empty<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String, Error: std::fmt::Display>,
{
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    T::try_from(text).map(Some).map_err(serde::de::Error::custom)
}

fn secret_unset_if_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(from)?;
    Ok(if text.is_empty() { None } else { Some(Secret::new(text)) })
}

fn secrets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Secret>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.into_iter().map(Secret::new).collect())
}

fn sync_mode<'de, D: Deserializer<'de>>(from: D) -> Result<SyncMode, D::Error> {
    match String::deserialize(from)?.as_str() {
        "always" => Ok(SyncMode::Always),
        "deferred" => Ok(SyncMode::Deferred),
        other => Err(serde::de::Error::unknown_variant(other, &["always", "deferred"])),
    }
}
