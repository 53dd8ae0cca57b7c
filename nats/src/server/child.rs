use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child as StdChild, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process, set_parent_process_death_signal,
    waitid,
};
use tokio::sync::{oneshot, watch};

use super::error::Exit;

/// A running child process, owned by a thread of its own.
///
/// The kernel ties the child's life to the *thread* that spawned it, so that thread lives as long as
/// the child and also reaps it. If this process is killed, the child gets an INT.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    life: Arc<Life>,
    exit: watch::Receiver<Option<Exit>>,
}

/// Guards the pid: while `ended` is false, the pid cannot belong to another process.
#[derive(Debug, Default)]
struct Life {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Life {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Child {
    /// Starts `command` in a process group of its own, with the open `lock` inherited.
    ///
    /// The lock is given up before the exit is reported. If the caller stops waiting, the child is killed.
    pub(super) async fn spawn(mut command: Command, lock: Arc<File>) -> io::Result<Self> {
        // A terminal's Ctrl-C must not reach the server before we have drained.
        command.process_group(0);
        let life = Arc::new(Life::default());
        let (started, start) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        let owner = Owner { life: Arc::clone(&life), started, ended };
        thread::Builder::new().name("nats-server".to_owned()).spawn(move || owner.run(command, lock))?;
        let pid = start.await.map_err(io::Error::other)??;
        Ok(Self { pid, life, exit })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal; nothing happens if the child has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let ended = self.life.lock();
        if !*ended && let Err(error) = kill_process(self.pid, signal) {
            tracing::warn!(pid = self.pid.as_raw_pid(), ?signal, %error, "cannot signal nats-server");
        }
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Resolves when it has ended.
    pub(super) fn ended(&self) -> impl Future<Output = Exit> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            // The sender goes away only after it has told the exit, or with a panicked thread.
            exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit).unwrap_or(Exit(None))
        }
    }

    /// Blocks this thread until it has ended, at most `deadline`; whether it has.
    #[cfg(any(test, feature = "harness"))]
    pub(super) fn block_until_ended(&self, deadline: std::time::Duration) -> bool {
        let ended = self.life.lock();
        let wait = self.life.changed.wait_timeout_while(ended, deadline, |ended| !*ended);
        *wait.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What the owning thread holds.
struct Owner {
    life: Arc<Life>,
    started: oneshot::Sender<io::Result<Pid>>,
    ended: watch::Sender<Option<Exit>>,
}

impl Owner {
    fn run(self, mut command: Command, lock: Arc<File>) {
        tie_to_this_thread(&mut command, Arc::clone(&lock));
        let spawned = command.spawn();
        // The command's closure has a handle of the lock too.
        drop(command);
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                let _ = self.started.send(Err(error));
                return;
            }
        };
        let pid = Pid::from_child(&child);
        if self.started.send(Ok(pid)).is_err() {
            let _ = child.kill();
        }
        let exit = self.life.reap(&mut child, pid);
        drop(lock);
        self.ended.send_replace(Some(exit));
    }
}

impl Life {
    /// Waits for the end, then frees the pid under the lock, so that no signal can hit its next bearer.
    fn reap(&self, child: &mut StdChild, pid: Pid) -> Exit {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
        let mut ended = self.lock();
        let exit = Exit(child.wait().ok());
        *ended = true;
        drop(ended);
        self.changed.notify_all();
        exit
    }
}

/// Gives the child the lock and a parent-death signal.
#[expect(
    unsafe_code,
    reason = "only code between fork and exec can set the child's death signal and inherit one file"
)]
fn tie_to_this_thread(command: &mut Command, lock: Arc<File>) {
    let parent = getpid();
    // SAFETY: between fork and exec the closure makes only async-signal-safe system calls; it neither
    // allocates nor takes a lock, and the errors it returns are plain numbers.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::INT))?;
            // The parent may have died before the line above; then no signal will come.
            if getppid() != Some(parent) {
                return Err(Errno::SRCH.into());
            }
            fcntl_setfd(&*lock, FdFlags::empty())?;
            Ok(())
        });
    }
}
