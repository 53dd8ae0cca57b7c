//! Missions that nothing would bring on any more come back within a minute and run once; a healthy world has none.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use vp_bridge::ReconcileTimes;
use vp_nats::clock::now;
use vp_nats::delivery::{Delivery, LaneQueue, PullWait};
use vp_nats::subject::{MissionSubject, Token};
use vp_nats::topology::{MISSIONS, ensure_lane, queue_consumer};
use vp_shared::api::ReconcilerStatus;
use vp_shared::failure::FailureClass;
use vp_shared::ids::MissionId;
use vp_shared::lane::LaneProfile;
use vp_shared::mission::{EventKind, Status};
use vp_shared::tier::Tier;
use vp_tests::lanes::{CODER, DELIVERS, ENDLESS, GENERAL, Runs, lane_id, shell_lane};
use vp_tests::until::until_true;
use vp_tests::world::World;

/// As the real ones, and twenty times as fast.
const TIMES: ReconcileTimes = ReconcileTimes {
    every: Duration::from_millis(400),
    confirm_after: Duration::from_secs(2),
    in_hand_for: Duration::from_millis(1_500),
};

/// A lane with a lease of a second and a half would be cut off by a busy machine; a look in hand takes as long.
fn lane(script: &str) -> LaneProfile {
    LaneProfile { ack_wait_seconds: 4, ..shell_lane(script) }
}

/// A world without workers.
async fn world(runs: &Runs) -> World {
    World::builder().lane(CODER, lane(&runs.script(DELIVERS))).reconcile(TIMES).start().await
}

fn reconciler(world: &World) -> ReconcilerStatus {
    world.bridge().unwrap().status().borrow().reconciler.clone()
}

async fn repaired(world: &World, what: &str, times: usize) {
    until_true(&format!("{times} missions are `{what}`: {:?}", reconciler(world)), async || {
        reconciler(world).newest.iter().filter(|done| done.what == what).count() == times
    })
    .await;
}

/// Takes an entry out of the lane's queue, as an operator may.
async fn take(world: &World) -> Delivery {
    let mut pull = LaneQueue::new(world.conn(), &lane_id(CODER), Tier::Normal)
        .pull(1, PullWait::Expires(Duration::from_secs(5)));
    pull.next().await.expect("an entry").unwrap()
}

async fn purge(world: &World, subject: String) {
    world.conn().jetstream().get_stream(MISSIONS).await.unwrap().purge().filter(subject).await.unwrap();
}

async fn ran_once(world: &World, runs: &Runs, missions: &[MissionId]) {
    for mission in missions {
        assert_eq!(world.wait(mission).await.status, Status::Completed);
    }
    assert_eq!(runs.all().len(), missions.len(), "{:?}", runs.all());
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_behind_the_beginning_of_a_queue_that_was_made_anew_comes_back() {
    let runs = Runs::default();
    let mut world = world(&runs).await;
    let missions = join_all((0..5).map(|_| world.dispatch(CODER, json!({})))).await;
    let stream = world.conn().jetstream().get_stream(MISSIONS).await.unwrap();
    stream.delete_consumer(&queue_consumer(&lane_id(CODER), Tier::Normal)).await.unwrap();
    let profile = world.lanes()[&lane_id(CODER)].clone();
    let after = world.last_seq().await + 1;
    ensure_lane(world.conn(), &lane_id(CODER), &profile, after).await.unwrap();
    world.start_worker("w1").await;
    ran_once(&world, &runs, &missions).await;
    repaired(&world, "queued_again", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_whose_entry_was_acked_away_comes_back() {
    let runs = Runs::default();
    let mut world = world(&runs).await;
    let mission = world.dispatch(CODER, json!({})).await;
    take(&world).await.ack().await.unwrap();
    world.start_worker("w1").await;
    ran_once(&world, &runs, &[mission]).await;
    repaired(&world, "queued_again", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_whose_entry_was_acked_behind_one_that_runs_for_hours_comes_back() {
    let runs = Runs::default();
    let script = runs.script("true");
    let mut world = World::builder().lane(CODER, lane(&script)).reconcile(TIMES).start().await;
    let first = world.dispatch(CODER, json!({})).await;
    let second = world.dispatch(CODER, json!({})).await;
    // As long as it is in hand, nothing behind it counts as settled.
    let held = take(&world).await;
    assert_eq!(held.subject.mission_id, first);
    take(&world).await.ack().await.unwrap();
    let renewer = held.renewer();
    let renewing = tokio::spawn(async move {
        loop {
            renewer.renew(Duration::from_secs(2)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    world.start_worker("w1").await;
    assert_eq!(world.wait(&second).await.status, Status::Completed);
    renewing.abort();
    held.nak(Duration::ZERO).await.unwrap();
    assert_eq!(world.wait(&first).await.status, Status::Completed);
    assert_eq!(world.kinds(&second).await.iter().filter(|kind| **kind == EventKind::Started).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_without_its_timer_gets_another_one_and_one_that_is_late_is_queued() {
    let runs = Runs::default();
    let mut world = world(&runs).await;
    world.start_worker("w1").await;
    let (later, soon) = (now().plus(Duration::from_secs(12)), now().plus(Duration::from_millis(1_500)));
    let later = world.dispatch(CODER, json!({"not_before": later})).await;
    let soon = world.dispatch(CODER, json!({"not_before": soon})).await;
    for mission_id in [&later, &soon] {
        let (vp_id, token) = (lane_id(CODER), Token::Timer);
        purge(&world, MissionSubject { vp_id, mission_id: mission_id.clone(), token }.to_string()).await;
    }
    repaired(&world, "timer_set_again", 1).await;
    repaired(&world, "queued_overdue", 1).await;
    ran_once(&world, &runs, &[soon, later.clone()]).await;
    let finished = world.get(&later).await.mission;
    assert!(finished.started_at.unwrap() >= finished.not_before.unwrap(), "not before its time");
    assert_eq!(reconciler(&world).repaired, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_ends_a_mission_that_nobody_serves() {
    let runs = Runs::default();
    let world = World::builder()
        .lane(CODER, lane(&runs.script(DELIVERS)))
        .lane(GENERAL, lane(&runs.script(DELIVERS)))
        .reconcile(TIMES)
        .start()
        .await;
    let deadline = now().plus(Duration::from_secs(3));
    let waits = world.dispatch(CODER, json!({"deadline": deadline})).await;
    let other = world.dispatch(GENERAL, json!({"deadline": deadline})).await;
    // Its lane's queue is gone, too.
    let stream = world.conn().jetstream().get_stream(MISSIONS).await.unwrap();
    stream.delete_consumer(&queue_consumer(&lane_id(GENERAL), Tier::Normal)).await.unwrap();
    for mission in [waits, other] {
        let ended = world.wait(&mission).await;
        assert_eq!(ended.status, Status::Failed);
        assert_eq!(ended.failure.unwrap().class, FailureClass::DeadlineExceeded);
    }
    assert!(runs.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_whose_worker_died_and_whose_entry_was_acked_away_runs_again() {
    let runs = Runs::default();
    let script = runs.script("test $VP_ATTEMPT -gt 1 || sleep 600");
    let mut world = World::builder().lane(CODER, lane(&script)).workers(1).reconcile(TIMES).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    world.kill_worker("w1");
    let stream = world.conn().jetstream().get_stream(MISSIONS).await.unwrap();
    stream.delete_consumer(&queue_consumer(&lane_id(CODER), Tier::Normal)).await.unwrap();
    let profile = world.lanes()[&lane_id(CODER)].clone();
    let after = world.last_seq().await + 1;
    ensure_lane(world.conn(), &lane_id(CODER), &profile, after).await.unwrap();
    world.start_worker("w2").await;
    assert_eq!(world.wait(&mission).await.status, Status::Completed);
    assert_eq!(runs.all().len(), 2);
    assert_eq!(world.log(&mission).await.anomalies.len(), 0);
    repaired(&world, "queued_again", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_that_was_to_stop_and_whose_worker_died_ends_although_nobody_serves_its_lane() {
    let runs = Runs::default();
    let script = runs.script(&format!("trap '' TERM; {ENDLESS}"));
    let mut profile = lane(&script);
    profile.limits.kill_grace_seconds = 60;
    let mut world = World::builder().lane(CODER, profile).workers(1).reconcile(TIMES).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    world.cancel(&mission).await.unwrap();
    world.until_status(&mission, Status::Cancelling).await;
    world.kill_worker("w1");
    assert_eq!(world.wait(&mission).await.status, Status::Cancelled);
    repaired(&world, "cancelled", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_world_has_nothing_for_the_reconciler_to_do() {
    let runs = Runs::default();
    let script = runs.script("test $VP_ATTEMPT -gt 1 || test $(($$ % 7)) -gt 0 || exit 3; sleep 0.2");
    let mut profile = lane(&script);
    profile.retry.max_attempts = 3;
    profile.retry.retry_on = vec![FailureClass::ExecutorError, FailureClass::WorkerLost];
    // And one whose attempts take their time, fail, and wait for the next one.
    let mut slow = lane(&runs.script("sleep 3; test $VP_ATTEMPT -gt 1 || exit 3"));
    slow.slots = 1;
    slow.retry.max_attempts = 2;
    slow.retry.retry_on = vec![FailureClass::ExecutorError];
    slow.retry.delay.initial_ms = 5_000;
    slow.retry.delay.max_ms = 5_000;
    let lanes = World::builder().lane(CODER, profile).lane(GENERAL, slow);
    let mut world = lanes.workers(2).reconcile(TIMES).start().await;
    let begun = now();
    let waiting = join_all((0..3).map(|_| world.dispatch(GENERAL, json!({})))).await;
    let mut missions = join_all((0..60).map(|_| world.dispatch(CODER, json!({})))).await;
    let at = |n: u64| now().plus(Duration::from_millis(n * 500));
    missions.extend(join_all((0..10).map(|n| world.dispatch(CODER, json!({"not_before": at(n)})))).await);
    for mission in missions.iter().step_by(9) {
        // Some have ended by now.
        let _ = world.cancel(mission).await;
    }
    // A rolling restart is healthy, too.
    world.start_worker("w3").await;
    world.stop_worker("w1").await;
    for mission in missions.iter().chain(&waiting) {
        world.wait(mission).await;
    }
    until_true("the reconciler has looked at the end", async || {
        reconciler(&world).looked_at.is_some_and(|at| at > begun)
    })
    .await;
    let status = reconciler(&world);
    assert_eq!((status.repaired, status.error), (0, None), "{:?}", status.newest);
}
