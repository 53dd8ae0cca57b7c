//! One round: set the stage, let load and storm loose, settle, gather, judge.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_shared::ids::SessionId;

use super::caller::{Begun, delegate};
use super::check::{Stories, check_all};
use super::evidence::{Asked, Evidence};
use super::executor::read_effects;
use super::gather::{self, Log};
use super::missions::{SESSIONS, plan};
use super::options::{FaultArg, Options};
use super::report::{Report, report};
use super::sessions::{self, Screen};
use super::stage::Stage;
use super::{chaos, check};

/// Between two looks at a world that settles.
const LOOK: Duration = Duration::from_millis(300);
/// How long ledger and sessions may take for the rest when every mission has ended.
const CATCH_UP: Duration = Duration::from_mins(1);

/// Runs a round in `dir` and judges it.
pub async fn run(options: &Options, dir: &Path, say: impl Fn(&str)) -> Report {
    let kinds = options.kinds();
    let stage = Stage::start(dir, options, kinds.contains(&FaultArg::Bridge)).await;
    let conn = Arc::new(stage.connect("torture-callers").await);
    let (stop_reading, screen) = (CancellationToken::new(), Screen::default());
    let mut readers = JoinSet::new();
    for session in SESSIONS {
        let own = stage.connect(&format!("torture-{session}")).await;
        let file = dir.join(format!("{session}.shown"));
        let session = SessionId::new(session).unwrap();
        readers.spawn(sessions::read(own, session, file, screen.clone(), stop_reading.clone()));
    }

    let storm = options.storm();
    let at = Instant::now();
    let begun = Begun { at, time: clock::now(), give_up: at + storm + options.settle() };
    let mut callers = JoinSet::new();
    for planned in plan(options.seed, options.missions, storm.mul_f64(0.9)) {
        callers.spawn(delegate(Arc::clone(&conn), planned, begun));
    }
    say(&format!(
        "seed {}: {} missions, {:.0} s of faults ({} workers)",
        options.seed,
        options.missions,
        storm.as_secs_f64(),
        stage.workers.len()
    ));
    let kept = chaos::storm(&stage, options, at);
    tokio::join!(kept, tokio::time::sleep_until(at + storm));
    stage.calm().await;
    let calm = Instant::now();
    say("the faults are over; the world settles");

    let asked = all_asked(callers).await;
    let mut log = Log::default();
    settle(&conn, &mut log, options.settle()).await;
    let settled = calm.elapsed();
    say(&format!("settled after {:.1} s; ledger and sessions catch up", settled.as_secs_f64()));
    catch_up(&conn, &mut log, &screen).await;
    let ledger = tried("read the ledger", async || gather::ledger_missions(&conn).await).await;
    let rebuilt = gather::rebuilt(&conn, &stage.ledger, &stage.lanes).await;
    stop_reading.cancel();
    while readers.join_next().await.is_some() {}
    let deaths = stage.journal.deaths();
    stage.end_actors().await;

    let evidence = Evidence {
        asked,
        log: log.events,
        unreadable: log.unreadable,
        ledger,
        rebuilt,
        shown: screen.all(),
        effects: read_effects(&dir.join("effects")),
        deaths,
        panics: gather::panics(&dir.join("logs")),
        acks_may_be_lost: kinds.contains(&FaultArg::Server),
    };
    let verdicts = check_all(&evidence);
    let stories: Stories = check::stories(&evidence);
    report(options, &evidence, &stories, &verdicts, settled, dir)
}

async fn all_asked(mut callers: JoinSet<Asked>) -> Vec<Asked> {
    let mut all = Vec::new();
    while let Some(asked) = callers.join_next().await {
        all.push(asked.expect("a caller broke"));
    }
    all
}

/// Waits until every mission of the log has ended; gives up after `patience`, and the checks say what is stuck.
async fn settle(conn: &Connection, log: &mut Log, patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        let read = log.read_on(conn).await;
        let evidence = Evidence { log: std::mem::take(&mut log.events), ..Evidence::default() };
        let over = check::stories(&evidence)
            .values()
            .all(|story| story.mission.as_ref().is_none_or(|mission| mission.status.is_terminal()));
        log.events = evidence.log;
        if (over && read.is_ok()) || Instant::now() > deadline {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Waits until the ledger has the whole log, every notice is sent, and the sessions were shown all that is due.
async fn catch_up(conn: &Connection, log: &mut Log, screen: &Screen) {
    let deadline = Instant::now() + CATCH_UP;
    loop {
        let read = log.read_on(conn).await;
        let evidence = Evidence { log: std::mem::take(&mut log.events), ..Evidence::default() };
        let due: usize = check::stories(&evidence).values().map(|story| story.due.len()).sum();
        log.events = evidence.log;
        let shown: std::collections::BTreeSet<_> =
            screen.all().into_iter().map(|shown| shown.notice_id).collect();
        let status = gather::ledger_status(conn).await;
        let caught_up =
            status.is_ok_and(|status| status.cursor >= status.stream_last && status.notices_pending == 0);
        if (read.is_ok() && caught_up && shown.len() >= due) || Instant::now() > deadline {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Tries until it succeeds; gives what there is when it does not.
async fn tried<T: Default>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + CATCH_UP;
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(error) if Instant::now() > deadline => {
                tracing::error!(error, "could not {what}");
                return T::default();
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}
