//! The lanes: who serves them, what waits, since when.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, Response};
use futures_util::StreamExt as _;
use serde::Deserialize;
use vp_nats::lane_modes;
use vp_nats::presence;
use vp_nats::topology::{QueueState, lane_state};
use vp_shared::api::{LanePresence, Presence};
use vp_shared::error::Chain;
use vp_shared::ids::VpId;
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

use super::desk::Desk;
use super::lane_mode::ModeShown;
use super::live::{self, mark};
use super::refused::{Refused, fragment, written};
use super::view::{self, When};

/// How many lanes are asked about at a time.
const AT_ONCE: usize = 4;

#[derive(Deserialize)]
pub(super) struct Asked {
    said: Option<String>,
    seen: Option<String>,
}

#[derive(Template)]
#[template(path = "lanes.html")]
struct Page {
    here: &'static str,
    part: String,
    seen: String,
    said: &'static str,
}

#[derive(Template)]
#[template(path = "lanes_part.html")]
struct Part {
    lanes: Vec<Lane>,
    /// Why nobody knows who is alive.
    workers_unknown: Option<String>,
}

struct Lane {
    vp_id: VpId,
    name: String,
    aliases: String,
    slots: u32,
    busy: u32,
    workers: Vec<Worker>,
    queues: Vec<(Tier, QueueState)>,
    queue_trouble: Option<String>,
    oldest: Option<UtcTime>,
    mode: ModeShown,
}

struct Worker {
    presence: Presence,
    lane: LanePresence,
}

impl Lane {
    fn waiting(&self) -> u64 {
        self.queues.iter().map(|(_, queue)| queue.waiting).sum()
    }

    fn in_hand(&self) -> u64 {
        self.queues.iter().map(|(_, queue)| queue.in_hand).sum()
    }

    /// How full it is, for a bar that is drawn by classes: 0 to 10.
    fn tenths(&self) -> u32 {
        (self.busy * 10).checked_div(self.slots).unwrap_or(0).min(10)
    }

    fn since(&self) -> Option<When> {
        self.oldest.map(When)
    }
}

/// All lanes.
pub(super) async fn page(
    State(desk): State<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Refused> {
    let part = part(desk).await?;
    let said = match asked.said.as_deref() {
        Some("paused") => "paused",
        Some("draining") => "draining",
        Some("open") => "open",
        _ => "",
    };
    written(&Page { here: "lanes", seen: mark(&part), part, said })
}

/// The same, as it changes.
pub(super) async fn live(State(desk): State<Desk>, Query(asked): Query<Asked>) -> Result<Response, Refused> {
    live::part(&desk, asked.seen, part)
}

async fn part(desk: Desk) -> Result<String, Refused> {
    let (alive, workers_unknown) = match presence::list(&desk.conn).await {
        Ok(alive) => (alive, None),
        Err(error) => (Vec::new(), Some(Chain(&error).to_string())),
    };
    let ledger = desk.ledger().await?;
    let mut lanes = Vec::new();
    let asked: Vec<_> = desk
        .lanes
        .keys()
        .map(async |vp_id| tokio::join!(lane_state(&desk.conn, vp_id), lane_modes::lookup(&desk.conn, vp_id)))
        .collect();
    let states: Vec<_> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
    for ((vp_id, profile), (state, mode)) in desk.lanes.iter().zip(states) {
        let workers = workers(&alive, vp_id);
        let (queues, queue_trouble) = match state {
            Ok(queues) => {
                (Tier::ALL.into_iter().filter_map(|tier| Some((tier, *queues.get(&tier)?))).collect(), None)
            }
            Err(error) => (Vec::new(), Some(Chain(&error).to_string())),
        };
        lanes.push(Lane {
            vp_id: vp_id.clone(),
            name: profile.display_name.clone(),
            aliases: profile.aliases.join(", "),
            slots: workers
                .iter()
                .filter(|worker| !worker.presence.draining)
                .map(|worker| worker.lane.slots)
                .sum(),
            busy: workers.iter().map(|worker| worker.lane.busy).sum(),
            workers,
            queues,
            queue_trouble,
            oldest: ledger.oldest_waiting(vp_id).await?,
            mode: ModeShown::of(mode),
        });
    }
    fragment(&Part { lanes, workers_unknown })
}

fn workers(alive: &[Presence], vp_id: &VpId) -> Vec<Worker> {
    let of_lane = |presence: &Presence| {
        let lane = presence.lanes.iter().find(|lane| lane.vp_id == *vp_id)?.clone();
        Some(Worker { presence: presence.clone(), lane })
    };
    let mut workers: Vec<_> = alive.iter().filter_map(of_lane).collect();
    workers.sort_by(|a, b| a.presence.worker.worker_id.as_str().cmp(b.presence.worker.worker_id.as_str()));
    workers
}
