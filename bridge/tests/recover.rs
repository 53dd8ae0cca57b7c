//! Missions of dead workers come back within seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use support::script::{CODER, Script, worker};
use support::{PATIENCE, World, until};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use vp_bridge::BridgeConfig;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::delivery::{Delivery, LaneQueue, PullWait};
use vp_nats::presence::{PRESENCE_EVERY, Questions, announce};
use vp_shared::api::{Presence, WorkerAnswer};
use vp_shared::event::WorkerRef;
use vp_shared::ids::VpId;
use vp_shared::tier::Tier;

/// Below the lease of 30 s, above what a busy machine needs.
const IN_SECONDS: Duration = Duration::from_secs(15);

/// A worker that lives until it is aborted, and holds whatever it is asked for.
async fn alive(conn: &Connection, who: &WorkerRef) -> JoinHandle<()> {
    let presence = Presence {
        worker: who.clone(),
        lanes: Vec::new(),
        since: clock::now(),
        draining: false,
        workspaces: None,
        process: None,
    };
    announce(conn, &presence).await.unwrap();
    let mut questions = Questions::open(conn, &who.worker_id).await.unwrap();
    let conn = conn.clone();
    tokio::spawn(async move {
        let renew = async {
            loop {
                sleep(PRESENCE_EVERY).await;
                let _ = announce(&conn, &presence).await;
            }
        };
        let holds = |_| std::future::ready(Some(WorkerAnswer::Holds { attempt: 1 }));
        tokio::select! {
            () = renew => {}
            () = questions.serve(holds) => {}
        }
    })
}

/// Dispatches a mission, takes its delivery as `who` and starts it.
async fn claim(world: &mut World, key: &str, who: &WorkerRef) -> Delivery {
    let mut script = Script::new(CODER, key);
    world.append(&script.dispatched()).await;
    let delivery = next(world, PATIENCE).await.unwrap();
    assert_eq!(delivery.subject.mission_id, script.mission_id);
    world.append(&script.started_by(who, delivery.lease())).await;
    delivery
}

async fn next(world: &World, wait: Duration) -> Option<Delivery> {
    let queue = LaneQueue::new(&world.conn, &VpId::new(CODER).unwrap(), Tier::Normal);
    let mut pull = queue.pull(1, PullWait::Expires(wait));
    let delivery = timeout(wait + Duration::from_secs(10), pull.next()).await.unwrap();
    delivery.map(|delivery| delivery.unwrap())
}

#[tokio::test]
async fn a_dead_workers_mission_is_handed_back_long_before_its_lease_ends() {
    let mut world = World::start().await;
    let (dead, live) = (worker("w-dead", "life-1"), worker("w-live", "life-1"));
    let (dying, _living) = (alive(&world.conn, &dead).await, alive(&world.conn, &live).await);
    let lost = claim(&mut world, "lost", &dead).await;
    let kept = claim(&mut world, "kept", &live).await;
    // The queue has a longer lease, so that the end of that is not what is seen here.
    let mut config = world.config();
    config.lanes.get_mut(&VpId::new(CODER).unwrap()).unwrap().ack_wait_seconds = 6;
    let bridge = world.bridge_with(config).await;
    world.settled().await;
    dying.abort();
    let died = Instant::now();
    let again = next(&world, IN_SECONDS).await.expect("the mission comes again");
    assert!(died.elapsed() < IN_SECONDS, "{:?}", died.elapsed());
    assert_eq!(again.subject.mission_id, lost.subject.mission_id);
    assert!(next(&world, Duration::from_secs(2)).await.is_none(), "the living worker keeps {}", kept.subject);
    let status = bridge.status();
    until("it is counted", async || status.borrow().handed_back == 1).await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_gone_for_less_than_the_longest_cut_keeps_its_missions() {
    let mut world = World::start().await;
    let cut_off = worker("w-1", "life-1");
    let living = alive(&world.conn, &cut_off).await;
    claim(&mut world, "kept", &cut_off).await.leave();
    let bridge =
        world.bridge_with(BridgeConfig { recover_after: Duration::from_secs(20), ..world.config() }).await;
    world.settled().await;
    // Its connection is closed: no key after some seconds, and nobody on its subject.
    living.abort();
    assert!(next(&world, Duration::from_secs(10)).await.is_none());
    let back = alive(&world.conn, &cut_off).await;
    assert!(next(&world, Duration::from_secs(12)).await.is_none());
    assert_eq!(bridge.status().borrow().handed_back, 0);
    back.abort();
    bridge.stop().await;
}

#[tokio::test]
async fn a_mission_is_not_handed_back_while_an_executor_of_its_lane_may_run_on() {
    let mut world = World::start().await;
    let frozen = worker("w-frozen", "life-1");
    let living = alive(&world.conn, &frozen).await;
    claim(&mut world, "kept", &frozen).await.leave();
    // Its patience is a second; a lease of 30 s lets an executor run for 25.
    let bridge = world.bridge().await;
    world.settled().await;
    living.abort();
    assert!(next(&world, Duration::from_secs(14)).await.is_none());
    assert_eq!(bridge.status().borrow().handed_back, 0);
    bridge.stop().await;
}

#[tokio::test]
async fn a_worker_that_died_while_no_bridge_watched_is_found_too() {
    let mut world = World::start().await;
    let lost = claim(&mut world, "unwatched", &worker("w-dead", "life-1")).await;
    let bridge = world.bridge().await;
    let again = next(&world, IN_SECONDS).await.expect("the mission comes again");
    assert_eq!(again.subject.mission_id, lost.subject.mission_id);
    bridge.stop().await;
}

#[tokio::test]
async fn a_restarted_workers_former_missions_are_only_taken_when_it_does_not_hold_them() {
    let mut world = World::start().await;
    let former = worker("w-1", "life-1");
    let _kept = claim(&mut world, "kept over a restart", &former).await;
    // Another life, which says that it holds the mission all the same.
    let _restarted = alive(&world.conn, &worker("w-1", "life-2")).await;
    let bridge = world.bridge().await;
    world.settled().await;
    assert!(next(&world, Duration::from_secs(5)).await.is_none());
    assert_eq!(bridge.status().borrow().handed_back, 0);
    bridge.stop().await;
}
