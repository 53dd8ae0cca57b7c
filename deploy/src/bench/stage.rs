//! A system to push to its limits: a managed server, and everything else a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vp_dispatcher::{Caller, Dispatcher};
use vp_nats::connect::Connection;
use vp_nats::presence;
use vp_nats::server::{ManagedServer, ServerConfig, SyncMode};
use vp_shared::api::{DispatchMission, MissionView, WaitMission};
use vp_shared::ids::{MissionId, SessionId, VpId};
use vp_shared::lane::{LaneProfile, Lanes};

use super::process::{Process, Usage, send};
use crate::cli::ask_status;
use crate::config::Settings;
use crate::exit::{Exit, Failed};
use crate::{lane_files, link, system};

/// How long a part may take to come up.
const START_PATIENCE: Duration = Duration::from_mins(2);
/// How often it is looked whether something has come true.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The system on its stage.
pub struct Stage {
    processes: BTreeMap<String, Process>,
    pub conn: Connection,
    pub dispatcher: Dispatcher,
    pub settings: Settings,
    server: Option<ManagedServer>,
    server_config: ServerConfig,
    config: PathBuf,
    sessions: AtomicU64,
}

impl Stage {
    /// A server with streams and the queues of these lanes, in a new directory. Nothing else runs yet.
    pub async fn start(base: &Settings, name: &str, lanes: Lanes) -> Result<Self, Failed> {
        let dir = std::env::temp_dir().join(format!("vp-bench-{name}-{}", std::process::id()));
        let mut settings = base.clone();
        settings.use_data_dir(&dir);
        settings.use_sync(SyncMode::Deferred);
        settings.server.max_file_store_mib = 64 << 10;
        settings.lanes = named(lanes);
        settings.worker.lanes = Vec::new();
        std::fs::create_dir_all(&dir).map_err(|error| unwritten(&dir, &error))?;
        lane_files::write(&dir)?;
        let config = dir.join("bench.toml");
        std::fs::write(&config, config_of(&settings)?).map_err(|error| unwritten(&config, &error))?;
        let mut server_config = settings.server_config();
        let server = start_server(&server_config).await?;
        // The same one after a restart, so that everybody finds it again.
        server_config.port = Some(server.port());
        let conn = link::connect_to(&server.connect_config("vp-bench")).await?;
        let dispatcher = link::dispatcher(&settings, &conn);
        let (processes, sessions) = (BTreeMap::new(), AtomicU64::new(0));
        Ok(Self {
            processes,
            conn,
            dispatcher,
            settings,
            server: Some(server),
            server_config,
            config,
            sessions,
        })
    }

    /// Makes streams, and the queues of all lanes.
    pub async fn make_topology(&self) -> Result<(), Failed> {
        system::ensure_topology(&self.conn, &self.settings).await
    }

    /// Starts the bridge and waits until it answers.
    pub async fn start_bridge(&mut self) -> Result<(), Failed> {
        self.spawn("bridge", &["bridge"])?;
        self.up("bridge", async |stage| Ok(ask_status(&stage.conn).await.is_ok())).await
    }

    /// Starts a worker of all lanes without waiting for it.
    pub fn spawn_worker(&mut self, id: &str) -> Result<(), Failed> {
        self.spawn(id, &["worker", "--id", id])
    }

    /// Starts a worker of all lanes and waits until it is seen.
    pub async fn start_worker(&mut self, id: &str) -> Result<(), Failed> {
        self.spawn_worker(id)?;
        self.worker_is_seen(id).await
    }

    /// Starts a worker of this lane alone and waits until it is seen.
    pub async fn start_worker_of(&mut self, id: &str, lane: &str) -> Result<(), Failed> {
        self.spawn(id, &["worker", "--id", id, "--lane", lane])?;
        self.worker_is_seen(id).await
    }

    async fn worker_is_seen(&mut self, id: &str) -> Result<(), Failed> {
        self.up(id, async |stage| {
            let live = presence::list(&stage.conn).await;
            let live = live.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
            Ok(live.iter().any(|one| one.worker.worker_id.as_str() == id))
        })
        .await
    }

    /// Waits until a process serves, or has ended instead.
    async fn up(
        &mut self,
        name: &str,
        mut serves: impl AsyncFnMut(&Self) -> Result<bool, Failed>,
    ) -> Result<(), Failed> {
        let deadline = Instant::now() + START_PATIENCE;
        while !serves(self).await? {
            if let Some(status) = self.process(name)?.ended()? {
                return Err(Failed::new(
                    Exit::Failure,
                    format!("`{name}` has ended before it served: {status}"),
                ));
            }
            if Instant::now() > deadline {
                let why = format!("`{name}` does not serve after {} s", START_PATIENCE.as_secs());
                return Err(Failed::new(Exit::TimedOut, why));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Starts another process of this installation.
    pub fn spawn(&mut self, name: &str, args: &[&str]) -> Result<(), Failed> {
        let log = self.settings.data_dir.join(format!("{name}.log"));
        let process = Process::spawn(&self.config, &log, args)?;
        self.processes.insert(name.to_owned(), process);
        Ok(())
    }

    /// A process that runs.
    pub fn process(&mut self, name: &str) -> Result<&mut Process, Failed> {
        let none = || Failed::new(Exit::Failure, format!("no process `{name}` runs"));
        self.processes.get_mut(name).ok_or_else(none)
    }

    /// Takes a process off the stage; the caller ends it.
    pub fn take(&mut self, name: &str) -> Result<Process, Failed> {
        let none = || Failed::new(Exit::Failure, format!("no process `{name}` runs"));
        self.processes.remove(name).ok_or_else(none)
    }

    /// What a process has used; the server is called `server`.
    pub fn usage(&self, name: &str) -> Result<Usage, Failed> {
        match (&self.server, self.processes.get(name)) {
            (Some(server), _) if name == "server" => Usage::of(server.pid()),
            (_, Some(process)) => process.usage(),
            _ => Err(Failed::new(Exit::Failure, format!("no process `{name}` runs"))),
        }
    }

    /// Ends the server, in good order or as a crash would, and starts it again on its port. How long the end and the
    /// start took.
    pub async fn restart_server(&mut self, crash: bool) -> Result<(Duration, Duration), Failed> {
        let Some(server) = self.server.take() else {
            return Err(Failed::new(Exit::Failure, "no nats-server runs"));
        };
        let began = Instant::now();
        if crash {
            send(server.pid(), Signal::KILL)?;
        }
        server.stop().await;
        let ended = began.elapsed();
        let began = Instant::now();
        self.server = Some(start_server(&self.server_config).await?);
        Ok((ended, began.elapsed()))
    }

    /// A session that nobody has used.
    pub fn session(&self) -> Result<SessionId, Failed> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        SessionId::new(format!("bench-{number}")).map_err(|error| Failed::from_error(Exit::Failure, &error))
    }

    /// Delegates; the notices go to a session of its own.
    pub async fn dispatch(&self, mission: DispatchMission) -> Result<MissionId, Failed> {
        Ok(self.dispatcher.dispatch(mission, &Caller::session(self.session()?)).await?.mission_id)
    }

    /// Waits until a mission has ended.
    pub async fn ended(&self, mission_id: &MissionId, patience: Duration) -> Result<MissionView, Failed> {
        let deadline = Instant::now() + patience;
        loop {
            let wait = WaitMission { mission_id: mission_id.clone(), timeout_seconds: 30 };
            let waited = self.dispatcher.wait(wait).await?;
            if waited.terminal {
                return Ok(waited.mission);
            }
            if Instant::now() > deadline {
                let (status, seconds) = (waited.mission.status, patience.as_secs());
                let why = format!("mission {mission_id} is still {status} after {seconds} s");
                return Err(Failed::new(Exit::TimedOut, why));
            }
        }
    }

    /// Waits until `look` finds something.
    pub async fn until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut look: impl AsyncFnMut(&Self) -> Result<Option<T>, Failed>,
    ) -> Result<T, Failed> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let why = format!("it did not come true within {} s that {what}", patience.as_secs());
                return Err(Failed::new(Exit::TimedOut, why));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Says the last words of every process: for a measurement that broke off.
    pub fn tell_logs(&self) {
        for name in self.processes.keys() {
            let path = self.settings.data_dir.join(format!("{name}.log"));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(20)..] {
                crate::cli::say(format!("{name}: {line}"));
            }
        }
    }

    /// Ends everything and removes the directory.
    pub async fn stop(self) {
        let Self { processes, conn, dispatcher, settings, server, .. } = self;
        for (name, process) in processes {
            if let Err(error) = process.kill().await {
                crate::cli::say(format!("warning: {name}: {error}"));
            }
        }
        // A connection would complain about its server's end.
        drop((conn, dispatcher));
        if let Some(server) = server {
            server.stop().await;
        }
        let dir = &settings.data_dir;
        if let Err(error) = std::fs::remove_dir_all(dir) {
            crate::cli::say(format!("warning: could not remove {}: {error}", dir.display()));
        }
    }
}

/// A mission for this lane; `more` holds the fields beside lane and objective.
pub fn mission(lane: &VpId, objective: &str, more: &serde_json::Value) -> Result<DispatchMission, Failed> {
    let mut input = serde_json::json!({ "vp_id": lane, "objective": objective, "reply_mode": "final" });
    if let (Some(input), Some(more)) = (input.as_object_mut(), more.as_object()) {
        input.extend(more.clone());
    }
    Ok(vp_shared::api::parse(input.to_string().as_bytes())?)
}

/// A lane id.
pub fn lane_id(name: &str) -> Result<VpId, Failed> {
    VpId::new(name).map_err(|error| Failed::from_error(Exit::Failure, &error))
}

/// A lane whose missions run this shell script in their workspace.
pub fn script_lane(script: &str, slots: u32) -> Result<LaneProfile, Failed> {
    profile(&serde_json::json!({"kind": "command", "argv": ["sh", "-c", script]}), slots)
}

/// A lane whose missions' objectives are shell scripts.
pub fn objective_lane(slots: u32) -> Result<LaneProfile, Failed> {
    script_lane("exec sh \"$VP_OBJECTIVE_FILE\"", slots)
}

/// A lane whose missions end at once.
pub fn noop_lane(slots: u32) -> Result<LaneProfile, Failed> {
    profile(&serde_json::json!({"kind": "noop"}), slots)
}

fn profile(executor: &serde_json::Value, slots: u32) -> Result<LaneProfile, Failed> {
    let json = serde_json::json!({
        "display_name": "Bench", "executor": executor, "slots": slots, "requires_deliverable": false,
    });
    serde_json::from_value(json).map_err(|error| Failed::from_error(Exit::Failure, &error))
}

/// How many bytes lie below a path.
pub fn disk_bytes(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.flatten().map(|entry| disk_bytes(&entry.path())).sum()
}

/// Each lane under a name of its own.
fn named(mut lanes: Lanes) -> Lanes {
    for (vp_id, profile) in &mut lanes {
        vp_id.as_str().clone_into(&mut profile.display_name);
    }
    lanes
}

async fn start_server(config: &ServerConfig) -> Result<ManagedServer, Failed> {
    ManagedServer::start(config.clone()).await.map_err(|error| Failed::from_error(Exit::Failure, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failed {
    Failed::new(Exit::Failure, format!("could not write `{}`: {error}", path.display()))
}

/// The configuration of the stage's processes: its lanes and no others, its directory and server, whatever the
/// user's own configuration says.
fn config_of(settings: &Settings) -> Result<String, Failed> {
    #[derive(serde::Serialize)]
    struct Config<'a> {
        data_dir: &'a Path,
        nats: toml::Table,
        bridge: toml::Table,
        worker: toml::Table,
        lanes: BTreeMap<&'a str, toml::Value>,
    }
    let wrap = |error: toml::ser::Error| {
        Failed::new(Exit::Failure, format!("could not write the configuration: {error}"))
    };
    let section = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), toml::Value::from(*value))).collect()
    };
    let off = toml::Value::Table([("enabled".to_owned(), false.into())].into_iter().collect());
    let mut lanes = BTreeMap::from([("vp.coder.primary", off.clone()), ("vp.general.primary", off)]);
    for (vp_id, profile) in &settings.lanes {
        lanes.insert(vp_id.as_str(), toml::Value::try_from(profile).map_err(wrap)?);
    }
    let config = Config {
        data_dir: &settings.data_dir,
        nats: section(&[("url", ""), ("context", "")]),
        bridge: section(&[("ledger", &settings.ledger())]),
        worker: section(&[("workspace_root", &settings.workspace_root().to_string_lossy())]),
        lanes,
    };
    toml::to_string(&config).map_err(wrap)
}
