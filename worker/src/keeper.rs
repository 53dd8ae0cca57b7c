//! The helper process that owns an executor's tree, so that a killed or frozen worker cannot leave it running.
//!
//! One keeper per attempt, one thread, started by the worker as `vp keeper`. Its standard input is one end of a
//! socket pair: the worker's words come in by it ([`Job`], then [`Word`]s), its own ([`Report`]s) go out by it.
//! Standard output and error are the worker's pipes, inherited by the executor; the keeper never writes to them.
//!
//! The tree is killed when
//! - the worker says `stop` (TERM, after the grace KILL) or `kill`;
//! - the worker's end of the socket closes: it died;
//! - the lease that the worker last vouched for runs out: it is frozen, or has lost the lease;
//! - the executor's first process ends: what it left behind does not outlive it.
//!
//! It stays until the attempt is concluded. When the worker's process dies before, it executes the [testament]: the
//! mission goes back to its lane at once, instead of when its lease is over.
//!
//! [testament]: vp_nats::presence::Testament
//!
//! The keeper is the reaper of its descendants, so a process that calls `setsid` or forks twice is still found.
//! It lives in its own session: a Ctrl-C at the terminal and a TERM to everybody leave it to the worker to decide.

mod link;
mod serve;
mod tree;
mod words;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

pub(crate) use link::{Link, Vouch};
pub(crate) use words::{Job, Report};

/// What the hidden `keeper` subcommand does. Returns when the tree is gone.
///
/// Exits with 0 when it did its duty, with 70 when it could not: the worker sees that as a lost keeper.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads its output, and the worker knows by the closed socket.
        Err(_) => ExitCode::from(70),
    }
}

fn run() -> std::io::Result<()> {
    // Already leading a session is as good.
    let _ = rustix::process::setsid();
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    control.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { serve::serve(tokio::net::UnixStream::from_std(control)?).await })
}
