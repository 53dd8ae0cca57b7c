//! What serves: the whole system, or one part of it.

use clap::Args;
use vp_dispatcher::http::HttpDoor;
use vp_shared::ids::{VpId, WorkerId};

use super::{Context, output};
use crate::exit::{Exit, Failed};
use crate::system::{self, System};
use crate::{lane_files, link, patience, shutdown, trim};

/// Run the whole system.
#[derive(Debug, Args)]
pub struct Up {}

/// Run a worker.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// A lane to serve; may be given again. Without it, the configured ones
    #[arg(long, short, value_name = "VP_ID")]
    lane: Vec<VpId>,
    /// The worker's own id, the same after a restart
    #[arg(long, value_name = "ID")]
    id: Option<WorkerId>,
}

/// `vp up`.
pub async fn up(context: &Context, _: Up) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let stop = shutdown::token();
    let system = System::start(settings).await?;
    let data_dir = settings.data_dir.display();
    output::say(format!("vp is up at {} (data dir {data_dir})", system.url()));
    say_door(system.door());
    output::say(format!(
        "try: vp dispatch --data-dir {data_dir} --session me --lane vp.general.primary \
         --constraint repo=$PWD 'Report on this repository' --wait"
    ));
    output::say(format!("then: vp notices --data-dir {data_dir} --session me"));
    if settings.http.console.is_some()
        && let Some(address) = system.console().await
    {
        output::say(format!("the console: http://{address}"));
    }
    trim::code_of_the_start();
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        failed = system.failed() => Some(failed),
    };
    output::say("draining: running missions may end; a second Ctrl-C hands them back at once");
    system.stop(settings.worker.drain()).await;
    match ended {
        Some(failed) => Err(failed),
        None => Ok(Exit::Ok),
    }
}

/// `vp worker`.
pub async fn worker(context: &Context, args: WorkerArgs) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let lanes = if args.lane.is_empty() { settings.served_lanes() } else { args.lane };
    for lane in &lanes {
        if !settings.lanes.contains_key(lane) {
            let known: Vec<_> = settings.lanes.keys().map(VpId::as_str).collect();
            return Err(Failed::new(Exit::Usage, format!("unknown lane `{lane}`"))
                .hint(format!("the configuration has {}", known.join(", "))));
        }
    }
    lane_files::write(&settings.data_dir)?;
    let stop = shutdown::token();
    let worker_id = args.id.unwrap_or_else(|| settings.worker_id(&link::host()));
    // A data dir on which nothing runs is a mistake, and told at once.
    link::target(settings, "vp-worker")?;
    let worker = patience::start("the worker", settings.nats.start_wait(), async || {
        let conn = link::connect(settings, "vp-worker").await?;
        system::start_worker(conn, settings, worker_id.clone(), &lanes).await
    })
    .await?;
    output::say(format!(
        "worker {worker_id} serves {}",
        lanes.iter().map(VpId::as_str).collect::<Vec<_>>().join(", ")
    ));
    trim::code_of_the_start();
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        error = worker.failed() => Some(Failed::from_error(Exit::Failure, &*error)),
    };
    worker.drain();
    let hurry = shutdown::hurry();
    let stopped = worker.stopped();
    tokio::pin!(stopped);
    tokio::select! {
        () = &mut stopped => {}
        () = hurry.cancelled() => {
            worker.drain();
            stopped.await;
        }
    }
    ended.map_or(Ok(Exit::Ok), Err)
}

/// `vp bridge`.
pub async fn bridge(context: &Context) -> Result<Exit, Failed> {
    let stop = shutdown::token();
    let settings = &context.settings;
    link::target(settings, "vp-bridge")?;
    let bridge = patience::start("the bridge", settings.nats.start_wait(), async || {
        system::start_bridge(link::connect(settings, "vp-bridge").await?, settings).await
    })
    .await?;
    trim::code_of_the_start();
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        error = bridge.failed() => Some(Failed::from_error(Exit::Failure, &error)),
        () = tell_shifts(bridge.status()) => None,
    };
    bridge.stop().await;
    ended.map_or(Ok(Exit::Ok), Err)
}

/// Says when the bridge works and when it stands by. Ends with the bridge.
async fn tell_shifts(mut status: tokio::sync::watch::Receiver<vp_bridge::BridgeStatus>) {
    let mut told = None;
    while let Ok(active) = status.wait_for(|status| told != Some(status.active)).await.map(|now| now.active) {
        output::say(if active {
            "the bridge runs"
        } else {
            "the bridge stands by: another one may have the ledger"
        });
        told = Some(active);
    }
}

/// `vp dispatcher`.
pub async fn dispatcher(context: &Context) -> Result<Exit, Failed> {
    let stop = shutdown::token();
    let settings = &context.settings;
    link::target(settings, "vp-dispatcher")?;
    let (service, door) = patience::start("the dispatcher", settings.nats.start_wait(), async || {
        let conn = link::connect(settings, "vp-dispatcher").await?;
        Ok((system::start_service(&conn, settings).await?, system::open_door(&conn, settings).await?))
    })
    .await?;
    say_door(door.as_ref());
    output::say("the dispatcher serves vp.tool.*");
    trim::code_of_the_start();
    stop.cancelled().await;
    if let Some(door) = door {
        door.stop().await;
    }
    service.stop().await;
    Ok(Exit::Ok)
}

/// Says where the tools are served over HTTP, or that another process is in the way.
fn say_door(door: Option<&HttpDoor>) {
    let Some(door) = door else { return };
    match door.address().borrow().as_ref() {
        Some(address) => {
            output::say(format!("the tools over HTTP: http://{address}/api/v1, MCP: http://{address}/mcp"));
        }
        None => output::say(
            "another process serves at `http.dispatcher`; the tools over HTTP wait until it is gone",
        ),
    }
}
