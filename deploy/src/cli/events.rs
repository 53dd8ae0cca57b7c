//! `vp events`: the log of missions, as it is stored.

use std::time::Duration;

use clap::Args;
use vp_nats::reader::{Reader, Record, Start};
use vp_nats::{subject, topology};
use vp_shared::api::EventView;
use vp_shared::event::Event;
use vp_shared::ids::{MissionId, VpId};

use super::{Context, Format, output};
use crate::exit::{Exit, Failed};
use crate::link;
use crate::shutdown;

/// Show the log.
#[derive(Debug, Args)]
pub struct Events {
    /// Of this lane only
    #[arg(long, short, value_name = "VP_ID")]
    lane: Option<VpId>,
    /// Of this mission only
    #[arg(long, short, value_name = "MISSION")]
    mission: Option<MissionId>,
    /// Keep showing what comes; without it, show what is there and end
    #[arg(long)]
    follow: bool,
    /// With --follow: only what comes from now on
    #[arg(long, requires = "follow")]
    new: bool,
}

/// `vp events`.
pub async fn run(context: &Context, args: Events) -> Result<Exit, Failed> {
    let conn = link::connect(&context.settings, "vp-events").await?;
    let unavailable = |error| Failed::from_error(Exit::Unavailable, &error);
    let filter = match (&args.mission, &args.lane) {
        (Some(mission), None) => subject::mission_in_any_lane(mission),
        (Some(mission), Some(lane)) => subject::MissionFilter::new(lane, mission).as_str().to_owned(),
        (None, Some(lane)) => subject::lane_all(lane),
        (None, None) => subject::ALL_MISSIONS.to_owned(),
    };
    let start = if args.new { Start::New } else { Start::After(0) };
    let last = vp_nats::reader::identity(&conn, topology::MISSIONS).await.map_err(unavailable)?.last_seq;
    let mut reader = Reader::open(&conn, topology::MISSIONS, &[filter], start).await.map_err(unavailable)?;
    let stop = shutdown::token();
    while !stop.is_cancelled() {
        let wait = Duration::from_millis(if args.follow { 2000 } else { 300 });
        let records = reader.next_batch(256, wait).await.map_err(unavailable)?;
        for record in &records {
            if !args.follow && record.seq > last {
                return Ok(Exit::Ok);
            }
            print(record, context.format)?;
        }
        if records.is_empty() && !args.follow {
            break;
        }
    }
    Ok(Exit::Ok)
}

fn print(record: &Record, format: Format) -> Result<(), Failed> {
    if is_timer(&record.subject) {
        return Ok(());
    }
    match (Event::from_json(&record.payload), format) {
        (Ok(event), Format::Table) => output::line(format!(
            "{}  {:>8}  {}  {}  {:<16} #{}  {}",
            event.time,
            record.seq,
            event.vp_id,
            event.mission_id,
            event.kind(),
            event.attempt,
            event.actor.id
        )),
        (Ok(event), format) => {
            let view = EventView::of(&event, record.seq);
            let mut json = serde_json::to_value(view).unwrap_or_default();
            json["mission_id"] = event.mission_id.as_str().into();
            json["vp_id"] = event.vp_id.as_str().into();
            output::json(&json, if format == Format::Json { Format::Ndjson } else { format })
        }
        (Err(error), _) => {
            output::say(format!(
                "{}  {}  not an event: {}",
                record.seq,
                record.subject,
                vp_shared::error::Chain(&error)
            ));
            Ok(())
        }
    }
}

/// A mission's schedule, which is no event.
fn is_timer(subject: &str) -> bool {
    subject.parse::<subject::MissionSubject>().is_ok_and(|subject| subject.token == subject::Token::Timer)
}
