//! What an executor says, asked of its worker while it runs.

use std::time::Duration;

use vp_nats::presence::ask_log;
use vp_shared::api::{LogTail, MAX_LOG_TAIL_BYTES};
use vp_shared::ids::MissionId;
use vp_shared::lane::ExecutorProfile;
use vp_worker::Worker;

use crate::world::{World, drained, script, shell_lane, until};

const PATIENCE: Duration = Duration::from_secs(5);

async fn asked(world: &World, worker: &Worker, mission: &MissionId) -> Option<LogTail> {
    // From another connection, as from another host.
    let conn = world.server.connect().await;
    ask_log(&conn, &worker.identity().worker_id, mission, PATIENCE).await.unwrap()
}

async fn says(world: &World, worker: &Worker, mission: &MissionId, what: &str) -> LogTail {
    until("the log tells it", async || {
        asked(world, worker, mission).await.is_some_and(|log| log.stdout.text.contains(what))
    })
    .await;
    asked(world, worker, mission).await.unwrap()
}

#[tokio::test]
async fn a_worker_tells_what_the_executor_of_its_mission_says_without_its_secrets() {
    let mut lane = shell_lane();
    let ExecutorProfile::Command { env, .. } = &mut lane.executor else {
        panic!("a shell lane has a command")
    };
    env.insert("API_TOKEN".into(), "hunter2-hunter2".into());
    let world = World::new(lane).await;
    let worker = world.worker("w1").await;
    let (one, two) = (world.path("one"), world.path("two"));
    let wait = |gate: &std::path::Path| format!("until test -e {}; do sleep 0.01; done", gate.display());
    let id = world
        .dispatch(script(format!(
            "echo first $API_TOKEN; echo oops >&2; {}; echo second; {}; echo x > x.md",
            wait(&one),
            wait(&two)
        )))
        .await;
    world.running(&id).await;
    let log = says(&world, &worker, &id, "first").await;
    assert!(!log.stdout.text.contains("hunter2") && !log.stdout.text.contains("second"), "{log:?}");
    assert_eq!((log.attempt, log.stderr.text.as_str(), log.stderr.skipped), (1, "oops\n", 0));
    std::fs::write(one, "").unwrap();
    says(&world, &worker, &id, "second").await;
    std::fs::write(two, "").unwrap();
    world.ended(&id).await;
    until("it is let go", async || asked(&world, &worker, &id).await.is_none()).await;
    drained(worker).await;
}

#[tokio::test]
async fn of_a_long_log_the_end_is_told_and_how_much_stands_before() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let id = world
        .dispatch(script(
            "i=0; while [ $i -lt 9000 ]; do echo line number $i; i=$((i+1)); done; echo the end; sleep 60",
        ))
        .await;
    let log = says(&world, &worker, &id, "the end").await;
    let told = log.stdout.text.len() as u64;
    assert!(
        (MAX_LOG_TAIL_BYTES / 2..=MAX_LOG_TAIL_BYTES).contains(&told) && log.stdout.skipped > 0,
        "{told}"
    );
    assert!(log.stdout.text.starts_with("line number "), "it begins with a line");
    world.cancel(&id).await;
    world.ended(&id).await;
}

#[tokio::test]
async fn a_worker_that_is_asked_for_many_logs_still_says_at_once_what_it_holds() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let id = world.dispatch(script("echo here; sleep 60")).await;
    says(&world, &worker, &id, "here").await;
    let many = (0..200).map(|_| ask_log(&world.conn, &worker.identity().worker_id, &id, PATIENCE));
    let owner = worker.identity().clone();
    let (told, alive) = tokio::join!(
        futures_util::future::join_all(many),
        vp_nats::presence::prove_gone(&world.conn, &owner, &id, Duration::from_secs(10))
    );
    assert_eq!(alive, vp_shared::mission::Liveness::Alive);
    assert!(told.iter().any(|log| matches!(log, Ok(Some(_)))));
    world.cancel(&id).await;
    world.ended(&id).await;
}
