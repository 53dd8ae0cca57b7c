//! Streams and consumers, made and verified on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream;
use common::{World, lane_id, lanes, profile};
use vp_nats::harness::TestServer;
use vp_nats::topology::{self, TopologyConfig, TopologyError, lane_state, queue_consumer};
use vp_shared::ids::VpId;
use vp_shared::lane::Lanes;
use vp_shared::mission::{MAX_DEADLINE, MIN_LOG_RETENTION};
use vp_shared::tier::Tier;

#[tokio::test]
async fn what_is_there_already_is_verified_and_left_alone() {
    let world = World::start().await;
    world.dispatch("a").await;
    topology::ensure(&world.conn, &TopologyConfig::default(), &lanes(30)).await.unwrap();
    assert!(world.log.read(&world.lane, &world.mission("a")).await.unwrap().is_some());
    assert_eq!(lane_state(&world.conn, &world.lane).await.unwrap()[&Tier::Normal].waiting, 1);
}

#[tokio::test]
async fn looking_makes_nothing_and_names_what_is_missing() {
    let server = TestServer::start().await;
    let conn = server.connect().await;
    let (config, lanes) = (TopologyConfig::default(), lanes(30));
    for _ in 0..2 {
        let error = topology::verify(&conn, &config, &lanes).await.unwrap_err();
        assert!(matches!(&error, TopologyError::Missing { asset } if asset == "stream MISSIONS"), "{error}");
    }
    topology::ensure(&conn, &config, &lanes).await.unwrap();
    topology::verify(&conn, &config, &lanes).await.unwrap();
}

#[tokio::test]
async fn two_admins_at_once_make_one_topology() {
    let server = TestServer::start().await;
    let (one, other) = (server.connect().await, server.connect().await);
    let (config, lanes) = (TopologyConfig::default(), lanes(30));
    let (a, b) =
        tokio::join!(topology::ensure(&one, &config, &lanes), topology::ensure(&other, &config, &lanes));
    a.unwrap();
    b.unwrap();
}

#[tokio::test]
async fn a_log_that_would_forget_a_mission_before_its_deadline_is_not_made() {
    let server = TestServer::start().await;
    let conn = server.connect().await;
    for too_short in [MAX_DEADLINE, MIN_LOG_RETENTION.saturating_sub(Duration::from_secs(1))] {
        let config = TopologyConfig { retention: too_short, ..TopologyConfig::default() };
        let error = topology::ensure(&conn, &config, &lanes(30)).await.unwrap_err();
        assert!(matches!(error, TopologyError::TooShort { days: 30 }), "{error}");
        assert!(error.to_string().contains("want at least 31 days"), "{error}");
    }
    assert!(conn.jetstream().get_stream("MISSIONS").await.is_err(), "nothing was made");
    let config = TopologyConfig { retention: MIN_LOG_RETENTION, ..TopologyConfig::default() };
    topology::ensure(&conn, &config, &lanes(30)).await.unwrap();
    let mut stream = conn.jetstream().get_stream("MISSIONS").await.unwrap();
    let kept = stream.info().await.unwrap().config.clone();
    assert!(kept.max_age > MAX_DEADLINE && kept.max_bytes <= 0 && kept.max_messages <= 0, "{kept:?}");
    let error =
        topology::verify(&conn, &TopologyConfig { retention: MAX_DEADLINE, ..config }, &lanes(30)).await;
    assert!(matches!(error, Err(TopologyError::TooShort { .. })), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_differs_is_refused_by_the_field_s_name() {
    let server = TestServer::start().await;
    let conn = server.connect().await;
    let config = stream::Config {
        name: "MISSIONS".to_owned(),
        subjects: vec!["missions.>".to_owned()],
        max_age: Duration::from_hours(1),
        ..stream::Config::default()
    };
    conn.jetstream().create_stream(config).await.unwrap();
    let error = topology::ensure(&conn, &TopologyConfig::default(), &lanes(30)).await.unwrap_err();
    let TopologyError::Mismatch { asset, field, found, wanted, .. } = &error else { panic!("{error}") };
    assert_eq!((asset.as_str(), *field), ("stream MISSIONS", "max_age"), "{error}");
    assert_eq!((&**found, &**wanted), ("3600000000000", "7776000000000000"));
}

#[tokio::test]
async fn every_setting_of_a_stream_is_compared() {
    let wanted = TopologyConfig::default();
    for (field, change) in [
        ("max_bytes", serde_json::json!(1_000_000)),
        ("max_msgs", serde_json::json!(1000)),
        ("max_msg_size", serde_json::json!(1000)),
        ("compression", serde_json::json!("s2")),
        ("duplicate_window", serde_json::json!(7_000_000_000_u64)),
        ("allow_direct", serde_json::json!(false)),
    ] {
        let world = World::start().await;
        let info: serde_json::Value =
            world.conn.jetstream().request("STREAM.INFO.MISSIONS", &()).await.unwrap();
        let mut config = info["config"].clone();
        config[field] = change;
        let updated: serde_json::Value =
            world.conn.jetstream().request("STREAM.UPDATE.MISSIONS", &config).await.unwrap();
        assert!(updated["error"].is_null(), "{updated}");
        let error = topology::ensure(&world.conn, &wanted, &lanes(30)).await.unwrap_err();
        assert!(matches!(&error, TopologyError::Mismatch { field: found, .. } if *found == field), "{error}");
    }
}

#[tokio::test]
async fn a_queue_that_differs_is_refused_by_the_field_s_name() {
    let world = World::start().await;
    let name = queue_consumer(&world.lane, Tier::High);
    let stream = world.conn.jetstream().get_stream("MISSIONS").await.unwrap();
    stream.delete_consumer(&name).await.unwrap();
    let config = pull::Config {
        durable_name: Some(name),
        filter_subject: "missions.vp.coder.primary.*.dispatched.high".to_owned(),
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let error = topology::ensure(&world.conn, &TopologyConfig::default(), &lanes(30)).await.unwrap_err();
    assert!(
        matches!(&error, TopologyError::Mismatch { field: "max_ack_pending", found, .. } if &**found == "1000"),
        "{error}"
    );
}

#[tokio::test]
async fn a_deleted_queue_is_made_again_from_where_it_is_told() {
    let world = World::start().await;
    for key in ["a", "b", "c"] {
        world.dispatch(key).await;
    }
    let stream = world.conn.jetstream().get_stream("MISSIONS").await.unwrap();
    stream.delete_consumer(&queue_consumer(&world.lane, Tier::Normal)).await.unwrap();
    let missing = lane_state(&world.conn, &world.lane).await.unwrap_err();
    assert!(matches!(missing, TopologyError::Missing { .. }), "{missing}");
    topology::ensure_lane(&world.conn, &lane_id(), &profile(30), 3).await.unwrap();
    assert_eq!(lane_state(&world.conn, &world.lane).await.unwrap()[&Tier::Normal].waiting, 1);
    // Where it began is no difference.
    topology::ensure(&world.conn, &TopologyConfig::default(), &lanes(30)).await.unwrap();
}

#[tokio::test]
async fn a_topology_that_one_server_cannot_give_is_refused_in_its_words() {
    let server = TestServer::start().await;
    let conn = server.connect().await;
    let config = TopologyConfig { replicas: 3, ..TopologyConfig::default() };
    let error = topology::ensure(&conn, &config, &lanes(30)).await.unwrap_err();
    assert!(error.to_string().contains("replicas"), "{error}");
}

/// nats-server 2.15 stops at 1000 consumers of a stream unless it is told otherwise.
#[tokio::test]
async fn a_managed_server_has_room_for_more_lanes_than_the_server_allows_by_default() {
    let server = TestServer::start().await;
    let conn = server.connect().await;
    let many: Lanes = (0..251).map(|n| (VpId::new(format!("vp.many.l{n}")).unwrap(), profile(30))).collect();
    topology::ensure(&conn, &TopologyConfig::default(), &many).await.unwrap();
}
