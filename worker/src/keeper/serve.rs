//! The keeper's one turn: start the executor, listen, end its tree.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitStatus, getpid, getppid, pidfd_open, set_child_subreaper,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::tree::{self, Left};
use super::words::{Job, MAX_LINE, Report, Word};

/// How long a tree is shot at before what withstands is reported. Only a process in an uninterruptible wait does.
const KILL_PATIENCE: Duration = Duration::from_secs(20);
const KILL_ROUND: Duration = Duration::from_millis(2);
/// How long a worker may take to be gone after its socket has closed.
const DEATH_PATIENCE: Duration = Duration::from_secs(5);
const DEATH_ROUND: Duration = Duration::from_millis(10);

/// Takes the signals that a terminal or a service manager sends to everybody: the worker decides, not they.
/// A handler stays for good, and an executor starts without it.
fn ignore_signals() -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        drop(signal(kind)?);
    }
    Ok(())
}

/// Serves one job on this socket.
pub(super) async fn serve(control: UnixStream) -> io::Result<()> {
    ignore_signals()?;
    let mut children = signal(SignalKind::child())?;
    let (read, mut write) = control.into_split();
    let mut lines = BufReader::new(read).take(MAX_LINE).lines();
    let Some(first) = lines.next_line().await? else { return Ok(()) };
    let job: Job = serde_json::from_str(&first)?;
    set_child_subreaper(Some(getpid()))?;
    let main = match start(&job) {
        Ok(pid) => pid,
        Err(error) => {
            let not_found = error.kind() == io::ErrorKind::NotFound;
            return say(&mut write, &Report::NotStarted { why: error.to_string(), not_found }).await;
        }
    };
    forget_output()?;
    // A worker that is gone is noticed below.
    let _ = say(&mut write, &Report::Started { pid: main.as_raw_pid() }).await;
    let worker = Worker::of(job.worker_pid);
    let mut tree = Tree { main, status: None, left: Left::Some, by_itself: false };
    let over = watch(&job, &mut tree, &mut lines, &mut children).await?;
    let survivors = tree.kill().await?;
    let (code, signal) =
        tree.status.map_or((None, None), |status| (status.exit_status(), status.terminating_signal()));
    if over != Over::Deserted {
        let lapsed = over == Over::Lapsed;
        let by_itself = tree.by_itself;
        say(&mut write, &Report::Ended { code, signal, by_itself, lapsed, survivors }).await?;
        if until_concluded(&mut lines).await {
            return Ok(());
        }
    }
    let Some(testament) = &job.testament else { return Ok(()) };
    // A worker that lives answers for itself.
    if worker.has_died().await { testament.execute().await.map_err(io::Error::other) } else { Ok(()) }
}

fn start(job: &Job) -> io::Result<Pid> {
    let program = job.argv.first().ok_or_else(|| io::Error::other("the job has no program"))?;
    let child = Command::new(program)
        .args(&job.argv[1..])
        .env_clear()
        .envs(&job.env)
        .current_dir(&job.cwd)
        .stdin(Stdio::from(File::open(&job.stdin)?))
        .process_group(0)
        .spawn()?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the executor has no process id"))
}

/// The worker's pipes are the executor's alone: they end with it, not with the keeper.
fn forget_output() -> io::Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(())
}

async fn say(write: &mut OwnedWriteHalf, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Why a tree's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Its first process has ended, or the worker said so.
    Ended,
    /// Nobody vouches for the lease any more.
    Lapsed,
    /// The worker's end of the socket is closed.
    Deserted,
}

/// Waits until the attempt is concluded. False: its worker deserted it before.
async fn until_concluded(lines: &mut Lines<Take<BufReader<OwnedReadHalf>>>) -> bool {
    loop {
        lines.get_mut().set_limit(MAX_LINE);
        match lines.next_line().await {
            Ok(Some(line)) if Word::parse(&line) == Some(Word::Done) => return true,
            // Said before it heard of the end.
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
    }
}

/// The worker's process, in hand, so that its id cannot come to mean another one.
struct Worker(Option<OwnedFd>);

impl Worker {
    fn of(pid: i32) -> Self {
        let parent = getppid().filter(|parent| parent.as_raw_pid() == pid);
        // Not our parent any more, or no longer there: it has died already.
        Self(parent.and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok()))
    }

    /// Whether it has died, or does so within a moment: its socket closes a little before it is gone.
    async fn has_died(self) -> bool {
        let Some(pidfd) = self.0 else { return true };
        let deadline = Instant::now() + DEATH_PATIENCE;
        while Instant::now() < deadline {
            // Readable: it has ended.
            let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
            if poll(&mut ended, Some(&Timespec::default())).is_ok_and(|ready| ready > 0) {
                return true;
            }
            sleep(DEATH_ROUND).await;
        }
        false
    }
}

/// Returns when the tree is to be killed, or its first process has ended.
async fn watch(
    job: &Job,
    tree: &mut Tree,
    lines: &mut Lines<Take<BufReader<OwnedReadHalf>>>,
    children: &mut Signals,
) -> io::Result<Over> {
    let mut sound_until = Instant::now() + Duration::from_millis(job.alive_ms);
    let mut grace_until: Option<Instant> = None;
    loop {
        // The limit is of one line, not of all.
        lines.get_mut().set_limit(MAX_LINE);
        let end = grace_until.map_or(sound_until, |grace| grace.min(sound_until));
        tokio::select! {
            _ = children.recv() => {
                tree.reap()?;
                tree.by_itself = tree.status.is_some() && grace_until.is_none();
                // Asked to stop, the others may use the grace as well.
                if tree.left == Left::None || (tree.status.is_some() && grace_until.is_none()) {
                    return Ok(Over::Ended);
                }
            }
            line = lines.next_line() => match line {
                Ok(Some(line)) => match Word::parse(&line) {
                    Some(Word::Alive(left)) => sound_until = Instant::now() + left,
                    Some(Word::Stop) if grace_until.is_none() => {
                        // What has ended needs no asking, and its end is its own.
                        tree.reap()?;
                        if tree.status.is_some() {
                            tree.by_itself = true;
                            return Ok(Over::Ended);
                        }
                        tree::signal_descendants(Signal::TERM)?;
                        grace_until = Some(Instant::now() + Duration::from_millis(job.kill_grace_ms));
                    }
                    Some(Word::Stop) => {}
                    Some(Word::Kill | Word::Done) | None => return Ok(Over::Ended),
                },
                Ok(None) | Err(_) => return Ok(Over::Deserted),
            },
            () = sleep_until(end) => {
                return Ok(if Instant::now() >= sound_until { Over::Lapsed } else { Over::Ended });
            }
        }
    }
}

struct Tree {
    main: Pid,
    status: Option<WaitStatus>,
    left: Left,
    /// The first process had ended before it was asked to.
    by_itself: bool,
}

impl Tree {
    fn reap(&mut self) -> io::Result<()> {
        let (main, status) = (self.main, &mut self.status);
        self.left = tree::reap(|pid, ended| {
            if pid == main {
                *status = Some(ended);
            }
        })?;
        Ok(())
    }

    /// Kills all that is left. Returns how many withstood.
    async fn kill(&mut self) -> io::Result<usize> {
        let deadline = Instant::now() + KILL_PATIENCE;
        loop {
            self.reap()?;
            if self.left == Left::None {
                return Ok(0);
            }
            let found = tree::signal_descendants(Signal::KILL)?;
            if Instant::now() > deadline {
                return Ok(found);
            }
            sleep(KILL_ROUND).await;
        }
    }
}
