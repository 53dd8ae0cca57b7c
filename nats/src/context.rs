//! The nats tool's contexts: named connection settings of the user, as ADR-21 of NATS lays them down.
//!
//! They are read only. A context that asks for something we cannot do is refused, never half obeyed.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use thiserror::Error;

use crate::connect::{Auth, ConnectConfig, Secret, TlsConfig};

/// Where contexts are: `nats/context/<name>.json` and `nats/context.txt` below `config_home`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextDirs {
    /// The user's configuration directory, usually `$XDG_CONFIG_HOME` or `~/.config`.
    pub config_home: PathBuf,
    /// The user's home, which a leading `~/` in a context's paths means.
    pub home: Option<PathBuf>,
}

impl ContextDirs {
    /// From `XDG_CONFIG_HOME` and `HOME`; `None` if neither is set.
    pub fn from_env() -> Option<Self> {
        let variable =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
        let home = variable("HOME");
        let config_home =
            variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")))?;
        Some(Self { config_home, home })
    }

    /// The name of the context that the user has selected, if any.
    ///
    /// # Errors
    /// [`ContextError::Unreadable`] if the selection is there but cannot be read.
    pub fn selected(&self) -> Result<Option<String>, ContextError> {
        let path = self.config_home.join("nats/context.txt");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ContextError::Unreadable { path, source }),
        }
    }

    fn file_of(&self, name: &str) -> PathBuf {
        self.config_home.join("nats/context").join(format!("{name}.json"))
    }

    /// The names of all contexts, sorted; for the error about one that is missing.
    fn names(&self) -> Vec<String> {
        let entries =
            std::fs::read_dir(self.config_home.join("nats/context")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    fn expand(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        }
    }
}

/// Why a context cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContextError {
    /// No context has this name.
    #[error("there is no NATS context `{name}` ({}); see `nats context ls`", known_names(known))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The name could lead out of the directory of contexts.
    #[error("`{name}` is no name of a NATS context; it may not be empty or contain `/` or `..`")]
    BadName {
        /// The name asked for.
        name: String,
    },
    /// A file of the contexts cannot be read.
    #[error("cannot read the NATS context file `{}`; check its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not what the nats tool writes.
    #[error("the NATS context file `{}` is not valid (line {line}, column {column}); save it again with `nats context edit`", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where the first fault is. The text there is left out: it may be a secret.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// It contains settings that cannot be obeyed together, or not at all.
    #[error("the NATS context `{name}` {reason}")]
    Unusable {
        /// The context.
        name: String,
        /// What cannot be obeyed, and what to do.
        reason: String,
    },
}

fn known_names(known: &[String]) -> String {
    if known.is_empty() { "none is defined".to_owned() } else { format!("there are: {}", known.join(", ")) }
}

/// The file's content; keys that only matter to the nats tool are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContextFile {
    url: String,
    creds: String,
    nkey: String,
    user: String,
    password: Secret,
    token: Secret,
    cert: String,
    key: String,
    ca: String,
    jetstream_domain: String,
    inbox_prefix: String,
    tls_first: bool,
    // These decide who we are or whom we reach, and cannot be obeyed.
    jetstream_api_prefix: String,
    user_jwt: Secret,
    user_seed: Secret,
    nsc: String,
    socks_proxy: String,
}

impl ConnectConfig {
    /// The settings of the context `name`, or of the selected one; `None` if none is named or selected.
    ///
    /// The client name of the result is `vp`.
    ///
    /// # Errors
    /// [`ContextError`].
    pub fn from_context(name: Option<&str>, dirs: &ContextDirs) -> Result<Option<Self>, ContextError> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => match dirs.selected()? {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        let file = read(&name, dirs)?;
        config(&name, &file, dirs).map(Some)
    }
}

fn read(name: &str, dirs: &ContextDirs) -> Result<ContextFile, ContextError> {
    if name.is_empty() || name.contains("..") || name.contains(['/', '\\', '\0']) {
        return Err(ContextError::BadName { name: name.to_owned() });
    }
    let path = dirs.file_of(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ContextError::Unknown { name: name.to_owned(), known: dirs.names() });
        }
        Err(source) => return Err(ContextError::Unreadable { path, source }),
    };
    serde_json::from_slice(&text).map_err(|error| ContextError::Invalid {
        path,
        line: error.line(),
        column: error.column(),
    })
}

fn config(name: &str, file: &ContextFile, dirs: &ContextDirs) -> Result<ConnectConfig, ContextError> {
    refuse_unsupported(name, file)?;
    let path = |text: &str| set(text).map(|text| dirs.expand(&text));
    let tls =
        TlsConfig { ca: path(&file.ca), cert: path(&file.cert), key: path(&file.key), first: file.tls_first };
    // The nats tool's own default.
    let url = set(&file.url).unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    let auth = auth(name, file, dirs)?;
    Ok(ConnectConfig {
        auth,
        tls,
        inbox_prefix: set(&file.inbox_prefix),
        jetstream_domain: set(&file.jetstream_domain),
        ..ConnectConfig::new(url, "vp")
    })
}

fn refuse_unsupported(name: &str, file: &ContextFile) -> Result<(), ContextError> {
    let unsupported = [
        ("jetstream_api_prefix", file.jetstream_api_prefix.as_str()),
        ("user_jwt", file.user_jwt.expose()),
        ("user_seed", file.user_seed.expose()),
        ("nsc", &file.nsc),
        ("socks_proxy", &file.socks_proxy),
    ];
    match unsupported.into_iter().find(|(_, value)| !value.is_empty()) {
        Some((key, _)) => Err(ContextError::Unusable {
            name: name.to_owned(),
            reason: format!(
                "sets `{key}`, which is not supported here; use a context with `creds` or `jetstream_domain`"
            ),
        }),
        None => Ok(()),
    }
}

/// The one way to identify; two would leave open who we are.
fn auth(name: &str, file: &ContextFile, dirs: &ContextDirs) -> Result<Auth, ContextError> {
    let mut ways = Vec::new();
    if let Some(path) = set(&file.creds) {
        ways.push(("creds", Auth::CredsFile(dirs.expand(&path))));
    }
    if let Some(path) = set(&file.nkey) {
        ways.push(("nkey", Auth::NkeySeedFile(dirs.expand(&path))));
    }
    if let Some(user) = set(&file.user) {
        // As in the nats tool: a user without a password is a token.
        let way = match set(file.password.expose()) {
            Some(password) => Auth::UserPassword { user, password: Secret::new(password) },
            None => Auth::Token(Secret::new(user)),
        };
        ways.push(("user", way));
    }
    if let Some(token) = set(file.token.expose()) {
        ways.push(("token", Auth::Token(Secret::new(token))));
    }
    if let [(first, _), (second, _), ..] = ways.as_slice() {
        let reason = format!("sets both `{first}` and `{second}`; keep one of them");
        return Err(ContextError::Unusable { name: name.to_owned(), reason });
    }
    Ok(ways.pop().map_or(Auth::None, |(_, auth)| auth))
}

/// The nats tool writes unset keys as empty strings.
fn set(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// The path of a context's file, for messages that say which one won.
pub fn context_path(dirs: &ContextDirs, name: &str) -> PathBuf {
    dirs.file_of(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
#[path = "context_tests.rs"]
mod tests;
