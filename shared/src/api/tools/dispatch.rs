//! `vp_dispatch_mission`: delegate a mission.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::answer::ToolError;
use super::check::{no_nul, sized, word};
use crate::ids::{MissionId, VpId};
use crate::mission::{Budget, Input, InputSource, MAX_OBJECTIVE_BYTES, ReplyMode, Status};
use crate::retry::RetryPolicy;
use crate::tier::Tier;
use crate::time::UtcTime;

/// The most that all inputs of a mission, its constraints and its objective may hold together, in bytes; larger
/// content goes to the object store.
pub const MAX_INPUTS_BYTES: usize = 512 * 1024;

/// A tier by its name, or an integer of which smaller is sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Priority(pub Tier);

impl JsonSchema for Priority {
    fn schema_name() -> Cow<'static, str> {
        "Priority".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A tier by its name, or an integer of which smaller is sooner.",
            "anyOf": [generator.subschema_for::<Tier>(), {"type": "integer"}],
        })
    }
}

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
    /// Refuse when no live worker serves the lane, or the lane is paused, instead of a warning.
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
