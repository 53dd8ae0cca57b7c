//! Notices: sent once, shown in order, none lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{World, lane_id};
use tokio::time::{sleep, timeout};
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::notices::{self, NoticeReader, Outgoing, Sent, last_sent, sent_since, unread};
use vp_shared::ids::{MissionId, NoticeId, SessionId};
use vp_shared::mission::Status;
use vp_shared::notice::Notice;
use vp_shared::time::UtcTime;

const WAIT: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn notice(session_id: &SessionId, key: &str) -> Notice {
    let mission_id = MissionId::of_key(&lane_id(), key);
    Notice {
        notice_id: NoticeId::of(&mission_id, "terminal"),
        session_id: session_id.clone(),
        turn_id: None,
        event: "vp.mission.completed".to_owned(),
        mission_id,
        vp_id: lane_id(),
        vp_name: "CODIE".to_owned(),
        status: Status::Completed,
        terminal: true,
        attempt: 1,
        time: clock::now(),
        objective: key.to_owned(),
        summary: None,
        failure: None,
        reason: None,
        result: None,
        text: "CODIE completed it".to_owned(),
    }
}

fn outgoing(session_id: &SessionId, keys: impl IntoIterator<Item = u32>) -> Vec<Outgoing> {
    let one = |key: u32| {
        let notice = notice(session_id, &key.to_string());
        Outgoing {
            notice_id: notice.notice_id.clone(),
            session_id: session_id.clone(),
            body: serde_json::to_vec(&notice).unwrap().into(),
        }
    };
    keys.into_iter().map(one).collect()
}

#[tokio::test]
async fn an_ack_of_what_another_reader_has_acked_leaves_the_next_notice_to_whoever_reads() {
    let world = World::start().await;
    let simone = session("simone");
    send(&world.conn, &outgoing(&simone, 0..3)).await;
    let mut handing = NoticeReader::open(&world.conn, &simone).await.unwrap();
    let mut other = NoticeReader::open(&world.conn, &simone).await.unwrap();
    let waiting = handing.waiting(20, WAIT).await.unwrap();
    assert_eq!(waiting.notices.len(), 3);
    read(&mut other, 0..3).await;
    assert!(handing.ack_through(waiting.last, SHORT).await.unwrap(), "and nothing is behind them");
    send(&world.conn, &outgoing(&simone, 3..4)).await;
    assert!(handing.ack_through(waiting.last, SHORT).await.unwrap());
    let next = other.next(WAIT).await.unwrap().expect("the next one, which nobody has in hand");
    assert_eq!(next.notice.objective, "3");
    assert!(handing.ack_through(waiting.last, SHORT).await.unwrap(), "and the next one is in another's hand");
    next.ack().await.unwrap();
}

#[tokio::test]
async fn what_another_reader_has_in_hand_is_not_said_to_be_acked() {
    let world = World::start().await;
    let simone = session("simone");
    send(&world.conn, &outgoing(&simone, 0..2)).await;
    let mut handing = NoticeReader::open(&world.conn, &simone).await.unwrap();
    let mut other = NoticeReader::open(&world.conn, &simone).await.unwrap();
    let waiting = handing.waiting(20, WAIT).await.unwrap();
    let held = other.next(WAIT).await.unwrap().unwrap();
    assert!(!handing.ack_through(waiting.last, SHORT).await.unwrap());
    held.ack().await.unwrap();
    assert!(handing.ack_through(waiting.last, SHORT).await.unwrap());
    assert_eq!(handing.waiting(20, SHORT).await.unwrap().notices, []);
}

/// Reads and acks `keys`, in order.
async fn read(reader: &mut NoticeReader, keys: std::ops::Range<u32>) {
    for key in keys {
        let delivery = reader.next(WAIT).await.unwrap().unwrap();
        assert_eq!(delivery.notice.objective, key.to_string());
        delivery.ack().await.unwrap();
    }
}

/// Sends them behind what the stream holds, and returns how many are confirmed.
async fn send(conn: &Connection, notices: &[Outgoing]) -> usize {
    let after = last_sent(conn).await.unwrap();
    notices::send(conn, notices, after).await.confirmed
}

#[tokio::test]
async fn of_two_senders_that_do_not_know_of_each_other_one_goes_on() {
    let world = World::start().await;
    let simone = session("simone");
    let mut stream = world.conn.jetstream().get_stream("NOTICES").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.duplicate_window = SHORT;
    world.conn.jetstream().update_stream(config).await.unwrap();
    assert_eq!(
        notices::send(&world.conn, &outgoing(&simone, 0..700), 0).await,
        Sent { confirmed: 700, last: 700 }
    );
    // The server no longer recognises their ids.
    sleep(SHORT * 2).await;
    for stale in [0, 350, 699, 701] {
        let again = notices::send(&world.conn, &outgoing(&simone, 300..900), stale).await;
        assert_eq!(again, Sent { confirmed: 0, last: stale });
    }
    // What went on where the stream ended is right, whoever sent it.
    let stored = sent_since(&world.conn, UtcTime::from_micros(0)).await.unwrap();
    assert_eq!(stored.ids.len() as u64, stored.last, "one is stored twice");
    let rest = outgoing(&simone, u32::try_from(stored.last).unwrap()..900);
    let sent = notices::send(&world.conn, &rest, stored.last).await;
    assert_eq!(sent, Sent { confirmed: rest.len(), last: 900 });
    let mut reader = NoticeReader::open(&world.conn, &simone).await.unwrap();
    read(&mut reader, 0..900).await;
    assert!(reader.next(SHORT).await.unwrap().is_none());
}

#[tokio::test]
async fn hundreds_of_notices_of_two_sessions_are_shown_in_order() {
    let world = World::start().await;
    let simone = session("simone");
    let other = session("other");
    let mut mixed = outgoing(&simone, 0..700);
    mixed.insert(100, outgoing(&other, 1000..1001).remove(0));
    assert_eq!(send(&world.conn, &mixed).await, 701);
    let mut reader = NoticeReader::open(&world.conn, &simone).await.unwrap();
    read(&mut reader, 0..700).await;
    assert!(reader.next(SHORT).await.unwrap().is_none());
    let mut reader = NoticeReader::open(&world.conn, &other).await.unwrap();
    read(&mut reader, 1000..1001).await;
}

#[tokio::test]
async fn notices_sent_twice_are_shown_once_and_in_order() {
    let world = World::start().await;
    let simone = session("Simone#1/main.>");
    let notices = outgoing(&simone, 0..30);
    assert_eq!(send(&world.conn, &notices).await, 30);
    assert_eq!(
        notices::send(&world.conn, &notices, 0).await.confirmed,
        0,
        "it does not know of the first time"
    );
    assert_eq!(send(&world.conn, &notices).await, 30, "the server knows of it");
    let mut reader = NoticeReader::open(&world.conn, &session("Simone#1/main.>")).await.unwrap();
    read(&mut reader, 0..30).await;
    assert!(reader.next(SHORT).await.unwrap().is_none());
}

#[tokio::test]
async fn a_reader_that_starts_again_goes_on_without_loss_or_repeat() {
    let mut world = World::start().await;
    let simone = session("simone");
    assert_eq!(send(&world.conn, &outgoing(&simone, 0..10)).await, 10);
    let mut reader = NoticeReader::open(&world.conn, &simone).await.unwrap();
    read(&mut reader, 0..4).await;
    drop(reader);
    // Not within the half second in which a killed server forgets acks.
    world.server.stop().await;
    world.server.restart().await;
    let other = world.server.connect().await;
    let mut reader = NoticeReader::open(&other, &simone).await.unwrap();
    read(&mut reader, 4..10).await;
    assert!(reader.next(SHORT).await.unwrap().is_none());
}

#[tokio::test]
async fn a_reader_that_waits_through_a_restart_shows_what_comes_after() {
    let mut world = World::start().await;
    let simone = session("simone");
    let mut reader = NoticeReader::open(&world.conn, &simone).await.unwrap();
    let reading = tokio::spawn(async move {
        loop {
            if let Ok(Some(delivery)) = reader.next(WAIT).await {
                return delivery.notice.objective;
            }
        }
    });
    sleep(SHORT).await;
    world.server.restart().await;
    common::eventually("it is sent", || async {
        (send(&world.conn, &outgoing(&simone, [7])).await == 1).then_some(())
    })
    .await;
    assert_eq!(timeout(common::PATIENCE, reading).await.unwrap().unwrap(), "7");
}

#[tokio::test]
async fn no_session_sees_another_s_notices() {
    let world = World::start().await;
    // Tokens that a careless encoding would mix up.
    let (one, other) = (session("a.b"), session("a_2eb"));
    assert_eq!(send(&world.conn, &outgoing(&one, 0..3)).await, 3);
    let mut reader = NoticeReader::open(&world.conn, &other).await.unwrap();
    assert!(reader.next(SHORT).await.unwrap().is_none());
    let mut reader = NoticeReader::open(&world.conn, &one).await.unwrap();
    read(&mut reader, 0..3).await;
}

#[tokio::test]
async fn an_abandoned_wait_orphans_no_notice() {
    let world = World::start().await;
    let simone = session("simone");
    let mut reader = NoticeReader::open(&world.conn, &simone).await.unwrap();
    assert!(timeout(SHORT, reader.next(WAIT)).await.is_err(), "given up while it waits");
    assert_eq!(send(&world.conn, &outgoing(&simone, 0..1)).await, 1);
    let delivery = timeout(WAIT, reader.next(WAIT)).await.unwrap().unwrap().unwrap();
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn what_is_no_notice_does_not_block_those_behind_it() {
    let world = World::start().await;
    let simone = session("simone");
    let js = world.conn.jetstream();
    js.publish("notices.simone", "not a notice".into()).await.unwrap().await.unwrap();
    assert_eq!(send(&world.conn, &outgoing(&simone, 0..1)).await, 1);
    let mut reader = NoticeReader::open(&world.conn, &simone).await.unwrap();
    read(&mut reader, 0..1).await;
}

#[tokio::test]
async fn what_was_sent_is_known_after_any_time() {
    let world = World::start().await;
    let simone = session("simone");
    let before = clock::now();
    assert!(sent_since(&world.conn, before).await.unwrap().ids.is_empty());
    let notices = outgoing(&simone, 0..2500);
    assert_eq!(send(&world.conn, &notices).await, 2500);
    let sent = sent_since(&world.conn, before).await.unwrap().ids;
    assert_eq!(sent.len(), 2500);
    assert!(notices.iter().all(|notice| sent.contains(&notice.notice_id)));
    assert!(sent_since(&world.conn, clock::now().plus(WAIT)).await.unwrap().ids.is_empty());
}

#[tokio::test]
async fn only_what_is_confirmed_without_a_gap_counts() {
    let mut world = World::start().await;
    let simone = session("simone");
    let mut notices = outgoing(&simone, 0..5);
    notices[3].body = vec![b'x'; world.conn.client().max_payload() + 1].into();
    assert_eq!(send(&world.conn, &notices).await, 3);
    world.server.stop().await;
    assert_eq!(notices::send(&world.conn, &outgoing(&simone, 5..8), 3).await, Sent { confirmed: 0, last: 3 });
}

#[tokio::test]
async fn what_no_session_has_read_is_counted() {
    let world = World::start().await;
    let (reads, never) = (session("reads/1"), session("never"));
    assert!(unread(&world.conn).await.unwrap().is_empty());
    send(&world.conn, &outgoing(&reads, 0..3)).await;
    send(&world.conn, &outgoing(&never, 10..12)).await;
    let counts = async || unread(&world.conn).await.unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(counts().await, [(never.clone(), 2), (reads.clone(), 3)]);
    let mut reader = NoticeReader::open(&world.conn, &reads).await.unwrap();
    read(&mut reader, 0..2).await;
    assert_eq!(counts().await, [(never.clone(), 2), (reads.clone(), 1)]);
    read(&mut reader, 2..3).await;
    assert_eq!(counts().await, [(never, 2)]);
}
