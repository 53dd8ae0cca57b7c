//! A session as Simone and her user see it: what it was told, in order, live.

use std::collections::VecDeque;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::Event;
use axum::response::{Html, Response};
use serde::Deserialize;
use vp_shared::api::{LedgerList, MissionView};
use vp_shared::ids::SessionId;
use vp_shared::mission::Status;

use super::desk::Desk;
use super::files::with_previews;
use super::live::{Looks, event, streamed};
use super::refused::{Refused, fragment, written};
use super::view::{self, Kind, Message, Preview, quoted};

/// How many messages a page holds.
const PAGE: u64 = 40;
/// How many of the session's missions are shown as being worked on.
const WORKING: u32 = 8;

#[derive(Deserialize)]
pub(super) struct Asked {
    session: String,
    before: Option<i64>,
    after: Option<i64>,
}

#[derive(Template)]
#[template(path = "feed.html")]
struct Page {
    here: &'static str,
    session: String,
    address: String,
    messages: Vec<Message>,
    earlier: Option<i64>,
    /// This is the newest page, which is kept up to date.
    newest: bool,
    last: i64,
    working: String,
}

#[derive(Template)]
#[template(path = "message.html")]
struct One<'a> {
    m: &'a Message,
}

#[derive(Template)]
#[template(path = "working.html")]
struct Working {
    missions: Vec<(String, MissionView)>,
}

fn session_of(text: &str) -> Result<SessionId, Refused> {
    SessionId::new(text.trim()).map_err(|error| Refused::Wrong(error.to_string()))
}

/// A page of a session's messages, the newest last.
pub(super) async fn page(
    State(desk): State<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Refused> {
    let session_id = session_of(&asked.session)?;
    let mut told = desk.ledger().await?.told_before(&session_id, asked.before, PAGE + 1).await?;
    let more = told.len() as u64 > PAGE;
    told.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    told.reverse();
    let earlier = told.first().map(|first| first.pos).filter(|_| more);
    let last = told.last().map_or(0, |last| last.pos);
    let messages = with_previews(&desk, told.into_iter().map(Message::of).collect()).await?;
    let newest = asked.before.is_none();
    let working = if newest { working(&desk, &session_id).await? } else { String::new() };
    let address = quoted(session_id.as_str());
    let session = session_id.to_string();
    written(&Page { here: "sessions", session, address, messages, earlier, newest, last, working })
}

async fn working(desk: &Desk, session_id: &SessionId) -> Result<String, Refused> {
    let wanted = LedgerList {
        vp_id: None,
        status: Status::ALL.into_iter().filter(|status| !status.is_terminal()).collect(),
        session_id: Some(session_id.clone()),
        limit: WORKING,
        after: None,
    };
    let missions = desk.ledger().await?.list(&wanted).await?.missions;
    let named = missions.into_iter().map(|mission| (desk.lane_name(&mission.vp_id), mission));
    fragment(&Working { missions: named.collect() })
}

/// New messages as they come, each once, and who works for the session.
pub(super) async fn live(
    State(desk): State<Desk>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let session_id = session_of(&asked.session)?;
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let feed = Feed {
        looks: Looks::new(&desk)?,
        desk: desk.clone(),
        session_id,
        last: seen.or(asked.after).unwrap_or(0),
        ready: VecDeque::new(),
        working: String::new(),
    };
    let events = futures_util::stream::unfold(feed, |mut feed| async move {
        loop {
            if let Some(event) = feed.ready.pop_front() {
                return Some((event, feed));
            }
            feed.looks.next().await;
            let looked = tokio::time::timeout(std::time::Duration::from_secs(10), feed.look()).await;
            if !matches!(looked, Ok(Ok(()))) {
                // The ledger is away for a moment; what was not sent is found again.
                tracing::debug!(session_id = %feed.session_id, "a feed could not be looked at");
            }
        }
    });
    Ok(streamed(&desk, events))
}

/// A feed that is kept up to date.
struct Feed {
    looks: Looks,
    desk: Desk,
    session_id: SessionId,
    last: i64,
    ready: VecDeque<Event>,
    working: String,
}

impl Feed {
    async fn look(&mut self) -> Result<(), Refused> {
        let told = self.desk.ledger().await?.told_after(&self.session_id, self.last, PAGE).await?;
        let messages = with_previews(&self.desk, told.into_iter().map(Message::of).collect()).await?;
        for message in &messages {
            let html = fragment(&One { m: message })?;
            self.ready.push_back(event("message", &message.pos.to_string(), &html));
            self.last = message.pos;
        }
        let working = working(&self.desk, &self.session_id).await?;
        if working != self.working {
            self.ready.push_back(event("working", &self.last.to_string(), &working));
            self.working = working;
        }
        Ok(())
    }
}
