//! From [`Settings`] to what the other crates take.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vp_nats::connect::{Auth, ConnectConfig, TlsConfig};
use vp_nats::context::ContextError;
use vp_nats::server::{ServerConfig, SyncMode};
use vp_nats::topology::TopologyConfig;
use vp_shared::door::{AllowedHost, Credential, DoorKeys, Guard, TokenDigest};
use vp_shared::ids::{VpId, WorkerId};
use vp_shared::lane::Lanes;
use vp_shared::workspace::WorkspacePolicy;

use super::identity::{default_worker_id, short_hash};
use super::lanes::in_data_dir;
use super::problem::ConfigError;
use super::settings::{DispatcherSettings, NatsSettings, ServerUrl, Settings, WorkerSettings};
use super::shown::Shown;
use super::sources::Layers;

impl Settings {
    /// Reads all places, merges them and checks the result; see [`load`](super::load).
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong in any of them.
    pub fn load(layers: &Layers) -> Result<Self, ConfigError> {
        super::load(layers).map(|loaded| loaded.settings)
    }

    /// Every key with its value and where that came from; see [`load`](super::load).
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn show(layers: &Layers) -> Result<Vec<Shown>, ConfigError> {
        super::load(layers).map(|loaded| loaded.shown)
    }

    /// Makes these the settings of a world of its own in `dir` (absolute): a managed server on a free port, and
    /// the ledger, the workspaces and the lanes' scripts in `dir`, no door over HTTP, whatever was configured.
    pub fn use_data_dir(&mut self, dir: &Path) {
        for (id, lane) in &mut self.lanes {
            if let Some(written) = self.lanes_as_written.get(id)
                && lane.executor == in_data_dir(&written.executor, &self.data_dir)
            {
                lane.executor = in_data_dir(&written.executor, dir);
            }
        }
        dir.clone_into(&mut self.data_dir);
        self.bridge.ledger = None;
        self.worker.workspace_root = None;
        self.server.port = 0;
        self.nats.url = ServerUrl::default();
        self.nats.context = None;
        self.http.dispatcher = None;
        self.http.console = None;
    }

    /// Sets what a write to the managed server has survived when it is acknowledged.
    pub fn use_sync(&mut self, sync: SyncMode) {
        self.server.sync = sync;
    }

    pub(super) fn set_lanes(&mut self, as_written: Lanes) {
        self.lanes = as_written.clone();
        for lane in self.lanes.values_mut() {
            lane.executor = in_data_dir(&lane.executor, &self.data_dir);
        }
        self.lanes_as_written = as_written;
    }

    /// True when the server is the managed one of `data_dir`.
    pub fn is_managed(&self) -> bool {
        self.nats.url.is_empty() && self.nats.context.is_none()
    }

    /// How to connect under the client name `name`; `None` when it is to the managed server of `data_dir`
    /// ([`vp_nats::server::running_server`] finds it).
    ///
    /// # Errors
    /// If the context can be read no longer.
    pub fn connect_config(&self, name: impl Into<String>) -> Result<Option<ConnectConfig>, ContextError> {
        if self.is_managed() {
            return Ok(None);
        }
        self.nats.connect_config(name.into()).map(Some)
    }

    /// What is asked of the streams.
    pub fn topology(&self) -> TopologyConfig {
        TopologyConfig {
            replicas: self.nats.replicas,
            retention: days(self.nats.retention_days),
            notice_retention: days(self.nats.notice_retention_days),
        }
    }

    /// What the managed server is started with.
    pub fn server_config(&self) -> ServerConfig {
        let server = &self.server;
        ServerConfig {
            binary: server.binary.clone(),
            port: Some(server.port).filter(|port| *port != 0),
            sync: server.sync,
            max_file_store_bytes: server.max_file_store_mib << 20,
            max_memory_store_bytes: server.max_memory_store_mib << 20,
            ..ServerConfig::new(&self.data_dir)
        }
    }

    /// The ledger's SQLite file, or its server's URL with the password.
    pub fn ledger(&self) -> String {
        let file = || self.data_dir.join("ledger.sqlite").to_string_lossy().into_owned();
        self.bridge.ledger.clone().unwrap_or_else(file)
    }

    /// Where the attempts' directories are made.
    pub fn workspace_root(&self) -> PathBuf {
        self.worker.workspace_root.clone().unwrap_or_else(|| self.data_dir.join("workspaces"))
    }

    /// How long the ledger keeps a mission after its end; `None` is for ever.
    pub fn ledger_keeps(&self) -> Option<Duration> {
        days_unless_0(self.retention.ledger_days)
    }

    /// What workers keep of ended missions' directories.
    pub fn workspace_policy(&self) -> WorkspacePolicy {
        let max_bytes = self.retention.workspace_max_mib << 20;
        WorkspacePolicy {
            keep_for: days_unless_0(self.retention.workspace_days),
            max_bytes: Some(max_bytes).filter(|bytes| *bytes != 0),
        }
    }

    /// The lanes a worker of this configuration serves.
    pub fn served_lanes(&self) -> Vec<VpId> {
        match self.worker.lanes.as_slice() {
            [] => self.lanes.keys().cloned().collect(),
            some => some.to_vec(),
        }
    }

    /// What opens the doors over HTTP.
    ///
    /// # Errors
    /// What is wrong with the token or a credential, without a word of it.
    pub fn door_keys(&self) -> Result<DoorKeys, String> {
        let http = &self.http;
        Ok(DoorKeys {
            token: http.token.as_ref().map(|token| TokenDigest::new(token.expose())).transpose()?,
            credentials: http
                .credentials
                .iter()
                .map(|text| Credential::parse(text.expose()))
                .collect::<Result<_, _>>()?,
            allowed_hosts: http
                .allowed_hosts
                .iter()
                .map(|host| AllowedHost::new(host))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The guard of a door at that address; who comes in without a session of its own speaks for `session`.
    ///
    /// # Errors
    /// When the door would be open to others; or when a key is wrong, which a checked configuration has not.
    pub fn guard(&self, bind: SocketAddr) -> Result<Guard, String> {
        Guard::new(bind, self.door_keys()?, self.session.clone()).map_err(|error| error.to_string())
    }

    /// The name of this configuration's only worker process on `host`: the configured one, else one of the host
    /// and `data_dir`. It is the same after a restart.
    pub fn worker_id(&self, host: &str) -> WorkerId {
        let derived = || default_worker_id(host, &short_hash(&self.data_dir));
        self.worker.worker_id.clone().unwrap_or_else(derived)
    }

    /// The name of the worker that serves `part`, where several share this configuration.
    pub fn worker_id_of(&self, host: &str, part: &str) -> WorkerId {
        let suffix = match &self.worker.worker_id {
            Some(id) => return default_worker_id(id.as_str(), part),
            None => short_hash(&self.data_dir),
        };
        default_worker_id(host, &format!("{part}-{suffix}"))
    }
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

fn days_unless_0(number: u64) -> Option<Duration> {
    (number != 0).then(|| days(number))
}

impl WorkerSettings {
    /// How long running missions may go on at a drain.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

impl DispatcherSettings {
    /// How long a tool waits for the ledger.
    pub fn ledger_timeout(&self) -> Duration {
        Duration::from_secs(self.ledger_timeout_seconds)
    }
}

impl NatsSettings {
    /// What is set here wins over the context.
    fn connect_config(&self, name: String) -> Result<ConnectConfig, ContextError> {
        let mut config = self.of_context()?.unwrap_or_else(|| ConnectConfig::new("", ""));
        config.name = name;
        if !self.url.is_empty() {
            self.url.expose().clone_into(&mut config.url);
        }
        if let Some(auth) = self.auth() {
            config.auth = auth;
        }
        config.tls = TlsConfig {
            ca: self.ca.clone().or(config.tls.ca),
            cert: self.cert.clone().or(config.tls.cert),
            key: self.key.clone().or(config.tls.key),
            first: self.tls_first || config.tls.first,
        };
        config.inbox_prefix = self.inbox_prefix.clone().or(config.inbox_prefix);
        config.jetstream_domain = self.jetstream_domain.clone().or(config.jetstream_domain);
        config.connect_timeout = Duration::from_secs(self.connect_timeout_seconds);
        config.request_timeout = Duration::from_secs(self.request_timeout_seconds);
        Ok(config)
    }

    /// How long what serves waits at its start for what is not there yet.
    pub fn start_wait(&self) -> Duration {
        Duration::from_secs(self.start_wait_seconds)
    }

    fn of_context(&self) -> Result<Option<ConnectConfig>, ContextError> {
        let Some(name) = &self.context else { return Ok(None) };
        match &self.context_dirs {
            Some(dirs) => ConnectConfig::from_context(Some(name), dirs),
            None => Err(ContextError::Unusable {
                name: name.clone(),
                reason: "is below the variable HOME, which is not set".to_owned(),
            }),
        }
    }

    fn auth(&self) -> Option<Auth> {
        if let Some(path) = &self.creds {
            return Some(Auth::CredsFile(path.clone()));
        }
        if let Some(path) = &self.nkey {
            return Some(Auth::NkeySeedFile(path.clone()));
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            return Some(Auth::UserPassword { user: user.clone(), password: password.clone() });
        }
        self.token.clone().map(Auth::Token)
    }
}
