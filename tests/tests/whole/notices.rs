//! What sessions are told: what they asked for, in their own inbox, once.

use serde_json::json;
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_tests::lanes::{CODER, DELIVERS, shell_lane};
use vp_tests::world::{Inbox, World};

async fn world(kind: LedgerKind) -> World {
    World::builder().ledger(kind).lane(CODER, shell_lane(DELIVERS)).workers(1).start().await
}

async fn a_session_is_told_as_much_as_it_asked_for(kind: LedgerKind) {
    let world = world(kind).await;
    for (mode, told) in [("async", 3), ("final", 1), ("silent", 0)] {
        let session = format!("chat-{mode}");
        let mission = world.dispatch_as(&session, CODER, json!({"reply_mode": mode})).await;
        world.wait(&mission).await;
        let notices = world.all_notices(&session, CODER).await;
        assert_eq!(notices.len(), told, "{mode}: {notices:?}");
        assert!(notices.iter().all(|notice| notice.mission_id == mission));
        assert_eq!(notices.iter().filter(|notice| notice.terminal).count(), usize::from(told > 0));
    }
}

async fn no_session_hears_of_anothers_missions(kind: LedgerKind) {
    let world = world(kind).await;
    // Names that a careless subject would mix up.
    let sessions = ["a", "a.b", "a*", "a>", "A", "a_b", "a%2eb"];
    let mut missions = Vec::new();
    for session in sessions {
        missions.push(world.dispatch_as(session, CODER, json!({"reply_mode": "final"})).await);
    }
    for mission in &missions {
        world.wait(mission).await;
    }
    for (session, mission) in sessions.iter().zip(&missions) {
        let notices = world.all_notices(session, CODER).await;
        assert_eq!(notices.len(), 1, "{session}");
        assert_eq!((&notices[0].mission_id, notices[0].session_id.as_str()), (mission, *session));
    }
}

async fn notices_survive_the_restart_of_everything_and_come_once(kind: LedgerKind) {
    let mut world = world(kind).await;
    let mut missions = Vec::new();
    for _ in 0..5 {
        missions.push(world.dispatch_as("chat", CODER, json!({"reply_mode": "final"})).await);
    }
    for mission in &missions {
        world.wait(mission).await;
    }
    world.until_projected().await;
    // Two are read; the rest is read after everything was killed.
    let mut read = Vec::new();
    let mut inbox = Inbox::open(world.conn(), "chat").await;
    read.push(inbox.next().await.mission_id);
    read.push(inbox.next().await.mission_id);
    drop(inbox);
    world.kill_bridge();
    world.kill_worker("w1");
    // The place of a reader is the server's, and young places are not on its disk when it is killed.
    world.server.stop().await;
    world.server.restart().await;
    world.start_bridge().await;
    world.start_worker("w1").await;
    let rest = world.all_notices("chat", CODER).await;
    read.extend(rest.into_iter().map(|notice| notice.mission_id));
    missions.sort();
    read.sort();
    assert_eq!(read, missions);
}

async fn a_notice_that_was_not_acked_comes_again_with_the_same_id(kind: LedgerKind) {
    let world = world(kind).await;
    let mission = world.dispatch_as("chat", CODER, json!({"reply_mode": "final"})).await;
    world.wait(&mission).await;
    let session = vp_shared::ids::SessionId::new("chat").unwrap();
    let mut reader = vp_nats::notices::NoticeReader::open(world.conn(), &session).await.unwrap();
    let first = reader.next(vp_tests::until::PATIENCE).await.unwrap().unwrap().notice;
    drop(reader);
    let again = Inbox::open(world.conn(), "chat").await.next_within(vp_tests::until::PATIENCE).await;
    assert_eq!(again.unwrap().notice_id, first.notice_id);
}

on_both_ledgers!(
    a_session_is_told_as_much_as_it_asked_for,
    no_session_hears_of_anothers_missions,
    notices_survive_the_restart_of_everything_and_come_once,
    a_notice_that_was_not_acked_comes_again_with_the_same_id,
);
