//! Ending in good order.

use std::time::Duration;

use vp_shared::mission::{EventKind as E, Status};

use crate::world::{World, drained, is_gone, script, shell_lane};

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
