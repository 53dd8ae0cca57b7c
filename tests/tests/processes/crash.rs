//! Workers and bridges that are killed or frozen.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::DeliverPolicy;
use serde_json::json;
use vp_nats::delivery::hand_back;
use vp_nats::presence::lookup;
use vp_nats::topology::{MISSIONS, queue_consumer};
use vp_shared::api::AttemptStatus;
use vp_shared::ids::WorkerId;
use vp_shared::mission::Status;
use vp_shared::tier::Tier;
use vp_tests::lanes::{CODER, DELIVERS, ENDLESS, Runs, lane_id, shell_lane};
use vp_tests::process::{Installation, Process, is_alive};
use vp_tests::proxy::Proxy;
use vp_tests::until::until_true;
use vp_tests::world::{SESSION, World};

async fn worker(vp: &Installation, id: &str) -> Process {
    let mut worker = vp.spawn(id, ["worker", "--id", id]);
    worker.until_it_says(&format!("worker {id} serves")).await;
    worker
}

async fn bridge(vp: &Installation) -> Process {
    let mut bridge = vp.spawn("bridge", ["bridge"]);
    bridge.until_it_says("the bridge runs").await;
    bridge
}

/// A script whose first attempt never ends by itself.
fn first_is_endless(runs: &Runs) -> String {
    runs.script(&format!("test $VP_ATTEMPT = 2 || {{ {ENDLESS}; }}; {DELIVERS}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_of_a_killed_worker_runs_as_attempt_two_at_once_by_the_word_of_its_keeper() {
    let runs = Runs::default();
    // Whoever only misses the worker waits for longer than this test.
    let world = World::builder()
        .lane(CODER, shell_lane(&first_is_endless(&runs)))
        .recover_after(Duration::from_hours(1))
        .start()
        .await;
    let vp = Installation::of(&world);
    let first = worker(&vp, "w1").await;
    let mission = world.dispatch(CODER, json!({})).await;
    let run = runs.until(1).await.remove(0);
    let _second = worker(&vp, "w2").await;
    let killed = Instant::now();
    first.kill();
    let ended = world.wait(&mission).await;
    eprintln!("attempt 2 was over {:?} after the kill", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(12), "{:?} of a lease of 30 s", killed.elapsed());
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    until_true("the killed worker's executor is gone", async || !is_alive(run.pid)).await;
    let statuses: Vec<_> = world.get(&mission).await.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [AttemptStatus::Lost, AttemptStatus::Completed]);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_finalises_is_finalised_by_another_and_not_executed_again() {
    let runs = Runs::default();
    // So many files to look at that the kill hits the finalising.
    let many = "i=0; while test $i -lt 20000; do echo $i > f$i; i=$((i+1)); done";
    let world = World::builder()
        .lane(CODER, shell_lane(&runs.script(&format!("{many}; {DELIVERS}"))))
        .recover_after(Duration::from_hours(1))
        .start()
        .await;
    let vp = Installation::of(&world);
    let first = worker(&vp, "w1").await;
    let mission = world.dispatch(CODER, json!({})).await;
    let _second = worker(&vp, "w2").await;
    world.until_status(&mission, Status::Finalizing).await;
    first.kill();
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 1));
    assert_eq!(runs.all().len(), 1);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_that_comes_back_takes_its_own_missions_over() {
    let runs = Runs::default();
    let world = World::builder().lane(CODER, shell_lane(&first_is_endless(&runs))).start().await;
    let vp = Installation::of(&world);
    let first = worker(&vp, "w1").await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    first.kill();
    let killed = Instant::now();
    let _again = worker(&vp, "w1").await;
    let serves = killed.elapsed();
    let ended = world.wait(&mission).await;
    eprintln!("it served again after {serves:?}, attempt 2 was over after {:?}", killed.elapsed());
    // It does not wait for the key of its former life, which lives for 4 s.
    assert!(serves < Duration::from_secs(3), "{serves:?}");
    assert!(killed.elapsed() < Duration::from_secs(20), "{:?} of a lease of 30 s", killed.elapsed());
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_loses_its_mission_and_its_late_result() {
    let runs = Runs::default();
    let gate = runs.file().with_extension("gate");
    let until_gate = format!("until test -e {}; do sleep 0.05; done; echo first > late.md", gate.display());
    let script = runs.script(&format!("test $VP_ATTEMPT = 2 || {{ {until_gate}; exit 0; }}; {DELIVERS}"));
    let mut lane = shell_lane(&script);
    lane.ack_wait_seconds = 6;
    let world = World::builder().lane(CODER, lane).start().await;
    let vp = Installation::of(&world);
    let first = worker(&vp, "w1").await;
    let mission = world.dispatch(CODER, json!({})).await;
    let run = runs.until(1).await.remove(0);
    let _second = worker(&vp, "w2").await;
    first.freeze();
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    // The keeper is no part of the frozen process: it has killed the executor.
    until_true("the frozen worker's executor is gone", async || !is_alive(run.pid)).await;
    std::fs::write(&gate, "").unwrap();
    first.thaw();
    // It is back when it serves again; what it thought of the first mission is not in the log.
    let next = world.dispatch(CODER, json!({"max_attempts": 2})).await;
    assert_eq!(world.wait(&next).await.status, Status::Completed);
    assert!(first.terminate().await.success());
    assert_eq!(world.log(&mission).await.mission.last_seq, ended.last_seq);
    world.assert_ledger_equals_log().await;
}

/// Found by the torture program (seed 2003, three servers): the mission was handed out again, nobody was subscribed to
/// the frozen worker's subject, and its executor ran beside the next one for 5 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_whose_connection_is_reset_keeps_its_mission_while_its_executor_may_run() {
    let runs = Runs::default();
    let mut lane = shell_lane(&first_is_endless(&runs));
    lane.ack_wait_seconds = 18;
    let world = World::builder().lane(CODER, lane).start().await;
    let vp = Installation::of(&world);
    let proxy = Proxy::start(([127, 0, 0, 1], world.server.port()).into()).await;
    let url = proxy.url();
    let mut first = vp.spawn("w1", ["worker", "--id", "w1", "--nats-url", &url]);
    first.until_it_says("worker w1 serves").await;
    let mission = world.dispatch(CODER, json!({})).await;
    let run = runs.until(1).await.remove(0);
    let _second = worker(&vp, "w2").await;
    first.freeze();
    proxy.cut();
    let worker_id = WorkerId::new("w1").unwrap();
    until_true("the frozen worker's key has expired", async || {
        lookup(world.conn(), &worker_id).await.is_ok_and(|found| found.is_none())
    })
    .await;
    // Whoever does this is wrong; it must do no harm.
    let lease = world.log(&mission).await.mission.owner.unwrap().lease;
    hand_back(world.conn(), &lease).await.unwrap();
    runs.until(2).await;
    assert!(!is_alive(run.pid), "the executor of attempt 1 ran beside that of attempt 2");
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_keeps_its_name_so_that_none_of_its_missions_runs_beside_itself() {
    let runs = Runs::default();
    let world = World::builder().lane(CODER, shell_lane(&first_is_endless(&runs))).start().await;
    let vp = Installation::of(&world);
    let first = worker(&vp, "w1").await;
    let mission = world.dispatch(CODER, json!({})).await;
    let run = runs.until(1).await.remove(0);
    // As Ctrl-Z at its terminal does; the executor runs on.
    first.freeze();
    let worker_id = WorkerId::new("w1").unwrap();
    until_true("the frozen worker's key has expired", async || {
        lookup(world.conn(), &worker_id).await.is_ok_and(|found| found.is_none())
    })
    .await;
    let mut again = vp.spawn("again", ["worker", "--id", "w1"]);
    again.until_it_says("another process runs as worker `w1`").await;
    assert!(!again.ended().await.success());
    assert!(is_alive(run.pid));
    first.thaw();
    world.cancel(&mission).await.unwrap();
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Cancelled, 1));
    assert_eq!(runs.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_again_and_again_lose_no_mission_and_run_no_attempt_twice() {
    let runs = Runs::default();
    let mut lane = shell_lane(&runs.script("sleep 0.2"));
    lane.slots = 4;
    lane.retry.max_attempts = 20;
    let world = World::builder().lane(CODER, lane).start().await;
    let vp = Installation::of(&world);
    let mut missions = Vec::new();
    for _ in 0..60 {
        missions.push(world.dispatch(CODER, json!({"reply_mode": "final"})).await);
    }
    let _steady = worker(&vp, "w0").await;
    for round in 1..=4 {
        let victim = worker(&vp, &format!("w{round}")).await;
        runs.until(round * 12).await;
        victim.kill();
    }
    for mission in &missions {
        let ended = world.wait(mission).await;
        assert_eq!(ended.status, Status::Completed, "{ended:?}");
    }
    let all = runs.all();
    let different: BTreeSet<_> = all.iter().map(|run| (&run.mission_id, run.attempt)).collect();
    assert_eq!(all.len(), different.len(), "an attempt ran twice");
    let notices = world.all_notices(SESSION, CODER).await;
    let told: BTreeSet<_> = notices.iter().map(|notice| &notice.mission_id).collect();
    assert_eq!((notices.len(), told.len()), (missions.len(), missions.len()));
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_killed_again_and_again_tells_each_thing_once() {
    let mut world =
        World::builder().lane(CODER, vp_tests::lanes::noop_lane()).workers(1).without_bridge().start().await;
    let vp = Installation::of(&world);
    let mut missions = Vec::new();
    for _ in 0..5 {
        let bridge = bridge(&vp).await;
        for _ in 0..60 {
            missions.push(world.dispatch(CODER, json!({})).await);
        }
        // Somewhere within its work.
        until_true("the ledger has begun", async || {
            world.dispatcher().ledger_status().await.is_ok_and(|status| status.cursor > 0)
        })
        .await;
        bridge.kill();
    }
    for mission in &missions {
        world.wait(mission).await;
    }
    world.start_bridge().await;
    world.until_projected().await;
    let notices = world.all_notices(SESSION, CODER).await;
    let different: BTreeSet<_> = notices.iter().map(|notice| &notice.notice_id).collect();
    assert_eq!((notices.len(), different.len()), (3 * missions.len(), 3 * missions.len()));
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_somebody_deleted_are_made_again_by_the_workers_that_miss_them() {
    let runs = Runs::default();
    let world = World::builder().lane(CODER, shell_lane(&runs.script(DELIVERS))).start().await;
    let vp = Installation::of(&world);
    let _worker = worker(&vp, "w1").await;
    let ended = world.dispatch(CODER, json!({})).await;
    assert_eq!(world.wait(&ended).await.status, Status::Completed);
    let last_that_ended = world.log(&ended).await.mission.last_seq;
    let stream = world.conn().jetstream().get_stream(MISSIONS).await.unwrap();
    // The ledger knows what lives when the queues are missed.
    world.assert_ledger_equals_log().await;
    for tier in Tier::ALL {
        stream.delete_consumer(&queue_consumer(&lane_id(CODER), tier)).await.unwrap();
    }
    let mission = world.dispatch(CODER, json!({})).await;
    assert_eq!(world.wait(&mission).await.status, Status::Completed);
    assert_eq!(runs.all().len(), 2);
    // They hold nothing again of what has ended.
    let name = queue_consumer(&lane_id(CODER), Tier::Normal);
    let consumer = stream.consumer_info(&name).await.unwrap();
    let starts = consumer.config.deliver_policy;
    let after_the_past = matches!(starts, DeliverPolicy::ByStartSequence { start_sequence } if start_sequence > last_that_ended);
    assert!(after_the_past, "{starts:?}, and the first mission ended at {last_that_ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_asked_to_end_finishes_what_it_has() {
    let runs = Runs::default();
    let world = World::builder().lane(CODER, shell_lane(&runs.script("sleep 2"))).start().await;
    let vp = Installation::of(&world);
    let worker = worker(&vp, "w1").await;
    let mission = world.dispatch(CODER, json!({})).await;
    let waiting = world.dispatch(CODER, json!({})).await;
    runs.until(2).await;
    let queued = world.dispatch(CODER, json!({})).await;
    assert!(worker.terminate().await.success());
    for done in [mission, waiting] {
        let ended = world.log(&done).await.mission;
        assert_eq!((ended.status, ended.attempt), (Status::Completed, 1));
    }
    assert_eq!(world.log(&queued).await.mission.status, Status::Queued);
}
