//! This process, marked so that a later one on the same host can tell whether it still lives.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};
use vp_shared::api::ProcessMark;

/// This process; `None` where `/proc` does not tell.
pub(crate) fn mark() -> Option<ProcessMark> {
    let pid = getpid();
    let (started, _) = look(pid)?;
    let (boot, namespace) = here()?;
    Some(ProcessMark { boot, namespace, pid: pid.as_raw_pid().cast_unsigned(), started })
}

/// True when that process certainly lives no more: it was one of this host, in this run of it, and its id now means
/// none or another one. Anything that cannot be told is no proof.
pub(crate) fn is_dead(mark: &ProcessMark) -> bool {
    let Some((boot, namespace)) = here() else { return false };
    let Some(pid) = i32::try_from(mark.pid).ok().and_then(Pid::from_raw) else { return false };
    if boot != mark.boot || namespace != mark.namespace {
        return false;
    }
    // Asked of the kernel: another user's process may be hidden from `/proc`.
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return true;
    }
    look(pid).is_some_and(|(started, ended)| ended || started != mark.started)
}

/// The host's run and the namespace of process ids.
fn here() -> Option<(String, String)> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some((boot.trim().to_owned(), namespace.to_string_lossy().into_owned()))
}

/// When a process was started, and whether it has ended and only waits for its parent.
fn look(pid: Pid) -> Option<(u64, bool)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    // The name, in parentheses, may hold anything, also parentheses.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    Some((fields.nth(18)?.parse().ok()?, ended))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_host_and_run_can_be_proven_dead() {
        let me = mark().unwrap();
        assert!(!is_dead(&me), "{me:?}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let other = ProcessMark { pid: child.id(), started: look(pid).unwrap().0, ..me.clone() };
        assert!(!is_dead(&other));
        // Another process has its id by now.
        assert!(is_dead(&ProcessMark { started: other.started - 1, ..other.clone() }));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_dead(&other));
        assert!(!is_dead(&ProcessMark { boot: "another".into(), ..other.clone() }));
        assert!(!is_dead(&ProcessMark { namespace: "pid:[1]".into(), ..other }));
    }
}
