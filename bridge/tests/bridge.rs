//! From log to ledger to sessions, with a real server and a real file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use support::script::{CODER, GENERAL, Script};
use support::{World, lanes, until};
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_bridge::rebuild::rebuild;
use vp_bridge::{Bridge, BridgeConfig, BridgeError, LedgerError};
use vp_nats::notices::NoticeReader;
use vp_shared::api::{ErrorCode, LedgerGet, LedgerList, LedgerMission, LedgerPage, LedgerQuestion};
use vp_shared::event::Event;
use vp_shared::failure::FailureClass;
use vp_shared::ids::SessionId;
use vp_shared::mission::{ReplyMode, Status};
use vp_shared::notice::Notice;
use vp_shared::tier::Tier;

/// Missions of every kind, their events mixed as they would be.
fn mixed(missions: usize) -> Vec<Event> {
    let mut lines: Vec<Vec<Event>> = (0..missions)
        .map(|nth| {
            let vp_id = if nth % 3 == 0 { GENERAL } else { CODER };
            let mut s = Script::new(vp_id, &format!("mixed-{nth}"))
                .at(1_700_000_000_000_000 + i64::try_from(nth).unwrap());
            match nth % 5 {
                0 | 1 => s.well(),
                2 => vec![
                    s.dispatched(),
                    s.started(),
                    s.attempt_failed(),
                    s.started(),
                    s.outcome(),
                    s.completed(),
                ],
                3 => vec![s.dispatched(), s.started(), s.took_over(), s.failed(FailureClass::WorkerLost)],
                _ => vec![s.dispatched(), s.queued(Tier::Urgent), s.cancelled()],
            }
        })
        .collect();
    let mut events = Vec::new();
    while lines.iter().any(|line| !line.is_empty()) {
        events.extend(lines.iter_mut().filter(|line| !line.is_empty()).map(|line| line.remove(0)));
    }
    events
}

async fn a_bridge_that_was_down_catches_up(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let mut before = Script::new(CODER, "before");
    world.append_all(&before.well()).await;
    let bridge = world.bridge().await;
    let status = world.settled().await;
    assert_eq!(status.missions["completed"], 1);
    bridge.stop().await;
    let mut during = Script::new(GENERAL, "during");
    world.append_all(&[during.dispatched(), during.started()]).await;
    let bridge = world.bridge().await;
    let mut after = Script::new(CODER, "after");
    world.append_all(&[after.dispatched(), after.started()]).await;
    let status = world.settled().await;
    assert_eq!((status.missions["completed"], status.missions["running"]), (1, 2));
    assert_eq!(world.notices().await.len(), 7);
    bridge.stop().await;
}

async fn a_live_event_is_in_the_ledger_and_told_within_a_moment(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    world.settled().await;
    let session = SessionId::new("simone-1").unwrap();
    let mut reader = NoticeReader::open(&world.conn, &session).await.unwrap();
    let mut waits = Vec::new();
    for nth in 0..20 {
        let event = Script::new(CODER, &format!("live-{nth}")).dispatched();
        let began = tokio::time::Instant::now();
        world.append(&event).await;
        let notice = reader.next(support::PATIENCE).await.unwrap().unwrap();
        waits.push(began.elapsed());
        assert_eq!(notice.notice.mission_id, event.mission_id);
        notice.ack().await.unwrap();
    }
    waits.sort_unstable();
    // Far above what it takes, far below what polling would.
    assert!(waits[10] < Duration::from_millis(500), "{waits:?}");
    bridge.stop().await;
}

async fn crashes_at_any_point_leave_the_same_rows_and_each_notice_once(kind: LedgerKind) {
    let straight = World::start().await;
    let events = mixed(300);
    straight.flood(&events).await;
    let bridge = straight.bridge().await;
    straight.settled().await;
    bridge.stop().await;

    let world = World::start_on(kind).await;
    world.flood(&events[..600]).await;
    for crash in 0..25_u64 {
        let bridge = world.bridge_with(BridgeConfig { batch: 37, ..world.config() }).await;
        let mut status = bridge.status();
        // Dies somewhere between its first look and some batches later.
        let enough = |projected: u64| projected >= crash % 5 * 37;
        let waited = tokio::time::timeout(
            Duration::from_millis(40 + crash * 7 % 60),
            status.wait_for(|status| crash % 5 > 0 && enough(status.events)),
        );
        let _ = waited.await;
        drop(bridge);
    }
    world.flood(&events[600..]).await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    assert_eq!(world.dump().await, straight.dump().await);
    let told: Vec<_> = world.notices().await.into_iter().map(|notice| notice.notice_id).collect();
    let unique: HashSet<_> = told.iter().collect();
    assert_eq!(unique.len(), told.len(), "a notice was told twice");
    let wanted: HashSet<_> = straight.notices().await.into_iter().map(|notice| notice.notice_id).collect();
    assert_eq!(unique, wanted.iter().collect());
}

async fn poison_is_recorded_and_stepped_over(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut script = Script::new(CODER, "poisoned");
    world.append(&script.dispatched()).await;
    let other = Script::new(CODER, "elsewhere");
    let at = |event: &str| format!("missions.{}.{}.{event}", script.vp_id, other.mission_id);
    world.poison("missions.what.is.this", "?").await;
    world.poison(&at("completed"), "{\"s3cret\":").await;
    world.poison(&at("started"), vec![0xff, 0xfe]).await;
    world.poison(&at("dispatched.normal"), script.clone().dispatched().to_json()).await;
    let future = String::from_utf8(other.clone().dispatched().to_json())
        .unwrap()
        .replace("\"schema\":1", "\"schema\":2");
    world.poison(&at("dispatched.normal"), future).await;
    world.poison(&at("completed"), other.clone().completed().to_json()).await;
    world.poison(&at("timer"), "a schedule is no anomaly").await;
    world.append(&script.started()).await;
    let status = world.settled().await;
    assert_eq!(status.anomalies_total, 6);
    let whats: Vec<_> = status.anomalies.iter().rev().map(|anomaly| anomaly.what.as_str()).collect();
    let mission = format!("the body is about mission {}", script.mission_id);
    assert_eq!(
        whats,
        [
            "the subject is not a mission's",
            "the message is not an event envelope, at line 1 column 10",
            "the body is not UTF-8",
            &mission,
            "the event has schema version 2, and this build knows versions up to 1: upgrade it",
            "a `completed` event may not be a mission's first",
        ]
    );
    let seqs: Vec<_> = status.anomalies.iter().rev().map(|anomaly| anomaly.seq).collect();
    assert_eq!(seqs, [2, 3, 4, 5, 6, 7]);
    assert_eq!(status.missions["running"], 1, "what is lawful goes on");
    bridge.stop().await;
}

async fn each_session_is_told_in_order_what_it_asked_for(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let modes = [ReplyMode::Async, ReplyMode::Final, ReplyMode::Silent];
    let mut scripts: Vec<_> = modes
        .iter()
        .map(|mode| Script::new(CODER, mode.name()).reply(*mode))
        .chain([Script::new(CODER, "other session").session(Some("another/one.*"))])
        .collect();
    for step in 0..4 {
        for script in &mut scripts {
            let event = match step {
                0 => script.dispatched(),
                1 => script.started(),
                2 => script.outcome(),
                _ => script.completed(),
            };
            world.append(&event).await;
        }
    }
    world.settled().await;
    let told = |session: &str| {
        let (conn, session) = (world.conn.clone(), SessionId::new(session).unwrap());
        async move {
            let mut reader = NoticeReader::open(&conn, &session).await.unwrap();
            let mut told = Vec::new();
            while let Some(notice) = reader.next(Duration::from_millis(500)).await.unwrap() {
                told.push(notice.notice.notice_id.to_string());
                notice.ack().await.unwrap();
            }
            told
        }
    };
    let ids = |nth: usize, whats: &[&str]| -> Vec<String> {
        whats.iter().map(|what| format!("{}.{what}", scripts[nth].mission_id)).collect()
    };
    let mut wanted = ids(0, &["dispatched", "started"]);
    wanted.extend(ids(0, &["terminal"]));
    wanted.extend(ids(1, &["terminal"]));
    assert_eq!(told("simone-1").await, wanted);
    assert_eq!(told("another/one.*").await, ids(3, &["dispatched", "started", "terminal"]));
    assert!(told("nobody").await.is_empty());
    bridge.stop().await;
}

async fn the_ledger_answers_questions_and_refuses_bad_ones(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut script = Script::new(CODER, "asked");
    world.append_all(&script.well()).await;
    world.settled().await;
    let question = LedgerGet { mission_id: script.mission_id.clone() };
    let mission: LedgerMission = world.ask(LedgerQuestion::GetMission, &question).await.0.unwrap();
    assert_eq!(mission.mission.status, Status::Completed);
    assert_eq!(mission.mission.objective, script.objective);
    assert_eq!((mission.attempts.len(), mission.events.len(), mission.events_total), (1, 4, 4));
    let all = LedgerList { vp_id: None, status: vec![], session_id: None, limit: 10, after: None };
    let page: LedgerPage = world.ask(LedgerQuestion::ListMissions, &all).await.0.unwrap();
    assert_eq!((page.missions.len(), page.next), (1, None));

    let refused = async |question, body: serde_json::Value| {
        let error = world.ask::<_, serde_json::Value>(question, &body).await.0.unwrap_err();
        (error.code, error.message)
    };
    let unknown = Script::new(CODER, "unknown").mission_id;
    let (code, _) = refused(LedgerQuestion::GetMission, serde_json::json!({"mission_id": unknown})).await;
    assert_eq!(code, ErrorCode::NotFound);
    for (question, body, field) in [
        (LedgerQuestion::GetMission, serde_json::json!({"mission_id": "nonsense"}), "mission_id"),
        (LedgerQuestion::GetMission, serde_json::json!({}), "mission_id"),
        (LedgerQuestion::ListMissions, serde_json::json!({"limit": 0}), "limit"),
        (LedgerQuestion::ListMissions, serde_json::json!({"limit": 501}), "limit"),
        (LedgerQuestion::ListMissions, serde_json::json!({"limit": 5, "status": ["done"]}), "status"),
        (LedgerQuestion::ListMissions, serde_json::json!({"limit": 5, "after": "x"}), "after"),
        (LedgerQuestion::ListMissions, serde_json::json!({"limit": 5, "colour": 1}), "colour"),
        (LedgerQuestion::Status, serde_json::json!({"verbose": true}), "verbose"),
    ] {
        let (code, message) = refused(question, body.clone()).await;
        assert_eq!(code, ErrorCode::ValidationError, "{body}");
        assert!(message.contains(field), "{body}: {message}");
    }
    bridge.stop().await;
}

async fn a_bridge_without_a_usable_ledger_or_log_says_which(kind: LedgerKind) {
    let world = World::start_on(kind).await;
    let on = |ledger: String| BridgeConfig { ledger, ..world.config() };
    let start = async |config| Bridge::start(world.conn.clone(), config).await.map(|_| ()).unwrap_err();
    let error = start(on(world.dir.path().display().to_string())).await;
    assert!(matches!(error, BridgeError::Ledger(LedgerError::NotWritable { .. })), "{error:?}");
    let error = start(on("mysql://user:s3cret@db/vp".into())).await;
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let bare = vp_nats::harness::TestServer::start().await;
    let error = Bridge::start(bare.connect().await, world.config()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, BridgeError::Log(_)), "{error:?}");
}

async fn a_server_that_goes_and_comes_back_is_followed_again(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut script = Script::new(CODER, "outage");
    world.append(&script.dispatched()).await;
    world.settled().await;
    world.server.kill().await;
    world.server.restart().await;
    world.append_all(&[script.started(), script.outcome(), script.completed()]).await;
    let status = world.settled().await;
    assert_eq!(status.missions["completed"], 1);
    assert_eq!(world.notices().await.len(), 3);
    bridge.stop().await;
}

#[tokio::test]
async fn a_stopped_bridge_leaves_one_file_and_its_lock() {
    let mut world = World::start().await;
    world.append_all(&Script::new(CODER, "stopped").well()).await;
    let bridge = world.bridge().await;
    world.settled().await;
    let status = bridge.status();
    bridge.stop().await;
    until("the status is closed", async || status.has_changed().is_err()).await;
    let mut files: Vec<_> =
        std::fs::read_dir(world.dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["ledger.db", "ledger.db.lock"]);
}

async fn a_ledger_that_cannot_be_written_for_a_while_is_told_and_caught_up(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut script = Script::new(CODER, "locked");
    world.append(&script.dispatched()).await;
    world.settled().await;
    let db = world.database().await;
    let lock = match kind {
        LedgerKind::Sqlite => "BEGIN EXCLUSIVE",
        LedgerKind::Postgres => "BEGIN; LOCK TABLE events IN EXCLUSIVE MODE",
    };
    db.execute_unprepared(lock).await.unwrap();
    world.append(&script.started()).await;
    let mut status = bridge.status();
    let told =
        status.wait_for(|status| status.projector_error.as_ref().is_some_and(|text| text.contains("lock")));
    tokio::time::timeout(support::PATIENCE, told).await.unwrap().unwrap();
    let question = LedgerGet { mission_id: script.mission_id.clone() };
    let mission: LedgerMission = world.ask(LedgerQuestion::GetMission, &question).await.0.unwrap();
    assert_eq!(mission.mission.status, Status::Queued, "questions are answered meanwhile");
    let lag = world.status().await;
    assert_eq!(lag.lag_events, 1);
    assert!((3..60).contains(&lag.lag_seconds), "{lag:?}");
    db.execute_unprepared("ROLLBACK").await.unwrap();
    let settled = world.settled().await;
    assert_eq!((settled.missions["running"], settled.notices_pending), (1, 0));
    assert_eq!((settled.lag_events, settled.lag_seconds), (0, 0));
    tokio::time::timeout(support::PATIENCE, status.wait_for(|status| status.projector_error.is_none()))
        .await
        .unwrap()
        .unwrap();
    bridge.stop().await;
}

async fn messages_that_left_the_log_unprojected_are_told(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let mut script = Script::new(CODER, "gone");
    world.append_all(&[script.dispatched(), script.started(), script.outcome()]).await;
    let mut late = Script::new(CODER, "late");
    world.append(&late.dispatched()).await;
    world.conn.jetstream().get_stream("MISSIONS").await.unwrap().purge().sequence(4).await.unwrap();
    let bridge = world.bridge().await;
    let status = world.settled().await;
    assert_eq!(status.missions["queued"], 1);
    assert_eq!(status.anomalies_total, 1);
    assert_eq!(status.anomalies[0].what, "the messages 1 to 3 have left the log before they were projected");
    world.append(&late.started()).await;
    world.settled().await;
    bridge.stop().await;
}

async fn a_stream_made_anew_under_a_running_bridge_is_followed(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut before = Script::new(CODER, "before");
    world.append_all(&[before.dispatched(), before.started()]).await;
    world.settled().await;
    world.conn.jetstream().delete_stream("MISSIONS").await.unwrap();
    world.make_streams().await;
    let mut after = Script::new(CODER, "after");
    world.append_all(&after.well()).await;
    let status = world.settled().await;
    assert_eq!((status.missions["failed"], status.missions["completed"]), (1, 1), "{:?}", status.missions);
    assert_eq!(
        status.anomalies[0].what,
        "the stream was made anew; 1 missions of the one before had not ended and failed"
    );
    assert_eq!(status.anomalies_total, 1, "{:?}", status.anomalies);
    assert_eq!(world.notices().await.len(), 6);
    bridge.stop().await;
}

async fn missions_of_a_deleted_stream_fail_once_and_their_sessions_are_told(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let (mut running, mut ending, mut done) =
        (Script::new(CODER, "running"), Script::new(CODER, "ending"), Script::new(CODER, "done"));
    world.append_all(&[running.dispatched(), running.started()]).await;
    world.append_all(&[ending.dispatched(), ending.started(), ending.outcome()]).await;
    world.append_all(&done.well()).await;
    let mut waiting: Vec<Script> =
        (0..300).map(|nth| Script::new(CODER, &nth.to_string()).reply(ReplyMode::Final)).collect();
    let queued: Vec<Event> = waiting.iter_mut().map(Script::dispatched).collect();
    world.append_all(&queued).await;
    world.settled().await;
    bridge.stop().await;
    world.conn.jetstream().delete_stream("MISSIONS").await.unwrap();
    world.make_streams().await;
    // Delegated again before any bridge is back.
    world.flood(&Script::new(CODER, "running").well()).await;
    let bridge = world.bridge().await;
    let status = world.settled().await;
    assert_eq!((status.missions["failed"], status.missions["completed"]), (301, 2), "{:?}", status.missions);
    assert_eq!(status.missions.values().sum::<u64>(), 303, "{:?}", status.missions);
    bridge.stop().await;
    // A bridge that starts later has nothing left to end.
    let bridge = world.bridge().await;
    world.settled().await;
    let notices = world.notices().await;
    let lost = |notice: &&Notice| {
        notice.failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Internal)
    };
    let told: Vec<&Notice> = notices.iter().filter(lost).collect();
    let ids: HashSet<&str> = told.iter().map(|notice| notice.notice_id.as_str()).collect();
    assert_eq!((told.len(), ids.len()), (302, 302));
    assert!(told.iter().all(|notice| notice.terminal && notice.text.contains("delegate it again")));
    let of = |script: &Script| {
        let mine = |notice: &&&Notice| notice.mission_id == script.mission_id;
        told.iter().find(mine).unwrap().failure.clone().unwrap().message
    };
    assert!(of(&running).contains("attempt 1 had been started"), "{}", of(&running));
    assert!(of(&ending).contains("its executor had ended"), "{}", of(&ending));
    assert!(of(&waiting[299]).contains("it had not been started"), "{}", of(&waiting[299]));
    let ends = notices.iter().filter(|notice| notice.terminal && notice.mission_id == running.mission_id);
    assert_eq!(ends.map(|notice| notice.status.name()).collect::<Vec<_>>(), ["failed", "completed"]);
    bridge.stop().await;
}

async fn a_stream_that_the_ledger_has_left_is_not_projected_until_a_rebuild(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    world.append_all(&Script::new(CODER, "here").well()).await;
    world.settled().await;
    bridge.stop().await;
    // As by a wrong URL.
    let mut elsewhere = World::start().await;
    let bridge = Bridge::start(elsewhere.server.connect().await, world.config()).await.unwrap();
    elsewhere.append(&Script::new(CODER, "other").dispatched()).await;
    elsewhere.settled().await;
    bridge.stop().await;
    let bridge = world.bridge().await;
    let mut status = bridge.status();
    let told = status.wait_for(|status| {
        status.projector_error.as_ref().is_some_and(|text| text.contains("one that this ledger has left"))
    });
    tokio::time::timeout(support::PATIENCE, told).await.unwrap().unwrap();
    bridge.stop().await;
    rebuild(&world.conn, &world.place.location, &lanes(), false).await.unwrap();
    let bridge = world.bridge().await;
    let mut later = Script::new(CODER, "later");
    world.flood(&later.well()).await;
    let status = world.settled().await;
    assert_eq!(status.missions["completed"], 2, "{:?}", status.missions);
    let told = world.notices().await.into_iter().filter(|notice| notice.mission_id == later.mission_id);
    assert_eq!(told.filter(|notice| notice.terminal).count(), 1);
    bridge.stop().await;
}

async fn a_log_that_is_shorter_than_the_ledger_is_told_and_nothing_is_guessed(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    world.append_all(&Script::new(CODER, "kept").well()).await;
    world.settled().await;
    bridge.stop().await;
    world.sql("UPDATE cursors SET seq = 40").await;
    let bridge = world.bridge().await;
    let mut status = bridge.status();
    let told = status.wait_for(|status| {
        status.projector_error.as_ref().is_some_and(|text| text.contains("the log ends with sequence 4"))
    });
    tokio::time::timeout(support::PATIENCE, told).await.unwrap().unwrap();
    bridge.stop().await;
}

on_both_ledgers!(
    a_bridge_that_was_down_catches_up,
    a_live_event_is_in_the_ledger_and_told_within_a_moment,
    crashes_at_any_point_leave_the_same_rows_and_each_notice_once,
    poison_is_recorded_and_stepped_over,
    each_session_is_told_in_order_what_it_asked_for,
    the_ledger_answers_questions_and_refuses_bad_ones,
    a_bridge_without_a_usable_ledger_or_log_says_which,
    a_server_that_goes_and_comes_back_is_followed_again,
    a_ledger_that_cannot_be_written_for_a_while_is_told_and_caught_up,
    messages_that_left_the_log_unprojected_are_told,
    a_stream_made_anew_under_a_running_bridge_is_followed,
    missions_of_a_deleted_stream_fail_once_and_their_sessions_are_told,
    a_stream_that_the_ledger_has_left_is_not_projected_until_a_rebuild,
    a_log_that_is_shorter_than_the_ledger_is_told_and_nothing_is_guessed,
);
