//! One process of the system, kept running as an init system would, and told to suffer.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use vp_nats::{clock, crash};
use vp_shared::time::UtcTime;

/// Set for a child that is to be `vp` itself. (`VP_TEST_*` is no setting of `vp`.)
pub const AS_VP: &str = "VP_TEST_AS_VP";
/// Set for a child that is to become this program and die with its parent.
pub const AS_CHILD: &str = "VP_TEST_AS_CHILD";
/// After an end that nobody wanted, as an init system waits.
const RESTART_AFTER: Duration = Duration::from_millis(300);
/// How long a process that was asked to end may take.
const DRAIN: Duration = Duration::from_secs(20);

/// How a process lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// Where it is to die, as `VP_CRASH_AT` says it.
    pub crash_at: Option<String>,
    /// How wrong its clock is, in milliseconds.
    pub clock_ms: i64,
}

/// What is done to a process.
#[derive(Debug)]
enum Order {
    /// KILL, nothing for so long, then this life.
    Kill(Duration, Life),
    /// TERM, wait for the end, then this life.
    Drain(Life),
    /// STOP for so long, then CONT.
    Freeze(Duration),
    /// KILL one of its own children, such as a worker's keeper; the number says which.
    Orphan(u64),
    /// A life without faults from now on.
    Calm,
    /// KILL for good.
    End,
}

/// A process that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The actor.
    pub name: String,
    /// When it was seen to be dead.
    pub at: UtcTime,
    /// How.
    pub how: How,
}

/// How a process died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Killed by us.
    Killed,
    /// At this crash point.
    Crashed(String),
    /// By itself, with this status.
    ByItself(String),
}

/// What has happened so far; also written to a file as it happens.
#[derive(Debug, Clone)]
pub struct Journal {
    deaths: Arc<Mutex<Vec<Death>>>,
    file: Arc<File>,
}

impl Journal {
    /// One that writes to this file.
    pub fn new(path: &Path) -> Self {
        Self { deaths: Arc::default(), file: Arc::new(File::create(path).unwrap()) }
    }

    /// Writes a line.
    pub fn note(&self, who: &str, what: &str) {
        use std::io::Write as _;
        writeln!(&*self.file, "{} {who}: {what}", clock::now()).unwrap();
    }

    /// All deaths so far.
    pub fn deaths(&self) -> Vec<Death> {
        self.deaths.lock().unwrap().clone()
    }

    fn died(&self, name: &str, how: How) {
        self.note(name, &format!("dead: {how:?}"));
        self.deaths.lock().unwrap().push(Death { name: name.to_owned(), at: clock::now(), how });
    }
}

/// A process of the system. Dropped, it is killed.
#[derive(Debug)]
pub struct Actor {
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

/// What is needed to start one.
#[derive(Debug, Clone)]
pub struct Role {
    /// What it is called.
    pub name: String,
    /// The arguments of `vp`.
    pub args: Vec<String>,
    /// Where it writes.
    pub log: PathBuf,
}

impl Actor {
    /// Starts one and keeps it running.
    pub fn start(role: Role, life: Life, journal: Journal) -> Self {
        let (orders, inbox) = mpsc::channel(1);
        let task = tokio::spawn(Keeping { role, life, journal, child: None }.run(inbox));
        Self { orders, task }
    }

    /// Kills it, leaves it dead for so long, and lets it live that life.
    pub async fn kill(&self, down: Duration, life: Life) {
        self.order(Order::Kill(down, life)).await;
    }

    /// Asks it to end, and lets it live that life.
    pub async fn drain(&self, life: Life) {
        self.order(Order::Drain(life)).await;
    }

    /// Stops it in its tracks for so long.
    pub async fn freeze(&self, time: Duration) {
        self.order(Order::Freeze(time)).await;
    }

    /// Kills one of its children, if it has any.
    pub async fn kill_child(&self, which: u64) {
        self.order(Order::Orphan(which)).await;
    }

    /// Makes sure that it lives without faults.
    pub async fn calm(&self) {
        self.order(Order::Calm).await;
    }

    /// Kills it for good.
    pub async fn end(self) {
        self.order(Order::End).await;
        self.task.await.unwrap();
    }

    async fn order(&self, order: Order) {
        let (done, when_done) = oneshot::channel();
        self.orders.send((order, done)).await.unwrap();
        when_done.await.unwrap();
    }
}

/// The owner of a process.
struct Keeping {
    role: Role,
    life: Life,
    journal: Journal,
    child: Option<Child>,
}

impl Keeping {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        loop {
            let mut child = self.child.take().unwrap_or_else(|| self.spawn());
            let next = tokio::select! {
                status = child.wait() => Err(status.unwrap()),
                order = inbox.recv() => Ok(order),
            };
            match next {
                Err(status) => {
                    self.ended(status);
                    sleep(RESTART_AFTER).await;
                }
                Ok(Some((order, done))) => {
                    let ends = matches!(order, Order::End);
                    self.child = Some(child);
                    self.obey(order).await;
                    // Who asked may be gone at the end of a round.
                    let _ = done.send(());
                    if ends {
                        return;
                    }
                }
                // The round is over; the child dies with this task.
                Ok(None) => return,
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        self.journal.note(&self.role.name, &format!("{order:?}"));
        match order {
            Order::Kill(down, life) => {
                self.kill().await;
                sleep(down).await;
                self.life = life;
            }
            Order::Drain(life) => self.drain(life).await,
            Order::Freeze(time) => {
                self.signal("STOP");
                sleep(time).await;
                self.signal("CONT");
            }
            Order::Orphan(which) => {
                let children = self.child.as_ref().and_then(Child::id).map(children_of).unwrap_or_default();
                if !children.is_empty() {
                    let place = usize::try_from(which % children.len() as u64).unwrap();
                    send_signal(children[place], "KILL");
                    self.journal.note(&self.role.name, &format!("its child {} is killed", children[place]));
                }
            }
            Order::Calm => {
                if self.life != Life::default() {
                    self.kill().await;
                    self.life = Life::default();
                }
            }
            Order::End => self.kill().await,
        }
    }

    async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
            self.journal.died(&self.role.name, How::Killed);
        }
    }

    async fn drain(&mut self, life: Life) {
        self.signal("TERM");
        if let Some(child) = &mut self.child {
            match timeout(DRAIN, child.wait()).await {
                Ok(status) => {
                    let status = status.unwrap();
                    self.child = None;
                    if !status.success() {
                        self.ended(status);
                    }
                }
                Err(_) => {
                    self.journal.note(&self.role.name, "did not drain in time, killed");
                    self.kill().await;
                }
            }
        }
        self.life = life;
    }

    fn ended(&mut self, status: ExitStatus) {
        let how = match (status.signal(), self.life.crash_at.take()) {
            (Some(9), Some(point)) => How::Crashed(point),
            _ => How::ByItself(status.to_string()),
        };
        self.journal.died(&self.role.name, how);
    }

    fn signal(&self, signal: &str) {
        if let Some(pid) = self.child.as_ref().and_then(Child::id) {
            send_signal(pid, signal);
        }
    }

    fn spawn(&self) -> Child {
        let out = File::options().create(true).append(true).open(&self.role.log).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(&self.role.args).env_clear().env(AS_VP, "1").stdin(Stdio::null()).kill_on_drop(true);
        for kept in ["PATH", "HOME", "TMPDIR", "VP_LOG"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        if let Some(point) = &self.life.crash_at {
            command.env(crash::ENV, point);
        }
        if self.life.clock_ms != 0 {
            command.env(clock::OFFSET_ENV, self.life.clock_ms.to_string());
        }
        self.journal.note(&self.role.name, &format!("started, {:?}", self.life));
        command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap()
    }
}

/// Makes `command`, which starts this program, become `program` and die with this process.
pub fn tie_to_parent(command: &mut Command, program: &Path) {
    command.env(AS_CHILD, program);
}

/// What this program does when it was started as something else; returns when it was not.
pub fn become_what_was_asked() -> Option<std::process::ExitCode> {
    let mut args = std::env::args_os().skip(1);
    // A worker starts this very program as its keeper, with an empty environment.
    if args.next().is_some_and(|arg| arg == "keeper") {
        return Some(vp_worker::keeper::main());
    }
    let (as_vp, as_child) = (std::env::var_os(AS_VP), std::env::var_os(AS_CHILD));
    if as_vp.is_none() && as_child.is_none() {
        return None;
    }
    // Nothing of a round may outlive it, not even a killed one.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    if let Some(program) = as_child {
        let error = std::process::Command::new(&program)
            .args(std::env::args_os().skip(1))
            .env_remove(AS_CHILD)
            .exec();
        panic!("could not run {}: {error}", program.display());
    }
    Some(vp::cli::main())
}

/// The processes whose parent is that one.
fn children_of(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Fields behind the name, which may hold anything: state, then the parent. It may be gone by now.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let (state, of) = (fields.next(), fields.next());
        if state != Some("Z") && of.and_then(|of| of.parse().ok()) == Some(parent) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    found
}

/// Sends a signal to a child of ours, or to a child of one.
pub fn send_signal(pid: u32, signal: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match signal {
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        "KILL" => Signal::KILL,
        _ => Signal::TERM,
    };
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have died a moment ago; it is not reaped yet, so the id is still its own.
    let _ = kill_process(pid, signal);
}
