//! The managed server, tried with real ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::stream::Config as StreamConfig;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep, timeout};
use vp_nats::connect::{Auth, ConnectConfig, Connection, connect};
use vp_nats::server::{ManagedServer, ServerConfig, ServerError, Stopped, SyncMode, running_server};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn config(dir: &Path) -> ServerConfig {
    ServerConfig { sync: SyncMode::Deferred, ..ServerConfig::new(dir) }
}

async fn start(dir: &Path) -> ManagedServer {
    ManagedServer::start(config(dir)).await.unwrap()
}

async fn connected(server: &ManagedServer) -> Connection {
    connect(&server.connect_config("test")).await.unwrap()
}

fn pid_of(server: &ManagedServer) -> Pid {
    Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap()
}

async fn store_one(connection: &Connection) {
    let config =
        StreamConfig { name: "S".to_owned(), subjects: vec!["s.>".to_owned()], ..StreamConfig::default() };
    connection.jetstream().get_or_create_stream(config).await.unwrap();
    connection.jetstream().publish("s.one", "kept".into()).await.unwrap().await.unwrap();
}

async fn stored(connection: &Connection) -> u64 {
    connection.jetstream().get_stream("S").await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn a_started_server_answers_and_stops_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    assert_eq!(server.url(), format!("nats://127.0.0.1:{}", server.port()));
    assert!(server.version().is_supported());
    let connection = connected(&server).await;
    store_one(&connection).await;
    let (wait, pid) = (server.wait(), pid_of(&server));
    assert_eq!(timeout(PATIENCE, server.stop()).await.unwrap(), Stopped::Clean);
    timeout(PATIENCE, wait).await.unwrap().expect("a stop is no failure");
    assert!(test_kill_process(pid).is_err(), "it is gone and reaped");
}

#[tokio::test]
async fn a_restart_keeps_data_and_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path()).await;
    store_one(&connected(&first).await).await;
    let credentials = first.connect_config("test").auth;
    first.stop().await;

    let second = start(dir.path()).await;
    assert_eq!(second.connect_config("test").auth, credentials);
    assert_eq!(stored(&connected(&second).await).await, 1);
}

#[tokio::test]
async fn a_second_start_on_the_same_data_is_refused_while_the_first_runs() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path()).await;
    let error = ManagedServer::start(config(dir.path())).await.unwrap_err();
    assert!(matches!(error, ServerError::DataDirBusy { .. }), "{error}");
    let text = error.to_string();
    for part in [dir.path().to_str().unwrap(), &std::process::id().to_string(), &first.pid().to_string()] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    store_one(&connected(&first).await).await;
    first.stop().await;
    start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_can_be_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    store_one(&connected(&server).await).await;
    kill_process(pid_of(&server), Signal::KILL).unwrap();
    let error = timeout(PATIENCE, server.wait()).await.unwrap().unwrap_err();
    assert!(matches!(error, ServerError::Died { .. }), "{error}");
    assert!(error.to_string().contains("SIGKILL"), "{error}");
    assert!(error.to_string().contains("Server is ready"), "the log's end is told: {error}");

    let again = start(dir.path()).await;
    assert_eq!(stored(&connected(&again).await).await, 1);
}

#[tokio::test]
async fn another_process_finds_the_running_server_and_only_that() {
    let dir = tempfile::tempdir().unwrap();
    assert!(running_server(dir.path(), "cli").unwrap().is_none(), "nothing was ever here");
    let server = start(dir.path()).await;
    let config = running_server(dir.path(), "cli").unwrap().unwrap();
    assert_eq!((config.url.clone(), config.name.as_str()), (server.url(), "cli"));
    connect(&config).await.unwrap();
    kill_process(pid_of(&server), Signal::KILL).unwrap();
    timeout(PATIENCE, server.wait()).await.unwrap().unwrap_err();
    assert!(running_server(dir.path(), "cli").unwrap().is_none(), "a killed server leaves its ports file");
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_no_server() {
    let dir = tempfile::tempdir().unwrap();
    // Given up at many moments of the start.
    for millis in (0..60).step_by(3) {
        let attempt = ManagedServer::start(config(dir.path()));
        let _ = timeout(Duration::from_millis(millis), attempt).await;
        let deadline = Instant::now() + PATIENCE;
        // The server of the attempt holds the lock until it has ended.
        let server = loop {
            match ManagedServer::start(config(dir.path())).await {
                Ok(server) => break server,
                Err(ServerError::DataDirBusy { .. }) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("after {millis} ms: {error}"),
            }
        };
        server.stop().await;
    }
}

#[tokio::test]
async fn a_dropped_server_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let pid = pid_of(&server);
    drop(server);
    until_gone(pid).await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error =
        ManagedServer::start(ServerConfig { port: Some(port), ..config(dir.path()) }).await.unwrap_err();
    assert!(matches!(error, ServerError::PortTaken { port: p } if p == port), "{error}");
    drop(taken);
    let server = ManagedServer::start(ServerConfig { port: Some(port), ..config(dir.path()) }).await.unwrap();
    assert_eq!(server.port(), port);
}

#[tokio::test]
async fn nobody_connects_without_the_password_and_only_the_owner_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let error = connect(&ConnectConfig::new(server.url(), "stranger")).await.unwrap_err();
    assert!(error.to_string().contains("presented: no credentials"), "{error}");
    let Auth::UserPassword { password, .. } = server.connect_config("test").auth else {
        panic!("no password")
    };
    let mut with_password = Vec::new();
    for entry in std::fs::read_dir(dir.path().join("nats")).unwrap() {
        let entry = entry.unwrap();
        let text = std::fs::read(entry.path()).unwrap_or_default();
        if String::from_utf8_lossy(&text).contains(password.expose()) {
            with_password.push(entry.file_name());
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        }
    }
    with_password.sort();
    assert_eq!(with_password, ["password", "server.conf"]);
    assert!(!format!("{server:?}").contains(password.expose()));
}

#[tokio::test]
async fn the_server_itself_checks_its_configuration_before_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let stand_in = dir.path().join("stand-in");
    // Answers the version and refuses any configuration, as a server does that no longer knows a key.
    std::fs::write(
        &stand_in,
        "#!/bin/sh\n[ \"$1\" = -v ] && echo 'nats-server: v9.0.0' && exit 0\necho 'server.conf:3:1: unknown field' >&2\nexit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = ServerConfig { binary: Some(stand_in), ..config(dir.path()) };
    let error = ManagedServer::start(config).await.unwrap_err();
    assert!(
        matches!(&error, ServerError::ConfigRefused { reason, .. } if reason.contains("unknown field")),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_binary_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let binary = PathBuf::from("/nowhere/nats-server");
    let error =
        ManagedServer::start(ServerConfig { binary: Some(binary), ..config(dir.path()) }).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/nats-server"), "{error}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = ManagedServer::start(config(&file.join("data"))).await.unwrap_err();
    assert!(matches!(&error, ServerError::File { path, .. } if path.starts_with(&file)), "{error}");
}

#[tokio::test]
async fn the_server_runs_in_a_process_group_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let group = rustix::process::getpgid(Some(pid_of(&server))).unwrap();
    assert_eq!(group, pid_of(&server));
}

#[tokio::test]
async fn the_lock_is_inherited_by_the_server_and_by_no_other_child() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let lock = dir.path().join("nats/lock").canonicalize().unwrap();
    let holds = |pid: u32| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        fds.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == lock))
    };
    let (by_server, by_other) = (holds(server.pid()), holds(other.id()));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(by_server && !by_other, "server: {by_server}, other child: {by_other}");
}

const ORPHAN_DIR: &str = "VP_TEST_ORPHAN_DIR";

/// Not a test: the supervisor that the next one kills. It runs in a process of its own.
#[tokio::test]
#[ignore = "run by a_crashed_supervisor_leaves_no_server"]
async fn supervisor_to_be_killed() {
    let Some(dir) = std::env::var_os(ORPHAN_DIR) else { return };
    let server = start(Path::new(&dir)).await;
    std::fs::write(Path::new(&dir).join("server.pid"), server.pid().to_string()).unwrap();
    // It is killed long before.
    let _ = timeout(PATIENCE, server.wait()).await;
}

#[tokio::test]
async fn a_crashed_supervisor_leaves_no_server_and_the_next_start_waits_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervisor = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "supervisor_to_be_killed"])
        .env(ORPHAN_DIR, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid_file = dir.path().join("server.pid");
    let pid = eventually("the supervisor's server runs", || {
        Pid::from_raw(std::fs::read_to_string(&pid_file).ok()?.parse().ok()?)
    })
    .await;
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();

    let server = start(dir.path()).await;
    assert_ne!(pid_of(&server), pid);
    until_gone(pid).await;
    let log = std::fs::read_to_string(dir.path().join("nats/server.log.old")).unwrap();
    assert!(log.contains("Server Exiting"), "the orphan stopped in order: {log}");
}

#[tokio::test]
async fn an_orphan_that_does_not_end_still_keeps_others_away() {
    let dir = tempfile::tempdir().unwrap();
    let nats = dir.path().join("nats");
    std::fs::create_dir(&nats).unwrap();
    // A stand-in for an orphaned server: a second open file that holds the lock, as a child's would.
    let orphan = std::fs::File::create(nats.join("lock")).unwrap();
    orphan.lock().unwrap();
    std::fs::write(nats.join("lock"), format!("{}\n0\n", dead_pid())).unwrap();

    let mut starting = Box::pin(ManagedServer::start(config(dir.path())));
    let early = timeout(Duration::from_millis(300), &mut starting).await;
    assert!(early.is_err(), "it waits for the orphan instead of starting a second server");
    drop(orphan);
    timeout(PATIENCE, starting).await.unwrap().unwrap();
}

/// A pid that nobody has: its bearer has ended and was reaped.
fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

async fn until_gone(pid: Pid) {
    eventually("the server is gone", || {
        // Whoever adopted an orphan may take its time to reap it.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (test_kill_process(pid).is_err() || stat.contains(") Z ")).then_some(())
    })
    .await;
}

/// Polls until `look` finds something.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
