use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::binary::{ServerBinary, check_binary, find_binary};
use super::child::Child;
use super::config::{ServerConfig, USER};
use super::error::{Exit, FileContext, ServerError};
use super::files::{Files, write_private};
use super::lock::{DataDirLock, living_server};
use super::ready::{NotListening, announced_port, wait_until_listening};
use super::version::ServerVersion;
use crate::connect::{Auth, ConnectConfig, Secret, connect};

/// A check of the configuration only reads one file.
const VALIDATE_DEADLINE: Duration = Duration::from_secs(20);
/// Recovery of a large store is slow; a server that hangs for longer than this is given up.
const READY_DEADLINE: Duration = Duration::from_mins(3);
/// The server needs about 10 ms per consumer to stop.
const STOP_DEADLINE: Duration = Duration::from_mins(1);
/// After a KILL only the kernel is waited for.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
/// How much the server's heap grows between two collections, in percent: half the processor time of the default.
const GO_GC_PERCENT: &str = "200";
/// The least soft limit of the server's heap, in bytes. Each event of the log costs some 270 bytes of it, and near
/// the limit the server does little but collect.
const GO_MEMORY_FLOOR: u64 = 512 << 20;
/// What the server needs of our environment; the rest may hold secrets.
const PASSED_ENV: [&str; 4] = ["PATH", "HOME", "TZ", "LD_LIBRARY_PATH"];

/// A running nats-server, owned by this process.
///
/// Dropping it sends an INT and waits for nothing; [`stop`](Self::stop) is the orderly way. If this
/// process crashes, the server gets an INT from the kernel, keeps its data, and keeps the directory
/// locked until it has ended.
#[derive(Debug)]
pub struct ManagedServer {
    child: Child,
    files: Files,
    port: u16,
    password: Secret,
    version: ServerVersion,
    stopping: tokio::sync::watch::Sender<bool>,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ended by itself when asked to; everything it held is on the disk.
    Clean,
    /// It ended, but not as a clean stop does.
    Unclean(Exit),
    /// It did not end in time and was killed; what it had not synced survives only if the machine does.
    Killed,
}

impl ManagedServer {
    /// Starts a server and waits until it answers a JetStream request.
    ///
    /// Waits up to 3 minutes for a large store, and up to 1 minute for the dying server of a supervisor
    /// that crashed. The password is generated at the first start in a data directory, and kept.
    ///
    /// # Errors
    /// [`ServerError`]; no process is left behind.
    pub async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        config.check()?;
        let binary = match &config.binary {
            Some(path) => check_binary(path).await?,
            None => find_binary().await?,
        };
        let files = Files::create(&config.data_dir)?;
        let lock = DataDirLock::take(&files).await?;
        let password = files.password()?;
        write_private(&files.config, &config.render(&files.config_paths(), &password, &binary.version)?)?;
        validate(&binary, &files).await?;
        let child = spawn(&binary, &files, &lock).await?;
        let (stopping, _) = tokio::sync::watch::channel(false);
        // From here on a failure, or a caller who stops waiting, drops the server, which ends it.
        let mut server = Self { child, files, port: 0, password, version: binary.version, stopping };
        lock.record(&server.files, Some(server.child.pid()))?;
        drop(lock);
        server.port = server.listening(config.port).await?;
        server.round_trip().await?;
        tracing::info!(url = server.url(), version = %server.version, pid = server.pid(), "nats-server is ready");
        Ok(server)
    }

    /// Where it listens: `nats://127.0.0.1:<port>`, without credentials.
    pub fn url(&self) -> String {
        url_of(self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid().as_raw_pid().unsigned_abs()
    }

    /// Its version.
    pub fn version(&self) -> &ServerVersion {
        &self.version
    }

    /// How to connect to it, under the client name `name`.
    pub fn connect_config(&self, name: impl Into<String>) -> ConnectConfig {
        connect_config_of(self.port, self.password.clone(), name)
    }

    /// Resolves when the server has ended: `Ok` after [`stop`](Self::stop), else an error at once.
    ///
    /// The future does not borrow the server, so a supervisor can wait in one task and stop in another.
    ///
    /// # Errors
    /// [`ServerError::Died`] with the end of the log if nobody asked for it.
    pub fn wait(&self) -> impl Future<Output = Result<(), ServerError>> + Send + use<> {
        let (ended, files, stopping) = (self.child.ended(), self.files.clone(), self.stopping.subscribe());
        async move {
            let exit = ended.await;
            let asked_for = *stopping.borrow();
            if asked_for { Ok(()) } else { Err(ServerError::Died { exit, log: files.log_tail() }) }
        }
    }

    /// Asks it to end, waits up to a minute, then kills it. Stop what uses it first.
    pub async fn stop(self) -> Stopped {
        self.stopping.send_replace(true);
        self.child.signal(Signal::INT);
        match tokio::time::timeout(STOP_DEADLINE, self.child.ended()).await {
            Ok(exit) if exit.is_clean() => Stopped::Clean,
            Ok(exit) => {
                tracing::warn!(%exit, "nats-server did not stop cleanly");
                Stopped::Unclean(exit)
            }
            Err(_) => {
                tracing::warn!(
                    waited_seconds = STOP_DEADLINE.as_secs(),
                    "nats-server did not stop in time: killing it"
                );
                self.kill().await;
                Stopped::Killed
            }
        }
    }

    /// Ends it without notice, as a crash would, and waits until it is gone.
    pub(crate) async fn kill(&self) {
        self.child.signal(Signal::KILL);
        if tokio::time::timeout(KILL_DEADLINE, self.child.ended()).await.is_err() {
            tracing::error!(pid = self.pid(), "nats-server survives a KILL: the kernel holds it");
        }
    }

    /// Sends it any signal.
    #[cfg(any(test, feature = "harness"))]
    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Ends it without notice; blocks this thread until it is gone.
    #[cfg(any(test, feature = "harness"))]
    pub(crate) fn kill_blocking(&self) -> bool {
        self.child.signal(Signal::KILL);
        self.child.block_until_ended(KILL_DEADLINE)
    }

    async fn listening(&self, wanted: Option<u16>) -> Result<u16, ServerError> {
        match wait_until_listening(&self.child, &self.files.run, READY_DEADLINE).await {
            Ok(port) => Ok(port),
            Err(NotListening::Ended(exit)) => {
                let log = self.files.log_tail();
                let in_use = log.lines().iter().any(|line| line.contains("address already in use"));
                match wanted {
                    Some(port) if in_use => Err(ServerError::PortTaken { port }),
                    _ => Err(ServerError::FailedToStart { exit, log }),
                }
            }
            Err(NotListening::Late) => {
                self.kill().await;
                Err(ServerError::NotReady { waited: READY_DEADLINE, log: self.files.log_tail() })
            }
        }
    }

    async fn round_trip(&self) -> Result<(), ServerError> {
        match connect(&self.connect_config("vp-start")).await {
            Ok(_) => Ok(()),
            Err(source) => {
                let log = self.files.log_tail();
                self.kill().await;
                Err(ServerError::NoRoundTrip { source: Box::new(source), log })
            }
        }
    }
}

impl Drop for ManagedServer {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        if self.child.exit().is_none() {
            self.child.signal(Signal::INT);
        }
    }
}

/// How to connect to the server that another process runs in `data_dir`; `None` if none runs there.
///
/// Nothing is locked, written or asked: the server may still be starting, or end at any time.
///
/// # Errors
/// [`ServerError::File`] if this user may not read the server's files.
pub fn running_server(
    data_dir: &Path,
    name: impl Into<String>,
) -> Result<Option<ConnectConfig>, ServerError> {
    let files = Files::below(data_dir);
    let Some(password) = files.known_password()? else {
        return Ok(None);
    };
    let port = living_server(&files).and_then(|pid| announced_port(&files.run, pid));
    Ok(port.map(|port| connect_config_of(port, password, name)))
}

fn connect_config_of(port: u16, password: Secret, name: impl Into<String>) -> ConnectConfig {
    let auth = Auth::UserPassword { user: USER.to_owned(), password };
    ConnectConfig { auth, ..ConnectConfig::new(url_of(port), name) }
}

fn url_of(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

/// Lets the server itself check its configuration, which it does better than at a start.
async fn validate(binary: &ServerBinary, files: &Files) -> Result<(), ServerError> {
    let mut command = tokio::process::Command::from(command_in(&binary.path, files));
    command.arg("-t").kill_on_drop(true);
    let refused = |reason: String| ServerError::ConfigRefused { config: files.config.clone(), reason };
    match tokio::time::timeout(VALIDATE_DEADLINE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Ok(Err(source)) => Err(source).on("run", &binary.path),
        Err(_) => Err(refused(format!("no answer within {} s", VALIDATE_DEADLINE.as_secs()))),
    }
}

async fn spawn(binary: &ServerBinary, files: &Files, lock: &DataDirLock) -> Result<Child, ServerError> {
    let stderr = files.begin_run()?;
    let mut command = command_in(&binary.path, files);
    command.stdout(Stdio::null()).stderr(stderr);
    Child::spawn(command, lock.file()).await.on("run", &binary.path)
}

fn command_in(binary: &Path, files: &Files) -> Command {
    let mut command = Command::new(binary);
    command.arg("-c").arg(&files.config).current_dir(&files.dir).stdin(Stdio::null()).env_clear();
    command.envs(PASSED_ENV.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))));
    command.env("GOGC", GO_GC_PERCENT).env("GOMEMLIMIT", go_memory_limit().to_string());
    command
}

/// Half of the machine.
fn go_memory_limit() -> u64 {
    let system = rustix::system::sysinfo();
    (u64::from(system.mem_unit) * system.totalram / 2).max(GO_MEMORY_FLOOR)
}
