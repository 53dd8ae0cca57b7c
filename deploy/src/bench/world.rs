//! A system of its own for measuring: one lane of no-op missions, one worker with 16 slots.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vp_dispatcher::{Caller, Dispatcher};
use vp_nats::connect::Connection;
use vp_nats::server::SyncMode;
use vp_shared::api::DispatchMission;
use vp_shared::ids::{SessionId, VpId};
use vp_shared::lane::{ExecutorProfile, LaneProfile};

use crate::config::Settings;
use crate::exit::{Exit, Failed};
use crate::link;
use crate::system::System;

/// The lane that is measured.
pub const LANE: &str = "vp.bench.noop";

/// A running system to measure.
pub struct World {
    system: System,
    pub settings: Settings,
    pub conn: Connection,
    pub dispatcher: Dispatcher,
    pub lane: VpId,
    data_dir: PathBuf,
    sessions: AtomicU64,
    durability: String,
}

impl World {
    pub async fn start(base: &Settings, sync: &str) -> Result<Self, Failed> {
        let data_dir = std::env::temp_dir().join(format!("vp-bench-{}", std::process::id()));
        let lane = VpId::new(LANE).map_err(|error| Failed::from_error(Exit::Failure, &error))?;
        let mut settings = base.clone();
        settings.use_data_dir(&data_dir);
        settings.use_sync(if sync == "always" { SyncMode::Always } else { SyncMode::Deferred });
        settings.lanes = [(lane.clone(), noop_lane()?)].into();
        settings.worker.lanes = Vec::new();
        let system = System::start(&settings).await?;
        let conn = system.connect("vp-bench").await?;
        let dispatcher = link::dispatcher(&settings, &conn);
        let sessions = AtomicU64::new(0);
        Ok(Self { system, settings, conn, dispatcher, lane, data_dir, sessions, durability: sync.to_owned() })
    }

    /// A session that nobody has used.
    pub fn session(&self) -> Result<SessionId, Failed> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        SessionId::new(format!("bench-{number}")).map_err(|error| Failed::from_error(Exit::Failure, &error))
    }

    /// A 1 KiB mission whose only notice is the terminal one.
    pub fn mission(&self) -> Result<DispatchMission, Failed> {
        let input = serde_json::json!({
            "vp_id": self.lane, "objective": "x".repeat(1024), "reply_mode": "final",
        });
        Ok(vp_shared::api::parse(input.to_string().as_bytes())?)
    }

    pub fn caller(session: &SessionId) -> Caller {
        Caller::session(session.clone())
    }

    pub fn durability(&self) -> &str {
        &self.durability
    }

    pub fn system(&self) -> &System {
        &self.system
    }

    /// A configuration file for processes beside this world: the same server, lane and data dir.
    pub fn write_config(&self) -> Result<PathBuf, Failed> {
        let path = self.data_dir.join("bench.toml");
        let text = format!(
            "data_dir = {:?}\n[lanes.{LANE:?}]\ndisplay_name = \"Bench\"\nslots = 16\nrequires_deliverable = false\n\
             executor = {{ kind = \"noop\" }}\n",
            self.data_dir.display().to_string()
        );
        std::fs::write(&path, text).map_err(|error| {
            Failed::new(Exit::Failure, format!("could not write `{}`: {error}", path.display()))
        })?;
        Ok(path)
    }

    pub async fn stop(self) {
        let Self { system, conn, dispatcher, data_dir, .. } = self;
        // Who is connected still would complain that the server goes away.
        drop((conn, dispatcher));
        system.stop(Duration::from_secs(5)).await;
        if let Err(error) = std::fs::remove_dir_all(&data_dir) {
            crate::cli::say(format!("warning: could not remove {}: {error}", data_dir.display()));
        }
    }
}

fn noop_lane() -> Result<LaneProfile, Failed> {
    let json = serde_json::json!({
        "display_name": "Bench", "executor": {"kind": "noop"}, "slots": 16, "requires_deliverable": false,
    });
    let mut lane: LaneProfile =
        serde_json::from_value(json).map_err(|error| Failed::from_error(Exit::Failure, &error))?;
    lane.executor = ExecutorProfile::Noop {};
    Ok(lane)
}
