//! The tools as resources. Paths, queries and bodies become the tool's input as written, so that every rule of the
//! contract is checked in one place.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use vp_shared::api::{Answer, ErrorCode, ToolError, ToolName};
use vp_shared::door::Admitted;
use vp_shared::ids::MissionId;

use super::Shared;
use super::answer::{Failure, json as json_body, of_tool};
use crate::config::Caller;

type Body = Result<Bytes, BytesRejection>;
type Answered = Result<Response, Failure>;

/// `POST /missions`: 201 for a new mission, 200 for one that existed.
pub(super) async fn dispatch(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    body: Body,
) -> Answered {
    let answer = call(&shared, ToolName::Dispatch, &read(body)?, &admitted).await?;
    let known: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let status = if known["duplicate"] == false { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = of_tool(answer, status);
    let place =
        known["mission_id"].as_str().map(|id| HeaderValue::from_str(&format!("/api/v1/missions/{id}")));
    if let Some(Ok(place)) = place {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// `GET /missions`: `status` may be given again.
pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    RawQuery(query): RawQuery,
) -> Answered {
    let input = of_query(query.as_deref(), &["limit"], Map::new())?;
    Ok(of_tool(call(&shared, ToolName::List, &input, &admitted).await?, StatusCode::OK))
}

/// `GET /missions/{mission_id}`.
pub(super) async fn get(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Path(mission_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let input = of_query(query.as_deref(), &[], of_path(mission_id))?;
    Ok(of_tool(call(&shared, ToolName::Get, &input, &admitted).await?, StatusCode::OK))
}

/// `POST /missions/{mission_id}/wait`.
pub(super) async fn wait(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Path(mission_id): Path<String>,
    body: Body,
) -> Answered {
    let input = of_body(body, mission_id)?;
    let _permit =
        shared.waits.try_acquire().map_err(|_| crowded("too many calls wait for missions at this door"))?;
    let called = call(&shared, ToolName::Wait, &input, &admitted);
    tokio::select! {
        answer = called => Ok(of_tool(answer?, StatusCode::OK)),
        () = shared.stop.cancelled() => Err(closing()),
    }
}

/// `POST /missions/{mission_id}/cancel`.
pub(super) async fn cancel(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Path(mission_id): Path<String>,
    body: Body,
) -> Answered {
    let input = of_body(body, mission_id)?;
    Ok(of_tool(call(&shared, ToolName::Cancel, &input, &admitted).await?, StatusCode::OK))
}

/// `GET /missions/{mission_id}/artifacts`.
pub(super) async fn artifacts(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Path(mission_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let input = of_query(query.as_deref(), &["max_files", "max_bytes"], of_path(mission_id))?;
    Ok(of_tool(call(&shared, ToolName::ReadArtifacts, &input, &admitted).await?, StatusCode::OK))
}

/// `GET /missions/{mission_id}/artifacts/{path}`: the file itself, always as a download, never as a page.
pub(super) async fn artifact(
    State(shared): State<Shared>,
    Path((mission_id, path)): Path<(String, String)>,
) -> Answered {
    let mission_id = MissionId::new(mission_id).map_err(|error| ToolError::field("mission_id", error))?;
    let artifact = shared.tools.get().await?.read_artifact(&mission_id, &path).await?;
    let mut response = artifact.content.into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_str(&artifact.media_type);
    headers.insert(CONTENT_TYPE, media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.remove(ETAG);
    Ok(response)
}

/// `POST /route`: what the user's own words ask for.
pub(super) async fn route(State(shared): State<Shared>, body: Body) -> Answered {
    let route = shared.tools.get().await?.route(&read(body)?)?;
    Ok(json_body(StatusCode::OK, Answer(Ok(route)).to_json()))
}

/// `GET /healthz`: 200 when the broker is reached.
pub(super) async fn health(State(shared): State<Shared>) -> Answered {
    let connected = shared.tools.get().await?.connection().state().borrow().connected;
    if connected {
        return Ok(json_body(StatusCode::OK, json!({"ok": true}).to_string().into_bytes()));
    }
    Err(ToolError::new(ErrorCode::BrokerUnavailable, "the connection to nats-server is down").into())
}

async fn call(
    shared: &Shared,
    tool: ToolName,
    input: &[u8],
    admitted: &Admitted,
) -> Result<Vec<u8>, Failure> {
    let caller = match &admitted.session_id {
        Some(session_id) => Caller::session(session_id.clone()),
        None => Caller::actor("http"),
    };
    Ok(shared.tools.get().await?.call(tool, input, &caller).await)
}

pub(super) fn read(body: Body) -> Result<Bytes, Failure> {
    body.map_err(|rejection| {
        let error =
            ToolError::new(ErrorCode::ValidationError, format!("the body: {}", rejection.body_text()));
        Failure::with_status(rejection.status().as_u16(), error)
    })
}

fn of_path(mission_id: String) -> Map<String, Value> {
    Map::from_iter([("mission_id".to_owned(), Value::String(mission_id))])
}

/// The body's fields beside the path's; no body is no field.
fn of_body(body: Body, mission_id: String) -> Result<Vec<u8>, Failure> {
    let body = read(body)?;
    let mut input = of_path(mission_id);
    if !body.trim_ascii().is_empty() {
        let fields: Map<String, Value> = serde_json::from_slice(&body).map_err(|error| {
            ToolError::new(ErrorCode::ValidationError, format!("the body is no JSON object: {error}"))
        })?;
        if fields.contains_key("mission_id") {
            return Err(ToolError::field("mission_id", "is in the path, leave it out of the body").into());
        }
        input.extend(fields);
    }
    Ok(Value::Object(input).to_string().into_bytes())
}

/// The query's fields beside the path's. A field that is given again is a list, `whole` ones are numbers if they are.
fn of_query(query: Option<&str>, whole: &[&str], mut input: Map<String, Value>) -> Result<Vec<u8>, Failure> {
    let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(
        &format!("/?{}", query.unwrap_or_default())
            .parse()
            .map_err(|_| ToolError::new(ErrorCode::ValidationError, "the query cannot be read"))?,
    )
    .map_err(|error| {
        ToolError::new(ErrorCode::ValidationError, format!("the query cannot be read: {error}"))
    })?
    .0;
    for (name, text) in pairs {
        if name == "mission_id" && input.contains_key("mission_id") {
            return Err(ToolError::field("mission_id", "is in the path, leave it out of the query").into());
        }
        let number = whole.contains(&name.as_str()).then(|| text.parse::<u64>().ok()).flatten();
        let value = number.map_or(Value::String(text), Value::from);
        match input.get_mut(&name) {
            None => drop(input.insert(name, value)),
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(Value::Object(input).to_string().into_bytes())
}

/// Too many stand already.
pub(super) fn crowded(what: &str) -> Failure {
    let mut error = ToolError::new(ErrorCode::BrokerUnavailable, what).hint("call again");
    error.retry_after_seconds = Some(5);
    error.into()
}

/// The door closes.
pub(super) fn closing() -> Failure {
    ToolError::new(ErrorCode::BrokerUnavailable, "this dispatcher is stopping").hint("call again").into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn query(text: &str) -> Value {
        serde_json::from_slice(&of_query(Some(text), &["limit"], Map::new()).unwrap()).unwrap()
    }

    #[test]
    fn a_query_becomes_the_tool_s_input_as_written() {
        assert_eq!(query(""), json!({}));
        assert_eq!(query("limit=5&vp_id=vp.a.b"), json!({"limit": 5, "vp_id": "vp.a.b"}));
        assert_eq!(query("limit=five"), json!({"limit": "five"}));
        assert_eq!(query("status=failed&status=running"), json!({"status": ["failed", "running"]}));
        assert_eq!(query("cursor=a%2Bb+c"), json!({"cursor": "a+b c"}));
    }
}
