//! A rolling restart: every worker ended by TERM and started again, in turn, while work goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use vp_shared::ids::MissionId;
use vp_shared::mission::{EventKind, Status};
use vp_tests::lanes::{CODER, Runs, shell_lane};
use vp_tests::process::{Installation, Process};
use vp_tests::world::{SESSION, World};

const WORKERS: usize = 3;
const TURNS: usize = 2;
/// Missions of 0.2 to 3 s: about seven run at any time, in fifteen slots.
const EVERY: Duration = Duration::from_millis(200);
const SECONDS: [&str; 7] = ["0.2", "3", "0.5", "2", "0.3", "3", "1"];
/// The longest that no attempt of a lane may start while another worker could start it. Measured: 0.2 to 0.3 s.
const STANDSTILL: Duration = Duration::from_secs(4);

/// Some work is longer than a worker may drain for: it is given back and begun again elsewhere, which does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_all_workers_under_load_loses_and_repeats_nothing() {
    let (begun, done) = (Runs::default(), Runs::default());
    let script =
        begun.script(&format!("sleep $(cat $VP_OBJECTIVE_FILE) && {{ {}; }}", done.script("echo x > x.md")));
    let mut lane = shell_lane(&script);
    lane.slots = 5;
    // An attempt that counts is the last one.
    lane.retry.max_attempts = 1;
    let world = World::builder().lane(CODER, lane).start().await;
    let vp = Installation::of(&world);
    let over = AtomicBool::new(false);
    let (missions, _workers) = tokio::join!(steady_load(&world, &over), async {
        let workers = restart_all_in_turn(&vp).await;
        over.store(true, Ordering::Relaxed);
        workers
    });
    for mission in &missions {
        let ended = world.wait(mission).await;
        assert_eq!(ended.status, Status::Completed, "{ended:?}");
    }
    let given_back = each_was_done_once(&world, &missions, &begun, &done).await;
    let longest = the_lane_never_stood_still(&world, &missions).await;
    eprintln!("{} missions, {given_back} attempts given back, {longest:?} without a start", missions.len());
    let notices = world.all_notices(SESSION, CODER).await;
    let told: BTreeSet<_> = notices.iter().map(|notice| &notice.mission_id).collect();
    assert_eq!((notices.len(), told.len()), (missions.len(), missions.len()));
    world.assert_ledger_equals_log().await;
    assert_eq!(world.bridge().unwrap().status().borrow().reconciler.repaired, 0);
}

async fn serve(vp: &Installation, n: usize) -> Process {
    let id = format!("w{n}");
    // Through the environment: the installation's file is the world's.
    let mut worker = vp.spawn_with(&id, ["worker", "--id", &id], &[("VP_WORKER__DRAIN_SECONDS", "1")]);
    worker.until_it_says(&format!("worker {id} serves")).await;
    worker
}

/// Dispatches at a steady rate until it is over.
async fn steady_load(world: &World, over: &AtomicBool) -> Vec<MissionId> {
    let mut missions = Vec::new();
    let mut beat = tokio::time::interval(EVERY);
    while !over.load(Ordering::Relaxed) {
        beat.tick().await;
        let objective = SECONDS[missions.len() % SECONDS.len()];
        missions.push(world.dispatch(CODER, json!({"objective": objective, "reply_mode": "final"})).await);
    }
    missions
}

/// Two full turns. Returns the workers of the last one.
async fn restart_all_in_turn(vp: &Installation) -> Vec<Process> {
    let mut workers: Vec<Process> = stream::iter(1..=WORKERS).then(|n| serve(vp, n)).collect().await;
    for _ in 1..=TURNS {
        for n in 1..=WORKERS {
            let worker = workers.remove(0);
            assert!(worker.terminate().await.success(), "w{n} did not end in good order");
            workers.push(serve(vp, n).await);
        }
    }
    workers
}

async fn each_was_done_once(world: &World, missions: &[MissionId], begun: &Runs, done: &Runs) -> usize {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for run in done.all() {
        *ends.entry(run.mission_id).or_default() += 1;
    }
    assert!(ends.values().all(|ends| *ends == 1), "a mission was executed to its end twice: {ends:?}");
    assert_eq!(ends.len(), missions.len());
    let all = begun.all();
    let attempts: BTreeSet<_> = all.iter().map(|run| (&run.mission_id, run.attempt)).collect();
    assert_eq!(all.len(), attempts.len(), "an attempt ran twice");
    let mut given_back = 0;
    for mission in missions {
        let logged = world.log(mission).await;
        let of = |kind: EventKind| logged.events.iter().filter(|(_, event)| event.kind() == kind).count();
        let terminal = logged.events.iter().filter(|(_, event)| event.kind().is_terminal()).count();
        let released = of(EventKind::Released);
        assert_eq!((terminal, of(EventKind::Started)), (1, released + 1), "{:#?}", logged.mission);
        assert_eq!(logged.mission.counted_attempts(), 1);
        given_back += released;
    }
    assert!(given_back > 0, "no attempt was given back: the restarts met no load");
    given_back
}

/// While work waits, attempts start.
async fn the_lane_never_stood_still(world: &World, missions: &[MissionId]) -> Duration {
    let mut starts = Vec::new();
    for mission in missions {
        let events = world.log(mission).await.events;
        starts.extend(
            events
                .iter()
                .filter(|(_, event)| event.kind() == EventKind::Started)
                .map(|(_, event)| event.time),
        );
    }
    starts.sort();
    let longest = starts.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(longest < STANDSTILL, "no attempt started for {longest:?}");
    longest
}
