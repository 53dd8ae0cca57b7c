//! Once, however often it is asked for, delivered or claimed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use vp_nats::clock::{event_id, now};
use vp_nats::delivery::hand_back;
use vp_nats::mission_log::{AppendError, MissionLog};
use vp_nats::topology::ensure_lane;
use vp_shared::artifact::MissionResult;
use vp_shared::event::{Actor, ActorKind, Event, EventBody, Usage};
use vp_shared::mission::{EventKind, Status};
use vp_tests::lanes::{CODER, DELIVERS, ENDLESS, Runs, lane_id, shell_lane};
use vp_tests::until::until;
use vp_tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_dispatches_with_one_key_run_once() {
    let runs = Runs::default();
    let world =
        Arc::new(World::builder().lane(CODER, shell_lane(&runs.script(DELIVERS))).workers(2).start().await);
    let calls = (0..1000).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.dispatch(CODER, json!({"idempotency_key": "once"})).await })
    });
    let missions: BTreeSet<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(missions.len(), 1);
    let mission = missions.first().unwrap();
    assert_eq!(world.wait(mission).await.status, Status::Completed);
    assert_eq!(runs.all().len(), 1);
    let notices = world.all_notices(vp_tests::world::SESSION, CODER).await;
    assert_eq!(notices.iter().filter(|notice| notice.terminal).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_on_one_lane_never_run_one_attempt_twice() {
    let runs = Runs::default();
    let mut lane = shell_lane(&runs.script("true"));
    lane.slots = 4;
    let world = World::builder().lane(CODER, lane).workers(2).start().await;
    let missions = join_all((0..60).map(|_| world.dispatch(CODER, json!({})))).await;
    for mission in &missions {
        assert_eq!(world.wait(mission).await.status, Status::Completed);
    }
    let all = runs.all();
    let different: BTreeSet<_> = all.iter().map(|run| (&run.mission_id, run.attempt)).collect();
    assert_eq!((all.len(), different.len()), (missions.len(), missions.len()));
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_with_a_live_owner_changes_nothing() {
    let runs = Runs::default();
    let gate = runs.file().with_extension("gate");
    let script = runs.script(&format!("until test -e {}; do sleep 0.05; done", gate.display()));
    let world = World::builder().lane(CODER, shell_lane(&script)).workers(2).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    let running = world.until_status(&mission, Status::Running).await.mission;
    // As a killed server would, that forgot who has what; then as a re-created queue would.
    let lease = running.owner.as_ref().unwrap().lease.clone();
    hand_back(world.conn(), &lease).await.unwrap();
    let consumer = vp_nats::topology::queue_consumer(&lane_id(CODER), running.tier);
    let stream = world.conn().jetstream().get_stream(vp_nats::topology::MISSIONS).await.unwrap();
    stream.delete_consumer(&consumer).await.unwrap();
    ensure_lane(world.conn(), &lane_id(CODER), &world.lanes()[&lane_id(CODER)], 1).await.unwrap();
    // A queue is handed out in order: once the second mission runs, the first was handed out again.
    let other = world.dispatch(CODER, json!({})).await;
    runs.until(2).await;
    let logged = world.log(&mission).await;
    assert_eq!(logged.mission.last_seq, running.last_seq, "{:#?}", logged.events);
    std::fs::write(&gate, "").unwrap();
    assert_eq!(world.wait(&other).await.status, Status::Completed);
    let ended = world.wait(&mission).await;
    let logged = world.log(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 1), "{:#?}", logged.events);
    let of_first = runs.all().into_iter().filter(|run| run.mission_id == mission.as_str()).count();
    assert_eq!(of_first, 1);
    assert_eq!(world.kinds(&mission).await.iter().filter(|kind| **kind == EventKind::Started).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_ten_times_longer_than_its_lease_runs_once() {
    let runs = Runs::default();
    let mut lane = shell_lane(&runs.script("sleep 20"));
    lane.ack_wait_seconds = 2;
    let world = World::builder().lane(CODER, lane).workers(2).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 1));
    assert_eq!(runs.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_result_of_a_fenced_worker_is_refused_by_the_server() {
    let runs = Runs::default();
    let script = runs.script(&format!("test $VP_ATTEMPT = 2 || {{ {ENDLESS}; }}; {DELIVERS}"));
    let mut world = World::builder().lane(CODER, shell_lane(&script)).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    let held = world.until_status(&mission, Status::Running).await.mission;
    world.start_worker("w2").await;
    world.kill_worker("w1");
    until("attempt 2 has started", async || (world.log(&mission).await.mission.attempt == 2).then_some(()))
        .await;
    // What the first worker would say now, by all that it has seen.
    let late = Event {
        id: event_id(),
        mission_id: mission.clone(),
        vp_id: held.vp_id.clone(),
        attempt: 1,
        time: now(),
        actor: Actor { kind: ActorKind::Worker, id: "w1".into() },
        source: held.source.clone(),
        body: EventBody::Completed {
            summary: "I did it".into(),
            result: MissionResult::default(),
            usage: Usage::default(),
        },
    };
    let refused = MissionLog::new(world.conn()).append(&late, held.last_seq).await;
    assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    assert_ne!(ended.summary, "I did it");
    let completed =
        world.kinds(&mission).await.into_iter().filter(|kind| *kind == EventKind::Completed).count();
    assert_eq!(completed, 1);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_runs_nothing_twice() {
    let runs = Runs::default();
    // More slots than missions: what the server hands out again, having forgotten, finds a free one at once.
    let mut lane = shell_lane(&runs.script("sleep 2"));
    lane.slots = 64;
    let mut world = World::builder().lane(CODER, lane).workers(2).start().await;
    let mut missions = Vec::new();
    for round in 1..=2 {
        missions.extend(join_all((0..20).map(|_| world.dispatch(CODER, json!({})))).await);
        runs.until(20 * round).await;
        world.server.kill().await;
        world.server.restart().await;
    }
    for mission in &missions {
        let ended = world.wait(mission).await;
        assert_eq!((ended.status, ended.attempt), (Status::Completed, 1), "{ended:?}");
    }
    let all = runs.all();
    let different: BTreeSet<_> = all.iter().map(|run| &run.mission_id).collect();
    assert_eq!((all.len(), different.len()), (missions.len(), missions.len()));
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_shorter_than_the_lease_disturbs_nothing() {
    let runs = Runs::default();
    let world = World::builder().lane(CODER, shell_lane(&runs.script("sleep 8"))).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    world.server.freeze();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.server.thaw();
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 1));
    assert_eq!(runs.all().len(), 1);
}
