//! Each key with its value and where that came from.

use std::fmt;

use ::config::{Map, Value, ValueKind};
use serde::Serialize;
use serde_json::Value as Json;
use vp_shared::lane::{LaneProfile, Lanes};

use super::lanes::{json, origin_near};
use super::layer::{LANES, lane_path};
use super::origin::Origin;
use super::schema::{CREDENTIAL, KEYS, Kind};

/// What stands for a secret.
const MASK: &str = "***";

/// One key of the configuration, as `vp config show` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The key.
    pub key: String,
    /// Its value, `"***"` for a secret that is set.
    pub value: Json,
    /// Where the value came from.
    pub source: Origin,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}  # {}", self.key, self.value, self.source)
    }
}

/// All keys in the manual's order, then the lanes by id.
pub(super) fn all(merged: &Map<String, Value>, lanes: &Lanes) -> Vec<Shown> {
    let plain = KEYS.iter().filter_map(|key| {
        let value = at(merged, key.path)?;
        Some(Shown {
            key: key.path.to_owned(),
            value: masked(&key.kind, json(value)),
            source: Origin::of_tag(value.origin()),
        })
    });
    let mut all: Vec<Shown> = plain.collect();
    for (id, profile) in lanes {
        if let Some(written) = at(merged, LANES).and_then(|lanes| below(lanes, id.as_str())) {
            lane(&lane_path(id.as_str()), profile, written, &mut all);
        }
    }
    all
}

fn at<'a>(table: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut names = path.split('.');
    let first = table.get(names.next()?)?;
    names.try_fold(first, below)
}

fn below<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match &value.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    }
}

fn masked(kind: &Kind, value: Json) -> Json {
    match (kind, value) {
        (Kind::Secret, Json::String(text)) if !text.is_empty() && !text.starts_with(CREDENTIAL) => {
            MASK.into()
        }
        (Kind::Secrets(_), Json::Array(texts)) => texts.iter().map(|_| Json::from(MASK)).collect(),
        (Kind::Url(_), Json::String(text)) if !text.is_empty() => {
            vp_nats::connect::without_credentials(&text).unwrap_or_else(|_| MASK.to_owned()).into()
        }
        (Kind::Ledger, Json::String(text)) if text.contains("://") => {
            vp_bridge::shown_ledger(&text).unwrap_or_else(|_| MASK.to_owned()).into()
        }
        (_, value) => value,
    }
}

/// What the profile says in the end, its own defaults included.
fn lane(path: &str, profile: &LaneProfile, written: &Value, all: &mut Vec<Shown>) {
    match serde_json::to_value(profile) {
        Ok(Json::Object(fields)) => {
            for (name, value) in fields {
                leaves(path, &name, value, written, all);
            }
        }
        Ok(_) => tracing::error!(lane = path, "a lane profile is no table"),
        Err(error) => tracing::error!(lane = path, %error, "a lane profile cannot be shown"),
    }
}

fn leaves(lane: &str, field: &str, value: Json, written: &Value, all: &mut Vec<Shown>) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(lane, &format!("{field}.{name}"), value, written, all);
            }
        }
        value => {
            // Nobody can tell which variables of a program hold secrets.
            let secret = field.starts_with("executor.env.");
            let source =
                if is_written(written, field) { origin_near(written, field) } else { Origin::Default };
            all.push(Shown {
                key: format!("{lane}.{field}"),
                value: if secret { MASK.into() } else { value },
                source,
            });
        }
    }
}

fn is_written(lane: &Value, field: &str) -> bool {
    field.split('.').try_fold(lane, below).is_some()
}
