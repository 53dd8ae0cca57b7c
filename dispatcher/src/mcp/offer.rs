//! The tools as they are offered: schemas from the types, and what a host may think of a call.

use std::sync::{Arc, LazyLock};

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;
use vp_shared::api::{TOOLS, ToolName};

use crate::schemas::{answer_schema, input_schema};

static OFFERED: LazyLock<Vec<Tool>> = LazyLock::new(|| TOOLS.into_iter().map(tool).collect());

/// The six tools.
pub(super) fn tools() -> &'static [Tool] {
    &OFFERED
}

fn tool(tool: ToolName) -> Tool {
    let (input, output) = (object(input_schema(tool)), object(answer_schema(tool)));
    Tool::new(tool.name(), tool.description(), Arc::new(input))
        .with_title(title(tool))
        .with_raw_output_schema(Arc::new(output))
        .with_annotations(annotations(tool))
}

/// Without the name of the dialect: it is MCP's own, and validators stumble over one that they have not loaded.
fn object(mut schema: Value) -> JsonObject {
    forget_sizes(&mut schema);
    let Value::Object(mut schema) = schema else { return JsonObject::new() };
    schema.remove("$schema");
    schema
}

/// Takes out the formats that only Rust knows, such as `uint64`: hosts warn of each. The bounds say the same.
fn forget_sizes(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                fields.remove("format");
            }
            fields.values_mut().for_each(forget_sizes);
        }
        Value::Array(all) => all.iter_mut().for_each(forget_sizes),
        _ => {}
    }
}

const fn title(tool: ToolName) -> &'static str {
    match tool {
        ToolName::Dispatch => "Delegate a mission",
        ToolName::Get => "Show a mission",
        ToolName::List => "List missions",
        ToolName::Wait => "Wait for a mission",
        ToolName::Cancel => "Cancel a mission",
        ToolName::ReadArtifacts => "Read a mission's artifacts",
    }
}

/// A dispatch adds a mission and, without a key, another one each time. A cancel destroys work, once.
fn annotations(tool: ToolName) -> ToolAnnotations {
    let read_only = !matches!(tool, ToolName::Dispatch | ToolName::Cancel);
    ToolAnnotations::with_title(title(tool))
        .read_only(read_only)
        .destructive(tool == ToolName::Cancel)
        .idempotent(tool != ToolName::Dispatch)
        .open_world(tool == ToolName::Dispatch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_six_tools_are_offered_with_schemas_that_every_host_can_read() {
        assert_eq!(tools().len(), 6);
        for tool in tools() {
            let output = tool.output_schema.as_ref().unwrap();
            for schema in [tool.input_schema.as_ref(), output.as_ref()] {
                assert_eq!(schema["type"], "object", "{}", tool.name);
                assert!(!schema.contains_key("$schema"), "{}", tool.name);
                crate::schemas::sound::check(&Value::Object(schema.clone()));
                let text = Value::Object(schema.clone()).to_string();
                assert!(!text.contains("\"uint"), "{}: {text}", tool.name);
                // Hosts' own types want an object for each field, though `true` is a schema.
                for (name, field) in schema["properties"].as_object().unwrap() {
                    assert!(field.is_object(), "{}: {name}: {field}", tool.name);
                }
            }
        }
    }

    #[test]
    fn only_a_cancel_destroys_and_only_a_dispatch_adds() {
        let hints = |tool: ToolName| {
            let hints = annotations(tool);
            [hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint].map(Option::unwrap)
        };
        assert_eq!(hints(ToolName::Dispatch), [false, false, false]);
        assert_eq!(hints(ToolName::Cancel), [false, true, true]);
        for tool in [ToolName::Get, ToolName::List, ToolName::Wait, ToolName::ReadArtifacts] {
            assert_eq!(hints(tool), [true, false, true], "{tool}");
        }
    }
}
