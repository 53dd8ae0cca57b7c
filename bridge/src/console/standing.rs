//! How the ledger stands: behind the log or not, what was odd, what is not delivered, what is repaired and deleted.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, Response};
use serde::Deserialize;
use vp_nats::bridges::ask_bridges;
use vp_shared::api::{BridgeReport, LedgerStatus};
use vp_shared::error::Chain;

use super::desk::Desk;
use super::live::{self, mark};
use super::refused::{Refused, fragment, written};
use super::view;
use crate::service;

#[derive(Deserialize)]
pub(super) struct Asked {
    seen: Option<String>,
}

#[derive(Template)]
#[template(path = "ledger.html")]
struct Page {
    here: &'static str,
    part: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "ledger_part.html")]
struct Part {
    status: LedgerStatus,
    trouble: Vec<String>,
    bridges: Vec<BridgeReport>,
}

/// The page.
pub(super) async fn page(State(desk): State<Desk>) -> Result<Html<String>, Refused> {
    let part = part(desk).await?;
    written(&Page { here: "ledger", seen: mark(&part), part })
}

/// The same, as it changes.
pub(super) async fn live(State(desk): State<Desk>, Query(asked): Query<Asked>) -> Result<Response, Refused> {
    live::part(&desk, asked.seen, part)
}

async fn part(desk: Desk) -> Result<String, Refused> {
    let now = desk.status().borrow().clone();
    let ledger = desk.ledger().await?;
    let status = service::standing(&desk.conn, &ledger, &now).await.map_err(Refused::Tool)?;
    let trouble = [now.projector_error, now.sender_error].into_iter().flatten().collect();
    drop(ledger);
    let mut bridges = ask_bridges(&desk.conn).await.unwrap_or_else(|error| {
        tracing::debug!(error = %Chain(&error), "the bridges could not be asked");
        Vec::new()
    });
    bridges.sort_by(|a, b| (&a.host, a.pid).cmp(&(&b.host, b.pid)));
    fragment(&Part { status, trouble, bridges })
}
