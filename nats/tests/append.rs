//! Compare-and-set appends and reads, on a real server that is killed where it hurts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{World, completed, dispatched, event, eventually, lane_id, outcome, started};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use vp_nats::mission_log::{AppendError, LogAnomaly, MissionLog};
use vp_nats::reader;
use vp_shared::ids::MissionId;
use vp_shared::mission::Status;

async fn stored(world: &World) -> u64 {
    world.conn.jetstream().get_stream("MISSIONS").await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn a_life_is_appended_and_read_back() {
    let world = World::start().await;
    let mut expected = 0;
    let bodies = [(0, dispatched()), (1, started("a", "lease")), (1, outcome()), (1, completed())];
    let mut appended = Vec::new();
    for (attempt, body) in bodies {
        let event = event("k", attempt, body);
        expected = world.log.append(&event, expected).await.unwrap().seq;
        appended.push((expected, event));
    }
    let read = world.log.read(&world.lane, &world.mission("k")).await.unwrap().unwrap();
    assert_eq!((read.mission.status, read.mission.last_seq), (Status::Completed, expected));
    assert_eq!(read.events, appended);
    assert!(read.anomalies.is_empty(), "{:?}", read.anomalies);
}

#[tokio::test]
async fn a_mission_without_events_is_absent_and_has_no_lane() {
    let world = World::start().await;
    assert!(world.log.read(&world.lane, &world.mission("k")).await.unwrap().is_none());
    assert_eq!(world.log.lane_of(&world.mission("k")).await.unwrap(), None);
    world.dispatch("k").await;
    assert_eq!(world.log.lane_of(&world.mission("k")).await.unwrap(), Some(lane_id()));
}

#[tokio::test]
async fn of_fifty_writers_with_the_same_expectation_exactly_one_wins() {
    let world = World::start().await;
    let seq = world.dispatch("k").await;
    let others: Vec<_> = join_all((0..5).map(|_| world.server.connect())).await;
    let writers = (0..50).map(|i| {
        let log = MissionLog::new(&others[i % others.len()]);
        async move { log.append(&event("k", 1, started(&format!("w{i}"), "lease")), seq).await }
    });
    let results = join_all(writers).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    let conflicts = results
        .iter()
        .filter(|result| matches!(result, Err(AppendError::Conflict { expected, .. }) if *expected == seq))
        .count();
    assert_eq!((won, conflicts), (1, 49));
    assert_eq!(stored(&world).await, 2);
}

#[tokio::test]
async fn the_same_event_appended_twice_is_stored_once_and_both_succeed() {
    let world = World::start().await;
    let dispatch = event("k", 0, dispatched());
    let first = world.log.append(&dispatch, 0).await.unwrap();
    let second = world.log.append(&dispatch, 0).await.unwrap();
    assert_eq!(first, second);
    world.log.append(&event("k", 1, started("a", "lease")), first.seq).await.unwrap();
    assert_eq!(world.log.append(&dispatch, 0).await.unwrap(), first, "also with another event behind it");
    assert_eq!(stored(&world).await, 2);
}

#[tokio::test]
async fn another_event_for_the_same_place_is_a_conflict_even_when_the_stream_forgot_the_id() {
    let world = World::start().await;
    world.dispatch("k").await;
    let error = world.log.append(&event("k", 0, dispatched()), 0).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { expected: 0, .. }), "{error}");
}

#[tokio::test]
async fn an_expectation_that_was_never_true_is_a_conflict_soon() {
    let world = World::start().await;
    let begun = Instant::now();
    let error = world.log.append(&event("k", 1, started("a", "lease")), 4711).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_through_kills_of_the_server_are_stored_exactly_once() {
    let mut world = World::start().await;
    let log = world.log.clone();
    let writer = tokio::spawn(async move {
        let mut written = 0_u32;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            let keys = (written..written + 16).map(|i| format!("k{i}"));
            let appends = keys.map(|key| {
                let log = log.clone();
                async move {
                    let first = log.append(&event(&key, 0, dispatched()), 0).await.unwrap();
                    log.append(&event(&key, 1, started("a", "lease")), first.seq).await.unwrap();
                }
            });
            join_all(appends).await;
            written += 16;
        }
        written
    });
    for _ in 0..4 {
        // Not to prove anything: the kill has to fall among appends.
        sleep(Duration::from_millis(500)).await;
        world.server.restart().await;
    }
    let written = timeout(common::PATIENCE, writer).await.unwrap().unwrap();
    assert!(written >= 64, "{written}");
    assert_eq!(stored(&world).await, u64::from(written) * 2);
    for key in (0..written).step_by(7) {
        let mission_id = MissionId::of_key(&world.lane, &format!("k{key}"));
        let read = world.log.read(&world.lane, &mission_id).await.unwrap().unwrap();
        assert_eq!((read.events.len(), read.mission.status), (2, Status::Running));
    }
}

#[tokio::test]
async fn an_append_into_a_frozen_server_is_answered_after_the_thaw_and_stored_once() {
    let world = World::start().await;
    let seq = world.dispatch("k").await;
    world.server.freeze();
    let event = event("k", 1, started("a", "lease"));
    let (appended, ()) = tokio::join!(world.log.append(&event, seq), async {
        // Longer than one try.
        sleep(Duration::from_millis(2500)).await;
        world.server.thaw();
    });
    let seq = appended.unwrap().seq;
    assert_eq!(stored(&world).await, 2);
    let read = world.log.read(&world.lane, &world.mission("k")).await.unwrap().unwrap();
    assert_eq!((read.mission.last_seq, read.mission.attempt), (seq, 1));
}

#[tokio::test]
async fn who_gives_up_says_that_the_outcome_is_unknown() {
    let mut world = World::start().await;
    world.server.stop().await;
    tokio::time::pause();
    let error = world.log.append(&event("k", 0, dispatched()), 0).await.unwrap_err();
    let AppendError::Unknown { seconds, tries, event, .. } = error else { panic!("{error}") };
    assert!((20.0..=31.0).contains(&seconds) && tries >= 1 && event == "dispatched", "{seconds} {tries}");
    let error = world.log.read(&world.lane, &world.mission("k")).await.unwrap_err();
    assert!((15.0..=25.0).contains(&error.seconds), "{error}");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_at_once() {
    let world = World::start().await;
    let mut event = event("k", 0, dispatched());
    event.source.turn_id = Some("x".repeat(world.conn.client().max_payload()));
    let error = world.log.append(&event, 0).await.unwrap_err();
    assert!(matches!(error, AppendError::Refused { no_space: false, .. }), "{error}");
}

#[tokio::test]
async fn a_full_store_is_refused_for_want_of_space() {
    let world = World::start().await;
    let info: serde_json::Value = world.conn.jetstream().request("STREAM.INFO.MISSIONS", &()).await.unwrap();
    let mut config = info["config"].clone();
    // A stand-in for a full disk: the stream refuses like the account does.
    config["allow_msg_schedules"] = serde_json::json!(false);
    config["discard"] = serde_json::json!("new");
    config["max_msgs"] = serde_json::json!(1);
    world.conn.jetstream().delete_stream("MISSIONS").await.unwrap();
    let made: serde_json::Value =
        world.conn.jetstream().request("STREAM.CREATE.MISSIONS", &config).await.unwrap();
    assert!(made["error"].is_null(), "{made}");
    world.dispatch("a").await;
    let error = world.log.append(&event("b", 0, dispatched()), 0).await.unwrap_err();
    assert!(matches!(error, AppendError::Refused { no_space: true, .. }), "{error}");
}

#[tokio::test]
async fn bodies_that_are_no_events_are_recorded_and_stepped_over() {
    let world = World::start().await;
    let first = world.dispatch("k").await;
    let subject = |token: &str| format!("missions.{}.{}.{token}", world.lane, world.mission("k"));
    let js = world.conn.jetstream();
    for (token, body) in [
        ("completed", b"not an event".to_vec()),
        ("completed", event("k", 1, outcome()).to_json()),
        ("completed", event("other", 1, completed()).to_json()),
        ("completed", event("k", 1, completed()).to_json()),
        ("a_later_build_s", b"{}".to_vec()),
    ] {
        js.publish(subject(token), body.into()).await.unwrap().await.unwrap();
    }
    let read = world.log.read(&world.lane, &world.mission("k")).await.unwrap().unwrap();
    let seqs: Vec<_> = read.anomalies.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, [2, 3, 4, 5, 6]);
    assert!(matches!(read.anomalies[0].1, LogAnomaly::Body(_)));
    assert!(matches!(read.anomalies[1].1, LogAnomaly::Subject(_)));
    assert!(matches!(read.anomalies[2].1, LogAnomaly::Subject(_)));
    assert!(matches!(read.anomalies[3].1, LogAnomaly::Illegal { event: "completed", .. }));
    assert_eq!((read.mission.status, read.mission.queue_seq), (Status::Queued, Some(first)));
    // They count for the next writer: the server looks at every subject of the mission.
    assert_eq!(read.mission.last_seq, 6);
    world.log.append(&event("k", 1, started("a", "lease")), read.mission.last_seq).await.unwrap();
}

#[tokio::test]
async fn reads_wait_for_a_server_that_comes_back() {
    let mut world = World::start().await;
    world.dispatch("k").await;
    world.server.kill().await;
    let (log, lane, mission) = (world.log.clone(), world.lane.clone(), world.mission("k"));
    let read = tokio::spawn(async move { log.read(&lane, &mission).await });
    world.server.restart().await;
    assert!(timeout(common::PATIENCE, read).await.unwrap().unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_stream_made_anew_is_another_stream() {
    let world = World::start().await;
    world.dispatch("k").await;
    let before = reader::identity(&world.conn, "MISSIONS").await.unwrap();
    assert_eq!((before.first_seq, before.last_seq), (1, 1));
    world.conn.jetstream().delete_stream("MISSIONS").await.unwrap();
    let missing = reader::identity(&world.conn, "MISSIONS").await.unwrap_err();
    assert!(missing.missing, "{missing}");
    vp_nats::topology::ensure(&world.conn, &vp_nats::topology::TopologyConfig::default(), &common::lanes(30))
        .await
        .unwrap();
    let after =
        eventually("the stream is back", || async { reader::identity(&world.conn, "MISSIONS").await.ok() })
            .await;
    assert!(after.created_at > before.created_at && after.last_seq == 0);
}
