//! Three servers that replicate everything, run with the production configuration as it is documented.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use vp_shared::lane::Lanes;

use super::{chain, free_port};
use crate::api::ask;
use crate::connect::{Auth, ConnectConfig, Connection, Secret, connect};
use crate::server::find_binary;
use crate::topology::{TopologyConfig, ensure};

/// The file that users copy.
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster.conf");
const SIZE: usize = 3;
const PASSWORD: &str = "pw-of-vp";
const ROUTE_PASSWORD: &str = "routeword";
/// How long the three may take to find each other, or a restarted one to have everything again.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// A cluster of three. Each keeps its name, ports and directory over a kill. Dropped, all are killed.
#[derive(Debug)]
pub struct TestCluster {
    servers: Vec<Member>,
    routes: String,
    binary: PathBuf,
    dir: TempDir,
}

#[derive(Debug)]
struct Member {
    name: String,
    client: u16,
    route: u16,
    process: Option<Child>,
}

impl TestCluster {
    /// Starts one, with all that [`ensure`] makes for these lanes, in three copies.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start(lanes: &Lanes) -> Self {
        let dir = tempfile::Builder::new().prefix("vp-cluster-").tempdir();
        let dir = dir.unwrap_or_else(|error| panic!("cannot make a directory for the cluster: {error}"));
        let binary = match find_binary().await {
            Ok(binary) => binary.path,
            Err(error) => panic!("no nats-server: {}", chain(&error)),
        };
        let servers: Vec<_> = (0..SIZE)
            .map(|n| Member {
                name: format!("nats-{n}"),
                client: free_port(),
                route: free_port(),
                process: None,
            })
            .collect();
        let routes: Vec<_> = servers
            .iter()
            .map(|server| format!("nats://route:{ROUTE_PASSWORD}@127.0.0.1:{}", server.route))
            .collect();
        let mut cluster = Self { servers, routes: format!("[{}]", routes.join(", ")), binary, dir };
        for n in 0..SIZE {
            cluster.restart(n);
        }
        let conn = cluster.connect().await;
        let config = TopologyConfig { replicas: SIZE, ..TopologyConfig::default() };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = ensure(&conn, &config, lanes).await {
            assert!(Instant::now() < deadline, "{}", chain(&error));
            sleep(POLL).await;
        }
        cluster
    }

    /// How to connect to any of them.
    pub fn connect_config(&self) -> ConnectConfig {
        let urls: Vec<_> =
            self.servers.iter().map(|server| format!("nats://127.0.0.1:{}", server.client)).collect();
        let auth = Auth::UserPassword { user: "vp".to_owned(), password: Secret::new(PASSWORD) };
        ConnectConfig { auth, ..ConnectConfig::new(urls.join(","), "test") }
    }

    /// A new connection.
    ///
    /// # Panics
    /// If none can be made.
    pub async fn connect(&self) -> Connection {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match connect(&self.connect_config()).await {
                Ok(conn) => return conn,
                Err(error) => assert!(Instant::now() < deadline, "{}", chain(&error)),
            }
            sleep(POLL).await;
        }
    }

    /// Which one leads this stream.
    ///
    /// # Panics
    /// If none does for a long time.
    pub async fn leader(&self, conn: &Connection, stream: &str) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = ask(conn, &format!("STREAM.INFO.{stream}"), &Value::Null).await.unwrap_or_default();
            let name = info["cluster"]["leader"].as_str();
            if let Some(n) = self.servers.iter().position(|server| Some(server.name.as_str()) == name) {
                return n;
            }
            assert!(Instant::now() < deadline, "{stream} has no leader: {info}");
            sleep(POLL).await;
        }
    }

    /// Waits until every copy of these streams is there and has everything.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn whole(&self, conn: &Connection, streams: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        for stream in streams {
            loop {
                let info =
                    ask(conn, &format!("STREAM.INFO.{stream}"), &Value::Null).await.unwrap_or_default();
                let peers = info["cluster"]["replicas"].as_array().cloned().unwrap_or_default();
                if peers.len() == SIZE - 1
                    && peers.iter().all(|peer| peer["current"] == true && peer["offline"] != true)
                {
                    break;
                }
                assert!(Instant::now() < deadline, "{stream} is not whole: {info}");
                sleep(POLL).await;
            }
        }
    }

    /// Ends one as a crash would (KILL).
    pub async fn kill(&mut self, n: usize) {
        if let Some(mut process) = self.servers[n].process.take() {
            // One that has ended by itself is as dead.
            let _ = process.kill().await;
        }
    }

    /// Starts one, on the same ports and data.
    ///
    /// # Panics
    /// If the process cannot be started.
    pub fn restart(&mut self, n: usize) {
        let member = &mut self.servers[n];
        let home = self.dir.path().join(&member.name);
        let log = std::fs::create_dir_all(&home)
            .and_then(|()| std::fs::File::options().create(true).append(true).open(home.join("log")))
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", home.display()));
        let process = Command::new(&self.binary)
            .args(["-c", CONFIG])
            .env("NATS_SERVER_NAME", &member.name)
            .env("NATS_LISTEN", format!("127.0.0.1:{}", member.client))
            .env("NATS_CLUSTER_LISTEN", format!("127.0.0.1:{}", member.route))
            .env("NATS_STORE_DIR", home.join("store"))
            .env("NATS_MAX_FILE_STORE", "1GB")
            .env("NATS_PASSWORD", PASSWORD)
            .env("NATS_ROUTE_PASSWORD", ROUTE_PASSWORD)
            .env("NATS_ROUTES", &self.routes)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        member.process =
            Some(process.unwrap_or_else(|error| panic!("cannot start nats-server {}: {error}", member.name)));
    }

    /// The last words of one, for a test that has failed.
    pub fn log(&self, n: usize) -> String {
        let path = self.dir.path().join(&self.servers[n].name).join("log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}
