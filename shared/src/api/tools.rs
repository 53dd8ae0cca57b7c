//! The six tools: inputs and outputs, one type each.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::answer::{ErrorCode, ToolError};
use super::ledger::PageCursor;
use super::views::{AttemptView, EventView, MissionView};
use crate::artifact::Category;
use crate::failure::Failure;
use crate::ids::{MissionId, SessionId, VpId};
use crate::mission::{Budget, Input, InputSource, MAX_OBJECTIVE_BYTES, ReplyMode, Status};
use crate::retry::RetryPolicy;
use crate::tier::Tier;
use crate::time::UtcTime;

/// The most that all inputs of a mission, its constraints and its objective may hold together, in bytes; larger
/// content goes to the object store.
pub const MAX_INPUTS_BYTES: usize = 512 * 1024;

/// The six tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToolName {
    /// Delegate a mission.
    Dispatch,
    /// See one.
    Get,
    /// See many.
    List,
    /// Wait for the end of one.
    Wait,
    /// Stop one.
    Cancel,
    /// Read what one left behind.
    ReadArtifacts,
}

/// All tools.
pub const TOOLS: [ToolName; 6] = [
    ToolName::Dispatch,
    ToolName::Get,
    ToolName::List,
    ToolName::Wait,
    ToolName::Cancel,
    ToolName::ReadArtifacts,
];

impl ToolName {
    /// The tool's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dispatch => "vp_dispatch_mission",
            Self::Get => "vp_get_mission",
            Self::List => "vp_list_missions",
            Self::Wait => "vp_wait_mission",
            Self::Cancel => "vp_cancel_mission",
            Self::ReadArtifacts => "vp_read_result_artifacts",
        }
    }

    /// The tool of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        TOOLS.into_iter().find(|tool| tool.name() == name)
    }

    /// What it does, in a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Dispatch => "Delegate a mission to a VP lane; the session is told how it ends",
            Self::Get => "Show one mission with its attempts and events",
            Self::List => "List missions, newest first",
            Self::Wait => "Wait until a mission has ended, or a time is over",
            Self::Cancel => "Stop a mission",
            Self::ReadArtifacts => "Read what a mission left behind, primary work products first",
        }
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tier by its name, or an integer of which smaller is sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    transparent,
    extend("oneOf" = [{"enum": ["urgent", "high", "normal", "low"]}, {"type": "integer"}], "type" = null)
)]
pub struct Priority(pub Tier);

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = "`urgent`, `high`, `normal`, `low` or an integer";
        let tier = match Value::deserialize(deserializer)? {
            Value::String(name) => Tier::from_name(&name),
            Value::Number(number) => number.as_i64().map(Tier::from_priority),
            _ => None,
        };
        tier.map(Self).ok_or_else(|| serde::de::Error::custom(format_args!("want {wanted}")))
    }
}

/// Input of `vp_dispatch_mission`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DispatchMission {
    /// The lane that is to do it.
    pub vp_id: VpId,
    /// What is to be done.
    #[schemars(length(min = 1, max = 65536))]
    pub objective: String,
    /// The caller's name for the kind of work.
    #[serde(default = "task")]
    #[schemars(length(min = 1, max = 64))]
    pub mission_type: String,
    /// Terms for the executor, passed on as they are.
    #[serde(default)]
    pub constraints: Map<String, Value>,
    /// What an attempt may use at most.
    #[serde(default, deserialize_with = "object")]
    pub budget: Budget,
    /// The same key with the same content is the same mission, however often it is sent.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    pub idempotency_key: Option<String>,
    /// How soon.
    #[serde(default)]
    pub priority: Priority,
    /// Which notices the session wants.
    #[serde(default)]
    pub reply_mode: ReplyMode,
    /// Not to be queued before.
    #[serde(default)]
    pub not_before: Option<UtcTime>,
    /// Fails when not ended by then; 7 days from now when absent, at most 30.
    #[serde(default)]
    pub deadline: Option<UtcTime>,
    /// How many attempts may count; the lane's policy when absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 20))]
    pub max_attempts: Option<u32>,
    /// Files laid into the workspace before the executor starts.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// Refuse when no live worker serves the lane, instead of a warning.
    #[serde(default)]
    pub require_live_worker: bool,
    /// The turn in which the session asks.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    pub source_turn_id: Option<String>,
}

fn task() -> String {
    "task".into()
}

/// Reads an object and nothing else: serde would take a list as the fields in their order.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Object<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Object(std::marker::PhantomData))
}

impl DispatchMission {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        if self.objective.trim().is_empty() {
            return Err(ToolError::field("objective", "is empty"));
        }
        sized("objective", &self.objective, MAX_OBJECTIVE_BYTES)?;
        no_nul("objective", &self.objective)?;
        word("mission_type", &self.mission_type, 64)?;
        if let Some(key) = &self.idempotency_key {
            word("idempotency_key", key, 200)?;
        }
        if let Some(turn) = &self.source_turn_id {
            word("source_turn_id", turn, 200)?;
        }
        if self.max_attempts.is_some_and(|max| !(1..=RetryPolicy::MAX_ATTEMPTS).contains(&max)) {
            return Err(ToolError::field("max_attempts", "want 1 to 20"));
        }
        check_budget(&self.budget)?;
        check_inputs(&self.inputs)?;
        let constraints = serde_json::to_vec(&self.constraints).map_or(usize::MAX, |json| json.len());
        let inputs: usize = self.inputs.iter().map(input_bytes).sum();
        let total = constraints.saturating_add(inputs).saturating_add(self.objective.len());
        if total > MAX_INPUTS_BYTES {
            let field = if inputs > constraints { "inputs" } else { "constraints" };
            let why = format!(
                "objective, constraints and inputs have {total} bytes, want at most {MAX_INPUTS_BYTES}"
            );
            return Err(ToolError::field(field, why));
        }
        Ok(())
    }

    /// What makes it the same mission as another of the same key: everything but priority, turn and the wish
    /// for a live worker.
    pub fn content_sha256(&self) -> String {
        let content = serde_json::json!({
            "vp_id": self.vp_id,
            "objective": self.objective,
            "mission_type": self.mission_type,
            "constraints": self.constraints,
            "budget": self.budget,
            "reply_mode": self.reply_mode,
            "not_before": self.not_before,
            "deadline": self.deadline,
            "max_attempts": self.max_attempts,
            "inputs": self.inputs,
        });
        crate::mission::content_digest(&content)
    }
}

fn sized(field: &str, text: &str, max: usize) -> Result<(), ToolError> {
    if text.len() > max {
        return Err(ToolError::field(field, format_args!("has {} bytes, want at most {max}", text.len())));
    }
    Ok(())
}

fn no_nul(field: &str, text: &str) -> Result<(), ToolError> {
    if text.contains('\0') { Err(ToolError::field(field, "contains a NUL character")) } else { Ok(()) }
}

/// A name: not empty, bounded, no control characters.
fn word(field: &str, text: &str, max: usize) -> Result<(), ToolError> {
    if text.trim().is_empty() {
        return Err(ToolError::field(field, "is empty"));
    }
    if text.chars().count() > max {
        return Err(ToolError::field(field, format_args!("is longer than {max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(ToolError::field(field, "contains a control character"));
    }
    Ok(())
}

fn check_budget(budget: &Budget) -> Result<(), ToolError> {
    let seconds = |field, value: Option<u64>| match value {
        Some(seconds) if !(1..=2_592_000).contains(&seconds) => {
            Err(ToolError::field(field, "want 1 second to 30 days (2592000)"))
        }
        _ => Ok(()),
    };
    seconds("budget.wall_seconds", budget.wall_seconds)?;
    seconds("budget.idle_seconds", budget.idle_seconds)?;
    if budget.cost_usd.is_some_and(|cost| !(0.0..=1e9).contains(&cost)) {
        return Err(ToolError::field("budget.cost_usd", "want 0 to 1000000000"));
    }
    if budget.tokens.is_some_and(|tokens| i64::try_from(tokens).is_err()) {
        return Err(ToolError::field("budget.tokens", "want at most 9223372036854775807"));
    }
    Ok(())
}

fn input_bytes(input: &Input) -> usize {
    let (InputSource::Text(content) | InputSource::Object(content)) = &input.source;
    input.path.len() + content.len()
}

fn check_inputs(inputs: &[Input]) -> Result<(), ToolError> {
    if inputs.len() > 100 {
        return Err(ToolError::field("inputs", "want at most 100"));
    }
    for (i, input) in inputs.iter().enumerate() {
        let field = format!("inputs[{i}].path");
        no_nul(&field, &input.path)?;
        sized(&field, &input.path, 1024)?;
        let clean = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !input.path.split('/').all(clean) || input.path.contains('\\') {
            return Err(ToolError::field(&field, "want a relative path with no `.`, `..` or empty part"));
        }
        if inputs[..i].iter().any(|earlier| earlier.path == input.path) {
            return Err(ToolError::field(&field, "is given twice"));
        }
        if let InputSource::Object(_) = input.source {
            return Err(ToolError::field(
                &format!("inputs[{i}].object"),
                "the object store is not supported yet: use `text`",
            ));
        }
    }
    Ok(())
}

/// Output of `vp_dispatch_mission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dispatched {
    /// The mission.
    pub mission_id: MissionId,
    /// What it is doing.
    pub status: Status,
    /// Its lane.
    pub vp_id: VpId,
    /// When it was accepted.
    pub queued_at: UtcTime,
    /// It existed before this call.
    pub duplicate: bool,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Input of `vp_get_mission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetMission {
    /// Which.
    pub mission_id: MissionId,
}

/// Output of `vp_get_mission`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MissionDetails {
    /// It.
    pub mission: MissionView,
    /// It has ended.
    pub terminal: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its attempts, first first.
    pub attempts: Vec<AttemptView>,
    /// Its newest 100 events, in order.
    pub events: Vec<EventView>,
    /// How many events it has.
    pub events_total: u64,
    /// Why it has not started or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_because: Option<String>,
}

/// One state or several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrMany", into = "Vec<Status>")]
#[schemars(with = "OneOrMany")]
pub struct StatusFilter(pub Vec<Status>);

#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "want a status, or a list of them: scheduled, queued, running, retrying, cancelling, \
                              finalizing, completed, failed, cancelled"
)]
enum OneOrMany {
    One(Status),
    Many(Vec<Status>),
}

impl From<OneOrMany> for StatusFilter {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(status) => Self(vec![status]),
            OneOrMany::Many(all) => Self(all),
        }
    }
}

impl From<StatusFilter> for Vec<Status> {
    fn from(filter: StatusFilter) -> Self {
        filter.0
    }
}

/// Input of `vp_list_missions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMissions {
    /// Of this lane only.
    #[serde(default)]
    pub vp_id: Option<VpId>,
    /// In these states only.
    #[serde(default)]
    pub status: Option<StatusFilter>,
    /// Delegated from this session only.
    #[serde(default)]
    pub session_id: Option<SessionId>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: u32,
    /// `next_cursor` of the page before.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub cursor: Option<PageCursor>,
}

const fn fifty() -> u32 {
    50
}

impl ListMissions {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        if self.status.as_ref().is_some_and(|status| status.0.is_empty()) {
            return Err(ToolError::field(
                "status",
                "is an empty list: name a status, or leave it out for all",
            ));
        }
        within("limit", u64::from(self.limit), 1, 500)
    }
}

fn within(field: &str, value: u64, min: u64, max: u64) -> Result<(), ToolError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ToolError::new(ErrorCode::ValidationError, format!("`{field}`: is {value}, want {min} to {max}")))
    }
}

/// Output of `vp_list_missions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MissionList {
    /// They, newest first.
    pub missions: Vec<MissionView>,
    /// How many are here.
    pub count: u64,
    /// Pass it as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next_cursor: Option<PageCursor>,
}

/// Input of `vp_wait_mission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitMission {
    /// Which.
    pub mission_id: MissionId,
    /// How long at most.
    #[serde(default = "forty_five")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u64,
}

const fn forty_five() -> u64 {
    45
}

impl WaitMission {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        within("timeout_seconds", self.timeout_seconds, 1, 3600)
    }
}

/// Output of `vp_wait_mission`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waited {
    /// The time was over before the mission.
    pub timed_out: bool,
    /// It has ended.
    pub terminal: bool,
    /// It.
    pub mission: MissionView,
    /// The last progress it reported, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}

/// Input of `vp_cancel_mission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelMission {
    /// Which.
    pub mission_id: MissionId,
    /// Why.
    #[serde(default = "on_request")]
    #[schemars(length(min = 1, max = 1000))]
    pub reason: String,
}

fn on_request() -> String {
    "cancelled on request".into()
}

impl CancelMission {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        no_nul("reason", &self.reason)?;
        if self.reason.trim().is_empty() {
            return Err(ToolError::field("reason", "is empty"));
        }
        if self.reason.chars().count() > 1000 {
            return Err(ToolError::field("reason", "is longer than 1000 characters"));
        }
        Ok(())
    }
}

/// What became of a wish to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelStatus {
    /// It is cancelled.
    Cancelled,
    /// It runs and has been asked to stop; its end will be told.
    CancelRequested,
}

/// Output of `vp_cancel_mission`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// What became of the wish.
    pub status: CancelStatus,
    /// The mission.
    pub mission: MissionView,
}

/// Input of `vp_read_result_artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadResultArtifacts {
    /// Which mission.
    pub mission_id: MissionId,
    /// Of this category only.
    #[serde(default)]
    pub category: Option<Category>,
    /// At most so many files.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 200))]
    pub max_files: u64,
    /// At most so many bytes of content, over all files.
    #[serde(default = "two_hundred_thousand")]
    #[schemars(range(min = 256, max = 2_000_000))]
    pub max_bytes: u64,
}

const fn twenty() -> u64 {
    20
}
const fn two_hundred_thousand() -> u64 {
    200_000
}

impl ReadResultArtifacts {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        within("max_files", self.max_files, 1, 200)?;
        within("max_bytes", self.max_bytes, 256, 2_000_000)
    }
}

/// Output of `vp_read_result_artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResultArtifacts {
    /// `workspace://<host>/<path>`.
    pub result_ref: String,
    /// What the executor says it did.
    pub summary: String,
    /// Primary work products first.
    pub artifacts: Vec<ArtifactExcerpt>,
    /// How many the mission has, in this category.
    pub files_total: u64,
    /// How many are listed here.
    pub files_listed: u64,
}

/// An artifact and the beginning of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactExcerpt {
    /// Where it is, relative to the workspace.
    pub path: String,
    /// What it is to the session.
    pub category: Category,
    /// Its size.
    pub bytes: u64,
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// The beginning of it, when it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// There is more of it.
    pub excerpt_truncated: bool,
    /// `vp://missions/<id>/artifacts/<path>`.
    pub uri: String,
}
