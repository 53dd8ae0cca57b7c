//! The guard before every request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use vp_shared::api::{ErrorCode, ToolError};
use vp_shared::door::{Admitted, Asked, Guard};

use super::answer::Failure;

/// Lets a request in, with an [`Admitted`] that says for whom; or answers why not.
pub(super) async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let admitted = Asked::of_headers(request.headers()).and_then(|asked| guard.admit(&asked));
    let mut response = match admitted {
        Ok(admitted) => {
            request.extensions_mut().insert(admitted);
            next.run(request).await
        }
        Err(refusal) => {
            tracing::debug!(%refusal, path = request.uri().path(), "request refused");
            let mut response = Failure::with_status(refusal.status(), refusal.as_error()).into_response();
            if refusal.status() == 401 {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses whom no session is known of: what they delegate would be told to nobody.
pub(super) async fn needs_session(request: Request, next: Next) -> Response {
    let known = request.extensions().get::<Admitted>().is_some_and(|admitted| admitted.session_id.is_some());
    if known {
        return next.run(request).await;
    }
    let error = ToolError::new(
        ErrorCode::Forbidden,
        "no session is known, so nobody could be told how a mission ends",
    )
    .hint(
        "use one of `http.credentials`, set `session` in the configuration, or send the header `Vp-Session`",
    );
    Failure::from(error).into_response()
}
