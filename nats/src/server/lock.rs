use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio::time::Instant;

use super::error::{FileContext, ServerError};
use super::files::Files;

/// How long an orphan of a crashed supervisor is given to end; it stops at about 10 ms per consumer.
const ORPHAN_DEADLINE: Duration = Duration::from_mins(1);
const ORPHAN_POLL: Duration = Duration::from_millis(20);

/// The exclusive right to run a server in one data directory.
///
/// The lock belongs to the open file, which the child server inherits: it is free again when neither
/// this process nor the server has it open any more. So a server that outlives a crashed supervisor
/// still keeps others away.
#[derive(Debug)]
pub(super) struct DataDirLock {
    file: Arc<File>,
}

/// What the lock file says about its holder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Owner {
    supervisor: Option<Pid>,
    server: Option<Pid>,
}

impl DataDirLock {
    /// Takes the lock. A living owner is respected at once; the dying server of a dead one is waited for.
    pub(super) async fn take(files: &Files) -> Result<Self, ServerError> {
        let deadline = Instant::now() + ORPHAN_DEADLINE;
        let mut told = false;
        loop {
            if let Some(lock) = Self::try_take(files)? {
                return Ok(lock);
            }
            let owner = Owner::read(files);
            let orphaned = owner.supervisor.is_some_and(|pid| !is_alive(pid));
            if !orphaned || Instant::now() >= deadline {
                return Err(busy(files, &owner, orphaned));
            }
            if !told {
                tracing::info!(server = %describe(owner.server), "waiting for the nats-server of a crashed supervisor to end");
                told = true;
            }
            tokio::time::sleep(ORPHAN_POLL).await;
        }
    }

    fn try_take(files: &Files) -> Result<Option<Self>, ServerError> {
        let mut options = OpenOptions::new();
        // The content names the present owner until the lock is ours.
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&files.lock).on("open", &files.lock)?;
        match file.try_lock() {
            Ok(()) => {
                let lock = Self { file: Arc::new(file) };
                lock.record(files, None)?;
                Ok(Some(lock))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source).on("lock", &files.lock),
        }
    }

    /// Writes down who holds the lock: this process, and the server once it runs.
    pub(super) fn record(&self, files: &Files, server: Option<Pid>) -> Result<(), ServerError> {
        let write = || {
            let mut file: &File = &self.file;
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            let server = server.map_or(0, Pid::as_raw_pid);
            file.write_all(format!("{}\n{server}\n", std::process::id()).as_bytes())
        };
        write().on("write", &files.lock)
    }

    /// The file whose open descriptor is the lock.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

impl Owner {
    /// Reads what is there; another process may be writing it, so anything unreadable is unknown.
    fn read(files: &Files) -> Self {
        let text = std::fs::read_to_string(&files.lock).unwrap_or_default();
        let pid = |line: &str| line.parse().ok().filter(|&pid: &i32| pid > 0).and_then(Pid::from_raw);
        let mut pids = text.lines().map(pid);
        Self { supervisor: pids.next().flatten(), server: pids.next().flatten() }
    }
}

/// Whether a process of this pid runs; one that has ended and was not reaped does not.
fn is_alive(pid: Pid) -> bool {
    // A refusal for lack of permission also means that it exists.
    let exists = test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
    // The state is the first field after the program's name, which may itself contain anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    exists && state != Some('Z')
}

/// The living server that the lock file names.
pub(super) fn living_server(files: &Files) -> Option<Pid> {
    Owner::read(files).server.filter(|&pid| is_alive(pid))
}

fn busy(files: &Files, owner: &Owner, orphaned: bool) -> ServerError {
    let server = describe(owner.server);
    let owner = if orphaned {
        format!("{server}, which outlived its supervisor and does not end (`kill -KILL` it)")
    } else {
        match owner.supervisor {
            Some(pid) => format!("process {pid} (its server: {server})"),
            None => "another process".to_owned(),
        }
    };
    ServerError::DataDirBusy { data_dir: files.data_dir.clone(), owner }
}

fn describe(server: Option<Pid>) -> String {
    server.map_or_else(|| "nats-server".to_owned(), |pid| format!("nats-server {pid}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use rustix::process::getpid;

    use super::{DataDirLock, Files, Owner, ServerError, is_alive};

    #[tokio::test]
    async fn a_second_taker_is_refused_at_once_and_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::create(dir.path()).unwrap();
        let held = DataDirLock::take(&files).await.unwrap();
        let error = DataDirLock::take(&files).await.unwrap_err();
        assert!(matches!(error, ServerError::DataDirBusy { .. }), "{error}");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        DataDirLock::take(&files).await.unwrap();
    }

    #[tokio::test]
    async fn the_lock_file_names_supervisor_and_server() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::create(dir.path()).unwrap();
        let lock = DataDirLock::take(&files).await.unwrap();
        assert_eq!(Owner::read(&files), Owner { supervisor: Some(getpid()), server: None });
        lock.record(&files, Some(getpid())).unwrap();
        assert_eq!(Owner::read(&files), Owner { supervisor: Some(getpid()), server: Some(getpid()) });
    }

    #[test]
    fn a_process_that_ended_is_dead_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
        assert!(!is_alive(pid), "ended");
        child.wait().unwrap();
        assert!(!is_alive(pid), "reaped");
        assert!(is_alive(getpid()));
    }

    #[test]
    fn a_half_written_lock_file_is_an_unknown_owner() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::create(dir.path()).unwrap();
        for text in ["", "\n", "12x", "-5\n"] {
            std::fs::write(&files.lock, text).unwrap();
            assert_eq!(Owner::read(&files).supervisor, None, "{text:?}");
        }
    }
}
