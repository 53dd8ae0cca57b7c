//! What an idle worker and an idle bridge cost, as processes of their own.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use vp_nats::presence;

use super::Idle;
use super::world::{LANE, World};
use crate::exit::{Exit, Failed};

/// Starts a worker and a bridge as separate processes beside the world's own, lets them settle, and watches them.
pub async fn measure(world: &World, watched: Duration) -> Result<Idle, Failed> {
    crate::cli::say(format!("watching an idle worker and bridge for {} s", watched.as_secs()));
    let config = world.write_config()?;
    let ledger = format!("bridge.ledger={}", world.settings.data_dir.join("idle-ledger.db").display());
    let mut worker = spawn(&config, &["worker", "--lane", LANE, "--id", "idle"])?;
    let mut bridge = spawn(&config, &["bridge", "--set", &ledger])?;
    let settled = settle(world).await;
    let before = (Usage::of(&worker)?, Usage::of(&bridge)?);
    tokio::time::sleep(watched).await;
    let after = (Usage::of(&worker)?, Usage::of(&bridge)?);
    for child in [&mut worker, &mut bridge] {
        stop(child).await?;
    }
    settled?;
    let cpu = after.0.cpu_seconds + after.1.cpu_seconds - before.0.cpu_seconds - before.1.cpu_seconds;
    Ok(Idle {
        worker_rss_mib: after.0.rss_mib,
        bridge_rss_mib: after.1.rss_mib,
        cpu_seconds_30s: cpu * 30.0 / watched.as_secs_f64(),
    })
}

fn spawn(config: &std::path::Path, args: &[&str]) -> Result<Child, Failed> {
    let wrap = |error: std::io::Error| {
        Failed::new(Exit::Failure, format!("could not start `vp {}`: {error}", args[0]))
    };
    Command::new(std::env::current_exe().map_err(wrap)?)
        .arg("--config")
        .arg(config)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(wrap)
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

struct Usage {
    rss_mib: f64,
    cpu_seconds: f64,
}

impl Usage {
    /// From the kernel's accounting of the process.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn of(child: &Child) -> Result<Self, Failed> {
        let missing = || Failed::new(Exit::Failure, "an idle process has ended or cannot be looked at");
        let pid = child.id().ok_or_else(missing)?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| missing())?;
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .ok_or_else(missing)?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|_| missing())?;
        // Behind the command's name, which may hold spaces: fields 14 and 15 are user and system ticks.
        let fields: Vec<&str> = stat.rsplit_once(')').ok_or_else(missing)?.1.split_whitespace().collect();
        let tick =
            |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).ok_or_else(missing);
        let ticks = tick(11)? + tick(12)?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Self { rss_mib: kib as f64 / 1024.0, cpu_seconds: ticks as f64 / per_second as f64 })
    }
}

async fn stop(child: &mut Child) -> Result<(), Failed> {
    if let Some(pid) =
        child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw)
    {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(|error| {
            Failed::new(Exit::Failure, format!("could not stop an idle process: {error}"))
        })?;
    }
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
    ended.map_err(|_| Failed::new(Exit::Failure, "an idle process did not stop within 30 s"))?.map_err(
        |error| Failed::new(Exit::Failure, format!("could not wait for an idle process: {error}")),
    )?;
    Ok(())
}
