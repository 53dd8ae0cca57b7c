//! The JSON Schemas of the tools' inputs and outputs, made from the types that read and write them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use vp_shared::api::{
    CancelMission, Cancelled, DispatchMission, Dispatched, GetMission, LaneModeSet, ListMissions,
    MissionDetails, MissionList, ReadResultArtifacts, ResultArtifacts, RouteWords, SetLaneMode, ToolError,
    ToolName, WaitMission, Waited,
};
use vp_shared::routing::Route;

/// The schema of a tool's input.
pub fn input_schema(tool: ToolName) -> Value {
    match tool {
        ToolName::Dispatch => input::<DispatchMission>(),
        ToolName::Get => input::<GetMission>(),
        ToolName::List => input::<ListMissions>(),
        ToolName::Wait => input::<WaitMission>(),
        ToolName::Cancel => input::<CancelMission>(),
        ToolName::ReadArtifacts => input::<ReadResultArtifacts>(),
    }
}

/// The schema of a tool's answer when all went well: its output beside `"ok": true`.
pub fn output_schema(tool: ToolName) -> Value {
    match tool {
        ToolName::Dispatch => output::<Dispatched>(),
        ToolName::Get => output::<MissionDetails>(),
        ToolName::List => output::<MissionList>(),
        ToolName::Wait => output::<Waited>(),
        ToolName::Cancel => output::<Cancelled>(),
        ToolName::ReadArtifacts => output::<ResultArtifacts>(),
    }
}

/// The schema of a tool's every answer, success or failure: an object whose `ok` says which of the two it is.
pub fn answer_schema(tool: ToolName) -> Value {
    either(output_schema(tool))
}

/// Lets a failure be an answer too. The fields stay where hosts look for them, at the root.
fn either(mut schema: Value) -> Value {
    let mut error = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<ToolError>()
        .to_value();
    let defs = error["$defs"].take();
    if let Some(error) = error.as_object_mut() {
        error.remove("$defs");
        error.remove("$schema");
    }
    if let (Value::Object(defs), Some(root)) = (defs, schema.as_object_mut()) {
        let known = root.entry("$defs").or_insert_with(|| json!({}));
        if let Some(known) = known.as_object_mut() {
            known.extend(defs);
        }
    }
    let success = schema["required"].take();
    schema["properties"]["ok"] = json!({"type": "boolean", "description": "True when all went well."});
    schema["properties"]["error"] = error;
    schema["required"] = json!(["ok"]);
    schema["anyOf"] = json!([
        {"properties": {"ok": {"const": true}}, "required": success},
        {"properties": {"ok": {"const": false}}, "required": ["ok", "error"]},
    ]);
    schema
}

/// The schemas of the routing policy's question and answer.
pub fn route_schemas() -> (Value, Value) {
    (input::<RouteWords>(), output::<Route>())
}

/// The schemas of what sets a lane's mode and of its answer.
pub fn lane_mode_schemas() -> (Value, Value) {
    (input::<SetLaneMode>(), output::<LaneModeSet>())
}

fn input<T: JsonSchema>() -> Value {
    schema::<T>(SchemaSettings::draft2020_12().for_deserialize().into_generator())
}

fn output<T: JsonSchema>() -> Value {
    let mut schema = schema::<T>(SchemaSettings::draft2020_12().for_serialize().into_generator());
    schema["properties"]["ok"] = json!({"const": true});
    if let Some(required) = schema["required"].as_array_mut() {
        required.insert(0, json!("ok"));
    }
    schema
}

fn schema<T: JsonSchema>(generator: SchemaGenerator) -> Value {
    generator.into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vp_shared::api::TOOLS;

    #[test]
    fn every_field_of_every_tool_is_described() {
        for tool in TOOLS {
            for schema in [input_schema(tool), output_schema(tool)] {
                assert_eq!(schema["type"], "object", "{tool}");
                let fields = schema["properties"].as_object().unwrap();
                assert!(!fields.is_empty(), "{tool}");
                for (name, field) in fields.iter().filter(|(name, _)| *name != "ok") {
                    assert!(field["description"].is_string(), "{tool}: {name}: {field}");
                }
            }
        }
    }

    #[test]
    fn inputs_refuse_unknown_fields_and_outputs_have_ok() {
        for tool in TOOLS {
            assert_eq!(input_schema(tool)["additionalProperties"], false, "{tool}");
            assert_eq!(output_schema(tool)["required"][0], "ok", "{tool}");
        }
    }

    #[test]
    fn only_what_is_needed_is_required() {
        let required = |tool| input_schema(tool)["required"].clone();
        assert_eq!(required(ToolName::Dispatch), json!(["vp_id", "objective"]));
        assert_eq!(required(ToolName::List), Value::Null);
        for tool in [ToolName::Get, ToolName::Wait, ToolName::Cancel, ToolName::ReadArtifacts] {
            assert_eq!(required(tool), json!(["mission_id"]), "{tool}");
        }
    }
}
