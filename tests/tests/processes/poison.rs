//! A mission that kills whatever runs it, among a thousand.

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use vp_shared::failure::FailureClass;
use vp_shared::mission::Status;
use vp_tests::lanes::{CODER, Runs, shell_lane};
use vp_tests::process::{Installation, Process};
use vp_tests::until::until_true;
use vp_tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_that_kills_its_workers_ends_as_worker_lost_and_999_others_end_well() {
    const OTHERS: usize = 999;
    let poison = Runs::default();
    // The poison alone writes itself down, and waits for the kill.
    let script =
        format!("test \"$(cat $VP_OBJECTIVE_FILE)\" != poison || {{ {}; }}", poison.script("sleep 600"));
    let mut lane = shell_lane(&script);
    lane.slots = 8;
    lane.retry.max_attempts = 3;
    let world = World::builder().lane(CODER, lane).start().await;
    let vp = Installation::of(&world);
    let dispatch = |n: usize| {
        let objective = if n == 0 { "poison".to_owned() } else { format!("work {n}") };
        let world = &world;
        async move { world.dispatch(CODER, json!({"objective": objective, "reply_mode": "silent"})).await }
    };
    let missions: Vec<_> = stream::iter((0..=OTHERS).map(dispatch)).buffered(32).collect().await;
    for attempt in 1..=3 {
        let worker = serve(&vp).await;
        poison.until(attempt).await;
        // What runs beside it at the kill loses an attempt, too: let it be others each time.
        let before = completed(&world).await;
        until_true("others go on", async || completed(&world).await >= before + 16).await;
        worker.kill();
    }
    let _last = serve(&vp).await;
    let ended = world.wait(&missions[0]).await;
    assert_eq!((ended.status, ended.attempt), (Status::Failed, 3));
    assert_eq!(ended.failure.unwrap().class, FailureClass::WorkerLost);
    for mission in &missions[1..] {
        assert_eq!(world.wait(mission).await.status, Status::Completed);
    }
    assert_eq!(poison.all().len(), 3);
    assert_eq!(world.bridge().unwrap().status().borrow().reconciler.repaired, 0);
}

async fn completed(world: &World) -> u64 {
    let status = world.dispatcher().ledger_status().await.unwrap();
    status.missions.get("completed").copied().unwrap_or_default()
}

async fn serve(vp: &Installation) -> Process {
    let mut worker = vp.spawn("w1", ["worker", "--id", "w1"]);
    worker.until_it_says("worker w1 serves").await;
    worker
}
