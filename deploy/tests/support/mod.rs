//! A user's home of its own, the real binary, and a running `vp up` in it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A home and a data dir.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The data dir.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        self.with_home(Command::new(env!("CARGO_BIN_EXE_vp")), args)
    }

    fn with_home(&self, mut command: Command, args: &[&str]) -> Command {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if (name.starts_with("VP_") && name != "VP_NATS_SERVER") || name.starts_with("NATS_") {
                command.env_remove(&*name);
            }
        }
        command
            .args(args)
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("VP_DATA_DIR", self.dir.path().join("data"))
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    /// Runs `vp` to its end.
    pub(crate) fn vp(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `vp` to its end where no file grows beyond half a kibibyte or one, as the shell counts: what is written
    /// over that is cut off there, and fails.
    pub(crate) fn vp_without_room(&self, args: &[&str]) -> Output {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_vp")]);
        self.with_home(shell, args).output().unwrap()
    }

    /// Starts `vp up` and waits until it says that it is up.
    pub(crate) fn up(&self) -> Up {
        let mut child = self.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tx, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if tx.send(line).is_err() {
                    // Read on, so that the process never blocks on a full pipe.
                }
            }
        });
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut said = String::new();
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("vp is up") => break,
                Ok(line) => said.push_str(&(line + "\n")),
                Err(error) => {
                    child.kill().unwrap();
                    panic!("`vp up` did not come up ({error}):\n{said}");
                }
            }
        }
        Up { child }
    }
}

/// A running system; killed when dropped.
pub(crate) struct Up {
    child: Child,
}

impl Up {
    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already ended after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small git repository with something to report and something to mend.
pub(crate) fn git_repository() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let out = Command::new("git")
            .args([
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=ada@example.org",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(args)
            .current_dir(dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    write(dir.path(), "src/main.py", "def main():   \n    pass  # TODO: say hello\n");
    write(dir.path(), "README.md", "# A thing\n\nno newline at the end");
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "begin"]);
    dir
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
