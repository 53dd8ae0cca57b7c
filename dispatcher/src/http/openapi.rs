//! The OpenAPI document of this door, made from the types that read and write it. A copy is in `docs/openapi.json`.

use std::sync::LazyLock;

use axum::response::Response;
use http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use vp_shared::api::{
    CancelMission, Cancelled, DispatchMission, Dispatched, ErrorCode, GetMission, ListMissions,
    MissionDetails, MissionList, ReadResultArtifacts, ResultArtifacts, RouteWords, ToolError, WaitMission,
    Waited,
};
use vp_shared::notice::Notice;
use vp_shared::routing::Route;

use super::answer::json as json_body;
use super::notices::{AckNotices, AckedNotices};

const SCHEMAS: &str = "#/components/schemas/";

static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| document().to_string().into_bytes());

/// `GET /openapi.json`.
pub(super) async fn serve() -> Response {
    json_body(StatusCode::OK, DOCUMENT.clone())
}

/// Types on their way in or out, collected under their names.
struct Types {
    generator: SchemaGenerator,
}

impl Types {
    fn of(settings: SchemaSettings) -> Self {
        let settings = settings.with(|settings| settings.definitions_path = "/components/schemas".into());
        Self { generator: settings.into_generator() }
    }

    fn reference<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    fn definitions(&mut self) -> Map<String, Value> {
        self.generator.take_definitions(true)
    }
}

/// Where an input's fields stand, beside the one that the path holds.
enum Fields {
    None,
    Query,
    Body,
}

/// One path and method.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    input: &'static str,
    fields: Fields,
    good: Value,
}

/// The document.
pub fn document() -> Value {
    let mut outputs = Types::of(SchemaSettings::draft2020_12().for_serialize());
    let operations = operations(&mut outputs);
    let failure = failure(&mut outputs);
    let mut schemas = outputs.definitions();
    let inputs = inputs(&schemas);
    let mut paths = Map::new();
    for operation in &operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = described(operation, &inputs);
    }
    schemas.extend(inputs);
    schemas.insert("Failure".to_owned(), failure);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vp",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Delegate missions to independent VP lanes and be told what came of them. Every answer is \
                an object whose `ok` says whether it is a success; a failure's `error.code` is the contract.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description":
                "`http.token`, or one of `http.credentials`, which is bound to a session. Needed where either is set."}},
            "responses": {"Failure": {"description": status_of_codes(), "content": of_json(&named("Failure"))}},
        },
    })
}

fn operations(outputs: &mut Types) -> Vec<Operation> {
    let stream = json!({"200": {
        "description": "Server-sent events named `notice`: `data` is a notice, `id` its place, for `Last-Event-ID`.",
        "content": {"text/event-stream": {"itemSchema": outputs.reference::<Notice>()}},
    }});
    let file = json!({"200": {"description": "The file.", "content": {"application/octet-stream": {}}}});
    let health = json!({"200": {"description": "nats-server is reached.",
        "content": of_json(&json!({"type": "object", "properties": {"ok": {"const": true}}, "required": ["ok"]}))}});
    let mut dispatched = good::<Dispatched>(outputs, "201", "A new mission.");
    dispatched["200"] = dispatched["201"].clone();
    dispatched["200"]["description"] = json!("The mission of this key, which existed.");
    let operation = |method, path, id, summary, input, fields, good| Operation {
        method,
        path,
        id,
        summary,
        input,
        fields,
        good,
    };
    let missions = "/api/v1/missions";
    vec![
        operation(
            "post",
            missions,
            "dispatchMission",
            "Delegate a mission",
            "DispatchMission",
            Fields::Body,
            dispatched,
        ),
        operation(
            "get",
            missions,
            "listMissions",
            "List missions, newest first",
            "ListMissions",
            Fields::Query,
            good::<MissionList>(outputs, "200", "A page."),
        ),
        operation(
            "get",
            "/api/v1/missions/{mission_id}",
            "getMission",
            "Show a mission",
            "GetMission",
            Fields::None,
            good::<MissionDetails>(outputs, "200", "The mission."),
        ),
        operation(
            "post",
            "/api/v1/missions/{mission_id}/wait",
            "waitMission",
            "Wait until a mission has ended",
            "WaitMission",
            Fields::Body,
            good::<Waited>(outputs, "200", "It has ended, or the time is over."),
        ),
        operation(
            "post",
            "/api/v1/missions/{mission_id}/cancel",
            "cancelMission",
            "Stop a mission",
            "CancelMission",
            Fields::Body,
            good::<Cancelled>(outputs, "200", "It is cancelled, or asked to stop."),
        ),
        operation(
            "get",
            "/api/v1/missions/{mission_id}/artifacts",
            "readArtifacts",
            "Read what a mission left behind",
            "ReadResultArtifacts",
            Fields::Query,
            good::<ResultArtifacts>(outputs, "200", "Primary work products first."),
        ),
        operation(
            "get",
            "/api/v1/missions/{mission_id}/artifacts/{path}",
            "readArtifact",
            "Read one artifact, whole; `path` may hold slashes",
            "",
            Fields::None,
            file,
        ),
        operation(
            "post",
            "/api/v1/route",
            "route",
            "Say what the user's own words ask for",
            "RouteWords",
            Fields::Body,
            good::<Route>(outputs, "200", "The decision and its reasons."),
        ),
        operation(
            "get",
            "/api/v1/sessions/{session}/notices",
            "followNotices",
            "Follow what a session is told",
            "",
            Fields::None,
            stream,
        ),
        operation(
            "post",
            "/api/v1/sessions/{session}/notices/ack",
            "ackNotices",
            "Mark notices as shown",
            "AckNotices",
            Fields::Body,
            good::<AckedNotices>(outputs, "200", "They are marked."),
        ),
        operation("get", "/healthz", "health", "Whether the broker is reached", "", Fields::None, health),
    ]
}

/// The inputs' schemas. A type that reads otherwise than it writes gets a name of its own.
fn inputs(outputs: &Map<String, Value>) -> Map<String, Value> {
    let mut types = Types::of(SchemaSettings::draft2020_12().for_deserialize());
    types.reference::<DispatchMission>();
    types.reference::<GetMission>();
    types.reference::<ListMissions>();
    types.reference::<WaitMission>();
    types.reference::<CancelMission>();
    types.reference::<ReadResultArtifacts>();
    types.reference::<RouteWords>();
    types.reference::<AckNotices>();
    let found = types.definitions();
    let differs = |name: &String| outputs.get(name).is_some_and(|output| *output != found[name]);
    let renamed: Vec<String> = found.keys().filter(|name| differs(name)).cloned().collect();
    let mut inputs = Map::new();
    for (name, mut schema) in found {
        for old in &renamed {
            rename(&mut schema, old);
        }
        let name = if renamed.contains(&name) { format!("{name}Input") } else { name };
        inputs.insert(name, schema);
    }
    inputs
}

fn rename(schema: &mut Value, old: &str) {
    match schema {
        Value::Object(fields) => {
            if fields.get("$ref").and_then(Value::as_str) == Some(&format!("{SCHEMAS}{old}")) {
                fields.insert("$ref".to_owned(), format!("{SCHEMAS}{old}Input").into());
            }
            fields.values_mut().for_each(|field| rename(field, old));
        }
        Value::Array(all) => all.iter_mut().for_each(|one| rename(one, old)),
        _ => {}
    }
}

fn described(operation: &Operation, inputs: &Map<String, Value>) -> Value {
    let mut responses = operation.good.clone();
    responses["default"] = json!({"$ref": "#/components/responses/Failure"});
    let mut parameters: Vec<Value> =
        in_path(operation.path).map(|name| path_parameter(name, inputs)).collect();
    let input = inputs.get(operation.input);
    if let (Fields::Query, Some(input)) = (&operation.fields, input) {
        parameters.extend(query_parameters(input, operation.path));
    }
    parameters.push(json!({"name": "Vp-Session", "in": "header", "required": false,
        "description": "As which session to act, where no credential says it.", "schema": {"type": "string"}}));
    if operation.id == "followNotices" {
        parameters.push(json!({"name": "Last-Event-ID", "in": "header", "required": false,
            "description": "Go on behind this event; without it, with what is not acknowledged.",
            "schema": {"type": "string", "pattern": "^[0-9]+$"}}));
    }
    let mut described = json!({
        "operationId": operation.id, "summary": operation.summary, "parameters": parameters, "responses": responses,
    });
    if let (Fields::Body, Some(input)) = (&operation.fields, input) {
        described["requestBody"] = body(input, operation);
    }
    described
}

fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str, inputs: &Map<String, Value>) -> Value {
    // The one field of this input, and of every input that names a mission.
    let of_mission = inputs.get("GetMission").and_then(|input| input["properties"].get(name));
    let schema = of_mission.cloned().unwrap_or_else(|| json!({"type": "string"}));
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn query_parameters(input: &Value, path: &str) -> Vec<Value> {
    let held: Vec<&str> = in_path(path).collect();
    let fields = input["properties"].as_object().into_iter().flatten();
    let beside = fields.filter(|(name, _)| !held.contains(&name.as_str()));
    beside
        .map(|(name, schema)| json!({"name": name, "in": "query", "required": false, "schema": schema}))
        .collect()
}

/// The input without what the path holds.
fn body(input: &Value, operation: &Operation) -> Value {
    let held: Vec<&str> =
        in_path(operation.path).filter(|name| input["properties"].get(name).is_some()).collect();
    if held.is_empty() {
        return json!({"required": true, "content": of_json(&named(operation.input))});
    }
    let mut input = input.clone();
    for name in held {
        if let Some(fields) = input["properties"].as_object_mut() {
            fields.remove(name);
        }
        if let Some(required) = input["required"].as_array_mut() {
            required.retain(|field| field != name);
        }
    }
    json!({"required": false, "content": of_json(&input)})
}

fn good<T: JsonSchema>(outputs: &mut Types, status: &str, description: &str) -> Value {
    let ok = json!({"type": "object", "properties": {"ok": {"const": true}}, "required": ["ok"]});
    let schema = json!({"allOf": [ok, outputs.reference::<T>()]});
    json!({status: {"description": description, "content": of_json(&schema)}})
}

fn failure(outputs: &mut Types) -> Value {
    json!({
        "type": "object",
        "description": "Why it was not done.",
        "properties": {"ok": {"const": false}, "error": outputs.reference::<ToolError>()},
        "required": ["ok", "error"],
    })
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("{SCHEMAS}{name}")})
}

fn of_json(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn status_of_codes() -> String {
    let codes = ErrorCode::ALL.map(|code| format!("{} {code}", code.http_status()));
    format!("A failure. The status follows the code: {}; and 401 where a token is needed.", codes.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_copy_in_the_documentation_is_this_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let text = format!("{:#}\n", document());
        if std::env::var_os("VP_TEST_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let copy = std::fs::read_to_string(path).unwrap();
        assert!(
            copy == text,
            "docs/openapi.json is not what the types say: run this test with VP_TEST_BLESS=1"
        );
    }

    #[test]
    fn every_schema_is_sound() {
        let seen = crate::schemas::sound::check(&document());
        assert!(seen > 40, "{seen}");
    }
}
