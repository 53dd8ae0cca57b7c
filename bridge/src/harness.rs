//! A real PostgreSQL server per test: its own directory and port, gone when the test ends.
//!
//! Everything here panics instead of returning errors, because a test without its server has failed.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Below the ports that the kernel gives to outgoing connections, so that a stopped server's port stays free.
const PORTS: std::ops::Range<u64> = 17_000..32_000;
/// A port can be taken between the look and the start.
const START_ATTEMPTS: u32 = 20;
/// Longer than a start with recovery takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// PostgreSQL refuses to run as root; it runs as nobody then.
const NOBODY: u32 = 65_534;
const USER: &str = "vp";
/// The password of every test's server: it must never be shown.
pub const PASSWORD: &str = "s3cret-pa55word";

/// A PostgreSQL server of one test, with one empty database.
///
/// It keeps its port and its directory over [`kill`](Self::kill) and [`start_again`](Self::start_again). Dropped, it
/// is killed and its directory removed; it also dies with the thread that started it.
#[derive(Debug)]
pub struct TestPostgres {
    // Before the directory, so that the process is gone when the directory is removed.
    running: Option<Running>,
    bin: PathBuf,
    port: u64,
    dir: TempDir,
}

#[derive(Debug)]
struct Running {
    pid: Pid,
    /// Waits for its end.
    reaper: JoinHandle<()>,
}

impl TestPostgres {
    /// Makes and starts one that does not sync its files: it survives a kill, not a loss of power.
    ///
    /// # Panics
    /// If PostgreSQL is not found (run `make setup`) or does not start.
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("vp-pg-").tempdir().unwrap_or_else(|error| {
            panic!("cannot make a directory for the test's PostgreSQL: {error}");
        });
        let password = dir.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap_or_else(|error| panic!("cannot write a file: {error}"));
        if geteuid().is_root() {
            for path in [dir.path(), &password] {
                chown(path, Some(NOBODY), Some(NOBODY))
                    .unwrap_or_else(|error| panic!("cannot chown: {error}"));
            }
        }
        let bin = binaries();
        let made = as_other(&bin.join("initdb"))
            .args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8"])
            // An order of texts that is not that of their bytes, as most installations have it.
            .args(["--locale-provider=icu", "--icu-locale=en-US"])
            .args(["--auth=scram-sha-256", "--username", USER, "--pwfile"])
            .arg(&password)
            .arg("--pgdata")
            .arg(dir.path().join("data"))
            .current_dir(dir.path())
            .output()
            .unwrap_or_else(|error| panic!("cannot run initdb of `{}`: {error}", bin.display()));
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { running: None, bin, port: 0, dir };
        server.certify();
        for _ in 0..START_ATTEMPTS {
            server.port = PORTS.start + RandomState::new().hash_one(0) % (PORTS.end - PORTS.start);
            server.spawn();
            if server.answers().await {
                return server;
            }
            server.kill();
        }
        panic!("the test's PostgreSQL does not start: {}", server.log());
    }

    /// The certificate of the authority that it shows, with `localhost` as its name.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The URL of its database over TLS and nothing else, with the password.
    pub fn tls_url(&self) -> String {
        let place = format!("postgres://{USER}:{PASSWORD}@localhost:{}/postgres", self.port);
        format!("{place}?sslmode=verify-full&sslrootcert={}", self.ca().display())
    }

    /// The URL of its database, with the password.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Ends it as a crash would (KILL). Its port and data stay.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            // An error means that it has ended.
            let _ = kill_process(running.pid, Signal::KILL);
            let _ = running.reaper.join();
        }
    }

    /// Starts it again on the same port and data; a running one is killed first.
    ///
    /// # Panics
    /// If it does not start within a minute.
    pub async fn start_again(&mut self) {
        self.kill();
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.spawn();
            if self.answers().await {
                return;
            }
            // What the killed one has left behind may still hold its memory.
            assert!(Instant::now() < deadline, "the test's PostgreSQL does not start again: {}", self.log());
            self.kill();
            sleep(POLL).await;
        }
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Gives it a certificate of its own.
    fn certify(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.unwrap_or_else(|error| panic!("cannot make a certificate: {error}"));
        let key = self.dir.path().join("key.pem");
        for (path, text) in [(&self.ca(), made.cert.pem()), (&key, made.signing_key.serialize_pem())] {
            std::fs::write(path, text).unwrap_or_else(|error| panic!("cannot write a file: {error}"));
            if geteuid().is_root() {
                chown(path, Some(NOBODY), Some(NOBODY))
                    .unwrap_or_else(|error| panic!("cannot chown: {error}"));
            }
        }
        // PostgreSQL reads no key that others may read.
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&key, own).unwrap_or_else(|error| panic!("cannot chmod: {error}"));
    }

    fn spawn(&mut self) {
        let mut command = as_other(&self.bin.join("postgres"));
        command.arg("-D").arg(self.dir.path().join("data")).current_dir(self.dir.path());
        command.arg("-k").arg(self.dir.path()).arg("-p").arg(self.port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "full_page_writes=off",
            "jit=off",
            "shared_buffers=32MB",
            "max_connections=60",
        ] {
            command.arg("-c").arg(setting);
        }
        command.args(["-c", "ssl=on", "-c"]).arg(format!("ssl_cert_file={}", self.ca().display()));
        command.arg("-c").arg(format!("ssl_key_file={}", self.dir.path().join("key.pem").display()));
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.unwrap_or_else(|error| panic!("cannot open PostgreSQL's log: {error}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let (told, pid) = mpsc::channel();
        // It gets its signal when the thread that started it ends: one of its own, which waits for it.
        let reaper = std::thread::spawn(move || {
            let spawned = command.spawn();
            let mut child = spawned.unwrap_or_else(|error| panic!("cannot run postgres: {error}"));
            let _ = told.send(Pid::from_child(&child));
            let _ = child.wait();
        });
        let pid = pid.recv().unwrap_or_else(|_| panic!("postgres did not start: {}", self.log()));
        self.running = Some(Running { pid, reaper });
    }

    /// Waits until it takes connections. False when it has ended instead.
    async fn answers(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let ready = self.dir.path().join("data/postmaster.pid");
        while let Some(running) = self.running.as_ref().filter(|running| !running.reaper.is_finished()) {
            let text = std::fs::read_to_string(&ready).unwrap_or_default();
            let own = text.lines().next() == Some(&running.pid.as_raw_nonzero().to_string());
            if own && text.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return true;
            }
            assert!(Instant::now() < deadline, "the test's PostgreSQL is never ready: {}", self.log());
            sleep(POLL).await;
        }
        false
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What kind of ledger a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerKind {
    /// A file.
    Sqlite,
    /// A server's database.
    Postgres,
}

/// A place for one test's ledger.
#[derive(Debug)]
pub struct LedgerPlace {
    /// The file, or the URL with its password.
    pub location: String,
    /// The server, if it is one's.
    pub server: Option<TestPostgres>,
}

impl LedgerPlace {
    /// A place of this kind where there is nothing yet; a file would be `file`.
    ///
    /// # Panics
    /// As [`TestPostgres::start`].
    pub async fn new(kind: LedgerKind, file: &Path) -> Self {
        match kind {
            LedgerKind::Sqlite => Self { location: file.display().to_string(), server: None },
            LedgerKind::Postgres => {
                let server = TestPostgres::start().await;
                Self { location: server.url(), server: Some(server) }
            }
        }
    }
}

/// Makes two tests of each function that takes a [`LedgerKind`]: one in the module `on_sqlite`, one in `on_postgres`.
#[macro_export]
macro_rules! on_both_ledgers {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::harness::LedgerKind::Sqlite).await;
                }
            )+
        }
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::harness::LedgerKind::Postgres).await;
                }
            )+
        }
    };
}

/// A command that dies with this process, and is not root's.
fn as_other(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if geteuid().is_root() {
        command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// Where `initdb` and `postgres` are: told, fetched by `make setup`, on PATH, or where Debian keeps them.
fn binaries() -> PathBuf {
    let good = |dir: &PathBuf| dir.join("initdb").is_file() && dir.join("postgres").is_file();
    if let Some(told) = std::env::var_os("VP_POSTGRES_BIN").filter(|told| !told.is_empty()) {
        let told = PathBuf::from(told);
        assert!(good(&told), "VP_POSTGRES_BIN is `{}`, which has no initdb and postgres", told.display());
        return told;
    }
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/postgresql/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    let mut places =
        std::iter::once(fetched).chain(std::env::split_paths(&path)).chain(debian.into_iter().rev());
    places
        .find(good)
        .unwrap_or_else(|| panic!("PostgreSQL is not found: run `make setup`, or set VP_POSTGRES_BIN"))
}
