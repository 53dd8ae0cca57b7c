//! `vp lanes`: what lanes there are, who serves them and what waits; and whether they start missions.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use vp_nats::connect::Connection;
use vp_nats::lane_modes::{self, LaneModeError};
use vp_nats::{presence, topology};
use vp_shared::api::SetLaneMode;
use vp_shared::ids::VpId;
use vp_shared::lane::{LaneMode, LaneModeRecord};
use vp_shared::tier::Tier;

use super::{Context, Format, output};
use crate::exit::{Exit, Failed};
use crate::{link, system};

/// Show lanes.
#[derive(Debug, Args)]
pub struct LanesArgs {
    /// Create or verify the streams and the lanes' queues first (the admin step)
    #[arg(long)]
    apply: bool,
    /// Start no mission of this lane until it is resumed; what runs goes on, what is dispatched waits
    #[arg(long, value_name = "LANE", group = "mode")]
    pause: Option<String>,
    /// As --pause, and hand back what has not ended within the workers' drain time; it waits then, uncounted
    #[arg(long, value_name = "LANE", group = "mode")]
    drain: Option<String>,
    /// Start missions of this lane again
    #[arg(long, value_name = "LANE", group = "mode")]
    resume: Option<String>,
    /// Why it is paused, drained or resumed, for whoever looks at the lane
    #[arg(long, value_name = "TEXT", requires = "mode")]
    reason: Option<String>,
}

impl LanesArgs {
    /// The mode that is wanted of a lane, if any is.
    fn wanted(&self) -> Result<Option<SetLaneMode>, Failed> {
        let modes = [
            (&self.pause, LaneMode::Paused),
            (&self.drain, LaneMode::Draining),
            (&self.resume, LaneMode::Open),
        ];
        let Some((lane, mode)) = modes.into_iter().find_map(|(lane, mode)| Some((lane.as_ref()?, mode)))
        else {
            return Ok(None);
        };
        let vp_id = VpId::new(lane).map_err(|error| Failed::from_error(Exit::Usage, &error))?;
        Ok(Some(SetLaneMode { vp_id, mode, by: who(), reason: self.reason.clone() }))
    }
}

/// Who types, for the audit trail: the user id as the kernel says it, beside the name that the environment says, which
/// anybody can set. The name is kept short so that it cannot push the id out.
fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    let name = std::env::var("USER").map(|name| vp_shared::text::one_line(&name, 40)).unwrap_or_default();
    let user = if name.is_empty() { format!("uid {uid}") } else { format!("{name} (uid {uid})") };
    vp_shared::text::one_line(&format!("{user}@{}", link::host()), 100)
}

/// `vp lanes`.
pub async fn run(context: &Context, args: LanesArgs) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let conn = link::connect(settings, "vp-lanes").await?;
    if args.apply {
        system::ensure_topology(&conn, settings).await?;
        output::say("streams and queues are as configured");
    }
    if let Some(wanted) = args.wanted()? {
        set(&conn, context, wanted).await?;
    }
    let workers =
        presence::list(&conn).await.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    let (mut lanes, mut closed) = (Vec::new(), Vec::new());
    for (vp_id, lane) in &settings.lanes {
        let queues = match topology::lane_state(&conn, vp_id).await {
            Ok(queues) => queues,
            Err(topology::TopologyError::Missing { asset }) => {
                output::say(format!("warning: {asset} does not exist: run `vp lanes --apply`"));
                BTreeMap::new()
            }
            Err(error) => return Err(Failed::from_error(Exit::Unavailable, &error)),
        };
        let record = mode_of(&conn, vp_id).await?;
        let mine = || {
            workers
                .iter()
                .flat_map(|worker| worker.lanes.iter().map(move |l| (worker, l)))
                .filter(|(_, l)| l.vp_id == *vp_id)
        };
        let waiting: BTreeMap<&str, u64> = Tier::ALL
            .iter()
            .map(|tier| (tier.name(), queues.get(tier).map_or(0, |queue| queue.waiting)))
            .collect();
        lanes.push(json!({
            "vp_id": vp_id,
            "display_name": lane.display_name,
            "workers": mine().map(|(worker, _)| worker.worker.worker_id.to_string()).collect::<Vec<_>>(),
            "slots": mine().map(|(_, l)| u64::from(l.slots)).sum::<u64>(),
            "busy": mine().map(|(_, l)| u64::from(l.busy)).sum::<u64>(),
            "waiting": waiting,
            "mode": record.as_ref().map_or(LaneMode::Open, |record| record.mode),
            "mode_set": record.as_ref().map(|LaneModeRecord { by, reason, since, .. }| {
                json!({"by": by, "reason": reason, "since": since})
            }),
        }));
        if let Some(record) = record.and_then(LaneModeRecord::if_closed) {
            closed.push(format!("{vp_id} is {record}"));
        }
    }
    if context.format != Format::Table {
        output::json(&json!({"lanes": lanes}), context.format)?;
        return Ok(Exit::Ok);
    }
    let rows = lanes.iter().map(|lane| {
        let waits = Tier::ALL.map(|tier| lane["waiting"][tier.name()].to_string()).join("/");
        let workers = lane["workers"].as_array().map_or(0, Vec::len);
        vec![
            lane["vp_id"].as_str().unwrap_or_default().to_owned(),
            lane["display_name"].as_str().unwrap_or_default().to_owned(),
            lane["mode"].as_str().unwrap_or_default().to_owned(),
            workers.to_string(),
            format!("{}/{}", lane["busy"], lane["slots"]),
            waits,
        ]
    });
    output::table(&["LANE", "NAME", "MODE", "WORKERS", "BUSY", "WAITING urgent/high/normal/low"], rows)?;
    closed.into_iter().for_each(output::say);
    Ok(Exit::Ok)
}

/// Sets a lane's mode, by the same rules as the dispatcher's service.
async fn set(conn: &Connection, context: &Context, wanted: SetLaneMode) -> Result<(), Failed> {
    let mode = wanted.mode;
    let set = link::dispatcher(&context.settings, conn).set_lane_mode(wanted).await.map_err(Failed::from)?;
    let vp_id = set.vp_id;
    output::say(match (set.record, set.changed) {
        (Some(record), true) => format!("{vp_id} is {record}"),
        (Some(record), false) => format!("{vp_id} was {record} already"),
        (None, _) => format!("{vp_id} was {mode} already"),
    });
    Ok(())
}

/// The lane's mode; none where there is no bucket, which is said.
async fn mode_of(conn: &Connection, vp_id: &VpId) -> Result<Option<LaneModeRecord>, Failed> {
    match lane_modes::lookup(conn, vp_id).await {
        Ok(record) => Ok(record),
        Err(error @ LaneModeError::NoBucket) => {
            output::say(format!("warning: {error}"));
            Ok(None)
        }
        Err(error) => Err(Failed::from_error(Exit::Unavailable, &error)),
    }
}
