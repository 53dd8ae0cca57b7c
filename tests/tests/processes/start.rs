//! What serves is started before what it needs: it waits, says so, and goes on by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vp_shared::mission::Status;
use vp_tests::lanes::{CODER, noop_lane};
use vp_tests::process::Installation;
use vp_tests::until::until_true;
use vp_tests::world::World;

/// A command that asks something gives up within this, however long services wait.
const AT_ONCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_started_before_their_server_serve_when_it_comes() {
    let mut world = World::builder().lane(CODER, noop_lane()).without_bridge().start().await;
    let vp = Installation::of(&world);
    world.server.kill().await;
    let mut services = [
        ("bridge", "the bridge waits", "the bridge runs"),
        ("dispatcher", "the dispatcher waits", "the dispatcher serves"),
        ("worker", "the worker waits", "serves vp.coder.primary"),
    ]
    .map(|(name, waits, serves)| (vp.spawn(name, [name]), waits, serves));
    for (service, waits, _) in &mut services {
        service.until_it_says(waits).await;
    }
    // One that is asked to stop meanwhile does, in good order.
    let mut stopped = vp.spawn("stopped", ["worker", "--id", "other"]);
    stopped.until_it_says("the worker waits").await;
    assert!(stopped.terminate().await.success());
    let began = Instant::now();
    let listed = vp.run(["list"]);
    assert_eq!(listed.status.code(), Some(69));
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    world.server.restart().await;
    for (service, _, serves) in &mut services {
        service.until_it_says(serves).await;
    }
    until_true("the dispatcher is there again", async || world.dispatcher().ledger_status().await.is_ok())
        .await;
    let mission = world.dispatch(CODER, json!({})).await;
    assert_eq!(world.wait(&mission).await.status, Status::Completed);
    for (service, ..) in services {
        assert!(service.terminate().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_started_while_the_store_is_full_serves_when_there_is_room() {
    let world = World::builder().lane(CODER, noop_lane()).start().await;
    let vp = Installation::of(&world);
    let mission = world.dispatch(CODER, json!({})).await;
    // A stand-in for a full disk: what workers write is refused in the same way.
    room_for_presence(&world, 1).await;
    let mut worker = vp.spawn("w1", ["worker", "--id", "w1"]);
    worker.until_it_says("the worker waits").await;
    let said = worker.log();
    assert!(said.contains("maximum bytes exceeded") && said.contains("make room"), "{said}");
    room_for_presence(&world, -1).await;
    worker.until_it_says("worker w1 serves").await;
    assert_eq!(world.wait(&mission).await.status, Status::Completed);
    assert!(worker.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_started_before_its_database_works_when_it_comes() {
    let mut world = World::builder()
        .ledger(vp_bridge::harness::LedgerKind::Postgres)
        .lane(CODER, noop_lane())
        .workers(1)
        .without_bridge()
        .start()
        .await;
    let vp = Installation::of(&world);
    world.ledger.server.as_mut().unwrap().kill();
    let mission = world.dispatch(CODER, json!({})).await;
    world.wait(&mission).await;
    let mut bridge = vp.spawn("bridge", ["bridge"]);
    bridge.until_it_says("the bridge waits").await;
    assert!(bridge.log().contains("is its server running"), "{}", bridge.log());
    world.ledger.server.as_mut().unwrap().start_again().await;
    bridge.until_it_says("the bridge runs").await;
    world.assert_ledger_equals_log().await;
}

/// So many bytes for the workers' presence; -1 is no limit.
async fn room_for_presence(world: &World, bytes: i64) {
    let js = world.conn().jetstream();
    let info: Value = js.request("STREAM.INFO.KV_WORKERS", &()).await.unwrap();
    let mut config = info["config"].clone();
    config["max_bytes"] = json!(bytes);
    let changed: Value = js.request("STREAM.UPDATE.KV_WORKERS", &config).await.unwrap();
    assert!(changed["error"].is_null(), "{changed}");
}
