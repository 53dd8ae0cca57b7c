//! The keeper, spoken to as a worker speaks to it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

struct Keeper {
    child: Child,
    control: Option<UnixStream>,
    reports: BufReader<UnixStream>,
    dir: TempDir,
}

impl Keeper {
    /// A keeper that runs `script`, with the lease good for `alive_ms`.
    fn run(script: &str, alive_ms: u64, grace_ms: u64) -> Self {
        Self::exec(&["/bin/sh", "-c", script], alive_ms, grace_ms)
    }

    fn exec(argv: &[&str], alive_ms: u64, grace_ms: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("stdin")).unwrap().write_all(b"input\n").unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_vp-worker-test-keeper"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let argv: Vec<String> = argv.iter().map(|arg| format!("{arg:?}")).collect();
        let (dir_path, path) = (dir.path().display(), std::env::var("PATH").unwrap());
        let mut control = ours.try_clone().unwrap();
        writeln!(
            control,
            r#"{{"argv":[{}],"env":{{"PATH":{path:?},"D":"{dir_path}"}},"cwd":"{dir_path}","stdin":"{dir_path}/stdin","kill_grace_ms":{grace_ms},"alive_ms":{alive_ms},"worker_pid":{}}}"#,
            argv.join(","),
            std::process::id()
        )
        .unwrap();
        Self { child, control: Some(control), reports: BufReader::new(ours), dir }
    }

    fn say(&mut self, word: &str) {
        writeln!(self.control.as_mut().unwrap(), "{word}").unwrap();
    }

    fn report(&mut self) -> String {
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ended(&mut self) -> String {
        assert!(self.report().starts_with(r#"{"started":"#));
        self.report()
    }

    /// The process id that the script wrote into this file.
    fn pid_in(&self, name: &str) -> u32 {
        let path = self.dir.path().join(name);
        until("the script has written its pid", || {
            std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok())
        })
    }

    /// Closes the worker's end, as its death does.
    fn worker_dies(&mut self) {
        self.control = None;
        let (nowhere, _) = UnixStream::pair().unwrap();
        self.reports = BufReader::new(nowhere);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Ended already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A zombie has ended too.
fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

fn is_gone(pid: u32) {
    until("the process is gone", || (!lives(pid)).then_some(()));
}

/// Starts a grandchild in a session of its own that ignores TERM and writes its pid into `$D/pid`.
const ESCAPEE: &str = r#"setsid sh -c 'trap "" TERM; echo $$ > "$D/pid.tmp"; mv "$D/pid.tmp" "$D/pid"; while :; do sleep 1; done' & "#;

#[test]
fn an_exit_code_is_reported_and_the_output_is_the_executors() {
    let mut keeper = Keeper::run("cat; echo out; exit 7", 60_000, 100);
    assert_eq!(
        keeper.ended(),
        r#"{"ended":{"code":7,"signal":null,"by_itself":true,"lapsed":false,"survivors":0}}"#
    );
    let (fine, out) = keeper_done(keeper);
    assert!(fine);
    assert_eq!(out, "input\nout\n");
}

fn keeper_done(mut keeper: Keeper) -> (bool, String) {
    assert!(keeper.child.try_wait().unwrap().is_none(), "it stays until the attempt is concluded");
    keeper.say("done");
    let status = keeper.child.wait().unwrap();
    let mut out = String::new();
    keeper.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (status.success(), out)
}

#[test]
fn a_signal_is_reported() {
    let mut keeper = Keeper::run("kill -SEGV $$", 60_000, 100);
    assert_eq!(
        keeper.ended(),
        r#"{"ended":{"code":null,"signal":11,"by_itself":true,"lapsed":false,"survivors":0}}"#
    );
}

#[test]
fn a_program_that_is_not_there_is_reported() {
    let mut keeper = Keeper::exec(&["/no/such/program"], 60_000, 100);
    let report = keeper.report();
    assert!(report.starts_with(r#"{"not_started":"#) && report.contains(r#""not_found":true"#), "{report}");
}

#[test]
fn a_process_in_a_session_of_its_own_does_not_outlive_the_executor() {
    let mut keeper =
        Keeper::run(&format!("{ESCAPEE} while [ ! -e $D/pid ]; do sleep 0.01; done; exit 0"), 60_000, 100);
    let escapee = keeper.pid_in("pid");
    assert_eq!(
        keeper.ended(),
        r#"{"ended":{"code":0,"signal":null,"by_itself":true,"lapsed":false,"survivors":0}}"#
    );
    is_gone(escapee);
}

#[test]
fn stop_is_polite_first_and_forcible_after_the_grace() {
    let mut keeper = Keeper::run(
        &format!("{ESCAPEE} trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done"),
        60_000,
        300,
    );
    let escapee = keeper.pid_in("pid");
    let asked = Instant::now();
    keeper.say("stop");
    assert_eq!(keeper.ended(), r#"{"ended":{"code":3,"signal":null,"lapsed":false,"survivors":0}}"#);
    assert!(asked.elapsed() >= Duration::from_millis(300), "the escapee had its grace");
    is_gone(escapee);
    assert_eq!(keeper_done(keeper).1, "bye\n");
}

#[test]
fn kill_does_not_wait_for_the_grace() {
    let mut keeper = Keeper::run(ESCAPEE_AND_WAIT, 60_000, 60_000);
    let escapee = keeper.pid_in("pid");
    keeper.say("kill");
    assert_eq!(keeper.ended(), r#"{"ended":{"code":null,"signal":9,"lapsed":false,"survivors":0}}"#);
    is_gone(escapee);
}

const ESCAPEE_AND_WAIT: &str =
    r#"setsid sh -c 'echo $$ > "$D/pid.tmp"; mv "$D/pid.tmp" "$D/pid"; while :; do sleep 1; done' & wait"#;

#[test]
fn when_the_worker_dies_the_whole_tree_dies() {
    let mut keeper = Keeper::run(ESCAPEE_AND_WAIT, 60_000, 60_000);
    let escapee = keeper.pid_in("pid");
    keeper.worker_dies();
    is_gone(escapee);
}

#[test]
fn a_lease_nobody_vouches_for_any_more_ends_the_tree() {
    let mut keeper = Keeper::run(ESCAPEE_AND_WAIT, 700, 60_000);
    let escapee = keeper.pid_in("pid");
    let vouched = Instant::now();
    until("it has outlived the lease it started with", || {
        keeper.say("alive 700");
        assert!(lives(escapee), "vouched for, it lives");
        (vouched.elapsed() >= Duration::from_millis(1500)).then_some(())
    });
    // The worker is frozen: its end stays open and silent.
    is_gone(escapee);
    assert_eq!(keeper.ended(), r#"{"ended":{"code":null,"signal":9,"lapsed":true,"survivors":0}}"#);
}

#[test]
fn a_terminals_signals_leave_keeper_and_executor_alone() {
    let mut keeper = Keeper::run(ESCAPEE_AND_WAIT, 60_000, 100);
    let escapee = keeper.pid_in("pid");
    let pid = rustix::process::Pid::from_raw(i32::try_from(keeper.child.id()).unwrap()).unwrap();
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP]
    {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    // It still listens.
    keeper.say("alive 60000");
    assert!(lives(escapee) && lives(keeper.child.id()));
    keeper.say("kill");
    keeper.ended();
    is_gone(escapee);
}

#[test]
fn two_hundred_orphans_are_reaped_and_killed() {
    let script = "i=0; while [ $i -lt 200 ]; do (setsid sleep 1000 &) ; (true &); i=$((i+1)); done; echo $$ > $D/x; mv $D/x $D/pid; sleep 1000";
    let mut keeper = Keeper::run(script, 60_000, 100);
    keeper.pid_in("pid");
    keeper.say("kill");
    assert_eq!(keeper.ended(), r#"{"ended":{"code":null,"signal":9,"lapsed":false,"survivors":0}}"#);
    let (fine, _) = keeper_done(keeper);
    assert!(fine);
}
