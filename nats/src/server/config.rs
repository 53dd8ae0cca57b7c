use std::path::{Path, PathBuf};

use super::error::ServerError;
use super::version::ServerVersion;
use crate::connect::Secret;

/// The largest message the server takes, in bytes.
const MAX_PAYLOAD_BYTES: u32 = 1024 * 1024;
/// The server writes at most this much log before it starts another file, in bytes.
const LOG_FILE_BYTES: u32 = 8 * 1024 * 1024;
/// Log files kept, the current one included.
const LOG_FILES: u32 = 3;

/// The only user of a managed server.
pub(super) const USER: &str = "vp";

/// What a stored message has survived when its publish is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Each write is on the disk before it is acknowledged: survives a power cut.
    #[default]
    Always,
    /// The server syncs every two minutes: survives a killed process, not a power cut.
    Deferred,
}

/// What a managed server is started with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Everything of the server lives in `nats/` below this directory; made if missing.
    pub data_dir: PathBuf,
    /// The binary; `None` looks for one as [`find_binary`](super::find_binary) does.
    pub binary: Option<PathBuf>,
    /// The port on the loopback address; `None` takes a free one, another at each start.
    pub port: Option<u16>,
    /// When a write is on the disk.
    pub sync: SyncMode,
    /// The limit of all file storage, in bytes; at the limit publishes are refused.
    pub max_file_store_bytes: u64,
    /// The limit of all memory storage, in bytes.
    pub max_memory_store_bytes: u64,
    /// The name the server shows to clients.
    pub server_name: String,
}

impl ServerConfig {
    /// A server in `data_dir` on a free port, synced at each write, with 8 GiB of files and 256 MiB of memory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            binary: None,
            port: None,
            sync: SyncMode::default(),
            max_file_store_bytes: 8 << 30,
            max_memory_store_bytes: 256 << 20,
            server_name: "vp".to_owned(),
        }
    }

    /// Refuses what nats-server would misread.
    pub(super) fn check(&self) -> Result<(), ServerError> {
        let refuse = |reason: &str| Err(ServerError::BadConfig { reason: reason.to_owned() });
        let name_is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.server_name.is_empty() || !self.server_name.chars().all(name_is_plain) {
            return refuse("the server name must be letters, digits, `-`, `_` or `.`");
        }
        if self.port == Some(0) {
            return refuse("port 0 is none; leave the port out to take a free one");
        }
        if self.max_file_store_bytes == 0 {
            return refuse("the limit of the file storage must be above 0 bytes");
        }
        Ok(())
    }

    /// The text of the configuration file.
    pub(super) fn render(
        &self,
        paths: &ConfigPaths<'_>,
        password: &Secret,
        version: &ServerVersion,
    ) -> Result<String, ServerError> {
        // -1 asks the server for a free port.
        let port = self.port.map_or(-1, i32::from);
        let server_name = quoted("server name", &self.server_name)?;
        let (ports_dir, log_file) = (quoted_path(paths.ports_dir)?, quoted_path(paths.log_file)?);
        let store_dir = quoted_path(paths.store_dir)?;
        let (max_file, max_memory) = (self.max_file_store_bytes, self.max_memory_store_bytes);
        let sync = match self.sync {
            SyncMode::Always => "sync_interval: always",
            SyncMode::Deferred => "# sync_interval: the server's default",
        };
        // Each lane has four on MISSIONS and each session one on NOTICES: 2.15 would stop at 1000 of either.
        let limits = if version.limits_consumers() { "limits { default_max_consumers: -1 }" } else { "" };
        let password = quoted("password", password.expose())?;
        Ok(format!(
            r#"# Written by vp at every start; edits are lost.
server_name: {server_name}
listen: "127.0.0.1:{port}"
ports_file_dir: {ports_dir}
log_file: {log_file}
logfile_size_limit: {LOG_FILE_BYTES}
logfile_max_num: {LOG_FILES}
max_payload: {MAX_PAYLOAD_BYTES}
ping_interval: "5s"
jetstream {{
  store_dir: {store_dir}
  max_file_store: {max_file}
  max_memory_store: {max_memory}
  {sync}
  {limits}
}}
authorization {{ users: [ {{ user: "{USER}", password: {password} }} ] }}
"#
        ))
    }
}

/// The files a configuration names.
#[derive(Debug)]
pub(super) struct ConfigPaths<'a> {
    pub(super) ports_dir: &'a Path,
    pub(super) log_file: &'a Path,
    pub(super) store_dir: &'a Path,
}

fn quoted_path(path: &Path) -> Result<String, ServerError> {
    let text = path.to_str().ok_or_else(|| ServerError::BadConfig {
        reason: format!(
            "the path `{}` is not UTF-8, which nats-server's configuration must be",
            path.display()
        ),
    })?;
    quoted("path", text)
}

/// A string of nats-server's configuration language. The error names `what`, as the text may be secret.
fn quoted(what: &str, text: &str) -> Result<String, ServerError> {
    if text.chars().any(char::is_control) {
        return Err(ServerError::BadConfig { reason: format!("the {what} contains a control character") });
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use super::{ConfigPaths, ServerConfig, SyncMode};
    use crate::connect::Secret;
    use crate::server::ServerVersion;

    fn render(config: &ServerConfig) -> String {
        render_for(config, "2.15.1")
    }

    fn render_for(config: &ServerConfig, version: &str) -> String {
        let paths = ConfigPaths {
            ports_dir: Path::new("/d/nats/run"),
            log_file: Path::new("/d/nats/server.log"),
            store_dir: Path::new("/d/na\"ts\\/jetstream"),
        };
        config.render(&paths, &Secret::new("pw"), &ServerVersion::parse(version).unwrap()).unwrap()
    }

    #[test]
    fn consumers_are_unlimited_where_the_server_knows_the_word() {
        assert!(render_for(&ServerConfig::new("/d"), "2.15.0").contains("default_max_consumers: -1"));
        assert!(!render_for(&ServerConfig::new("/d"), "2.14.3").contains("default_max_consumers"));
    }

    #[test]
    fn the_configuration_listens_on_loopback_only_and_states_every_limit() {
        let text = render(&ServerConfig { port: Some(4333), ..ServerConfig::new("/d") });
        for part in [
            "listen: \"127.0.0.1:4333\"",
            "max_payload: 1048576",
            "ping_interval: \"5s\"",
            "max_file_store: 8589934592",
            "max_memory_store: 268435456",
            "sync_interval: always",
            "store_dir: \"/d/na\\\"ts\\\\/jetstream\"",
            "user: \"vp\", password: \"pw\"",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }

    #[test]
    fn a_deferred_sync_is_the_server_default() {
        let text = render(&ServerConfig { sync: SyncMode::Deferred, ..ServerConfig::new("/d") });
        assert!(!text.contains("sync_interval: always"), "{text}");
        assert!(text.contains("127.0.0.1:-1"), "{text}");
    }

    #[test]
    fn options_that_the_server_would_misread_are_refused() {
        let good = ServerConfig::new("/d");
        assert!(good.check().is_ok());
        for bad in [
            ServerConfig { server_name: "a b".to_owned(), ..good.clone() },
            ServerConfig { server_name: String::new(), ..good.clone() },
            ServerConfig { port: Some(0), ..good.clone() },
            ServerConfig { max_file_store_bytes: 0, ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
