//! The bridge away, killed, back: the ledger and every notice are right, once.

use std::collections::BTreeMap;

use serde_json::json;
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_shared::api::ToolName;
use vp_shared::mission::Status;
use vp_tests::lanes::{CODER, DELIVERS, ENDLESS, GENERAL, noop_lane, shell_lane};
use vp_tests::world::World;

async fn everything_that_happened_without_the_bridge_is_told_when_it_is_back(kind: LedgerKind) {
    let builder =
        World::builder().ledger(kind).lane(CODER, shell_lane(DELIVERS)).lane(GENERAL, shell_lane("exit 1"));
    let mut world = builder.workers(1).without_bridge().start().await;
    let done = world.dispatch_as("chat", CODER, json!({})).await;
    let failed = world.dispatch_as("chat", GENERAL, json!({"reply_mode": "final"})).await;
    let silent = world.dispatch_as("chat", CODER, json!({"reply_mode": "silent"})).await;
    let missions = [(done, Status::Completed), (failed, Status::Failed), (silent, Status::Completed)];
    for (mission, status) in &missions {
        assert_eq!(world.wait(mission).await.status, *status);
        // Without a ledger the log answers.
        assert_eq!(world.get(mission).await.mission.status, *status);
    }
    world.start_bridge().await;
    world.until_projected().await;
    for (mission, status) in &missions {
        let details = world.get(mission).await;
        assert_eq!((details.mission.status, details.events_total), (*status, 4));
    }
    let mut told: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for notice in world.all_notices("chat", CODER).await {
        told.entry(notice.mission_id).or_default().push(notice.event);
    }
    assert_eq!(told.get(&missions[0].0).unwrap().len(), 3);
    assert_eq!(told.get(&missions[1].0).unwrap(), &["vp.mission.failed"]);
    assert_eq!(told.get(&missions[2].0), None);
    world.assert_ledger_equals_log().await;
}

async fn a_bridge_that_is_killed_again_and_again_tells_each_thing_once(kind: LedgerKind) {
    let mut world = World::builder().ledger(kind).lane(CODER, noop_lane()).workers(1).start().await;
    let mut missions = Vec::new();
    for round in 0..6 {
        for _ in 0..30 {
            missions.push(world.dispatch_as("chat", CODER, json!({})).await);
        }
        if round % 2 == 0 {
            world.kill_bridge();
        } else {
            world.stop_bridge().await;
        }
        world.start_bridge().await;
    }
    for mission in &missions {
        world.wait(mission).await;
    }
    world.until_projected().await;
    let mut told: BTreeMap<_, usize> = BTreeMap::new();
    for notice in world.all_notices("chat", CODER).await {
        *told.entry(notice.notice_id).or_default() += 1;
    }
    assert!(told.values().all(|times| *times == 1), "a notice came twice");
    assert_eq!(told.len(), 3 * missions.len());
    world.assert_ledger_equals_log().await;
}

async fn a_rebuilt_ledger_is_the_ledger(kind: LedgerKind) {
    let mut world = World::builder()
        .ledger(kind)
        .lane(CODER, shell_lane(DELIVERS))
        .lane(GENERAL, shell_lane("exit 1"))
        .workers(1)
        .start()
        .await;
    for lane in [CODER, GENERAL] {
        let mission = world.dispatch(lane, json!({"max_attempts": 2})).await;
        world.wait(&mission).await;
    }
    let list = json!({"limit": 100});
    world.assert_ledger_equals_log().await;
    let before = world.call(ToolName::List, list.clone()).await.unwrap();
    world.stop_bridge().await;
    let report =
        vp_bridge::rebuild::rebuild(world.conn(), world.ledger(), world.lanes(), false).await.unwrap();
    assert!(report.replaced && report.notices_unsent == 0, "{report:?}");
    world.start_bridge().await;
    assert_eq!(world.call(ToolName::List, list).await.unwrap(), before);
    world.assert_ledger_equals_log().await;
    // And nobody is told again.
    assert_eq!(world.notices_until(vp_tests::world::SESSION, 2).await.len(), 6);
    assert_eq!(world.all_notices(vp_tests::world::SESSION, CODER).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_deleted_grows_again_and_nobody_is_told_twice() {
    let mut world = World::builder().lane(CODER, shell_lane(DELIVERS)).workers(1).start().await;
    let mission = world.dispatch_as("chat", CODER, json!({})).await;
    world.wait(&mission).await;
    world.until_projected().await;
    world.stop_bridge().await;
    let before = world.get(&mission).await;
    for entry in std::fs::read_dir(world.dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("ledger.sqlite") {
            std::fs::remove_file(path).unwrap();
        }
    }
    world.start_bridge().await;
    world.until_projected().await;
    assert_eq!(world.get(&mission).await, before);
    assert_eq!(world.all_notices("chat", CODER).await.len(), 3);
    world.assert_ledger_equals_log().await;
}

async fn a_mission_is_seen_and_cancelled_while_the_bridge_is_away(kind: LedgerKind) {
    let mut world = World::builder().ledger(kind).lane(CODER, shell_lane(ENDLESS)).workers(1).start().await;
    world.stop_bridge().await;
    let mission = world.dispatch(CODER, json!({})).await;
    world.until_status(&mission, Status::Running).await;
    assert_eq!(world.get(&mission).await.mission.status, Status::Running);
    world.cancel(&mission).await.unwrap();
    assert_eq!(world.wait(&mission).await.status, Status::Cancelled);
    world.start_bridge().await;
    world.assert_ledger_equals_log().await;
}

on_both_ledgers!(
    everything_that_happened_without_the_bridge_is_told_when_it_is_back,
    a_bridge_that_is_killed_again_and_again_tells_each_thing_once,
    a_rebuilt_ledger_is_the_ledger,
    a_mission_is_seen_and_cancelled_while_the_bridge_is_away,
);
