//! Whether lanes start missions: set, looked up, followed, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{PATIENCE, World, lane_id, lanes};
use tokio::time::timeout;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::lane_modes::{LaneModeError, LaneModeWatch, lookup, set};
use vp_nats::topology::{self, TopologyConfig};
use vp_shared::lane::{LaneMode, LaneModeRecord};

fn record(mode: LaneMode, reason: Option<&str>) -> LaneModeRecord {
    LaneModeRecord { mode, by: "me".into(), reason: reason.map(str::to_owned), since: clock::now() }
}

async fn becomes(watch: &mut LaneModeWatch, mode: LaneMode) {
    let seen = async { while watch.next().await.of(&lane_id()) != mode {} };
    timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("it never became {mode}"));
}

async fn make_streams(conn: &Connection) {
    topology::ensure(conn, &TopologyConfig::default(), &lanes(30)).await.unwrap();
}

#[tokio::test]
async fn a_mode_is_kept_with_who_and_why_and_set_once() {
    let World { conn, lane, server: _server, .. } = World::start().await;
    assert_eq!(lookup(&conn, &lane).await.unwrap(), None);
    assert_eq!(set(&conn, &lane, record(LaneMode::Open, None)).await.unwrap(), (None, false));
    let paused = record(LaneMode::Paused, Some("a broken tool"));
    assert_eq!(set(&conn, &lane, paused.clone()).await.unwrap(), (Some(paused.clone()), true));
    let again = set(&conn, &lane, record(LaneMode::Paused, None)).await.unwrap();
    assert_eq!(again, (Some(paused.clone()), false), "who paused it first is kept");
    assert_eq!(lookup(&conn, &lane).await.unwrap(), Some(paused));
}

#[tokio::test]
async fn of_many_who_set_it_at_once_none_is_lost_without_a_word() {
    let World { conn, lane, server: _server, .. } = World::start().await;
    let setting = (0..6).map(|nth| {
        let (conn, lane) = (conn.clone(), lane.clone());
        async move { set(&conn, &lane, record(LaneMode::Paused, Some(&format!("reason {nth}")))).await }
    });
    let all = futures_util::future::join_all(setting).await;
    assert!(all.iter().all(|done| done.as_ref().unwrap().1), "{all:?}");
}

#[tokio::test]
async fn who_follows_hears_of_each_change_also_after_the_server_was_away() {
    let mut world = World::start().await;
    set(&world.conn, &world.lane, record(LaneMode::Paused, None)).await.unwrap();
    let mut watch = LaneModeWatch::new(&world.server.connect().await);
    assert_eq!(watch.next().await.of(&world.lane), LaneMode::Paused, "told at once");
    set(&world.conn, &world.lane, record(LaneMode::Draining, None)).await.unwrap();
    becomes(&mut watch, LaneMode::Draining).await;
    world.server.restart().await;
    // Set by another one before the follower is back.
    let other = world.server.connect().await;
    set(&other, &world.lane, record(LaneMode::Open, None)).await.unwrap();
    becomes(&mut watch, LaneMode::Open).await;
    set(&other, &world.lane, record(LaneMode::Paused, None)).await.unwrap();
    becomes(&mut watch, LaneMode::Paused).await;
}

#[tokio::test]
async fn without_a_bucket_all_lanes_are_open_until_it_is_back() {
    let World { conn, lane, server: _server, .. } = World::start().await;
    set(&conn, &lane, record(LaneMode::Open, Some("x"))).await.unwrap();
    for _ in 0..5 {
        set(&conn, &lane, record(LaneMode::Draining, None)).await.unwrap();
        set(&conn, &lane, record(LaneMode::Paused, None)).await.unwrap();
    }
    let mut watch = LaneModeWatch::new(&conn);
    becomes(&mut watch, LaneMode::Paused).await;
    conn.jetstream().delete_stream("KV_LANES").await.unwrap();
    becomes(&mut watch, LaneMode::Open).await;
    assert_eq!(lookup(&conn, &lane).await, Err(LaneModeError::NoBucket));
    assert!(set(&conn, &lane, record(LaneMode::Paused, None)).await.is_err());
    // Its sequences begin again, below those that were seen.
    make_streams(&conn).await;
    set(&conn, &lane, record(LaneMode::Paused, None)).await.unwrap();
    becomes(&mut watch, LaneMode::Paused).await;
}

#[tokio::test]
async fn a_mode_that_cannot_be_read_changes_nothing_and_can_be_replaced() {
    let World { conn, lane, server: _server, .. } = World::start().await;
    set(&conn, &lane, record(LaneMode::Paused, None)).await.unwrap();
    let mut watch = LaneModeWatch::new(&conn);
    becomes(&mut watch, LaneMode::Paused).await;
    let key = format!("$KV.LANES.{lane}");
    conn.jetstream().publish(key, "asleep".into()).await.unwrap().await.unwrap();
    let seen = timeout(PATIENCE, watch.next()).await.unwrap();
    assert_eq!(seen.of(&lane), LaneMode::Paused);
    assert!(matches!(lookup(&conn, &lane).await, Err(LaneModeError::Failed { .. })));
    assert!(set(&conn, &lane, record(LaneMode::Open, None)).await.unwrap().1);
    becomes(&mut watch, LaneMode::Open).await;
}
