//! The lanes, when all layers are merged.

use std::collections::BTreeMap;
use std::path::Path;

use ::config::{Map, Value, ValueKind};
use serde_json::Value as Json;
use vp_shared::ids::VpId;
use vp_shared::lane::{ExecutorProfile, LaneProfile, Lanes};

use super::layer::{LANES, lane_path};
use super::origin::Origin;
use super::problem::Problem;

/// In a lane's argv and env: the data directory.
const DATA_DIR: &str = "{data_dir}";
/// `false` takes a lane out.
const ENABLED: &str = "enabled";

/// The profiles of all lanes that are enabled, checked, and what was wrong. `{data_dir}` is not filled in.
pub(super) fn profiles(merged: &Map<String, Value>) -> (Lanes, Vec<Problem>) {
    let mut lanes = Lanes::new();
    let mut problems = Vec::new();
    let Some(ValueKind::Table(written)) = merged.get(LANES).map(|lanes| &lanes.kind) else {
        return (lanes, vec![Problem::general("there is no lane")]);
    };
    // In order, so that the same mistakes give the same text.
    let ordered: BTreeMap<_, _> = written.iter().collect();
    for (id, lane) in ordered {
        match profile(id, lane) {
            Ok(Some((id, profile))) => drop(lanes.insert(id, profile)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(shared_names(&lanes, written));
    if lanes.is_empty() && problems.is_empty() {
        problems
            .push(Problem::general("no lane is enabled; define one in `[lanes.\"vp.<role>.<instance>\"]`"));
    }
    (lanes, problems)
}

fn profile(id: &str, lane: &Value) -> Result<Option<(VpId, LaneProfile)>, Problem> {
    let complain = |field: &str, what: String| {
        let key = if field == "." { lane_path(id) } else { format!("{}.{field}", lane_path(id)) };
        Problem::of_key(key, &origin_near(lane, field), what)
    };
    let vp_id = VpId::new(id).map_err(|error| complain(".", error.to_string()))?;
    let mut json = json(lane);
    if !take_enabled(&mut json).map_err(|what| complain(ENABLED, what))? {
        return Ok(None);
    }
    let profile: LaneProfile = serde_path_to_error::deserialize(json)
        .map_err(|error| complain(&error.path().to_string(), error.inner().to_string()))?;
    profile.check().map_err(|bad| complain(full_field(bad.field), bad.why.to_owned()))?;
    Ok(Some((vp_id, profile)))
}

/// The executor with the data directory filled in.
pub(super) fn in_data_dir(executor: &ExecutorProfile, data_dir: &Path) -> ExecutorProfile {
    let mut executor = executor.clone();
    if let ExecutorProfile::Command { argv, env, .. } = &mut executor {
        let data_dir = data_dir.to_string_lossy();
        for text in argv.iter_mut().chain(env.values_mut()) {
            *text = text.replace(DATA_DIR, &data_dir);
        }
    }
    executor
}

/// Takes the switch out, which is not of the profile.
fn take_enabled(lane: &mut Json) -> Result<bool, String> {
    match lane.as_object_mut().and_then(|lane| lane.remove(ENABLED)) {
        None => Ok(true),
        Some(Json::Bool(on)) => Ok(on),
        Some(other) => Err(format!("want true or false, not {other}")),
    }
}

/// The retry policy names its fields without where it stands.
fn full_field(field: &'static str) -> &'static str {
    match field {
        "max_attempts" => "retry.max_attempts",
        "retry_on" => "retry.retry_on",
        "initial_ms" => "retry.delay.initial_ms",
        "multiplier" => "retry.delay.multiplier",
        "max_ms" => "retry.delay.max_ms",
        "jitter" => "retry.delay.jitter",
        field => field,
    }
}

/// A name must mean one lane, or a mission could go to the wrong one.
fn shared_names(lanes: &Lanes, written: &Map<String, Value>) -> Vec<Problem> {
    let mut owners: BTreeMap<String, &VpId> = BTreeMap::new();
    let mut problems = Vec::new();
    for (id, lane) in lanes {
        for (field, name) in names(lane) {
            let owner = *owners.entry(name.trim().to_lowercase()).or_insert(id);
            if owner != id {
                let key = format!("{}.{field}", lane_path(id.as_str()));
                let source =
                    written.get(id.as_str()).map_or(Origin::Default, |lane| origin_near(lane, field));
                problems.push(Problem::of_key(
                    key,
                    &source,
                    format!("{name:?} is already a name of {owner}"),
                ));
            }
        }
    }
    problems
}

fn names(lane: &LaneProfile) -> impl Iterator<Item = (&'static str, &String)> {
    let aliases = lane.aliases.iter().map(|alias| ("aliases", alias));
    std::iter::once(("display_name", &lane.display_name)).chain(aliases)
}

/// Where the value at the dotted path was written, or the nearest thing to it.
pub(super) fn origin_near(value: &Value, path: &str) -> Origin {
    let mut value = value;
    for name in path.split(['.', '[']) {
        let ValueKind::Table(table) = &value.kind else { break };
        let Some(below) = table.get(name) else { break };
        value = below;
    }
    last_writer(value)
}

/// Of a table, the strongest of those who wrote into it; the merged tables themselves have no origin.
fn last_writer(value: &Value) -> Origin {
    match &value.kind {
        ValueKind::Table(table) => {
            let rank = |origin: &Origin| match origin {
                Origin::Default => 0,
                Origin::File(_) => 1,
                Origin::Variable(_) => 2,
                Origin::Flag => 3,
            };
            table.values().map(last_writer).max_by_key(rank).unwrap_or(Origin::Default)
        }
        _ => Origin::of_tag(value.origin()),
    }
}

/// The text at a key without dots.
pub(super) fn text_at(table: &Map<String, Value>, key: &str) -> String {
    match table.get(key).map(|value| &value.kind) {
        Some(ValueKind::String(text)) => text.clone(),
        _ => String::new(),
    }
}

/// The value as JSON; layers hold no numbers that JSON lacks.
pub(super) fn json(value: &Value) -> Json {
    match &value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(on) => Json::from(*on),
        ValueKind::I64(number) => Json::from(*number),
        ValueKind::U64(number) => Json::from(*number),
        ValueKind::I128(number) => Json::from(number.to_string()),
        ValueKind::U128(number) => Json::from(number.to_string()),
        ValueKind::Float(number) => Json::from(*number),
        ValueKind::String(text) => Json::from(text.clone()),
        ValueKind::Table(table) => table.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
        ValueKind::Array(entries) => entries.iter().map(json).collect(),
    }
}
