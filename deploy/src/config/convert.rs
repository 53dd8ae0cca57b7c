//! From merged values to [`Settings`], and from those to what the other crates take.

use std::path::PathBuf;
use std::time::Duration;

use ::config::{Map, Value, ValueKind};
use vp_nats::connect::{Auth, ConnectConfig, TlsConfig};
use vp_nats::context::ContextDirs;
use vp_nats::server::ServerConfig;
use vp_nats::topology::TopologyConfig;
use vp_shared::lane::Lanes;

use super::env;
use super::lanes::{origin_near, text_at};
use super::layer::LANES;
use super::origin::Origin;
use super::problem::{ConfigError, Problem};
use super::schema::CREDENTIAL;
use super::settings::{NatsSettings, Settings};
use super::sources::Sources;

/// The longest credential that is read as a text, in bytes.
const MAX_CREDENTIAL_BYTES: usize = 4096;

/// Fills in what has no fixed default: the data directory.
pub(super) fn fill_derived(merged: &mut Map<String, Value>, sources: &Sources) -> Option<Problem> {
    if !text_at(merged, "data_dir").is_empty() {
        return None;
    }
    let Some((dir, origin)) = default_data_dir(sources) else {
        let what = "its default needs the variable HOME, which is not set; set `data_dir`";
        return Some(Problem::of_key("data_dir", &Origin::Default, what));
    };
    let Ok(dir) = dir.into_os_string().into_string() else {
        let what = "its default is not UTF-8; set `data_dir`";
        return Some(Problem::of_key("data_dir", &origin, what));
    };
    merged.insert("data_dir".to_owned(), Value::new(Some(&origin.tag()), dir));
    None
}

fn default_data_dir(sources: &Sources) -> Option<(PathBuf, Origin)> {
    // systemd gives several, joined by colons, to a service that has several.
    let of_systemd = sources.env.get(std::ffi::OsStr::new(env::STATE_DIRECTORY));
    let first = of_systemd.and_then(|dirs| std::env::split_paths(dirs).find(|dir| dir.is_absolute()));
    if let Some(dir) = first {
        return Some((dir, Origin::Variable(env::STATE_DIRECTORY.to_owned())));
    }
    if let Some(dir) = sources.dir(env::XDG_STATE_HOME) {
        return Some((dir.join("vp"), Origin::Variable(env::XDG_STATE_HOME.to_owned())));
    }
    Some((sources.home()?.join(".local/state/vp"), Origin::Default))
}

/// The settings of checked values, with credentials and the context read.
pub(super) fn settings(
    mut merged: Map<String, Value>,
    lanes: Lanes,
    sources: &Sources,
) -> Result<Settings, ConfigError> {
    merged.remove(LANES);
    let mut problems = read_credentials(&mut merged, sources);
    problems.extend(together(&merged));
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let origin_of = |key: &str| merged.get(section(key)).map_or(Origin::Default, |value| origin_near(value, name(key)));
    let (lanes_origin, context_origin) = (origin_of("worker.lanes"), origin_of("nats.context"));
    let mut settings: Settings = Value::new(None, merged)
        .try_deserialize()
        .map_err(|error| ConfigError { problems: vec![Problem::general(error.to_string())] })?;
    settings.lanes = lanes;
    for id in settings.worker.lanes.iter().filter(|id| !settings.lanes.contains_key(*id)) {
        problems.push(Problem::of_key("worker.lanes", &lanes_origin, format!("there is no lane `{id}`")));
    }
    match context(settings.nats.context.as_deref(), sources) {
        Ok(found) => settings.nats.of_context = found,
        Err(what) => problems.push(Problem::of_key("nats.context", &context_origin, what)),
    }
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError { problems }) }
}

fn section(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _)| section)
}

fn name(key: &str) -> &str {
    key.split_once('.').map_or(".", |(_, name)| name)
}

fn context(name: Option<&str>, sources: &Sources) -> Result<Option<ConnectConfig>, String> {
    let Some(name) = name else { return Ok(None) };
    let Some(config_home) = sources.config_home() else {
        return Err("contexts are below the variable HOME, which is not set".to_owned());
    };
    let dirs = ContextDirs { config_home, home: sources.home() };
    ConnectConfig::from_context(Some(name), &dirs).map_err(|error| vp_shared::error::Chain(&error).to_string())
}

/// Puts the path or the text of each credential in place of its name.
fn read_credentials(merged: &mut Map<String, Value>, sources: &Sources) -> Vec<Problem> {
    let Some(ValueKind::Table(nats)) = merged.get_mut("nats").map(|nats| &mut nats.kind) else { return Vec::new() };
    let mut problems = Vec::new();
    for (key, is_text) in [("creds", false), ("nkey", false), ("password", true), ("token", true)] {
        let Some(value) = nats.get_mut(key) else { continue };
        let ValueKind::String(text) = &value.kind else { continue };
        let Some(credential) = text.strip_prefix(CREDENTIAL) else { continue };
        match credential_of(credential, is_text, sources) {
            Ok(found) => value.kind = found.into(),
            Err(what) => {
                problems.push(Problem::of_key(format!("nats.{key}"), &Origin::of_tag(value.origin()), what));
            }
        }
    }
    problems
}

fn credential_of(name: &str, is_text: bool, sources: &Sources) -> Result<String, String> {
    let Some(dir) = sources.dir(env::CREDENTIALS_DIRECTORY) else {
        return Err(format!(
            "`credential:{name}` needs the variable CREDENTIALS_DIRECTORY, which systemd sets for a service with \
             LoadCredential={name}:..."
        ));
    };
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read the credential `{}`: {error}", path.display()))?;
    if !is_text {
        return path.into_os_string().into_string().map_err(|_| "its path is not UTF-8".to_owned());
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.len() > MAX_CREDENTIAL_BYTES || text.contains(char::is_control) {
        return Err(format!(
            "the credential `{}` must be one line of at most {MAX_CREDENTIAL_BYTES} bytes",
            path.display()
        ));
    }
    Ok(text.to_owned())
}

/// What must be set together, or must not be.
fn together(merged: &Map<String, Value>) -> Vec<Problem> {
    let Some(nats) = merged.get("nats") else { return Vec::new() };
    let ValueKind::Table(table) = &nats.kind else { return Vec::new() };
    let is_set = |name: &str| !text_at(table, name).is_empty();
    let origin = |name: &str| origin_near(nats, name);
    let mut problems = Vec::new();
    for (one, other) in [("user", "password"), ("password", "user"), ("cert", "key"), ("key", "cert")] {
        if is_set(one) && !is_set(other) {
            let what = format!("needs `nats.{other}`, which is not set");
            problems.push(Problem::of_key(format!("nats.{one}"), &origin(one), what));
        }
    }
    let ways: Vec<&str> = ["creds", "nkey", "user", "token"].into_iter().filter(|way| is_set(way)).collect();
    if let [first, second, ..] = ways.as_slice() {
        let what = format!(
            "`nats.{second}` is set too, in `{}`; set one of them to \"\" so that it is clear who we are",
            origin(second)
        );
        problems.push(Problem::of_key(format!("nats.{first}"), &origin(first), what));
    }
    if !is_set("url") && !is_set("context") {
        // The nats tool's variables may be there for other programs.
        let for_us = |way: &&&str| !matches!(origin(way), Origin::Variable(name) if name.starts_with("NATS_"));
        if let Some(way) = ways.iter().find(for_us) {
            let what = "is set, but neither `nats.url` nor `nats.context` is: the managed server has its own user";
            problems.push(Problem::of_key(format!("nats.{way}"), &origin(way), what));
        }
    }
    problems
}

impl Settings {
    /// How to connect under the client name `name`; `None` when it is to the managed server of `data_dir`
    /// ([`vp_nats::server::running_server`] finds it).
    pub fn connect_config(&self, name: impl Into<String>) -> Option<ConnectConfig> {
        self.nats.connect_config(name.into())
    }

    /// What is asked of the streams.
    pub fn topology(&self) -> TopologyConfig {
        let days = |days: u64| Duration::from_secs(days * 86_400);
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

    /// The ledger's SQLite file.
    pub fn ledger_file(&self) -> PathBuf {
        self.bridge.ledger.clone().unwrap_or_else(|| self.data_dir.join("ledger.sqlite"))
    }

    /// Where the attempts' directories are made.
    pub fn workspace_root(&self) -> PathBuf {
        self.worker.workspace_root.clone().unwrap_or_else(|| self.data_dir.join("workspaces"))
    }

    /// The lanes a worker of this configuration serves.
    pub fn worker_lanes(&self) -> Lanes {
        let wanted = &self.worker.lanes;
        let served = self.lanes.iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(id));
        served.map(|(id, lane)| (id.clone(), lane.clone())).collect()
    }

    /// How long running missions may go on at a drain.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.worker.drain_seconds)
    }

    /// How long a tool waits for the ledger.
    pub fn ledger_timeout(&self) -> Duration {
        Duration::from_secs(self.dispatcher.ledger_timeout_seconds)
    }
}

impl NatsSettings {
    /// What is set here wins over the context.
    fn connect_config(&self, name: String) -> Option<ConnectConfig> {
        let mut config = match (&self.of_context, &self.url) {
            (Some(context), _) => context.clone(),
            (None, Some(url)) => ConnectConfig::new(url.expose(), ""),
            (None, None) => return None,
        };
        if let Some(url) = &self.url {
            url.expose().clone_into(&mut config.url);
        }
        config.name = name;
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
        Some(config)
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
