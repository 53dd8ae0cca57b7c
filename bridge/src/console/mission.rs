//! One mission: what it asks for, how it went, why it waits, what it left behind.

use std::collections::VecDeque;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::sse::Event;
use axum::response::{Html, Response};
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};
use vp_nats::reader::{Reader, Start};
use vp_nats::service::request;
use vp_nats::subject;
use vp_nats::topology::PROGRESS;
use vp_shared::api::{Answer, AttemptView, GetMission, LedgerMission, MissionDetails, MissionView, ToolName};
use vp_shared::ids::{MissionId, VpId};

use super::desk::Desk;
use super::files::previewed;
use super::live::{Looks, event, mark, streamed};
use super::log::{self, LogWatch};
use super::refused::{Refused, fragment, written};
use super::view::{self, Outputs, Preview, Step, When, quoted, span};

/// How many lines of progress are shown.
const TAIL: usize = 60;
/// How long a page waits for what it can do without.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a mission may take from the log into the ledger before a page says that there is none.
const NEWBORN: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
pub(super) struct Asked {
    said: Option<String>,
    seen: Option<String>,
}

#[derive(Template)]
#[template(path = "mission.html")]
struct Page {
    here: &'static str,
    mission_id: String,
    objective: String,
    part: String,
    seen: String,
    said: &'static str,
    tail: Vec<String>,
    log: String,
    live: bool,
}

#[derive(Template)]
#[template(path = "mission_part.html")]
struct Part {
    mission: MissionView,
    vp_name: String,
    session_link: Option<String>,
    attempts: Vec<AttemptView>,
    steps: Vec<Step>,
    events_total: u64,
    waiting: Option<String>,
    outputs: Option<Outputs>,
    terms: Option<String>,
}

impl Part {
    fn took(&self) -> Option<String> {
        Some(span(self.mission.finished_at?.since(self.mission.created_at)))
    }

    fn ran(attempt: &AttemptView) -> Option<String> {
        Some(span(attempt.ended_at?.since(attempt.started_at)))
    }
}

/// The page of a mission.
pub(super) async fn page(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Refused> {
    let id = mission_of(&mission_id)?;
    let found = found(&desk, &id).await?;
    let (live, vp_id) = (!found.mission.status.is_terminal(), found.mission.vp_id.clone());
    let objective = vp_shared::text::one_line(&found.mission.objective, 160);
    let log = log::of(&desk, found.clone());
    let progress = async {
        match tail(&desk, &vp_id, &id).await {
            Some(mut tail) => tail.lines(Duration::ZERO).await,
            None => VecDeque::new(),
        }
    };
    let (tail, log, part) = tokio::join!(progress, log, part(&desk, found));
    let (log, part) = (log?, part?);
    written(&Page {
        here: "missions",
        mission_id,
        objective,
        seen: mark(&part),
        part,
        said: match asked.said.as_deref() {
            Some("cancelled") => "cancelled",
            Some("cancel_requested") => "cancel_requested",
            Some("dispatched") => "dispatched",
            _ => "",
        },
        tail: tail.into_iter().collect(),
        log,
        live,
    })
}

pub(super) fn mission_of(text: &str) -> Result<MissionId, Refused> {
    MissionId::new(text).map_err(|_| Refused::NotFound("mission".to_owned()))
}

/// The mission. One that was delegated a moment ago may not be in the ledger yet, so it is waited for a little.
async fn found(desk: &Desk, mission_id: &MissionId) -> Result<LedgerMission, Refused> {
    let deadline = Instant::now() + NEWBORN;
    let mut status = desk.status();
    loop {
        status.mark_unchanged();
        if let Some(found) = desk.ledger().await?.mission(mission_id).await? {
            return Ok(found);
        }
        match timeout_at(deadline, status.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(Refused::NotFound("mission".to_owned())),
        }
    }
}

/// What changes in a mission's page.
async fn part(desk: &Desk, found: LedgerMission) -> Result<String, Refused> {
    let LedgerMission { mission, attempts, events, events_total } = found;
    let outputs = match mission.result.clone() {
        Some(result) => Some(previewed(desk, Outputs::of(&mission.mission_id, &result), result).await?),
        None => None,
    };
    let waiting = if mission.status.is_terminal() { None } else { waiting(desk, &mission.mission_id).await };
    let session = mission.source.session_id.as_ref();
    fragment(&Part {
        vp_name: desk.lane_name(&mission.vp_id),
        session_link: session.map(|id| format!("/feed?session={}", quoted(id.as_str()))),
        steps: events.iter().map(Step::of).collect(),
        terms: (!mission.constraints.is_empty())
            .then(|| serde_json::to_string_pretty(&mission.constraints).unwrap_or_default()),
        attempts,
        events_total,
        waiting,
        outputs,
        mission,
    })
}

/// Why it waits, in the dispatcher's words; a page does without when there is none.
async fn waiting(desk: &Desk, mission_id: &MissionId) -> Option<String> {
    let body = serde_json::to_vec(&GetMission { mission_id: mission_id.clone() }).ok()?;
    let asked = request(&desk.conn, &subject::tool(ToolName::Get), body.into(), None, PATIENCE).await;
    match asked.map(|answer| Answer::<MissionDetails>::from_json(&answer)) {
        Ok(Ok(Answer(Ok(details)))) => details.waiting_because,
        other => {
            tracing::debug!(%mission_id, answer = ?other.is_ok(), "nobody says why a mission waits");
            None
        }
    }
}

/// The last lines of a mission's progress, as they come.
struct Tail {
    reader: Reader,
    lines: VecDeque<String>,
}

async fn tail(desk: &Desk, vp_id: &VpId, mission_id: &MissionId) -> Option<Tail> {
    let filters = [subject::progress(vp_id, mission_id)];
    let opened = timeout(PATIENCE, Reader::open(&desk.conn, PROGRESS, &filters, Start::After(0))).await;
    match opened {
        Ok(Ok(reader)) => Some(Tail { reader, lines: VecDeque::new() }),
        other => {
            tracing::debug!(%mission_id, late = other.is_err(), "a mission's progress could not be read");
            None
        }
    }
}

impl Tail {
    /// What is there, waiting so long for the first of what is new.
    async fn lines(&mut self, wait: Duration) -> VecDeque<String> {
        self.look(wait.max(Duration::from_millis(150))).await;
        self.lines.clone()
    }

    /// True when there was something new.
    async fn look(&mut self, wait: Duration) -> bool {
        let Ok(records) = self.reader.next_batch(200, wait).await else { return false };
        let any = !records.is_empty();
        for record in records {
            let time = When(record.stored_at).to_string();
            let time = time.get(11..19).unwrap_or_default();
            let text = String::from_utf8_lossy(&record.payload);
            self.lines
                .push_back(format!("{time}  {}", vp_shared::text::cut(text.trim_end().to_owned(), 2_000)));
        }
        while self.lines.len() > TAIL {
            self.lines.pop_front();
        }
        any
    }
}

#[derive(Template)]
#[template(path = "tail.html")]
struct TailPart<'a> {
    tail: &'a [String],
}

/// The page's changing part, and its progress, as they change.
pub(super) async fn live(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Refused> {
    let id = mission_of(&mission_id)?;
    let vp_id = found(&desk, &id).await?.mission.vp_id;
    let tail = tail(&desk, &vp_id, &id).await;
    let watched = Watched {
        looks: Looks::new(&desk)?,
        desk: desk.clone(),
        id,
        seen: asked.seen.unwrap_or_default(),
        tail,
        log: LogWatch::default(),
        ready: VecDeque::new(),
    };
    let events = futures_util::stream::unfold(watched, |mut watched| async move {
        loop {
            if let Some(event) = watched.ready.pop_front() {
                return Some((event, watched));
            }
            watched.wait().await;
        }
    });
    Ok(streamed(&desk, events))
}

/// A mission that is kept up to date.
struct Watched {
    looks: Looks,
    desk: Desk,
    id: MissionId,
    seen: String,
    tail: Option<Tail>,
    log: LogWatch,
    ready: VecDeque<Event>,
}

/// What has come.
enum Came {
    Look,
    Progress(bool),
    Log(Result<String, Refused>),
}

impl Watched {
    async fn wait(&mut self) {
        let came = tokio::select! {
            () = self.looks.next() => Came::Look,
            any = progress(&mut self.tail) => Came::Progress(any),
            html = self.log.answered() => Came::Log(html),
        };
        match came {
            Came::Progress(true) => self.progressed(),
            Came::Log(html) => self.logged(html),
            Came::Progress(false) | Came::Look => self.look().await,
        }
    }

    fn progressed(&mut self) {
        let lines: Vec<String> = self.tail.iter().flat_map(|tail| tail.lines.iter().cloned()).collect();
        match fragment(&TailPart { tail: &lines }) {
            Ok(html) => self.ready.push_back(event("tail", &self.seen, &html)),
            Err(refused) => tracing::debug!(?refused, "progress not shown"),
        }
    }

    fn logged(&mut self, html: Result<String, Refused>) {
        match html {
            Ok(html) if self.log.is_news(&html) => {
                self.ready.push_back(event("log", &self.seen, &html));
            }
            Ok(_) => {}
            Err(refused) => tracing::debug!(?refused, "a log not shown"),
        }
    }

    async fn look(&mut self) {
        let rendering = async {
            let found = found(&self.desk, &self.id).await?;
            Ok::<_, Refused>((part(&self.desk, found.clone()).await?, found))
        };
        let Ok(Ok((html, found))) = timeout(Duration::from_secs(10), rendering).await else { return };
        self.log.ask_if_due(&self.desk, found);
        let now = mark(&html);
        if now != self.seen {
            self.ready.push_back(event("part", &now, &html));
            self.seen = now;
        }
    }
}

/// True when there was something new.
async fn progress(tail: &mut Option<Tail>) -> bool {
    match tail {
        Some(tail) => tail.look(Duration::from_secs(30)).await,
        None => std::future::pending().await,
    }
}
