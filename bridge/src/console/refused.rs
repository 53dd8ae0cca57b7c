//! What could not be shown or done, as a page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use vp_nats::service::RequestError;
use vp_shared::api::{ErrorCode, ToolError};
use vp_shared::door::Refusal;
use vp_shared::error::Chain;

use crate::ledger::LedgerError;

/// Why there is no page.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// Another bridge has the ledger.
    StandingBy,
    /// Too many ask.
    Busy,
    /// The ledger did not answer.
    Ledger(String),
    /// There is no such thing.
    NotFound(String),
    /// The address or the form is wrong.
    Wrong(String),
    /// The form is not one of this console's.
    ForeignForm,
    /// The credential is for a session's own doors.
    NotForSessions,
    /// The door does not let it in.
    Door(Refusal),
    /// The dispatcher says no.
    Tool(ToolError),
    /// The file cannot be given out.
    File(String),
    /// A fault of ours, told in the log.
    Fault,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Page {
    here: &'static str,
    why: Refused,
    status: u16,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::StandingBy | Self::Busy | Self::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::ForeignForm | Self::NotForSessions => StatusCode::FORBIDDEN,
            Self::Door(refusal) => StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::FORBIDDEN),
            Self::Tool(error) => match error.code {
                ErrorCode::NotFound => StatusCode::NOT_FOUND,
                ErrorCode::AlreadyTerminal | ErrorCode::IdempotencyConflict => StatusCode::CONFLICT,
                ErrorCode::BrokerUnavailable | ErrorCode::LedgerUnavailable => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            },
            Self::File(_) => StatusCode::GONE,
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = match (Page { here: "", why: self, status: status.as_u16() }).render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page could not be written");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<LedgerError> for Refused {
    fn from(error: LedgerError) -> Self {
        let text = Chain(&error).to_string();
        tracing::error!(error = text, "a page could not be read from the ledger");
        Self::Ledger(text)
    }
}

impl From<RequestError> for Refused {
    fn from(error: RequestError) -> Self {
        Self::Tool(ToolError::new(ErrorCode::BrokerUnavailable, Chain(&error).to_string()))
    }
}

/// A page, written.
pub(super) fn written<T: Template>(page: &T) -> Result<Html<String>, Refused> {
    fragment(page).map(Html)
}

/// A part of one.
pub(super) fn fragment<T: Template>(part: &T) -> Result<String, Refused> {
    part.render().map_err(|error| {
        tracing::error!(%error, "a page could not be written");
        Refused::Fault
    })
}

/// There is nothing at this address.
pub(super) async fn nowhere() -> Refused {
    Refused::NotFound("page".to_owned())
}
