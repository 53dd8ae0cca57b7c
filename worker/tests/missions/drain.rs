//! Ending in good order.

use std::time::Duration;

use vp_shared::mission::{EventKind as E, Status};

use crate::world::{World, drained, is_gone, lives, script, shell_lane, until};

#[tokio::test]
async fn a_drain_lets_running_attempts_finish_and_starts_no_more() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let running = world.dispatch(script("echo x > x.md; sleep 1")).await;
    world.running(&running).await;
    worker.drain();
    let later = world.dispatch(script("echo x > x.md")).await;
    worker.stopped().await;
    assert_eq!(world.mission(&running).await.status, Status::Completed);
    assert_eq!(world.mission(&later).await.status, Status::Queued);
    let presence = vp_nats::presence::lookup(&world.conn, &worker.identity().worker_id).await.unwrap();
    assert_eq!(presence, None);
    // The next one is not kept waiting by what the first one left.
    let _next = world.worker("w2").await;
    assert_eq!(world.ended(&later).await.status, Status::Completed);
}

#[tokio::test]
async fn after_the_drain_time_attempts_are_given_back_and_do_not_count() {
    let world = World::new(shell_lane()).await;
    let mut config = world.config("w1");
    config.drain_timeout = Duration::from_millis(200);
    let worker = world.start(config).await;
    let pid = world.path("pid");
    let id = world
        .dispatch(script(format!(
            "echo x > x.md; [ $VP_ATTEMPT = 2 ] && exit 0; echo $$ > {}; sleep 60",
            pid.display()
        )))
        .await;
    let pid = world.number_in(&pid).await;
    drained(worker).await;
    is_gone(pid).await;
    assert_eq!(world.kinds(&id).await, [E::Dispatched, E::Started, E::Released]);
    let _next = world.worker("w2").await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt, mission.counted_attempts()), (Status::Completed, 2, 1));
    world.all_acked().await;
}

#[tokio::test]
async fn asked_again_a_drain_hurries() {
    let world = World::new(shell_lane()).await;
    let mut config = world.config("w1");
    config.drain_timeout = Duration::from_hours(1);
    let worker = world.start(config).await;
    let id = world.dispatch(script("sleep 60")).await;
    world.running(&id).await;
    worker.drain();
    worker.drain();
    worker.stopped().await;
    assert_eq!(world.mission(&id).await.status, Status::Queued);
}

#[tokio::test]
async fn a_cancel_during_a_drain_is_a_cancel() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let id = world.dispatch(script("trap '' TERM; sleep 60")).await;
    world.running(&id).await;
    worker.drain();
    worker.drain();
    world.cancel(&id).await;
    worker.stopped().await;
    assert_eq!(world.mission(&id).await.status, Status::Cancelled);
    world.all_acked().await;
}

#[tokio::test]
async fn an_executor_that_has_ended_before_it_is_asked_to_is_not_run_again() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let (keeper, gate) = (world.path("keeper"), world.path("gate"));
    let until_gate = format!("until test -e {}; do sleep 0.01; done", gate.display());
    let id = world
        .dispatch(script(format!(
            "echo x > x.md; echo $$ > {}.pid; echo $PPID > {}; {until_gate}",
            gate.display(),
            keeper.display()
        )))
        .await;
    let keeper = world.number_in(&keeper).await;
    let executor = world.number_in(&gate.with_extension("pid")).await;
    let tell = |signal: &str| {
        let sent = std::process::Command::new("kill").args([signal, &keeper.to_string()]).status().unwrap();
        assert!(sent.success());
    };
    // The keeper hears of the end and of the wish to stop at the same time.
    tell("-STOP");
    std::fs::write(&gate, "").unwrap();
    until("the executor has ended", async || !lives(executor)).await;
    worker.drain();
    worker.drain();
    let worker_id = &worker.identity().worker_id;
    until("the worker has said that it drains, hence has asked", async || {
        let presence = vp_nats::presence::lookup(&world.conn, worker_id).await.unwrap();
        presence.is_some_and(|presence| presence.draining)
    })
    .await;
    tell("-CONT");
    worker.stopped().await;
    let mission = world.mission(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 1));
    world.all_acked().await;
}
