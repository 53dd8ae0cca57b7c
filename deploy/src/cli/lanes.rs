//! `vp lanes`: what lanes there are, who serves them and what waits.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use vp_nats::{presence, topology};
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
}

/// `vp lanes`.
pub async fn run(context: &Context, args: LanesArgs) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let conn = link::connect(settings, "vp-lanes").await?;
    if args.apply {
        system::ensure_topology(&conn, settings).await?;
        output::say("streams and queues are as configured");
    }
    let workers =
        presence::list(&conn).await.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    let mut lanes = Vec::new();
    for (vp_id, lane) in &settings.lanes {
        let queues = match topology::lane_state(&conn, vp_id).await {
            Ok(queues) => queues,
            Err(topology::TopologyError::Missing { asset }) => {
                output::say(format!("warning: {asset} does not exist: run `vp lanes --apply`"));
                BTreeMap::new()
            }
            Err(error) => return Err(Failed::from_error(Exit::Unavailable, &error)),
        };
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
        }));
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
            workers.to_string(),
            format!("{}/{}", lane["busy"], lane["slots"]),
            waits,
        ]
    });
    output::table(&["LANE", "NAME", "WORKERS", "BUSY", "WAITING urgent/high/normal/low"], rows)?;
    Ok(Exit::Ok)
}
