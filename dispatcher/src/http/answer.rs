//! Answers: the contract's JSON, with the status of their code.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use vp_shared::api::{Answer, ErrorCode, ToolError};

/// A failure and its status.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: ToolError,
}

impl Failure {
    /// With another status than the code's.
    pub(super) fn with_status(status: u16, error: ToolError) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, error }
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        Self::with_status(error.code.http_status(), error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let retry_after = self.error.retry_after_seconds;
        let mut response = json(self.status, Answer::<()>(Err(self.error)).to_json());
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON body.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A tool's answer, as it is; `good` is the status of a success.
pub(super) fn of_tool(answer: Vec<u8>, good: StatusCode) -> Response {
    // Read for the status alone; what is sent is what every other door sends.
    match serde_json::from_slice::<Value>(&answer) {
        Ok(value) if value["ok"] == Value::Bool(true) => json(good, answer),
        Ok(value) => match serde_json::from_value::<ToolError>(value["error"].clone()) {
            Ok(error) => Failure::from(error).into_response(),
            Err(error) => unreadable(&error),
        },
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &serde_json::Error) -> Response {
    Failure::from(crate::failure::internal("an answer could not be read", error)).into_response()
}

pub(super) async fn no_such_path() -> Failure {
    let error = ToolError::new(ErrorCode::NotFound, "there is nothing at this path");
    error.hint("/openapi.json describes all of them").into()
}

pub(super) async fn no_such_method() -> Failure {
    let error = ToolError::new(ErrorCode::ValidationError, "this path does not take this method");
    Failure::with_status(405, error.hint("/openapi.json describes all of them"))
}
