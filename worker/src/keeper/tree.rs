//! The processes below this one, and their end.

use std::collections::HashMap;
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, pidfd_open, pidfd_send_signal, wait,
};

/// A process as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    pid: i32,
    parent: i32,
    session: i32,
    /// When it started, which tells it from a later process with the same id.
    started: u64,
}

/// All descendants of this process, children before their children.
fn descendants() -> io::Result<Vec<Seen>> {
    let mut children: HashMap<i32, Vec<Seen>> = HashMap::new();
    for process in processes()? {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = children.remove(&getpid().as_raw_pid()).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        if let Some(more) = children.remove(&found[next].pid) {
            found.extend(more);
        }
        next += 1;
    }
    Ok(found)
}

fn processes() -> io::Result<Vec<Seen>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended meanwhile is none of ours to worry about.
        all.extend(look(pid));
    }
    Ok(all)
}

fn look(pid: i32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &stat)
}

fn parse(pid: i32, stat: &str) -> Option<Seen> {
    // The name, in parentheses, may hold anything, also parentheses.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    Some(Seen { pid, parent, session, started })
}

/// Sends `signal` to all descendants. Returns how many there were.
pub(crate) fn signal_descendants(signal: Signal) -> io::Result<usize> {
    let found = descendants()?;
    for process in &found {
        send(*process, signal);
    }
    Ok(found.len())
}

/// Kills what is left of the session that a lost keeper led. What had left that session is out of reach.
/// Returns how many processes it was.
pub(crate) fn kill_session(session: i32) -> io::Result<usize> {
    let mut killed = 0;
    for process in processes()?.into_iter().filter(|process| process.session == session) {
        send(process, Signal::KILL);
        killed += 1;
    }
    Ok(killed)
}

fn send(process: Seen, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    // The descriptor pins the process; only then is it certain that the id still means the same one.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if look(process.pid).is_some_and(|now| now.started == process.started) {
        // It can only have ended in between, which is what is wanted.
        let _ = pidfd_send_signal(&pidfd, signal);
    }
}

/// What is left after reaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Some children still run.
    Some,
    /// No child, hence no descendant: a dying parent hands its children to us before it can be reaped.
    None,
}

/// Reaps all children that have ended and tells each of them to `ended`.
pub(crate) fn reap(mut ended: impl FnMut(Pid, WaitStatus)) -> io::Result<Left> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => ended(pid, status),
            Ok(None) => return Ok(Left::Some),
            Err(Errno::CHILD) => return Ok(Left::None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_does_not_hide_a_process() {
        let stat = "7 (a) S 1) (b) S 42 7 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 1000 1";
        assert_eq!(parse(7, stat), Some(Seen { pid: 7, parent: 42, session: 5, started: 9876 }));
        assert_eq!(parse(7, "7 (x"), None);
    }

    #[test]
    fn a_child_is_a_descendant() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(descendants().unwrap().iter().any(|process| process.pid == pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants().unwrap().iter().any(|process| process.pid == pid));
    }
}
