//! The whole system in one process: nats-server (unless there is one), bridge, dispatcher's service, workers.
//!
//! Started in this order and stopped in the other: workers drain first, the bridge projects and tells what they
//! ended with, the server goes last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::{self, BoxFuture};
use vp_bridge::{Bridge, BridgeConfig, ConsoleConfig};
use vp_dispatcher::http::HttpDoor;
use vp_dispatcher::provider::Provider;
use vp_nats::connect::{ConnectConfig, Connection};
use vp_nats::server::{ManagedServer, ServerConfig, Stopped};
use vp_nats::service::Service;
use vp_nats::topology::{self, TopologyError};
use vp_shared::ids::{VpId, WorkerId};
use vp_worker::{KeeperCommand, Worker, WorkerConfig, WorkerError};

use crate::config::{Address, Settings};
use crate::deliver::Deliverers;
use crate::exit::{Exit, Failed};
use crate::{lane_files, link, patience};

/// How long `vp up` waits to say where the console is.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(1);

/// A running system.
pub struct System {
    server: Option<ManagedServer>,
    target: ConnectConfig,
    bridge: Option<Bridge>,
    service: Option<Service>,
    door: Option<HttpDoor>,
    workers: Vec<Worker>,
    deliverers: Option<Deliverers>,
}

impl System {
    /// Starts everything; what has started is stopped again when a later part cannot.
    pub async fn start(settings: &Settings) -> Result<Self, Failed> {
        let mut system = Self::start_server(settings).await?;
        if let Err(failed) = system.start_services(settings).await {
            system.stop(Duration::ZERO).await;
            return Err(failed);
        }
        Ok(system)
    }

    async fn start_server(settings: &Settings) -> Result<Self, Failed> {
        std::fs::create_dir_all(&settings.data_dir).map_err(|error| {
            let dir = settings.data_dir.display();
            Failed::new(Exit::Failure, format!("could not make the data dir `{dir}`: {error}"))
                .hint("choose another one with --data-dir")
        })?;
        let configured =
            settings.connect_config("vp").map_err(|error| Failed::from_error(Exit::Config, &error))?;
        let (server, target) = match configured {
            Some(target) => (None, target),
            None => {
                let server = start_managed(settings).await?;
                let target = server.connect_config("vp");
                (Some(server), target)
            }
        };
        Ok(Self {
            server,
            target,
            bridge: None,
            service: None,
            door: None,
            workers: Vec::new(),
            deliverers: None,
        })
    }

    async fn start_services(&mut self, settings: &Settings) -> Result<(), Failed> {
        lane_files::write(&settings.data_dir)?;
        let wait = settings.nats.start_wait();
        let conn = patience::start("the system", wait, async || {
            let conn = self.connect("vp-up").await?;
            ensure_topology(&conn, settings).await?;
            Ok(conn)
        })
        .await?;
        let bridge = patience::start("the bridge", wait, async || {
            start_bridge(self.connect("vp-bridge").await?, settings).await
        });
        self.bridge = Some(bridge.await?);
        let service = patience::start("the dispatcher", wait, async || start_service(&conn, settings).await);
        self.service = Some(service.await?);
        self.door = open_door(&conn, settings).await?;
        for vp_id in settings.served_lanes() {
            let worker_id = settings.worker_id_of(&link::host(), vp_id.as_str().trim_start_matches("vp."));
            let worker = patience::start("the worker", wait, async || {
                let conn = self.connect("vp-worker").await?;
                start_worker(conn, settings, worker_id.clone(), std::slice::from_ref(&vp_id)).await
            });
            let worker = worker.await?;
            self.workers.push(worker);
        }
        if !settings.deliver.is_empty() {
            self.deliverers = Some(Deliverers::start(&self.connect("vp-deliver").await?, settings));
        }
        Ok(())
    }

    /// Another connection to this system's server.
    pub async fn connect(&self, name: &str) -> Result<Connection, Failed> {
        link::connect_to(&ConnectConfig { name: name.into(), ..self.target.clone() }).await
    }

    /// Where its server is.
    pub fn url(&self) -> &str {
        &self.target.url
    }

    /// Where the console is served; `None` when it is not, or not yet.
    pub async fn console(&self) -> Option<SocketAddr> {
        let mut status = self.bridge.as_ref()?.status();
        let settled = status.wait_for(|status| status.console.is_some() || status.console_error.is_some());
        tokio::time::timeout(CONSOLE_PATIENCE, settled).await.ok()?.ok()?.console
    }

    /// The door over HTTP, where one is configured.
    pub fn door(&self) -> Option<&HttpDoor> {
        self.door.as_ref()
    }

    /// Ends when an essential part has died, with the reason.
    pub async fn failed(&self) -> Failed {
        let mut parts: Vec<BoxFuture<'_, Failed>> = Vec::new();
        if let Some(server) = &self.server {
            let died = server.wait();
            parts.push(Box::pin(async move {
                match died.await {
                    Err(error) => Failed::from_error(Exit::Failure, &error),
                    Ok(()) => future::pending().await,
                }
            }));
        }
        if let Some(bridge) = &self.bridge {
            parts.push(Box::pin(async move { Failed::from_error(Exit::Failure, &bridge.failed().await) }));
        }
        for worker in &self.workers {
            parts.push(Box::pin(async move { Failed::from_error(Exit::Failure, &*worker.failed().await) }));
        }
        if parts.is_empty() {
            return future::pending().await;
        }
        future::select_all(parts).await.0
    }

    /// Stops everything in order: running attempts get `drain` to end, the rest is handed back.
    pub async fn stop(mut self, drain: Duration) {
        drain_all(std::mem::take(&mut self.workers), drain).await;
        if let Some(door) = self.door.take() {
            door.stop().await;
        }
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
        if let Some(bridge) = self.bridge.take() {
            bridge.stop().await;
        }
        if let Some(deliverers) = self.deliverers.take() {
            deliverers.stop().await;
        }
        if let Some(server) = self.server.take() {
            match server.stop().await {
                Stopped::Clean => tracing::info!("nats-server has stopped"),
                other => tracing::warn!(how = ?other, "nats-server did not stop in good order"),
            }
        }
    }
}

/// Lets running attempts end for so long; then, or when somebody hurries, the rest is handed back.
async fn drain_all(workers: Vec<Worker>, drain: Duration) {
    let hurry = crate::shutdown::hurry();
    workers.iter().for_each(Worker::drain);
    let drained = future::join_all(workers.iter().map(Worker::stopped));
    tokio::pin!(drained);
    tokio::select! {
        _ = &mut drained => return,
        () = hurry_or(drain, &hurry) => {}
    }
    tracing::info!("not waiting for running missions any longer: handing them back");
    workers.iter().for_each(Worker::drain);
    drained.await;
}

async fn hurry_or(drain: Duration, hurry: &tokio_util::sync::CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(drain) => {}
        () = hurry.cancelled() => {}
    }
}

async fn start_managed(settings: &Settings) -> Result<ManagedServer, Failed> {
    let config: ServerConfig = settings.server_config();
    ManagedServer::start(config).await.map_err(|error| Failed::from_error(Exit::Failure, &error))
}

/// Creates or verifies streams and queues.
pub async fn ensure_topology(conn: &Connection, settings: &Settings) -> Result<(), Failed> {
    topology::ensure(conn, &settings.topology(), &settings.lanes).await.map_err(|error| {
        let exit = match &error {
            TopologyError::Unavailable { .. } => Exit::Unavailable,
            _ => Exit::Failure,
        };
        Failed::from_error(exit, &error)
    })
}

/// Starts the bridge.
pub async fn start_bridge(conn: Connection, settings: &Settings) -> Result<Bridge, Failed> {
    let mut config = BridgeConfig::new(settings.ledger(), settings.lanes.clone());
    config.retention.keep_for = settings.ledger_keeps();
    config.console = console(settings)?;
    Bridge::start(conn, config).await.map_err(|error| {
        let exit = if error.may_pass() { Exit::Unavailable } else { Exit::Failure };
        Failed::from_error(exit, &error)
    })
}

/// Where the console is served, and to whom.
fn console(settings: &Settings) -> Result<Option<ConsoleConfig>, Failed> {
    let Some(listen) = settings.http.console.map(|address| address.0) else { return Ok(None) };
    let guard = settings.guard(listen).map_err(|why| Failed::new(Exit::Config, why))?;
    Ok(Some(ConsoleConfig { listen, guard, host: link::host() }))
}

/// Starts the dispatcher's micro service.
pub async fn start_service(conn: &Connection, settings: &Settings) -> Result<Service, Failed> {
    vp_dispatcher::service::serve(link::dispatcher(settings, conn))
        .await
        .map_err(|error| Failed::from_error(Exit::Unavailable, &error))
}

/// Opens the dispatcher's door over HTTP; `None` where none is configured.
pub async fn open_door(conn: &Connection, settings: &Settings) -> Result<Option<HttpDoor>, Failed> {
    let Some(Address(address)) = settings.http.dispatcher else { return Ok(None) };
    let guard = settings.guard(address).map_err(|why| Failed::new(Exit::Config, why))?;
    let tools = Provider::from(link::dispatcher(settings, conn));
    HttpDoor::open(address, guard, tools).await.map(Some).map_err(|error| {
        Failed::new(Exit::Failure, format!("could not serve over HTTP at {address}: {error}"))
            .hint("choose another address with `http.dispatcher`, or \"\" for none")
    })
}

/// Starts a worker that serves these lanes.
pub async fn start_worker(
    conn: Connection,
    settings: &Settings,
    worker_id: WorkerId,
    lanes: &[VpId],
) -> Result<Worker, Failed> {
    let lanes = settings.lanes.iter().filter(|(vp_id, _)| lanes.contains(vp_id));
    let lanes = lanes.map(|(vp_id, lane)| (vp_id.clone(), lane.clone())).collect();
    let mut config = WorkerConfig::new(worker_id, link::host(), settings.workspace_root(), lanes, keeper()?);
    config.drain_timeout = settings.worker.drain();
    config.retention = settings.workspace_policy();
    // Where its credentials do not allow that, the server refuses and the worker says so.
    config.may_create_consumers = true;
    Worker::start(conn, config).await.map_err(|error| match &error {
        WorkerError::Presence { .. } | WorkerError::Watch(_) | WorkerError::LaneModes => {
            Failed::from_error(Exit::Unavailable, &error)
                .hint("is nats-server up, with a leader, and its store not full? make room if it is")
        }
        _ => Failed::from_error(Exit::Failure, &error),
    })
}

/// This very program, as the owner of executors' process trees.
fn keeper() -> Result<KeeperCommand, Failed> {
    let program: PathBuf = std::env::current_exe().map_err(|error| {
        Failed::new(Exit::Failure, format!("could not find this program's own path: {error}"))
    })?;
    Ok(KeeperCommand { program, args: vec!["keeper".into()] })
}
