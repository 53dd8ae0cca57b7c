//! The keeper's one turn: start the executor, listen, end its tree.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitStatus, getpid, set_child_subreaper};
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
    // A worker that is gone is noticed below.
    let _ = say(&mut write, &Report::Started { pid: main.as_raw_pid() }).await;
    let mut tree = Tree { main, status: None, left: Left::Some };
    let lapsed = watch(&job, &mut tree, &mut lines, &mut children).await?;
    let survivors = tree.kill().await?;
    let (code, signal) =
        tree.status.map_or((None, None), |status| (status.exit_status(), status.terminating_signal()));
    say(&mut write, &Report::Ended { code, signal, lapsed, survivors }).await
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

async fn say(write: &mut OwnedWriteHalf, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Returns when the tree is to be killed, or its first process has ended. True: because the lease is over.
async fn watch(
    job: &Job,
    tree: &mut Tree,
    lines: &mut Lines<Take<BufReader<OwnedReadHalf>>>,
    children: &mut Signals,
) -> io::Result<bool> {
    let mut sound_until = Instant::now() + Duration::from_millis(job.alive_ms);
    let mut grace_until: Option<Instant> = None;
    loop {
        // The limit is of one line, not of all.
        lines.get_mut().set_limit(MAX_LINE);
        let end = grace_until.map_or(sound_until, |grace| grace.min(sound_until));
        tokio::select! {
            _ = children.recv() => {
                tree.reap()?;
                // Asked to stop, the others may use the grace as well.
                if tree.left == Left::None || (tree.status.is_some() && grace_until.is_none()) {
                    return Ok(false);
                }
            }
            line = lines.next_line() => match line {
                Ok(Some(line)) => match Word::parse(&line) {
                    Some(Word::Alive(left)) => sound_until = Instant::now() + left,
                    Some(Word::Stop) if grace_until.is_none() => {
                        tree::signal_descendants(Signal::TERM)?;
                        grace_until = Some(Instant::now() + Duration::from_millis(job.kill_grace_ms));
                    }
                    Some(Word::Stop) => {}
                    Some(Word::Kill) => return Ok(false),
                    None => return Ok(false),
                },
                Ok(None) | Err(_) => return Ok(false),
            },
            () = sleep_until(end) => return Ok(Instant::now() >= sound_until),
        }
    }
}

struct Tree {
    main: Pid,
    status: Option<WaitStatus>,
    left: Left,
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
