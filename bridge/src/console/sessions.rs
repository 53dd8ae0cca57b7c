//! Who has delegated lately.

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::desk::Desk;
use super::refused::{Refused, written};
use super::view::{When, quoted};
use crate::ledger::SessionSeen;

/// Among how many of the newest missions sessions are looked for.
const MISSIONS: u64 = 2_000;
/// How many are listed.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "sessions.html")]
struct Page {
    here: &'static str,
    sessions: Vec<SessionSeen>,
    more: usize,
    looked_through: u64,
}

/// The sessions, the one that delegated last first.
pub(super) async fn page(State(desk): State<Desk>) -> Result<Html<String>, Refused> {
    let mut sessions = desk.ledger().await?.sessions(MISSIONS).await?;
    let more = sessions.len().saturating_sub(SHOWN);
    sessions.truncate(SHOWN);
    written(&Page { here: "sessions", sessions, more, looked_through: MISSIONS })
}

impl SessionSeen {
    fn link(&self) -> String {
        format!("/feed?session={}#latest", quoted(self.session_id.as_str()))
    }

    fn at(&self) -> When {
        When(self.last_at)
    }
}
