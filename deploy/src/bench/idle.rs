//! What an idle worker and an idle bridge cost, as processes of their own.

use std::time::{Duration, Instant};

use vp_nats::presence;

use super::Idle;
use super::process::Process;
use super::world::{LANE, World};
use crate::exit::{Exit, Failed};

/// Starts a worker and a bridge as separate processes beside the world's own, lets them settle, and watches them.
pub async fn measure(world: &World, watched: Duration) -> Result<Idle, Failed> {
    crate::cli::say(format!("watching an idle worker and bridge for {} s", watched.as_secs()));
    let config = world.write_config()?;
    let log = world.settings.data_dir.join("idle.log");
    let ledger = format!("bridge.ledger={}", world.settings.data_dir.join("idle-ledger.db").display());
    let worker = Process::spawn(&config, &log, &["worker", "--lane", LANE, "--id", "idle"])?;
    let bridge = Process::spawn(&config, &log, &["bridge", "--set", &ledger])?;
    let settled = settle(world).await;
    let before = (worker.usage()?, bridge.usage()?);
    tokio::time::sleep(watched).await;
    let after = (worker.usage()?, bridge.usage()?);
    worker.stop().await?;
    bridge.stop().await?;
    settled?;
    let cpu = after.0.cpu_seconds + after.1.cpu_seconds - before.0.cpu_seconds - before.1.cpu_seconds;
    Ok(Idle {
        worker_rss_mib: after.0.rss_mib,
        bridge_rss_mib: after.1.rss_mib,
        cpu_seconds_30s: cpu * 30.0 / watched.as_secs_f64(),
    })
}

/// The worker is alive, and start-up is over.
async fn settle(world: &World) -> Result<(), Failed> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let live = presence::list(&world.conn)
            .await
            .map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
        if live.iter().any(|presence| presence.worker.worker_id.as_str() == "idle") {
            break;
        }
        if Instant::now() > until {
            return Err(Failed::new(Exit::Failure, "the idle worker did not come up within 30 s"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(())
}
