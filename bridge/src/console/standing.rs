//! How the ledger stands: behind the log or not, what was odd, what is not delivered, what is repaired and deleted.

use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, Response};
use serde::Deserialize;
use vp_nats::bridges::{BRIDGES_PATIENCE, ask_bridges_within};
use vp_shared::api::{BridgeReport, LedgerStatus};
use vp_shared::error::Chain;

use super::desk::Desk;
use super::live::{self, mark};
use super::refused::{Refused, fragment, written};
use super::view;
use crate::service;

/// How long a page that is opened waits for bridges; they answer within milliseconds. What is slow comes by the live part.
const BRIEFLY: Duration = Duration::from_millis(200);

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
    let part = part(desk, BRIEFLY).await?;
    written(&Page { here: "ledger", seen: mark(&part), part })
}

/// The same, as it changes.
pub(super) async fn live(State(desk): State<Desk>, Query(asked): Query<Asked>) -> Result<Response, Refused> {
    live::part(&desk, asked.seen, |desk| part(desk, BRIDGES_PATIENCE))
}

async fn part(desk: Desk, patience: Duration) -> Result<String, Refused> {
    let now = desk.status().borrow().clone();
    let standing = async {
        let ledger = desk.ledger().await?;
        service::standing(&desk.conn, &ledger, &now).await.map_err(Refused::Tool)
    };
    let (status, bridges) = tokio::join!(standing, ask_bridges_within(&desk.conn, patience));
    let status = status?;
    let trouble = [now.projector_error, now.sender_error].into_iter().flatten().collect();
    let mut bridges = bridges.unwrap_or_else(|error| {
        tracing::debug!(error = %Chain(&error), "the bridges could not be asked");
        Vec::new()
    });
    bridges.sort_by(|a, b| (&a.host, a.pid).cmp(&(&b.host, b.pid)));
    fragment(&Part { status, trouble, bridges })
}
