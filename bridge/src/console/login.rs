//! A browser gives the token once and has a cookie from then on.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use vp_shared::door::COOKIE;

use super::desk::Desk;
use super::refused::{Refused, written};

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    here: &'static str,
    needed: bool,
    wrong: bool,
}

/// What is given at a login.
#[derive(Deserialize)]
pub(super) struct Given {
    token: String,
}

/// Asks for the token.
pub(super) async fn page(State(desk): State<Desk>) -> Result<Html<String>, Refused> {
    written(&Page { here: "", needed: desk.guard.needs_token(), wrong: false })
}

/// Takes it.
pub(super) async fn login(
    State(desk): State<Desk>,
    headers: HeaderMap,
    Form(given): Form<Given>,
) -> Result<Response, Refused> {
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    match desk.guard.login(given.token.trim(), secure) {
        Some(cookie) => with_cookie(&cookie, "/sessions"),
        None => {
            tracing::warn!("a login to the console with a wrong token");
            let page = written(&Page { here: "", needed: desk.guard.needs_token(), wrong: true })?;
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
    }
}

/// Forgets it.
pub(super) async fn logout() -> Result<Response, Refused> {
    with_cookie(&format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"), "/login")
}

fn with_cookie(cookie: &str, then: &str) -> Result<Response, Refused> {
    let mut response = Redirect::to(then).into_response();
    let cookie = HeaderValue::from_str(cookie).map_err(|error| {
        tracing::error!(%error, "a cookie that is no header");
        Refused::Fault
    })?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}
