//! A real nats-server per test: its own directory and port, gone when the test ends.
//!
//! Everything here panics instead of returning errors, because a test without its server has failed.

mod cluster;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::connect::{ConnectConfig, Connection, connect};
pub use cluster::TestCluster;

use crate::server::{ManagedServer, ServerConfig, ServerError, SyncMode};

/// Below the ports that the kernel gives to outgoing connections, so that a stopped server's port stays free.
const PORTS: std::ops::Range<u16> = 17_000..32_000;
/// A port can be taken between the look and the start.
const START_ATTEMPTS: u32 = 20;
/// The kernel may need a moment to free a killed server's port.
const RESTART_PATIENCE: Duration = Duration::from_secs(10);
const RESTART_POLL: Duration = Duration::from_millis(20);

/// A nats-server of one test.
///
/// It keeps its port and its directory over [`kill`](Self::kill), [`stop`](Self::stop) and
/// [`restart`](Self::restart). Dropped, it is killed and its directory removed.
#[derive(Debug)]
pub struct TestServer {
    // Before the directory, so that the process is gone when the directory is removed.
    server: Option<ManagedServer>,
    config: ServerConfig,
    connect: ConnectConfig,
    _dir: TempDir,
}

impl TestServer {
    /// Starts one that does not sync each write, which is faster and enough to survive a kill.
    ///
    /// # Panics
    /// If no nats-server is found (run `make setup`) or it does not start.
    pub async fn start() -> Self {
        Self::start_with(SyncMode::Deferred).await
    }

    /// Starts one with the given sync mode.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_with(sync: SyncMode) -> Self {
        let dir = tempfile::Builder::new().prefix("vp-test-").tempdir();
        let dir =
            dir.unwrap_or_else(|error| panic!("cannot make a directory for the test's nats-server: {error}"));
        let mut config =
            ServerConfig { sync, server_name: "vp-test".to_owned(), ..ServerConfig::new(dir.path()) };
        for _ in 0..START_ATTEMPTS {
            config.port = Some(free_port());
            match ManagedServer::start(config.clone()).await {
                Ok(server) => {
                    let connect = server.connect_config("test");
                    return Self { server: Some(server), config, connect, _dir: dir };
                }
                Err(ServerError::PortTaken { .. }) => {}
                Err(error) => give_up(&error),
            }
        }
        panic!("no free port found for the test's nats-server in {START_ATTEMPTS} attempts");
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.connect.url
    }

    /// The port it listens on.
    ///
    /// # Panics
    /// Never: a test server always has a port.
    pub fn port(&self) -> u16 {
        self.config.port.unwrap_or_else(|| panic!("a test server has a fixed port"))
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(ManagedServer::pid)
    }

    /// How to connect to it.
    pub fn connect_config(&self) -> ConnectConfig {
        self.connect.clone()
    }

    /// A new connection.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn connect(&self) -> Connection {
        match connect(&self.connect).await {
            Ok(connection) => connection,
            Err(error) => panic!("cannot connect to the test's nats-server: {}", chain(&error)),
        }
    }

    /// Ends it as a crash would (KILL). Its port and data stay.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill().await;
        }
    }

    /// Ends it in order (INT). Its port and data stay.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Starts it again on the same port and data; a running one is killed first.
    ///
    /// # Panics
    /// If it does not start within 10 seconds.
    pub async fn restart(&mut self) {
        self.kill().await;
        let deadline = Instant::now() + RESTART_PATIENCE;
        loop {
            match ManagedServer::start(self.config.clone()).await {
                Ok(server) => {
                    self.server = Some(server);
                    return;
                }
                Err(ServerError::PortTaken { .. }) if Instant::now() < deadline => sleep(RESTART_POLL).await,
                Err(error) => give_up(&error),
            }
        }
    }

    /// Stops it in its tracks (STOP): it answers nothing but keeps its connections.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        // A signal to stop is obeyed by one thread after the other.
        let deadline = Instant::now() + RESTART_PATIENCE;
        while self.pid().is_some_and(|pid| !is_stopped(pid)) {
            assert!(Instant::now() < deadline, "nats-server did not stop for SIGSTOP");
            std::thread::yield_now();
        }
    }

    /// Lets a frozen one go on (CONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            server.signal(signal);
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill_blocking();
        }
    }
}

fn free_port() -> u16 {
    let mut rng = rand::rng();
    for _ in 0..1000 {
        let port = rng.random_range(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {} and {}", PORTS.start, PORTS.end);
}

fn give_up(error: &ServerError) -> ! {
    panic!("the test's nats-server does not start: {}", chain(error));
}

/// The error with all its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// True when every thread of the process is stopped, by the kernel's word.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // A thread that has gone in between is stopped too.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}
