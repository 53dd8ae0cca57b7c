//! Every way in which a mission ends, each once and for good.

use std::time::Duration;

use serde_json::json;
use vp_shared::api::AttemptStatus;
use vp_shared::failure::FailureClass;
use vp_shared::lane::LaneProfile;
use vp_shared::mission::{EventKind, Status};
use vp_tests::lanes::{CODER, DELIVERS, ENDLESS, Runs, shell_lane};
use vp_tests::process::is_alive;
use vp_tests::until::until_true;
use vp_tests::world::{SESSION, World};

/// The events of a mission with which all goes well.
const ALL_WELL: [EventKind; 4] =
    [EventKind::Dispatched, EventKind::Started, EventKind::OutcomeRecorded, EventKind::Completed];

async fn world(script: &str) -> World {
    World::builder().lane(CODER, shell_lane(script)).workers(1).start().await
}

/// The failure class, the attempts' states, and that the session is told once.
async fn assert_failed(
    world: &World,
    mission: &vp_shared::ids::MissionId,
    class: FailureClass,
    attempts: &[AttemptStatus],
) {
    let ended = world.wait(mission).await;
    assert_eq!(ended.status, Status::Failed, "{ended:?}");
    assert_eq!(ended.failure.map(|failure| failure.class), Some(class));
    let details = world.get(mission).await;
    let statuses: Vec<_> = details.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, attempts);
    let notices = world.notices_until(SESSION, 1).await;
    let last = notices.last().unwrap();
    assert_eq!((last.event.as_str(), &last.mission_id), ("vp.mission.failed", mission));
    assert!(last.text.contains(class.name()), "{}", last.text);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completed() {
    let world = world(DELIVERS).await;
    let mission = world.dispatch(CODER, json!({})).await;
    assert_eq!(world.wait(&mission).await.status, Status::Completed);
    assert_eq!(world.kinds(&mission).await, ALL_WELL);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_with_the_executors_last_words() {
    let world = world("echo 'no such tune' >&2; exit 3").await;
    let mission = world.dispatch(CODER, json!({})).await;
    assert_failed(&world, &mission, FailureClass::ExecutorError, &[AttemptStatus::Failed]).await;
    let message = world.get(&mission).await.failure.unwrap().message;
    assert!(message.contains("no such tune"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_for_want_of_a_deliverable() {
    let mut lane = shell_lane("true");
    lane.requires_deliverable = true;
    let world = World::builder().lane(CODER, lane).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    assert_failed(&world, &mission, FailureClass::MissingDeliverable, &[AttemptStatus::Failed]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_because_it_ran_too_long() {
    let world = world(ENDLESS).await;
    let mission = world.dispatch(CODER, json!({"budget": {"wall_seconds": 1}})).await;
    assert_failed(&world, &mission, FailureClass::Timeout, &[AttemptStatus::Failed]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_because_it_was_silent_too_long() {
    let world = world(ENDLESS).await;
    let mission = world.dispatch(CODER, json!({"budget": {"idle_seconds": 1}})).await;
    assert_failed(&world, &mission, FailureClass::IdleTimeout, &[AttemptStatus::Failed]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_because_its_deadline_passed_while_it_ran() {
    let world = world(ENDLESS).await;
    let deadline = vp_nats::clock::now().plus(Duration::from_secs(2));
    let mission = world.dispatch(CODER, json!({"deadline": deadline})).await;
    assert_failed(&world, &mission, FailureClass::DeadlineExceeded, &[AttemptStatus::Failed]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_because_its_deadline_passed_before_a_slot_was_free() {
    let mut world = World::builder().lane(CODER, shell_lane(DELIVERS)).start().await;
    let deadline = vp_nats::clock::now().plus(Duration::from_millis(500));
    let mission = world.dispatch(CODER, json!({"deadline": deadline})).await;
    until_true("the deadline has passed", async || vp_nats::clock::now() > deadline).await;
    world.start_worker("w1").await;
    assert_failed(&world, &mission, FailureClass::DeadlineExceeded, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_after_as_many_attempts_as_it_may_have() {
    let runs = Runs::default();
    let world = world(&runs.script("exit 1")).await;
    let mission = world.dispatch(CODER, json!({"max_attempts": 3})).await;
    assert_failed(&world, &mission, FailureClass::ExecutorError, &[AttemptStatus::Failed; 3]).await;
    let attempts: Vec<_> = runs.all().iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_by_a_later_attempt_with_nothing_of_the_earlier_one() {
    let script = "test $VP_ATTEMPT = 2 || { echo x > left.md; exit 1; }; ls > seen.md";
    let world = world(script).await;
    let mission = world.dispatch(CODER, json!({"max_attempts": 2})).await;
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    let paths: Vec<_> = ended.result.unwrap().artifacts.into_iter().map(|artifact| artifact.path).collect();
    assert!(paths.contains(&"seen.md".to_owned()) && !paths.contains(&"left.md".to_owned()), "{paths:?}");
    // A retry is an event and no notice.
    let told: Vec<_> = world.notices_until(SESSION, 1).await.into_iter().map(|notice| notice.event).collect();
    assert_eq!(told, ["vp.mission.dispatched", "vp.mission.started", "vp.mission.completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_while_it_waits() {
    let runs = Runs::default();
    let mut world = World::builder().lane(CODER, shell_lane(&runs.script(DELIVERS))).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    assert_eq!(world.cancel(&mission).await.unwrap()["status"], "cancelled");
    world.start_worker("w1").await;
    let other = world.dispatch(CODER, json!({})).await;
    world.wait(&other).await;
    assert_eq!(world.kinds(&mission).await, [EventKind::Dispatched, EventKind::Cancelled]);
    assert!(runs.all().iter().all(|run| run.mission_id != mission.as_str()));
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_while_it_runs_with_all_its_processes() {
    let runs = Runs::default();
    // A child, a grandchild that is nobody's, and one in a session of its own.
    let others = format!(
        "for n in 1 2; do (sh -c 'echo \"other 0 $$\" >> {0}; while :; do sleep 0.05; done' &) ; done; \
         setsid sh -c 'echo \"other 0 $$\" >> {0}; trap \"\" TERM; while :; do sleep 0.05; done' & {ENDLESS}",
        runs.file().display()
    );
    let world = world(&runs.script(&others)).await;
    let mission = world.dispatch(CODER, json!({})).await;
    let started = runs.until(4).await;
    assert!(started.iter().all(|run| is_alive(run.pid)));
    assert_eq!(world.cancel(&mission).await.unwrap()["status"], "cancel_requested");
    assert_eq!(world.cancel(&mission).await.unwrap()["status"], "cancel_requested");
    let ended = world.wait(&mission).await;
    assert_eq!(ended.status, Status::Cancelled);
    assert_eq!(ended.cancel.unwrap().reason, "no longer needed");
    for run in started {
        assert!(!is_alive(run.pid), "process {} outlived its mission", run.pid);
    }
    let told: Vec<_> = world.notices_until(SESSION, 1).await.into_iter().map(|notice| notice.event).collect();
    assert_eq!(told.last().unwrap(), "vp.mission.cancelled");
    assert_eq!(told.iter().filter(|event| *event == "vp.mission.cancel_requested").count(), 1);
    assert_eq!(world.cancel(&mission).await.unwrap()["status"], "cancelled");
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_between_two_attempts() {
    let mut lane = shell_lane("exit 1");
    lane.retry.delay.initial_ms = 60_000;
    lane.retry.delay.max_ms = 60_000;
    let world = World::builder().lane(CODER, lane).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({"max_attempts": 2})).await;
    let retrying = world.until_status(&mission, Status::Retrying).await;
    let why = world.get(&mission).await.waiting_because.unwrap();
    assert!(why.contains(&retrying.mission.retry_at.unwrap().to_string()), "{why}");
    assert_eq!(world.cancel(&mission).await.unwrap()["status"], "cancelled");
    assert_eq!(world.log(&mission).await.mission.status, Status::Cancelled);
}

/// A worker that only stops within this process has keepers that see no death and say nothing: it is missed.
fn short_lease(script: &str) -> LaneProfile {
    let mut lane = shell_lane(script);
    lane.ack_wait_seconds = 6;
    lane
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_with_its_worker_and_run_by_another_one() {
    let runs = Runs::default();
    let script = runs.script(&format!("test $VP_ATTEMPT = 2 || {{ {ENDLESS}; }}; {DELIVERS}"));
    let mut world = World::builder().lane(CODER, short_lease(&script)).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    let first = runs.until(1).await;
    world.start_worker("w2").await;
    world.kill_worker("w1");
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    assert!(!is_alive(first[0].pid), "the lost attempt's process still runs");
    let details = world.get(&mission).await;
    let statuses: Vec<_> = details.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [AttemptStatus::Lost, AttemptStatus::Completed]);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_because_each_of_its_workers_was_lost() {
    let runs = Runs::default();
    let mut world = World::builder().lane(CODER, short_lease(&runs.script(ENDLESS))).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    // By default a lost worker is retried once.
    runs.until(1).await;
    world.start_worker("w2").await;
    world.kill_worker("w1");
    runs.until(2).await;
    world.start_worker("w3").await;
    world.kill_worker("w2");
    assert_failed(&world, &mission, FailureClass::WorkerLost, &[AttemptStatus::Lost; 2]).await;
    assert_eq!(runs.all().len(), 2);
    for run in runs.all() {
        until_true("the lost attempts' processes are gone", async || !is_alive(run.pid)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_back_by_a_drained_worker_and_not_counted() {
    let runs = Runs::default();
    let script = runs.script(&format!("test $VP_ATTEMPT = 2 || {{ {ENDLESS}; }}; {DELIVERS}"));
    let mut world = World::builder().lane(CODER, shell_lane(&script)).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({"max_attempts": 1})).await;
    runs.until(1).await;
    // The second wish to stop hurries.
    world.worker("w1").drain();
    world.stop_worker("w1").await;
    assert_eq!(world.log(&mission).await.mission.status, Status::Queued);
    world.start_worker("w2").await;
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    let details = world.get(&mission).await;
    let statuses: Vec<_> = details.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [AttemptStatus::Released, AttemptStatus::Completed]);
}
