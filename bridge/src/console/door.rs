//! Who comes in, and what every answer carries.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tokio::time::timeout;
use vp_shared::door::{Asked, Refusal};

use super::desk::Desk;
use super::refused::Refused;

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nothing but our own files, in no frame, with forms that lead here.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Lets a request in, or says why not.
pub(super) async fn pass(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let response = match admit(&desk, &request) {
        Ok(()) => match desk.place() {
            Ok(_place) => {
                timeout(PATIENCE, next.run(request)).await.unwrap_or_else(|_| Refused::Busy.into_response())
            }
            Err(busy) => busy.into_response(),
        },
        Err(refused) => *refused,
    };
    guarded(response)
}

fn admit(desk: &Desk, request: &Request) -> Result<(), Box<Response>> {
    let refused = |refusal| Box::new(Refused::Door(refusal).into_response());
    let asked = Asked::of_headers(request.headers()).map_err(refused)?;
    let path = request.uri().path();
    // What a browser says of itself beside `Origin`; others say nothing.
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if writes && site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return Err(refused(Refusal::ForeignOrigin));
    }
    if path == "/login" || path.starts_with("/assets/") {
        return desk.guard.place(&asked).map_err(refused);
    }
    match desk.guard.admit(&asked) {
        Ok(admitted) if admitted.bound => Err(Box::new(Refused::NotForSessions.into_response())),
        Ok(_) => Ok(()),
        Err(Refusal::NoToken | Refusal::WrongToken)
            if !writes && asked.authorization.is_none() && wants_page(request) =>
        {
            Err(Box::new(Redirect::to("/login").into_response()))
        }
        Err(refusal) => {
            let mut response = refused(refusal);
            if response.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Err(response)
        }
    }
}

fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
