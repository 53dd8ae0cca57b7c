//! The real `vp` binary as processes of its own, for what only a process can show: `kill -9`, exit codes, output.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use vp_nats::connect::{Auth, ConnectConfig};

use crate::lanes::{CODER, GENERAL};
use crate::until::until;
use crate::world::World;

/// An installation: a configuration file and a data directory for processes that share a server.
#[derive(Debug)]
pub struct Installation {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Installation {
    /// One on this server, or on one that `vp up` manages. `more` is TOML beside it, such as lanes.
    pub fn new(server: Option<&ConnectConfig>, more: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("vp-install-").tempdir().unwrap();
        let mut text = format!("data_dir = '{}'\n", dir.path().join("data").display());
        if let Some(server) = server {
            let _ = write!(text, "\n[nats]\nurl = {:?}\n", server.url);
            if let Auth::UserPassword { user, password } = &server.auth {
                let _ = write!(text, "user = {user:?}\npassword = {:?}\n", password.expose());
            }
        }
        let config = dir.path().join("vp.toml");
        std::fs::write(&config, format!("{text}\n{more}")).unwrap();
        Self { dir, config }
    }

    /// One on this world's server, with its lanes and its ledger, for processes beside or instead of its parts.
    pub fn of(world: &World) -> Self {
        #[derive(serde::Serialize)]
        struct Config<'a> {
            bridge: Bridge,
            lanes: BTreeMap<&'a str, toml::Value>,
        }
        #[derive(serde::Serialize)]
        struct Bridge {
            ledger: String,
        }
        // Those that are built in.
        let off: toml::Value =
            toml::Value::Table([("enabled".to_owned(), false.into())].into_iter().collect());
        let mut lanes = BTreeMap::from([(CODER, off.clone()), (GENERAL, off)]);
        for (vp_id, profile) in world.lanes() {
            lanes.insert(vp_id.as_str(), toml::Value::try_from(profile).unwrap());
        }
        let config = Config { bridge: Bridge { ledger: world.ledger().to_owned() }, lanes };
        Self::new(Some(&world.server.connect_config()), &toml::to_string(&config).unwrap())
    }

    /// Where everything of it is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// `vp` with these arguments, not yet started, with nothing of the caller's environment but what it needs.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(vp_binary());
        command.arg("--config").arg(&self.config).args(args).env_clear().stdin(Stdio::null());
        for kept in ["PATH", "HOME", "VP_NATS_SERVER", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
    }

    /// Runs `vp` to its end.
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `vp` to its end and reads its JSON; panics when it fails.
    pub fn json(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> serde_json::Value {
        let output = self.command(["-o", "json"]).args(args).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {stdout} {stderr}", output.status);
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Starts `vp` and leaves it running; what it writes goes to `<name>.log` in the installation's directory.
    pub fn spawn(&self, name: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Process {
        self.spawn_with(name, args, &[])
    }

    /// As [`Self::spawn`], with these variables in its environment.
    pub fn spawn_with(
        &self,
        name: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        variables: &[(&str, &str)],
    ) -> Process {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        self.start(name, command)
    }

    /// As [`Self::spawn`], with a signal ignored, such as `XFSZ`.
    pub fn spawn_ignoring(&self, signal: &str, name: &str, args: &[&str]) -> Process {
        let vp = self.command(args);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' {signal}; exec \"$0\" \"$@\"")]);
        shell.arg(vp.get_program()).args(vp.get_args()).stdin(Stdio::null());
        shell.env_clear().envs(vp.get_envs().filter_map(|(key, value)| Some((key, value?))));
        self.start(name, shell)
    }

    fn start(&self, name: &str, mut command: Command) -> Process {
        let log = self.dir.path().join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let begin = usize::try_from(out.metadata().unwrap().len()).unwrap();
        let child = command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        Process { child, name: name.to_owned(), log, begin }
    }
}

/// A running `vp`. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    /// Where in the file this life of it begins.
    begin: usize,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(text.get(self.begin..).unwrap_or_default()).into_owned()
    }

    /// Waits until it has written this text; panics when it ends before.
    pub async fn until_it_says(&mut self, text: &str) {
        let what = format!("`{}` says `{text}`", self.name);
        until(&what, async || {
            let said = self.log();
            if said.contains(text) {
                return Some(());
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("`{}` has ended with {status} and never said `{text}`:\n{said}", self.name);
            }
            None
        })
        .await;
    }

    /// Ends it as a crash would (KILL).
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end (TERM) and waits until it has.
    pub async fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Stops it in its tracks.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) -> ExitStatus {
        let name = self.name.clone();
        let child = &mut self.child;
        let status = until(&format!("`{name}` ends"), async || child.try_wait().unwrap()).await;
        if let Some(signal) = status.signal() {
            panic!("`{name}` was ended by signal {signal}:\n{}", self.log());
        }
        status
    }

    fn signal(&self, signal: &str) {
        let sent =
            Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success(), "kill -{signal} of `{}` failed", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// True when a process of that id exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// The `vp` binary of this build.
pub fn vp_binary() -> PathBuf {
    binary_beside_tests("vp", "run `cargo build --bin vp` first (`make test` builds it with the tests)")
}

/// A binary of this build: what cargo says, else what lies beside the directory of the tests' executables.
pub fn binary_beside_tests(name: &str, advice: &str) -> PathBuf {
    if let Some(told) = std::env::var_os(format!("CARGO_BIN_EXE_{name}")) {
        return told.into();
    }
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().find(|dir| dir.ends_with("deps")).and_then(Path::parent);
    let binary = profile.unwrap_or_else(|| test.parent().unwrap()).join(name);
    assert!(binary.is_file(), "`{}` is missing: {advice}", binary.display());
    binary
}
