//! Times and tiers: what runs when.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use vp_nats::clock::now;
use vp_nats::topology::queue_progress;
use vp_shared::api::{ErrorCode, ToolName};
use vp_shared::mission::{EventKind, Status};
use vp_shared::tier::Tier;
use vp_tests::lanes::{CODER, DELIVERS, Runs, lane_id, noop_lane, shell_lane};
use vp_tests::until::until_true;
use vp_tests::world::{SESSION, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_mission_runs_when_its_time_has_come() {
    let world = World::builder().lane(CODER, shell_lane(DELIVERS)).workers(1).start().await;
    let at = now().plus(Duration::from_secs(2));
    let mission = world.dispatch(CODER, json!({"not_before": at})).await;
    assert_eq!(world.get(&mission).await.mission.status, Status::Scheduled);
    let ended = world.wait(&mission).await;
    assert_eq!(ended.status, Status::Completed);
    assert!(ended.started_at.unwrap() >= at, "{ended:?}");
    let kinds: Vec<_> = world.kinds(&mission).await.into_iter().map(EventKind::name).collect();
    assert_eq!(kinds, ["scheduled", "dispatched", "started", "outcome_recorded", "completed"]);
    let told: Vec<_> = world.notices_until(SESSION, 1).await.into_iter().map(|notice| notice.event).collect();
    let names = ["scheduled", "dispatched", "started", "completed"].map(|name| format!("vp.mission.{name}"));
    assert_eq!(told, names);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_mission_that_is_cancelled_before_never_runs() {
    let runs = Runs::default();
    let world = World::builder().lane(CODER, shell_lane(&runs.script(DELIVERS))).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({"not_before": now().plus(Duration::from_secs(2))})).await;
    assert_eq!(world.cancel(&mission).await.unwrap()["status"], "cancelled");
    // A later one shows that its time has come and gone.
    let witness = world.dispatch(CODER, json!({"not_before": now().plus(Duration::from_millis(2500))})).await;
    world.wait(&witness).await;
    assert_eq!(runs.all().len(), 1);
    assert_eq!(world.kinds(&mission).await, [EventKind::Scheduled, EventKind::Cancelled]);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_around_the_moment_of_firing_are_kept() {
    let runs = Runs::default();
    let world = World::builder().lane(CODER, shell_lane(&runs.script("sleep 0.2"))).workers(1).start().await;
    let mut cancelled = Vec::new();
    for n in 0..15_u64 {
        let at = now().plus(Duration::from_millis(1200));
        let mission = world.dispatch(CODER, json!({"not_before": at})).await;
        // From before to behind it.
        let moment = at.plus(Duration::from_millis(2 * n));
        until_true("the moment has come", async || now().plus(Duration::from_millis(10)) >= moment).await;
        let answer = world.cancel(&mission).await.unwrap();
        cancelled.push((mission, answer["status"] == "cancelled"));
    }
    for (mission, at_once) in &cancelled {
        assert_eq!(world.wait(mission).await.status, Status::Cancelled);
        let ran = runs.all().iter().any(|run| run.mission_id == mission.as_str());
        assert!(!(ran && *at_once), "mission {mission} ran after its cancel was confirmed");
    }
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_mission_overtakes_a_thousand_low_ones() {
    let mut lane = noop_lane();
    lane.slots = 2;
    let mut world = World::builder().lane(CODER, lane).start().await;
    let low: Vec<_> = stream::iter(0..1000)
        .map(|_| world.dispatch(CODER, json!({"priority": "low", "reply_mode": "silent"})))
        .buffered(64)
        .collect()
        .await;
    let urgent = world.dispatch(CODER, json!({"priority": "urgent"})).await;
    world.start_worker("w1").await;
    let urgent = world.wait(&urgent).await;
    let mut earlier = 0;
    for mission in &low {
        let ended = world.wait(mission).await;
        assert_eq!(ended.status, Status::Completed);
        earlier += usize::from(ended.started_at < urgent.started_at);
    }
    // As many as there are slots may have begun before it was seen.
    assert!(earlier <= 4, "{earlier} low missions went before the urgent one");
}

#[tokio::test(flavor = "multi_thread")]
async fn low_missions_are_not_starved_by_higher_ones() {
    let mut lane = noop_lane();
    lane.slots = 1;
    let mut world = World::builder().lane(CODER, lane).start().await;
    let low = world.dispatch(CODER, json!({"priority": "low"})).await;
    let high: Vec<_> = stream::iter(0..400)
        .map(|_| world.dispatch(CODER, json!({"priority": "high", "reply_mode": "silent"})))
        .buffered(64)
        .collect()
        .await;
    world.start_worker("w1").await;
    let low = world.wait(&low).await;
    let mut later = 0;
    for mission in &high {
        later += usize::from(world.wait(mission).await.started_at > low.started_at);
    }
    assert!(later > 200, "the low mission went after {} of {} high ones", high.len() - later, high.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_of_higher_priority_is_moved_and_runs_once() {
    let runs = Runs::default();
    let mut lane = shell_lane(&runs.script("true"));
    lane.slots = 1;
    let mut world = World::builder().lane(CODER, lane).start().await;
    let keyed = |priority: &str| json!({"idempotency_key": "k", "priority": priority});
    let moved = world.dispatch(CODER, keyed("low")).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(world.dispatch(CODER, json!({})).await);
    }
    assert_eq!(world.dispatch(CODER, keyed("urgent")).await, moved);
    world.start_worker("w1").await;
    for mission in others.iter().chain([&moved]) {
        assert_eq!(world.wait(mission).await.status, Status::Completed);
    }
    let all = runs.all();
    assert_eq!(all[0].mission_id, moved.as_str());
    assert_eq!(all.len(), 6);
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_stops_neither_its_lane_nor_the_ledger() {
    let mut lane = noop_lane();
    lane.slots = 1;
    let world = World::builder().lane(CODER, lane).workers(1).start().await;
    let stranger = vp_shared::ids::MissionId::of_key(&lane_id(CODER), "stranger");
    let future = format!(r#"{{"schema": 99, "type": "vp.mission.paused", "mission_id": "{stranger}"}}"#);
    for (subject, body) in [
        (format!("missions.{CODER}.{stranger}.dispatched.normal"), "{"),
        (format!("missions.{CODER}.{stranger}.started"), "\u{0}\u{1}"),
        (format!("missions.{CODER}.no-mission.dispatched.normal"), "{}"),
        ("missions.somebody.elses".to_owned(), "{}"),
        (format!("missions.{CODER}.{stranger}.dispatched.high"), &future),
        (format!("missions.{CODER}.{stranger}.completed"), &future),
    ] {
        let stored = world.conn().jetstream().publish(subject, body.to_owned().into()).await.unwrap();
        stored.await.unwrap();
    }
    let mission = world.dispatch(CODER, json!({})).await;
    assert_eq!(world.wait(&mission).await.status, Status::Completed);
    world.assert_ledger_equals_log().await;
    assert_eq!(world.dispatcher().ledger_status().await.unwrap().anomalies_total, 6);
    let unknown = world.call(ToolName::Get, json!({"mission_id": stranger})).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_that_was_given_back_and_then_moved_to_another_tier_runs_its_second_attempt() {
    let runs = Runs::default();
    let script = runs.script("test $VP_ATTEMPT -gt 1 || sleep 600");
    let mut world = World::builder().lane(CODER, shell_lane(&script)).workers(1).start().await;
    let keyed = |priority: &str| json!({"idempotency_key": "k", "priority": priority});
    let mission = world.dispatch(CODER, keyed("low")).await;
    runs.until(1).await;
    let worker = world.worker("w1");
    worker.drain();
    worker.drain();
    world.until_status(&mission, Status::Queued).await;
    world.stop_worker("w1").await;
    // What its pulls still bring would be handed back, and come to the next worker as a second delivery.
    until_true("the first worker's pulls are over", async || {
        let urgent = queue_progress(world.conn(), &lane_id(CODER), Tier::Urgent).await.unwrap().unwrap();
        urgent.pulls == 0
    })
    .await;
    assert_eq!(world.dispatch(CODER, keyed("urgent")).await, mission);
    world.start_worker("w2").await;
    let ended = world.wait(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    let logged = world.log(&mission).await;
    assert!(logged.anomalies.is_empty(), "{:?}", logged.anomalies);
    assert_eq!(runs.all().len(), 2);
}
