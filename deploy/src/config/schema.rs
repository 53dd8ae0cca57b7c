//! Every key outside the lanes: its path, its type, its bounds.

use ::config::ValueKind;
use toml::Value as Toml;
use vp_nats::connect::ConnectError;
use vp_shared::door::{AllowedHost, Credential};
use vp_shared::ids::{SessionId, VpId, WorkerId};

use super::sources::Places;

/// The longest text of any key, in bytes.
const MAX_TEXT: usize = 4096;
/// What a path or a secret starts with to name a file in `$CREDENTIALS_DIRECTORY`.
pub(super) const CREDENTIAL: &str = "credential:";

/// A rule for a text that is not empty; the error says what is wanted.
type Rule = fn(&str) -> Result<(), String>;

/// One key.
pub(super) struct Key {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
}

/// What a key takes.
pub(super) enum Kind {
    Text(Rule),
    /// Never shown, not even in an error.
    Secret,
    /// A text in which a password may be.
    Url(Rule),
    Path,
    /// A path, or the URL of a server's database, in which a password may be.
    Ledger,
    /// A path, or the name of a credential.
    CredentialFile,
    Whole(i64, i64),
    WholeOf(&'static [i64]),
    OneOf(&'static [&'static str]),
    Switch,
    List(Rule),
    /// Texts that are never shown, not even in an error.
    Secrets(Rule),
}

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind }
}

/// All keys, in the order of the manual.
pub(super) const KEYS: &[Key] = &[
    key("session", Kind::Text(session)),
    key("data_dir", Kind::Path),
    key("nats.url", Kind::Url(url)),
    key("nats.context", Kind::Text(context_name)),
    key("nats.creds", Kind::CredentialFile),
    key("nats.nkey", Kind::CredentialFile),
    key("nats.user", Kind::Text(unpadded)),
    key("nats.password", Kind::Secret),
    key("nats.token", Kind::Secret),
    key("nats.ca", Kind::Path),
    key("nats.cert", Kind::Path),
    key("nats.key", Kind::Path),
    key("nats.tls_first", Kind::Switch),
    key("nats.inbox_prefix", Kind::Text(inbox_prefix)),
    key("nats.jetstream_domain", Kind::Text(one_token)),
    key("nats.connect_timeout_seconds", Kind::Whole(1, 300)),
    key("nats.request_timeout_seconds", Kind::Whole(1, 300)),
    key("nats.start_wait_seconds", Kind::Whole(0, 86_400)),
    key("nats.replicas", Kind::WholeOf(&[1, 3, 5])),
    key("nats.retention_days", Kind::Whole(31, 3650)),
    key("nats.notice_retention_days", Kind::Whole(1, 3650)),
    key("server.port", Kind::Whole(0, 65_535)),
    key("server.sync", Kind::OneOf(&["always", "deferred"])),
    key("server.max_file_store_mib", Kind::Whole(64, 1 << 30)),
    key("server.max_memory_store_mib", Kind::Whole(16, 1 << 20)),
    key("server.binary", Kind::Path),
    key("bridge.ledger", Kind::Ledger),
    key("dispatcher.ledger_timeout_seconds", Kind::Whole(1, 60)),
    key("worker.worker_id", Kind::Text(worker_id)),
    key("worker.workspace_root", Kind::Path),
    key("worker.drain_seconds", Kind::Whole(0, 86_400)),
    key("worker.lanes", Kind::List(lane_id)),
    key("http.dispatcher", Kind::Text(address)),
    key("http.console", Kind::Text(address)),
    key("http.token", Kind::Secret),
    key("http.credentials", Kind::Secrets(credential)),
    key("http.allowed_hosts", Kind::List(allowed_host)),
    key("retention.ledger_days", Kind::Whole(0, 36_500)),
    key("retention.workspace_days", Kind::Whole(0, 3650)),
    key("retention.workspace_max_mib", Kind::Whole(0, 1 << 30)),
    key("hook.strict", Kind::Switch),
    key("hook.require_live_worker", Kind::Switch),
    key("hook.worker_wait_seconds", Kind::Whole(0, 300)),
    key("hook.answer_seconds", Kind::Whole(1, 300)),
    key("hook.keep_days", Kind::Whole(1, 3650)),
    key("log.filter", Kind::Text(filter)),
    key("log.format", Kind::OneOf(&["auto", "text", "json"])),
];

/// The key of that path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// True when there are keys below `path`.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

impl Kind {
    /// The value of a text from a variable or a flag, not yet checked.
    pub(super) fn read(&self, text: &str) -> Result<Toml, String> {
        match self {
            Self::Whole(..) | Self::WholeOf(_) => match text.trim().parse() {
                Ok(number) => Ok(Toml::Integer(number)),
                Err(_) => Err(format!("want {}, not {}", self.wanted(), quoted(text))),
            },
            Self::Switch => match text.trim() {
                "true" => Ok(Toml::Boolean(true)),
                "false" => Ok(Toml::Boolean(false)),
                other => Err(format!("want `true` or `false`, not {}", quoted(other))),
            },
            Self::List(_) | Self::Secrets(_) => {
                let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                Ok(Toml::Array(entries.map(|entry| Toml::String(entry.to_owned())).collect()))
            }
            _ => Ok(Toml::String(text.to_owned())),
        }
    }

    /// Checks the value and makes paths absolute. The error says what is wanted.
    pub(super) fn check(&self, value: &Toml, places: &Places) -> Result<ValueKind, String> {
        match (self, value) {
            (Self::Switch, Toml::Boolean(on)) => Ok(ValueKind::Boolean(*on)),
            (Self::Whole(min, max), Toml::Integer(n)) if (min..=max).contains(&n) => Ok(ValueKind::I64(*n)),
            (Self::WholeOf(some), Toml::Integer(n)) if some.contains(n) => Ok(ValueKind::I64(*n)),
            (Self::OneOf(names), Toml::String(text)) if names.contains(&text.as_str()) => {
                Ok(text.clone().into())
            }
            (Self::List(rule) | Self::Secrets(rule), Toml::Array(entries))
                if entries.iter().all(Toml::is_str) || matches!(self, Self::List(_)) =>
            {
                list(entries, *rule)
            }
            (Self::Text(rule) | Self::Url(rule), Toml::String(text)) => {
                checked(text, *rule).map(|()| text.clone().into())
            }
            (Self::Secret, Toml::String(text)) => {
                checked(text, credential_name).map(|()| text.clone().into())
            }
            (Self::Path, Toml::String(text)) => path(text, places),
            (Self::Ledger, Toml::String(text)) => ledger(text, places),
            (Self::CredentialFile, Toml::String(text)) => {
                checked(text, credential_name)?;
                if text.starts_with(CREDENTIAL) { Ok(text.clone().into()) } else { path(text, places) }
            }
            (Self::Secret | Self::Secrets(_), _) => Err(format!("want {}", self.wanted())),
            _ => Err(format!("want {}, not {}", self.wanted(), shown(value))),
        }
    }

    fn wanted(&self) -> String {
        match self {
            Self::Text(_) | Self::Secret | Self::Url(_) => "a text in quotes".to_owned(),
            Self::Path => "a path in quotes".to_owned(),
            Self::Ledger => "a path or a url in quotes".to_owned(),
            Self::CredentialFile => "a path or `credential:NAME` in quotes".to_owned(),
            Self::Whole(min, max) => format!("a whole number from {min} to {max}"),
            Self::WholeOf(some) => one_of(some.iter().map(i64::to_string)),
            Self::OneOf(names) => one_of(names.iter().map(|name| format!("\"{name}\""))),
            Self::Switch => "true or false".to_owned(),
            Self::List(_) | Self::Secrets(_) => "a list of texts".to_owned(),
        }
    }
}

fn one_of(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(" or ")
}

/// The bounds of all texts, then the key's own rule; an empty text means: not set.
fn checked(text: &str, rule: Rule) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(format!("want at most {MAX_TEXT} bytes, not {}", text.len()));
    }
    if text.contains(char::is_control) {
        return Err("want no control characters".to_owned());
    }
    if text.is_empty() { Ok(()) } else { rule(text) }
}

fn list(entries: &[Toml], rule: Rule) -> Result<ValueKind, String> {
    let one = |entry: &Toml| match entry {
        Toml::String(text) if text.is_empty() => Err("want no empty text in the list".to_owned()),
        Toml::String(text) => checked(text, rule).map(|()| text.clone().into()),
        other => Err(format!("want a list of texts, not one with {}", shown(other))),
    };
    Ok(ValueKind::Array(entries.iter().map(one).collect::<Result<_, _>>()?))
}

fn path(text: &str, places: &Places) -> Result<ValueKind, String> {
    checked(text, not_a_url)?;
    Ok(places.absolute(text)?.into())
}

/// What is no URL is a path. The error shows nothing of a URL.
fn ledger(text: &str, places: &Places) -> Result<ValueKind, String> {
    if !text.contains("://") && !text.starts_with("postgres:") {
        return path(text, places);
    }
    checked(text, |url| vp_bridge::shown_ledger(url).map(drop).map_err(|error| error.to_string()))?;
    Ok(text.to_owned().into())
}

/// A value of the wrong type, for an error: what it is, and its content only if that is short and harmless.
fn shown(value: &Toml) -> String {
    match value {
        Toml::String(text) => quoted(text),
        Toml::Integer(number) => number.to_string(),
        Toml::Float(number) => number.to_string(),
        Toml::Boolean(on) => on.to_string(),
        Toml::Datetime(_) => "a date".to_owned(),
        Toml::Array(_) => "a list".to_owned(),
        Toml::Table(_) => "a table".to_owned(),
    }
}

pub(super) fn quoted(text: &str) -> String {
    if text.chars().count() > 80 {
        let start: String = text.chars().take(80).collect();
        format!("{start:?} and so on")
    } else {
        format!("{text:?}")
    }
}

fn context_name(text: &str) -> Result<(), String> {
    let leads_out = text.contains('/') || text.contains("..");
    if leads_out { Err("want a context's name, without `/` and `..`".to_owned()) } else { Ok(()) }
}

fn unpadded(text: &str) -> Result<(), String> {
    if text.trim() == text { Ok(()) } else { Err("want no spaces around it".to_owned()) }
}

fn session(text: &str) -> Result<(), String> {
    SessionId::new(text).map(drop).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<(), String> {
    let wanted = |_| "want an address and a port, such as \"127.0.0.1:7410\" or \"[::1]:7410\"".to_owned();
    text.parse::<std::net::SocketAddr>().map(drop).map_err(wanted)
}

fn credential(text: &str) -> Result<(), String> {
    Credential::parse(text).map(drop)
}

fn allowed_host(text: &str) -> Result<(), String> {
    AllowedHost::new(text).map(drop)
}

fn worker_id(text: &str) -> Result<(), String> {
    WorkerId::new(text).map(drop).map_err(|error| error.to_string())
}

fn lane_id(text: &str) -> Result<(), String> {
    VpId::new(text).map(drop).map_err(|error| error.to_string())
}

fn url(text: &str) -> Result<(), String> {
    match vp_nats::connect::without_credentials(text) {
        Ok(_) => Ok(()),
        // Its own text begins with a connection that is not being made.
        Err(ConnectError::BadConfig { reason }) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

fn not_a_url(text: &str) -> Result<(), String> {
    if text.contains("://") { Err("want a path, not a url".to_owned()) } else { Ok(()) }
}

fn inbox_prefix(text: &str) -> Result<(), String> {
    let fine = text.split('.').all(|token| one_token(token).is_ok());
    if fine { Ok(()) } else { Err("want tokens joined by dots, without `*`, `>` and spaces".to_owned()) }
}

fn one_token(text: &str) -> Result<(), String> {
    let fine =
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || matches!(c, '.' | '*' | '>'));
    if fine { Ok(()) } else { Err("want one token, without `.`, `*`, `>` and spaces".to_owned()) }
}

fn filter(text: &str) -> Result<(), String> {
    crate::logging::check_filter(text)
        .map_err(|why| format!("want levels such as \"info,vp_worker=debug\": {why}"))
}

/// A name in the directory of credentials, if it is one.
fn credential_name(text: &str) -> Result<(), String> {
    match text.strip_prefix(CREDENTIAL) {
        Some(name) if name.is_empty() || name.contains('/') || name == "." || name == ".." => {
            Err("want a file's name after `credential:`, without `/`".to_owned())
        }
        _ => Ok(()),
    }
}
