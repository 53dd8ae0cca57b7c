//! Missions: by lane, status, session and words, a page at a time.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use serde::Deserialize;
use vp_shared::api::{LedgerList, MissionView, PageCursor};
use vp_shared::ids::{MissionId, SessionId, VpId};
use vp_shared::mission::Status;
use vp_shared::text::one_line;

use super::desk::Desk;
use super::refused::{Refused, written};
use super::view::{self, When, quoted};

/// How many missions a page holds.
const PAGE: usize = 30;
/// How many missions a search reads at a time, and at most.
const SEARCH_STEP: u32 = 250;
const SEARCH_MOST: usize = 2_000;

/// The filters, as the form has them; empty is any.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    vp: String,
    status: String,
    session: String,
    q: String,
    after: String,
}

#[derive(Template)]
#[template(path = "list.html")]
struct Page {
    here: &'static str,
    asked: Asked,
    lanes: Vec<(String, String)>,
    statuses: Vec<&'static str>,
    rows: Vec<Row>,
    next: Option<String>,
    /// A search that has not looked through all stopped at this moment.
    searched_to: Option<When>,
}

struct Row {
    vp_name: String,
    objective: String,
    mission: MissionView,
}

impl Row {
    fn at(&self) -> When {
        When(self.mission.created_at)
    }
}

/// What was found.
struct Found {
    missions: Vec<MissionView>,
    next: Option<PageCursor>,
    cut_short: bool,
}

/// A page of missions, newest first.
pub(super) async fn page(
    State(desk): State<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Refused> {
    let wanted = wanted(&asked)?;
    let words: Vec<String> = asked.q.split_whitespace().take(10).map(str::to_lowercase).collect();
    let found = match MissionId::new(asked.q.trim()) {
        Ok(mission_id) if !asked.q.trim().is_empty() => by_id(&desk, &mission_id).await?,
        _ => search(&desk, wanted, &words).await?,
    };
    let searched_to = found.next.as_ref().filter(|_| found.cut_short).map(|next| When(next.created_at));
    let rows = found.missions.into_iter().map(|mission| Row {
        vp_name: desk.lane_name(&mission.vp_id),
        objective: one_line(&mission.objective, 200),
        mission,
    });
    let lanes = desk.lanes.iter().map(|(vp_id, lane)| (vp_id.to_string(), lane.display_name.clone()));
    written(&Page {
        here: "missions",
        lanes: lanes.collect(),
        statuses: Status::ALL.map(Status::name).to_vec(),
        rows: rows.collect(),
        next: found.next.map(|next| asked.link(&next)),
        searched_to,
        asked,
    })
}

impl Asked {
    fn link(&self, next: &PageCursor) -> String {
        let filters =
            [("vp", &self.vp), ("status", &self.status), ("session", &self.session), ("q", &self.q)];
        let mut link = format!("/missions?after={}", quoted(&next.to_string()));
        for (name, value) in filters.into_iter().filter(|(_, value)| !value.is_empty()) {
            link.extend(["&", name, "=", &quoted(value)]);
        }
        link
    }
}

fn wanted(asked: &Asked) -> Result<LedgerList, Refused> {
    let wrong = |error: String| Refused::Wrong(error);
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let status = match asked.status.as_str() {
        "" => Vec::new(),
        "live" => Status::ALL.into_iter().filter(|status| !status.is_terminal()).collect(),
        "ended" => Status::ALL.into_iter().filter(|status| status.is_terminal()).collect(),
        name => vec![Status::from_name(name).ok_or_else(|| wrong(format!("no status `{name}`")))?],
    };
    Ok(LedgerList {
        vp_id: given(&asked.vp).map(VpId::new).transpose().map_err(|error| wrong(error.to_string()))?,
        status,
        session_id: given(&asked.session)
            .map(SessionId::new)
            .transpose()
            .map_err(|error| wrong(error.to_string()))?,
        limit: u32::try_from(PAGE).unwrap_or(u32::MAX),
        after: given(&asked.after)
            .map(|after| after.parse::<PageCursor>())
            .transpose()
            .map_err(|_| wrong("`after` is no place in the list".to_owned()))?,
    })
}

async fn by_id(desk: &Desk, mission_id: &MissionId) -> Result<Found, Refused> {
    let found = desk.ledger().await?.whole(mission_id).await?;
    Ok(Found { missions: found.iter().map(MissionView::from).collect(), next: None, cut_short: false })
}

/// The missions that have all words, of so many that a page never takes long.
async fn search(desk: &Desk, mut wanted: LedgerList, words: &[String]) -> Result<Found, Refused> {
    let ledger = desk.ledger().await?;
    if words.is_empty() {
        let page = ledger.list(&wanted).await?;
        return Ok(Found { missions: page.missions, next: page.next, cut_short: false });
    }
    wanted.limit = SEARCH_STEP;
    let (mut missions, mut read) = (Vec::new(), 0);
    loop {
        let page = ledger.list(&wanted).await?;
        for mission in page.missions {
            read += 1;
            let cursor =
                PageCursor { created_at: mission.created_at, mission_id: mission.mission_id.clone() };
            if has_all(&mission, words) {
                missions.push(mission);
            }
            if missions.len() == PAGE {
                return Ok(Found { missions, next: Some(cursor), cut_short: false });
            }
        }
        match page.next {
            Some(next) if read < SEARCH_MOST => wanted.after = Some(next),
            next => return Ok(Found { missions, cut_short: next.is_some(), next }),
        }
    }
}

fn has_all(mission: &MissionView, words: &[String]) -> bool {
    let text = format!(
        "{}\n{}\n{}\n{}\n{}",
        mission.objective,
        mission.summary,
        mission.mission_id,
        mission.mission_type,
        mission.idempotency_key.as_deref().unwrap_or_default()
    );
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}
