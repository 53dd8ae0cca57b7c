//! From merged values to [`Settings`]: what is derived, what must be set together, credentials.

use std::ffi::OsStr;
use std::path::PathBuf;

use ::config::{Map, Value, ValueKind};
use vp_nats::context::ContextDirs;
use vp_shared::lane::Lanes;

use super::env;
use super::lanes::{origin_near, text_at};
use super::layer::LANES;
use super::origin::Origin;
use super::problem::{ConfigError, Problem};
use super::schema::CREDENTIAL;
use super::settings::Settings;
use super::sources::Layers;

/// The longest credential that is read as a text, in bytes.
const MAX_CREDENTIAL_BYTES: usize = 4096;

/// Fills in what has no fixed default: the data directory.
pub(super) fn fill_derived(merged: &mut Map<String, Value>, sources: &Layers) -> Option<Problem> {
    if !text_at(merged, "data_dir").is_empty() {
        return None;
    }
    let Some((dir, origin)) = derived_data_dir(sources) else {
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

/// The data directory of this process where none is configured, for messages.
pub fn default_data_dir() -> PathBuf {
    let of_process = Layers::of_process(None, Vec::new());
    derived_data_dir(&of_process).map_or_else(|| PathBuf::from("~/.local/state/vp"), |(dir, _)| dir)
}

fn derived_data_dir(sources: &Layers) -> Option<(PathBuf, Origin)> {
    // systemd gives several, joined by colons, to a service that has several.
    let of_systemd = sources.env.get(OsStr::new(env::STATE_DIRECTORY));
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
    sources: &Layers,
) -> Result<Settings, ConfigError> {
    merged.remove(LANES);
    let mut problems = read_credentials(&mut merged, sources);
    problems.extend(together(&merged));
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let origin_of =
        |section: &str, name| merged.get(section).map_or(Origin::Default, |value| origin_near(value, name));
    let (lanes_origin, context_origin) = (origin_of("worker", "lanes"), origin_of("nats", "context"));
    let kept_origin = origin_of("retention", "ledger_days");
    let http_origins = HTTP_KEYS.map(|key| origin_of("http", key));
    let mut settings: Settings = Value::new(None, merged)
        .try_deserialize()
        .map_err(|error| ConfigError { problems: vec![Problem::general(error.to_string())] })?;
    settings.nats.context_dirs =
        sources.config_home().map(|config_home| ContextDirs { config_home, home: sources.home() });
    settings.set_lanes(lanes);
    for id in settings.worker.lanes.iter().filter(|id| !settings.lanes.contains_key(*id)) {
        problems.push(Problem::of_key("worker.lanes", &lanes_origin, format!("there is no lane `{id}`")));
    }
    let (kept, logged) = (settings.retention.ledger_days, settings.nats.retention_days);
    if kept != 0 && kept < logged {
        let what = format!(
            "want 0, which is for ever, or at least the {logged} days of `nats.retention_days`, not {kept}: the \
             ledger must not forget what the log still holds"
        );
        problems.push(Problem::of_key("retention.ledger_days", &kept_origin, what));
    }
    problems.extend(http_problems(&settings, &http_origins));
    if let Err(error) = settings.connect_config("check") {
        let what = vp_shared::error::Chain(&error).to_string();
        problems.push(Problem::of_key("nats.context", &context_origin, what));
    }
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError { problems }) }
}

/// The keys that are looked at together.
const HTTP_KEYS: [&str; 3] = ["dispatcher", "console", "token"];

/// A door that others can reach needs a token, and a token must be one.
fn http_problems(settings: &Settings, origins: &[Origin; 3]) -> Vec<Problem> {
    let of_key =
        |key: usize, what: String| Problem::of_key(format!("http.{}", HTTP_KEYS[key]), &origins[key], what);
    if let Err(what) = settings.door_keys() {
        return vec![of_key(2, what)];
    }
    let doors = [settings.http.dispatcher, settings.http.console];
    let open = doors.into_iter().enumerate().filter_map(|(key, door)| {
        let error = settings.guard(door?.0).err()?;
        Some(of_key(key, format!("{error}; set one, or serve at 127.0.0.1")))
    });
    open.collect()
}

/// The keys that may name a credential, and whether its text is wanted instead of its path.
const CREDENTIALS: [(&str, &str, bool); 5] = [
    ("nats", "creds", false),
    ("nats", "nkey", false),
    ("nats", "password", true),
    ("nats", "token", true),
    ("http", "token", true),
];

/// Puts the path or the text of each credential in place of its name.
fn read_credentials(merged: &mut Map<String, Value>, sources: &Layers) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (section, key, is_text) in CREDENTIALS {
        let Some(ValueKind::Table(table)) = merged.get_mut(section).map(|table| &mut table.kind) else {
            continue;
        };
        let Some(value) = table.get_mut(key) else { continue };
        let ValueKind::String(text) = &value.kind else { continue };
        let Some(credential) = text.strip_prefix(CREDENTIAL) else { continue };
        match credential_of(credential, is_text, sources) {
            Ok(found) => value.kind = found.into(),
            Err(what) => {
                let origin = Origin::of_tag(value.origin());
                problems.push(Problem::of_key(format!("{section}.{key}"), &origin, what));
            }
        }
    }
    problems
}

pub(super) fn credential_of(name: &str, is_text: bool, sources: &Layers) -> Result<String, String> {
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
        let for_us =
            |way: &&&str| !matches!(origin(way), Origin::Variable(name) if name.starts_with("NATS_"));
        if let Some(way) = ways.iter().find(for_us) {
            let what =
                "is set, but neither `nats.url` nor `nats.context` is: the managed server has its own user";
            problems.push(Problem::of_key(format!("nats.{way}"), &origin(way), what));
        }
    }
    problems
}
