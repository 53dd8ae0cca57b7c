//! The nats-servers of a round: one, or three that replicate everything. Each is a process of its own, with a port and
//! a store that outlive it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use vp_nats::connect::{ConnectConfig, Connection, connect};
use vp_nats::server::find_binary;

use super::actor::{send_signal, tie_to_parent};

/// What a server stores may not exceed this, in bytes: little, so that it can be filled within a moment, and more than
/// the progress stream reserves.
const STORE_BYTES: u64 = 320 << 20;
/// How long a server may take to listen again.
const PATIENCE: Duration = Duration::from_secs(30);

/// One nats-server.
#[derive(Debug)]
struct Server {
    config: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// All of them.
#[derive(Debug)]
pub struct Brokers {
    binary: PathBuf,
    servers: Vec<Server>,
}

impl Brokers {
    /// Starts so many, with their stores below `dir`.
    pub async fn start(dir: &Path, count: usize) -> Self {
        let binary = find_binary().await.unwrap_or_else(|error| panic!("{error}")).path;
        let ports = free_ports(2 * count);
        let (clients, routes) = ports.split_at(count);
        let servers = (0..count)
            .map(|i| {
                let home = dir.join(format!("nats-{i}"));
                std::fs::create_dir_all(&home).unwrap();
                let config = home.join("server.conf");
                std::fs::write(&config, config_text(i, clients, routes, &home)).unwrap();
                Server { config, port: clients[i], child: None }
            })
            .collect();
        let mut brokers = Self { binary, servers };
        for i in 0..count {
            brokers.revive(i);
        }
        for i in 0..count {
            brokers.until_listening(i).await;
        }
        brokers
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// The ports they listen on.
    pub fn ports(&self) -> Vec<u16> {
        self.servers.iter().map(|server| server.port).collect()
    }

    /// All addresses, separated by commas.
    pub fn url(&self) -> String {
        url_of(&self.ports())
    }

    /// Kills one.
    pub async fn kill(&mut self, i: usize) {
        if let Some(mut child) = self.servers[i].child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Stops one in its tracks.
    pub fn freeze(&self, i: usize) {
        self.signal(i, "STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self, i: usize) {
        self.signal(i, "CONT");
    }

    fn signal(&self, i: usize, signal: &str) {
        if let Some(pid) = self.servers[i].child.as_ref().and_then(Child::id) {
            send_signal(pid, signal);
        }
    }

    /// Starts one again on its port and store, unless it runs.
    pub fn revive(&mut self, i: usize) {
        let server = &mut self.servers[i];
        if server.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        tie_to_parent(&mut command, &self.binary);
        let child = command.arg("-c").arg(&server.config).stdin(Stdio::null()).kill_on_drop(true);
        server.child = Some(child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Waits until one takes connections.
    pub async fn until_listening(&self, i: usize) {
        let deadline = Instant::now() + PATIENCE;
        let address = ("127.0.0.1", self.servers[i].port);
        while !matches!(
            timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(address)).await,
            Ok(Ok(_))
        ) {
            assert!(Instant::now() < deadline, "nats-server {i} does not listen within {PATIENCE:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// These ports of this host, as one NATS url.
pub fn url_of(ports: &[u16]) -> String {
    let urls: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    urls.join(",")
}

/// Connects past all links, for whoever must not be disturbed; tries until a server is there.
pub async fn connect_directly(url: &str, name: &str) -> Connection {
    let config = ConnectConfig::new(url, name);
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        match connect(&config).await {
            Ok(conn) => return conn,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn config_text(i: usize, clients: &[u16], routes: &[u16], home: &Path) -> String {
    let mut text = format!(
        "listen: \"127.0.0.1:{}\"\nserver_name: n{i}\nlog_file: \"{home}/server.log\"\nping_interval: \"5s\"\n\
         jetstream {{ store_dir: \"{home}\", max_file_store: {STORE_BYTES} }}\n",
        clients[i],
        home = home.display(),
    );
    if clients.len() > 1 {
        let all: Vec<_> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        // Not advertised: a client that learned of the others would go to them past its link.
        let _ = writeln!(
            text,
            "cluster {{ name: c, listen: \"127.0.0.1:{}\", no_advertise: true, routes: [{}] }}",
            routes[i],
            all.join(", ")
        );
    }
    text
}

/// Ports below those that the kernel gives to outgoing connections, so that a killed server's port stays free.
fn free_ports(count: usize) -> Vec<u16> {
    let mut found = Vec::new();
    let mut listeners = Vec::new();
    let mut port = 17_000 + u16::try_from(std::process::id() % 13_000).unwrap();
    while found.len() < count {
        port = if port >= 31_999 { 17_000 } else { port + 1 };
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            // Held until all are found, so that none is found twice.
            listeners.push(listener);
            found.push(port);
        }
    }
    found
}
