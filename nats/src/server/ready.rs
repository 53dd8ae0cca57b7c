use std::path::Path;
use std::time::Duration;

use rustix::process::Pid;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::child::Child;
use super::error::Exit;

/// Between two looks for the ports file, at first and at most.
const POLL_MIN: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(100);
/// A start that takes longer than this is told, and again after as long.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Why a started server has no port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotListening {
    /// It has ended.
    Ended(Exit),
    /// The deadline has passed.
    Late,
}

/// Waits until the server listens; the port.
///
/// The store is recovered before that, which takes long after years of missions.
pub(super) async fn wait_until_listening(
    child: &Child,
    run_dir: &Path,
    deadline: Duration,
) -> Result<u16, NotListening> {
    let start = Instant::now();
    let mut ended = std::pin::pin!(child.ended());
    let (mut poll, mut tell_at) = (POLL_MIN, start + TELL_EVERY);
    loop {
        if let Some(port) = announced_port(run_dir, child.pid()) {
            return Ok(port);
        }
        let now = Instant::now();
        if now >= start + deadline {
            return Err(NotListening::Late);
        }
        if now >= tell_at {
            tracing::info!(seconds = (now - start).as_secs(), "nats-server is still recovering its store");
            tell_at = now + TELL_EVERY;
        }
        tokio::select! {
            exit = &mut ended => return Err(NotListening::Ended(exit)),
            () = sleep_until(now + poll) => poll = (poll * 2).min(POLL_MAX),
        }
    }
}

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

/// The port in the ports file of this pid, once the file is there and whole.
pub(super) fn announced_port(run_dir: &Path, pid: Pid) -> Option<u16> {
    // The name starts with the binary's own name; only the pid in it is known.
    let suffix = format!("_{pid}.ports");
    let file = std::fs::read_dir(run_dir)
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().ends_with(&suffix))?;
    // A half-written file does not parse and is looked at again.
    let ports: Ports = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
    ports.nats.first()?.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use rustix::process::Pid;

    use super::announced_port;

    #[test]
    fn only_a_whole_ports_file_of_the_right_process_counts() {
        let dir = tempfile::tempdir().unwrap();
        let pid = Pid::from_raw(4711).unwrap();
        let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(announced_port(dir.path(), pid), None);
        file("nats-server_14711.ports", r#"{"nats":["nats://127.0.0.1:1"]}"#);
        assert_eq!(announced_port(dir.path(), pid), None);
        file("nats-server_4711.ports", r#"{"nats":["nats://127.0.0.1:40"#);
        assert_eq!(announced_port(dir.path(), pid), None);
        file("nats-server_4711.ports", r#"{"nats":["nats://127.0.0.1:40222"]}"#);
        assert_eq!(announced_port(dir.path(), pid), Some(40222));
    }
}
