//! A link that is cut or frozen between a worker and the server.

use std::time::Duration;

use serde_json::json;
use vp_nats::connect::ConnectConfig;
use vp_shared::mission::Status;
use vp_tests::lanes::{CODER, DELIVERS, ENDLESS, Runs, shell_lane};
use vp_tests::process::is_alive;
use vp_tests::proxy::Proxy;
use vp_tests::until::until_true;
use vp_tests::world::World;

async fn link(world: &World) -> (Proxy, ConnectConfig) {
    let proxy = Proxy::start(([127, 0, 0, 1], world.server.port()).into()).await;
    let config = ConnectConfig { url: proxy.url(), ..world.server.connect_config() };
    (proxy, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_shorter_than_the_lease_disturbs_nothing() {
    let runs = Runs::default();
    let mut world = World::builder().lane(CODER, shell_lane(&runs.script("sleep 10"))).start().await;
    let (proxy, config) = link(&world).await;
    world.start_worker_over("w1", &config).await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    proxy.cut();
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.restore();
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 1));
    assert_eq!(runs.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_eighteen_seconds_that_closes_the_connection_disturbs_nothing() {
    let runs = Runs::default();
    let lane = shell_lane(&runs.script(&format!("sleep 22; {DELIVERS}")));
    let mut world = World::builder().lane(CODER, lane).recover_after(Duration::from_secs(20)).start().await;
    let (proxy, config) = link(&world).await;
    world.start_worker_over("w1", &config).await;
    let mission = world.dispatch(CODER, json!({})).await;
    runs.until(1).await;
    // One that would take it over.
    world.start_worker("w2").await;
    proxy.cut();
    tokio::time::sleep(Duration::from_secs(18)).await;
    proxy.restore();
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 1));
    assert_eq!(runs.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_cut_off_for_good_stops_its_executor_and_another_one_takes_over() {
    let runs = Runs::default();
    let mut lane = shell_lane(&runs.script(&format!("test $VP_ATTEMPT = 2 || {{ {ENDLESS}; }}; {DELIVERS}")));
    lane.ack_wait_seconds = 6;
    let mut world = World::builder().lane(CODER, lane).start().await;
    let (proxy, config) = link(&world).await;
    world.start_worker_over("w1", &config).await;
    let mission = world.dispatch(CODER, json!({})).await;
    let first = runs.until(1).await;
    world.start_worker("w2").await;
    proxy.freeze();
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    until_true("the executor of the cut-off worker is gone", async || !is_alive(first[0].pid)).await;
    proxy.restore();
    // It is back, knows that it has lost, and serves on.
    world.stop_worker("w2").await;
    let next = world.dispatch(CODER, json!({"max_attempts": 2})).await;
    world.until_status(&next, Status::Running).await;
    world.cancel(&next).await.unwrap();
    assert_eq!(world.wait(&next).await.status, Status::Cancelled);
    assert_eq!(world.log(&mission).await.mission.last_seq, ended.last_seq);
    world.assert_ledger_equals_log().await;
}
