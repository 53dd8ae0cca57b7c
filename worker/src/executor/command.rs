//! The executor that is a program, run by a keeper, within limits.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use vp_nats::clock;
use vp_nats::presence::Testament;
use vp_shared::event::{Outcome, OutcomeStatus, Usage};
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::lane::ExecutorProfile;

use super::listen::Listener;
use super::logs::Stream;
use super::outcome::{End, outcome};
use super::{Attempted, Executed};
use crate::held::Stop;
use crate::keeper::{Job, Link, Report};
use crate::owner::Owned;
use crate::workspace::Workspace;

/// How long after the grace a keeper may take before it is taken for lost.
const KEEPER_PATIENCE: Duration = Duration::from_secs(25);
/// How long the rest of the output is waited for when the whole tree is gone.
const REST_PATIENCE: Duration = Duration::from_secs(2);
/// How much is read at once.
const CHUNK: usize = 32 * 1024;

/// Runs the lane's program in a fresh workspace.
pub(crate) async fn run(own: &Owned<'_>) -> Executed {
    let workspace = match Workspace::create(own).await {
        Ok(workspace) => workspace,
        Err(failure) => return Executed::Ended(Attempted::without_workspace(not_run(failure))),
    };
    let job = job(own, &workspace);
    let mut listener = Listener::new(own, &workspace, &job.env);
    let started = Instant::now();
    let mut keeper = None;
    let end = match Link::start(&own.lane.shared.config.keeper, &job).await {
        Ok(link) => {
            own.hold.vouch_to(link.vouch().clone());
            let end;
            (end, keeper) = Sitting::new(own, link, &mut listener, started).until_ended().await;
            own.hold.vouch_no_more();
            end
        }
        Err(error) => {
            let program = own.lane.shared.config.keeper.program.display();
            let why = format!("could not start the keeper `{program}`: {error}");
            Ok(End::NotStarted(Failure::new(FailureClass::Internal, why)))
        }
    };
    listener.end().await;
    match end {
        Ok(end) => {
            let (heard, last_words) = listener.heard();
            let outcome = outcome(end, &heard, &last_words, started.elapsed());
            let no_deliverable = heard.no_deliverable.is_some();
            Executed::Ended(Attempted {
                outcome,
                workspace: Some(workspace),
                declared: heard.declared,
                no_deliverable,
                keeper,
            })
        }
        Err(stop) => {
            if let Some(keeper) = keeper {
                keeper.finish(true).await;
            }
            Executed::Stopped(stop)
        }
    }
}

fn not_run(failure: Failure) -> Outcome {
    Outcome {
        status: OutcomeStatus::Failed,
        failure: Some(failure),
        summary: String::new(),
        usage: Usage::default(),
    }
}

fn job(own: &Owned<'_>, workspace: &Workspace) -> Job {
    let mission = &own.mission;
    let mut vars = BTreeMap::new();
    let mut argv = Vec::new();
    if let ExecutorProfile::Command { argv: program, env, pass_env } = &own.lane.profile.executor {
        argv.clone_from(program);
        vars.extend(pass_env.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))));
        vars.extend(env.clone());
    }
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let mut set = |name: &str, value: String| vars.insert(name.to_owned(), value);
    set("VP_MISSION_ID", mission.mission_id.to_string());
    set("VP_VP_ID", mission.vp_id.to_string());
    set("VP_ATTEMPT", mission.attempt.to_string());
    set("VP_MISSION_TYPE", mission.spec.mission_type.clone());
    set("VP_DEADLINE", mission.spec.deadline.to_string());
    set("VP_WORKSPACE", path(workspace.work()));
    set("VP_MISSION_FILE", path(workspace.mission_file()));
    set("VP_OBJECTIVE_FILE", path(workspace.objective_file()));
    if let Some(session_id) = &mission.source.session_id {
        set("VP_SESSION_ID", session_id.to_string());
    }
    for (name, value) in &mission.spec.constraints {
        let plain =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if let (true, Some(text)) =
            (plain && !name.is_empty(), value.as_str().filter(|text| !text.contains('\0')))
        {
            set(&format!("VP_CONSTRAINT_{}", name.to_ascii_uppercase()), text.to_owned());
        }
    }
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Job {
        argv,
        env: vars,
        cwd: workspace.work(),
        stdin: workspace.mission_file(),
        kill_grace_ms: own.lane.profile.limits.kill_grace_seconds * 1000,
        alive_ms: millis(own.hold.left()),
        worker_pid: rustix::process::getpid().as_raw_pid(),
        testament: Testament::new(&own.lane.shared.conn, mission),
    }
}

/// When an attempt is over whatever it does.
#[derive(Debug)]
struct Limits {
    wall: (Instant, u64),
    idle: Option<Duration>,
    deadline: Instant,
}

impl Limits {
    fn of(own: &Owned<'_>, started: Instant) -> Self {
        let (budget, lane) = (&own.mission.spec.budget, &own.lane.profile.limits);
        let wall = budget.wall_seconds.unwrap_or(lane.wall_seconds).min(lane.max_wall_seconds);
        let idle = budget.idle_seconds.unwrap_or(lane.idle_seconds);
        Self {
            wall: (started + Duration::from_secs(wall), wall),
            idle: (idle > 0).then(|| Duration::from_secs(idle)),
            deadline: started + own.mission.spec.deadline.since(clock::now()),
        }
    }

    /// The one that comes first when nothing more is said.
    fn first(&self, last_said: Instant) -> Instant {
        let idle = self.idle.map(|idle| last_said + idle);
        self.wall.0.min(self.deadline).min(idle.unwrap_or(self.deadline))
    }

    /// What is over now.
    fn reached(&self, last_said: Instant, now: Instant) -> Option<Failure> {
        if now >= self.deadline {
            let message = "the mission's deadline passed while the executor ran";
            return Some(Failure::new(FailureClass::DeadlineExceeded, message));
        }
        if now >= self.wall.0 {
            let message = format!("the executor ran longer than its limit of {} s", self.wall.1);
            return Some(Failure::new(FailureClass::Timeout, message));
        }
        let idle = self.idle.filter(|idle| now >= last_said + *idle)?;
        let message = format!("the executor said nothing for {} s", idle.as_secs());
        Some(Failure::new(FailureClass::IdleTimeout, message))
    }
}

/// Why an executor is being stopped.
#[derive(Debug, Clone)]
enum Why {
    Wish(Stop),
    Limit(Failure),
}

/// One executor from its start to its end.
struct Sitting<'a, 'b> {
    link: Link,
    listener: &'a mut Listener<'b>,
    stops: watch::Receiver<Stop>,
    limits: Limits,
    grace: Duration,
    stopping: Option<(Why, Instant)>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

/// What happened next.
enum Next {
    Stop(Stop),
    Report(Option<Report>),
    Output(Stream, std::io::Result<usize>),
    Due,
}

impl<'a, 'b> Sitting<'a, 'b> {
    fn new(own: &Owned<'_>, mut link: Link, listener: &'a mut Listener<'b>, started: Instant) -> Self {
        Self {
            stdout: link.stdout.take(),
            stderr: link.stderr.take(),
            link,
            listener,
            stops: own.hold.stops(),
            limits: Limits::of(own, started),
            grace: Duration::from_secs(own.lane.profile.limits.kill_grace_seconds),
            stopping: None,
        }
    }

    /// Serves until the tree is gone. `Err`: it was stopped for a reason that does not end the attempt. The keeper, if it is
    /// still there, is to be let go when the attempt is concluded.
    async fn until_ended(mut self) -> (Result<End, Stop>, Option<Link>) {
        let (mut out, mut err) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
        // A wish from before is seen as a change.
        self.stops.mark_changed();
        let report = loop {
            match self.next(&mut out, &mut err).await {
                Next::Stop(stop) => self.wish(stop),
                Next::Report(Some(Report::Started { .. })) => {}
                Next::Report(report) => break report,
                Next::Output(stream, read) => {
                    let chunk = if stream == Stream::Out { &mut out } else { &mut err };
                    self.heard(stream, read, chunk).await;
                }
                Next::Due => match &self.stopping {
                    None => self.check_limits(),
                    Some((_, over)) if Instant::now() >= *over => break None,
                    Some(_) => {}
                },
            }
        };
        if report.is_none() {
            // Its keeper is gone: first of all it must not run on alone, should this process die too.
            self.link.kill_session();
        }
        self.rest(&mut out, &mut err).await;
        let keeper = if let Some(Report::Ended { .. }) = report {
            Some(self.link)
        } else {
            self.link.finish(report.is_some()).await;
            None
        };
        (judged(report, self.stopping.map(|(why, _)| why)), keeper)
    }

    async fn next(&mut self, out: &mut Vec<u8>, err: &mut Vec<u8>) -> Next {
        let due = match &self.stopping {
            Some((_, over)) => *over,
            None => self.limits.first(self.listener.last_said()),
        };
        tokio::select! {
            biased;
            changed = self.stops.changed() => match changed {
                Ok(()) => Next::Stop(*self.stops.borrow_and_update()),
                // The hold outlives this.
                Err(_) => Next::Stop(Stop::Fenced),
            },
            report = self.link.report() => Next::Report(report),
            () = sleep_until(due) => Next::Due,
            read = some(&mut self.stdout, out), if self.stdout.is_some() => Next::Output(Stream::Out, read),
            read = some(&mut self.stderr, err), if self.stderr.is_some() => Next::Output(Stream::Err, read),
        }
    }

    fn wish(&mut self, stop: Stop) {
        match stop {
            Stop::No => {}
            Stop::Fenced => {
                self.stopping = Some((Why::Wish(stop), Instant::now() + KEEPER_PATIENCE));
                self.link.vouch().kill();
            }
            Stop::Release | Stop::Cancel => self.stop(Why::Wish(stop)),
        }
    }

    fn check_limits(&mut self) {
        if let Some(failure) = self.limits.reached(self.listener.last_said(), Instant::now()) {
            self.stop(Why::Limit(failure));
        }
    }

    fn stop(&mut self, why: Why) {
        match &mut self.stopping {
            // The first reason counts, but a wish to cancel wins over one to give back.
            Some((known, _)) => {
                if matches!((&known, &why), (Why::Wish(Stop::Release), Why::Wish(Stop::Cancel))) {
                    *known = why;
                }
            }
            None => {
                self.stopping = Some((why, Instant::now() + self.grace + KEEPER_PATIENCE));
                self.link.vouch().stop();
            }
        }
    }

    async fn heard(&mut self, stream: Stream, read: std::io::Result<usize>, chunk: &mut Vec<u8>) {
        match read {
            Ok(0) => self.close(stream),
            Ok(_) => {
                self.listener.take(stream, chunk).await;
                chunk.clear();
                if let Some(failure) = self.listener.over_budget() {
                    self.stop(Why::Limit(failure));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "an executor's output cannot be read any more");
                self.close(stream);
            }
        }
    }

    fn close(&mut self, stream: Stream) {
        match stream {
            Stream::Out => self.stdout = None,
            Stream::Err => self.stderr = None,
        }
    }

    /// Reads what the pipes still hold.
    async fn rest(&mut self, out: &mut Vec<u8>, err: &mut Vec<u8>) {
        let reading = async {
            while self.stdout.is_some() {
                let read = some(&mut self.stdout, out).await;
                self.heard(Stream::Out, read, out).await;
            }
            while self.stderr.is_some() {
                let read = some(&mut self.stderr, err).await;
                self.heard(Stream::Err, read, err).await;
            }
        };
        if timeout(REST_PATIENCE, reading).await.is_err() {
            tracing::warn!("the output of an executor did not end with it");
        }
    }
}

/// Reads some; never, when it is closed.
async fn some<R: AsyncRead + Unpin>(from: &mut Option<R>, into: &mut Vec<u8>) -> std::io::Result<usize> {
    match from {
        Some(from) => from.read_buf(into).await,
        None => std::future::pending().await,
    }
}

fn judged(report: Option<Report>, why: Option<Why>) -> Result<End, Stop> {
    if let Some(Report::Ended { survivors: survivors @ 1.., .. }) = report {
        tracing::error!(survivors, "processes of an executor withstood being killed");
    }
    if let Some(Report::Ended { lapsed: true, .. }) = report {
        // The keeper noticed before the worker did.
        return Err(Stop::Fenced);
    }
    let by_itself = matches!(report, Some(Report::Ended { by_itself: true, .. }));
    match why {
        Some(Why::Wish(Stop::Cancel)) => return Ok(End::Cancelled),
        // Its end and the wish have crossed: it has done its work, and must not do it again.
        Some(Why::Wish(Stop::Release)) if by_itself => {}
        Some(Why::Wish(stop)) => return Err(stop),
        Some(Why::Limit(failure)) => return Ok(End::Limit(failure)),
        None => {}
    }
    Ok(match report {
        Some(Report::Ended { code: Some(code), .. }) => End::Exited(code),
        Some(Report::Ended { signal: Some(signal), .. }) => End::Signaled(signal),
        Some(Report::NotStarted { why, not_found }) => {
            let advice = if not_found { "; check the lane's `executor.argv`" } else { "" };
            let message = format!("the executor could not be started: {why}{advice}");
            End::NotStarted(Failure::new(FailureClass::ExecutorError, message))
        }
        _ => End::KeeperLost,
    })
}
