//! The targets that notices are delivered to, when all layers are merged.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ::config::{Map, Value, ValueKind};
use serde::Deserialize;
use vp_nats::connect::Secret;
use vp_shared::ids::SessionId;

use super::lanes::json;
use super::layer::DELIVER;
use super::origin::Origin;
use super::problem::Problem;
use super::resolve::credential_of;
use super::schema::CREDENTIAL;
use super::shown::Shown;
use super::sources::Layers;

/// The most targets.
const MAX_TARGETS: usize = 64;
/// The most sessions of one.
const MAX_SESSIONS: usize = 256;
/// A shorter secret can be guessed.
const MIN_SECRET: usize = 16;

/// Where notices are delivered.
#[derive(Debug, Clone)]
pub struct DeliverTarget {
    /// Its name, under which its place is kept.
    pub name: String,
    /// Whose notices.
    pub sessions: Vec<SessionId>,
    /// What it is.
    pub kind: TargetKind,
}

/// What a target is.
#[derive(Debug, Clone)]
pub enum TargetKind {
    /// A file for each session, below this directory.
    Inbox {
        /// The directory; absolute.
        dir: PathBuf,
        /// Markdown for people instead of a JSON value a line.
        markdown: bool,
    },
    /// An HTTP server.
    Webhook {
        /// Where.
        url: String,
        /// What signs.
        secret: Secret,
        /// The limit of each try, in seconds.
        timeout_seconds: u64,
        /// Tries before it is a dead letter.
        attempts: u32,
    },
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    sessions: Vec<SessionId>,
    kind: Kind,
    dir: Option<String>,
    format: Option<InboxFormat>,
    url: Option<String>,
    secret: Option<String>,
    timeout_seconds: Option<u64>,
    attempts: Option<u32>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Inbox,
    Webhook,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum InboxFormat {
    Ndjson,
    Markdown,
}

/// The targets with where they were written, and what was wrong.
pub(super) fn targets(
    merged: &mut Map<String, Value>,
    sources: &Layers,
) -> (Vec<(DeliverTarget, Origin)>, Vec<Problem>) {
    let (mut targets, mut problems, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    let Some(value) = merged.remove(DELIVER) else { return (targets, problems) };
    let origin = Origin::of_tag(value.origin());
    let ValueKind::Array(all) = value.kind else { return (targets, problems) };
    if all.len() > MAX_TARGETS {
        problems.push(Problem::of_key(DELIVER, &origin, format!("want at most {MAX_TARGETS} targets")));
    }
    for (index, one) in all.iter().take(MAX_TARGETS).enumerate() {
        let complain =
            |field: &str, what: String| Problem::of_key(format!("{DELIVER}[{index}].{field}"), &origin, what);
        let written: Result<Written, _> = serde_path_to_error::deserialize(json(one));
        let checked = match written {
            Ok(written) => check(written, &origin, sources),
            Err(error) => {
                problems.push(complain(&error.path().to_string(), error.inner().to_string()));
                continue;
            }
        };
        match checked {
            Ok(target) if !names.insert(target.name.clone()) => {
                problems.push(complain("name", format!("`{}` is the name of two targets", target.name)));
            }
            Ok(target) => targets.push((target, origin.clone())),
            Err((field, what)) => problems.push(complain(field, what)),
        }
    }
    (targets, problems)
}

type Wrong = (&'static str, String);

fn check(written: Written, origin: &Origin, sources: &Layers) -> Result<DeliverTarget, Wrong> {
    let Written { name, sessions, kind, dir, format, url, secret, timeout_seconds, attempts } = written;
    let is_token = !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_token {
        return Err(("name", "want 1 to 32 of a-z, 0-9 and `-`".to_owned()));
    }
    if sessions.is_empty() || sessions.len() > MAX_SESSIONS {
        return Err(("sessions", format!("want 1 to {MAX_SESSIONS} sessions")));
    }
    let foreign = match kind {
        Kind::Inbox => [
            ("url", url.is_some()),
            ("secret", secret.is_some()),
            ("timeout_seconds", timeout_seconds.is_some()),
            ("attempts", attempts.is_some()),
        ],
        Kind::Webhook => [("dir", dir.is_some()), ("format", format.is_some()), ("", false), ("", false)],
    };
    if let Some((field, _)) = foreign.into_iter().find(|(_, set)| *set) {
        return Err((field, "this kind of target has no such key".to_owned()));
    }
    let kind = match kind {
        Kind::Inbox => {
            let dir = dir.filter(|dir| !dir.is_empty());
            let dir = dir.ok_or(("dir", "an inbox needs a directory".to_owned()))?;
            let dir = sources.places_of(origin).absolute(&dir).map_err(|what| ("dir", what))?;
            TargetKind::Inbox { dir: dir.into(), markdown: format == Some(InboxFormat::Markdown) }
        }
        Kind::Webhook => {
            let url = url.ok_or(("url", "a webhook needs a url".to_owned()))?;
            crate::deliver::check_url(&url).map_err(|what| ("url", what))?;
            let secret = secret.ok_or(("secret", "a webhook needs a secret to sign with".to_owned()))?;
            let secret = match secret.strip_prefix(CREDENTIAL) {
                Some(name) => credential_of(name, true, sources).map_err(|what| ("secret", what))?,
                None => secret,
            };
            if secret.len() < MIN_SECRET {
                return Err(("secret", format!("want at least {MIN_SECRET} bytes")));
            }
            let (timeout_seconds, attempts) = (timeout_seconds.unwrap_or(10), attempts.unwrap_or(20));
            if !(1..=300).contains(&timeout_seconds) {
                return Err(("timeout_seconds", "want 1 to 300".to_owned()));
            }
            if !(1..=1000).contains(&attempts) {
                return Err(("attempts", "want 1 to 1000".to_owned()));
            }
            TargetKind::Webhook { url, secret: Secret::new(secret), timeout_seconds, attempts }
        }
    };
    Ok(DeliverTarget { name, sessions, kind })
}

/// A line for each target, without its secret and what a url may carry behind the path.
pub(super) fn shown(targets: &[(DeliverTarget, Origin)]) -> Vec<Shown> {
    let one = |(index, (target, origin)): (usize, &(DeliverTarget, Origin))| {
        let sessions: Vec<&str> = target.sessions.iter().map(SessionId::as_str).collect();
        let mut value = serde_json::json!({ "name": target.name, "sessions": sessions });
        match &target.kind {
            TargetKind::Inbox { dir, markdown } => {
                value["kind"] = "inbox".into();
                value["dir"] = dir.display().to_string().into();
                value["format"] = if *markdown { "markdown" } else { "ndjson" }.into();
            }
            TargetKind::Webhook { url, timeout_seconds, attempts, .. } => {
                value["kind"] = "webhook".into();
                value["url"] = url.split('?').next().unwrap_or_default().into();
                value["secret"] = "***".into();
                value["timeout_seconds"] = (*timeout_seconds).into();
                value["attempts"] = (*attempts).into();
            }
        }
        Shown { key: format!("{DELIVER}[{index}]"), value, source: origin.clone() }
    };
    targets.iter().enumerate().map(one).collect()
}
