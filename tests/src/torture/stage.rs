//! The world of a round: brokers, links, processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::{Duration, Instant, sleep};
use vp_bridge::harness::LedgerPlace;
use vp_nats::connect::Connection;
use vp_nats::topology::{self, TopologyConfig};
use vp_nats::{clock, lane_modes};
use vp_shared::ids::VpId;
use vp_shared::lane::{LaneMode, LaneModeRecord, Lanes};

use super::actor::{Actor, Journal, Life, Role};
use super::brokers::{Brokers, connect_directly, url_of};
use super::executor::write_script;
use super::missions::lanes;
use super::options::Options;
use crate::lanes::{CODER, GENERAL};
use crate::proxy::Proxy;

/// How many workers there are; each serves both lanes.
pub const WORKERS: usize = 3;

/// What one process speaks to the brokers through: a proxy for each of them.
#[derive(Debug)]
pub struct Link {
    /// Whose it is.
    pub name: String,
    proxies: Vec<Proxy>,
}

impl Link {
    async fn start(name: &str, ports: &[u16]) -> Self {
        let mut proxies = Vec::new();
        for port in ports {
            proxies.push(Proxy::start(([127, 0, 0, 1], *port).into()).await);
        }
        Self { name: name.to_owned(), proxies }
    }

    fn url(&self) -> String {
        url_of(&self.proxies.iter().map(|proxy| proxy.addr().port()).collect::<Vec<_>>())
    }

    /// Passes nothing on any more.
    pub fn freeze(&self) {
        self.proxies.iter().for_each(Proxy::freeze);
    }

    /// Ends all connections and takes no new ones.
    pub fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    /// Passes everything on again.
    pub fn restore(&self) {
        self.proxies.iter().for_each(Proxy::restore);
    }
}

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    /// Where everything of the round is.
    pub dir: PathBuf,
    /// The lanes.
    pub lanes: Lanes,
    /// The ledger, as `bridge.ledger` names it.
    pub ledger: String,
    /// The nats-servers.
    pub brokers: Arc<Mutex<Brokers>>,
    /// Their addresses, past all links.
    pub url: String,
    /// `w1`, `w2` and so on.
    pub workers: Vec<Arc<Actor>>,
    /// The bridges.
    pub bridges: Vec<Arc<Actor>>,
    /// The dispatcher.
    pub dispatcher: Arc<Actor>,
    /// The links of workers and bridges.
    pub links: Vec<Arc<Link>>,
    /// What happened.
    pub journal: Journal,
    /// The database's server, if it is the round's own.
    _place: Option<LedgerPlace>,
}

impl Stage {
    /// Starts everything. The first bridge dies in the middle of its migration if `mid_migration` is set.
    pub async fn start(dir: &Path, options: &Options, mid_migration: bool) -> Self {
        let (script, effects) = (dir.join("executor.sh"), dir.join("effects"));
        std::fs::create_dir_all(&effects).unwrap();
        std::fs::create_dir_all(dir.join("logs")).unwrap();
        write_script(&script);
        let lanes = lanes(&script, &effects);
        let (place, ledger) = match &options.ledger_url {
            Some(url) => (None, url.clone()),
            None => {
                let place = LedgerPlace::new(options.ledger.of_harness(), &dir.join("ledger.sqlite")).await;
                let location = place.location.clone();
                (Some(place), location)
            }
        };
        let config = dir.join("vp.toml");
        std::fs::write(&config, config_text(dir, &lanes, &ledger)).unwrap();
        let brokers = Brokers::start(dir, options.cluster).await;
        let (url, ports) = (brokers.url(), brokers.ports());
        prepare(&connect_directly(&url, "torture-admin").await, options.cluster, &lanes).await;

        let journal = Journal::new(&dir.join("journal.log"));
        let start = |name: &str, url: &str, args: &[&str], life: Life| {
            let global = ["--config", config.to_str().unwrap(), "--nats-url", url];
            let args = global.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
            let log = dir.join("logs").join(format!("{name}.log"));
            Arc::new(Actor::start(Role { name: name.to_owned(), args, log }, life, journal.clone()))
        };
        let mut links = Vec::new();
        let mut bridges = Vec::new();
        for nth in 1..=options.bridges {
            let link = Link::start(&format!("b{nth}"), &ports).await;
            let crash_at = (mid_migration && nth == 1).then(|| "mid_migration".to_owned());
            bridges.push(start(&link.name, &link.url(), &["bridge"], Life { crash_at, clock_ms: 0 }));
            links.push(Arc::new(link));
        }
        let mut workers = Vec::new();
        for nth in 1..=WORKERS {
            let link = Link::start(&format!("w{nth}"), &ports).await;
            let args = ["worker", "--id", &link.name];
            workers.push(start(&link.name, &link.url(), &args, Life::default()));
            links.push(Arc::new(link));
        }
        let dispatcher = start("dispatcher", &url, &["dispatcher"], Life::default());
        Self {
            dir: dir.to_owned(),
            lanes,
            ledger,
            brokers: Arc::new(Mutex::new(brokers)),
            url,
            workers,
            bridges,
            dispatcher,
            links,
            journal,
            _place: place,
        }
    }

    /// A connection past all links.
    pub async fn connect(&self, name: &str) -> Connection {
        connect_directly(&self.url, name).await
    }

    /// Ends all faults: servers run, links pass, processes live without a fault, lanes are open.
    pub async fn calm(&self) {
        {
            let mut brokers = self.brokers.lock().await;
            for i in 0..brokers.count() {
                brokers.thaw(i);
                brokers.revive(i);
                brokers.until_listening(i).await;
            }
        }
        self.links.iter().for_each(|link| link.restore());
        for actor in self.actors() {
            actor.calm().await;
        }
        let conn = self.connect("torture-operator").await;
        for vp_id in self.lanes.keys() {
            until_done(async || set_lane_mode(&conn, vp_id, LaneMode::Open).await).await;
        }
    }

    fn actors(&self) -> impl Iterator<Item = &Arc<Actor>> {
        self.workers.iter().chain(&self.bridges).chain([&self.dispatcher])
    }

    /// Ends everything but the brokers.
    pub async fn end_actors(self) {
        let Self { workers, bridges, dispatcher, .. } = self;
        for actor in workers.into_iter().chain(bridges).chain([dispatcher]) {
            if let Ok(actor) = Arc::try_unwrap(actor) {
                actor.end().await;
            }
        }
    }
}

/// The admin's step: streams and queues.
async fn prepare(conn: &Connection, replicas: usize, lanes: &Lanes) {
    let config = TopologyConfig { replicas, ..TopologyConfig::default() };
    until_done(async || topology::ensure(conn, &config, lanes).await.map_err(|error| error.to_string()))
        .await;
}

/// What an operator does with `vp lanes --pause` and the like.
///
/// # Errors
/// Why it is not known to be so.
pub async fn set_lane_mode(conn: &Connection, vp_id: &VpId, mode: LaneMode) -> Result<(), String> {
    let wanted = LaneModeRecord { mode, by: "torture".to_owned(), reason: None, since: clock::now() };
    let set = lane_modes::set(conn, vp_id, wanted).await;
    set.map(|_| ()).map_err(|error| error.to_string())
}

/// Tries until it is done; panics after a minute.
async fn until_done(mut attempt: impl AsyncFnMut() -> Result<(), String>) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(error) = attempt().await {
        assert!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(200)).await;
    }
}

fn config_text(dir: &Path, lanes: &Lanes, ledger: &str) -> String {
    let mut table = toml::Table::new();
    for (vp_id, lane) in lanes {
        table.insert(vp_id.to_string(), toml::Value::try_from(lane).unwrap());
    }
    debug_assert!(table.contains_key(CODER) && table.contains_key(GENERAL), "no built-in lane is left over");
    let section =
        |key: &str, value: toml::Value| toml::Value::Table(toml::Table::from_iter([(key.to_owned(), value)]));
    let root = toml::Table::from_iter([
        ("data_dir".to_owned(), dir.to_str().unwrap().into()),
        ("log".to_owned(), section("format", "text".into())),
        ("worker".to_owned(), section("drain_seconds", 5.into())),
        ("bridge".to_owned(), section("ledger", ledger.into())),
        ("lanes".to_owned(), toml::Value::Table(table)),
    ]);
    toml::to_string(&root).unwrap()
}
