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

/// What every schema that is served must be, whoever serves it.
#[cfg(test)]
pub(crate) mod sound {
    use serde_json::Value;

    const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
    /// Their values are no schemas, and hold none.
    const OTHER: [&str; 6] = ["default", "const", "enum", "example", "examples", "securitySchemes"];

    /// Panics where a reference leads nowhere, a type is none, or a keyword has no value; how many references there are.
    pub(crate) fn check(document: &Value) -> usize {
        let mut seen = 0;
        walk(document, document, &mut seen);
        seen
    }

    fn walk(value: &Value, document: &Value, seen: &mut usize) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields.iter().filter(|(name, _)| !OTHER.contains(&name.as_str())) {
                    match (name.as_str(), field) {
                        ("$ref", to) => {
                            let to = to.as_str().unwrap_or_else(|| panic!("a reference: {to}"));
                            let found = to.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
                            assert!(found.is_some(), "{to} leads nowhere");
                            *seen += 1;
                        }
                        ("type", Value::String(of)) => assert!(TYPES.contains(&of.as_str()), "a type: {of}"),
                        (_, Value::Null) => panic!("`{name}` has no value: {value}"),
                        (_, field) => walk(field, document, seen),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|one| walk(one, document, seen)),
            _ => {}
        }
    }

    #[test]
    fn what_is_not_sound_is_found() {
        use serde_json::json;
        for bad in [
            json!({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"B": {}}}),
            json!({"$ref": "A"}),
            json!({"items": [{"type": "text"}]}),
            json!({"anyOf": [], "type": null}),
        ] {
            assert!(std::panic::catch_unwind(|| check(&bad)).is_err(), "{bad}");
        }
        let good =
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": ["string", "null"], "default": null}}});
        assert_eq!(check(&good), 1);
    }
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
    fn every_schema_is_sound() {
        let of_tool = |tool| [input_schema(tool), output_schema(tool), answer_schema(tool)];
        let beside = [route_schemas(), lane_mode_schemas()];
        let beside = beside.into_iter().flat_map(|(question, answer)| [question, answer]);
        let schemas = TOOLS.into_iter().flat_map(of_tool).chain(beside);
        let seen: usize = schemas.map(|schema| sound::check(&schema)).sum();
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn a_priority_is_a_tier_or_an_integer() {
        let schema = input_schema(ToolName::Dispatch);
        let any = json!([{"$ref": "#/$defs/Tier"}, {"type": "integer"}]);
        assert_eq!(schema["$defs"]["Priority"]["anyOf"], any);
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
