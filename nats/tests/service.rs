//! Micro services and hints.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{World, event, started};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use vp_nats::connect::Connection;
use vp_nats::service::{EndpointSpec, RequestError, Service, ServiceRequest, ServiceSpec, request};
use vp_nats::watch::MissionWatch;
use vp_shared::ids::SessionId;
use vp_shared::mission::EventKind;

const WAIT: Duration = Duration::from_secs(5);

fn spec(max_in_flight: usize) -> ServiceSpec {
    let endpoint = |name: &str| EndpointSpec {
        name: name.to_owned(),
        subject: format!("vp.tool.{name}"),
        metadata: HashMap::from([("input".to_owned(), "{}".to_owned())]),
    };
    ServiceSpec {
        name: "vp".to_owned(),
        description: "the tools".to_owned(),
        endpoints: vec![endpoint("one"), endpoint("two")],
        max_in_flight,
    }
}

/// Tells what it was asked.
async fn echo(request: ServiceRequest) -> Vec<u8> {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    serde_json::json!({ "ok": body != "fail", "endpoint": request.endpoint, "session": request.session_id,
        "error": (body == "fail").then(|| serde_json::json!({ "code": "not_found" })) })
    .to_string()
    .into_bytes()
}

async fn ask(
    conn: &Connection,
    subject: &str,
    body: &'static str,
) -> Result<serde_json::Value, RequestError> {
    let session = SessionId::new("simone").unwrap();
    let answer = request(conn, subject, body.into(), Some(&session), WAIT).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

#[tokio::test]
async fn requests_are_answered_by_the_endpoint_they_came_to() {
    let world = World::start().await;
    let _service = Service::start(&world.conn, spec(4), echo).await.unwrap();
    let client = world.server.connect().await;
    for name in ["one", "two"] {
        let answer = ask(&client, &format!("vp.tool.{name}"), "{}").await.unwrap();
        assert_eq!((&answer["endpoint"], &answer["session"]), (&name.into(), &"simone".into()));
    }
    let answer = request(&client, "vp.tool.one", "{}".into(), None, WAIT).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("\"session\":null"));
}

#[tokio::test]
async fn an_error_has_its_body_and_the_error_headers() {
    let world = World::start().await;
    let _service = Service::start(&world.conn, spec(4), echo).await.unwrap();
    let message = world.conn.client().request("vp.tool.one", "fail".into()).await.unwrap();
    let header = |name: &str| message.headers.as_ref().unwrap().get(name).unwrap().as_str().to_owned();
    assert_eq!(
        (header("Nats-Service-Error"), header("Nats-Service-Error-Code")),
        ("not_found".into(), "400".into())
    );
    let answer: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(answer["error"]["code"], "not_found");
    let fine = world.conn.client().request("vp.tool.one", "{}".into()).await.unwrap();
    assert!(fine.headers.is_none());
}

#[tokio::test]
async fn the_usual_tools_find_it() {
    let world = World::start().await;
    let _service = Service::start(&world.conn, spec(4), echo).await.unwrap();
    ask(&world.conn, "vp.tool.one", "{}").await.unwrap();
    let get = |subject: &'static str| {
        let client = world.conn.client().clone();
        async move {
            let answer = client.request(subject, "".into()).await.unwrap();
            serde_json::from_slice::<serde_json::Value>(&answer.payload).unwrap()
        }
    };
    assert_eq!(get("$SRV.PING").await["name"], "vp");
    let info = get("$SRV.INFO.vp").await;
    let subjects: Vec<_> =
        info["endpoints"].as_array().unwrap().iter().map(|e| e["subject"].clone()).collect();
    assert!(subjects.contains(&"vp.tool.one".into()) && subjects.contains(&"vp.tool.two".into()), "{info}");
    assert_eq!(info["endpoints"][0]["metadata"]["input"], "{}");
    let stats = get("$SRV.STATS.vp").await;
    let handled: u64 =
        stats["endpoints"].as_array().unwrap().iter().map(|e| e["num_requests"].as_u64().unwrap()).sum();
    assert_eq!(handled, 1, "{stats}");
}

#[tokio::test]
async fn at_most_so_many_requests_are_handled_at_a_time_and_none_is_lost() {
    let world = World::start().await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (in_handler, seen) = (Arc::clone(&running), Arc::clone(&most));
    let handler = move |request: ServiceRequest| {
        let (running, most) = (Arc::clone(&in_handler), Arc::clone(&seen));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(20)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            echo(request).await
        }
    };
    let _service = Service::start(&world.conn, spec(3), handler).await.unwrap();
    let answers = join_all((0..30).map(|_| ask(&world.conn, "vp.tool.one", "{}"))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_stopped_service_answers_what_it_has_and_then_nobody_answers() {
    let world = World::start().await;
    let slow = |request: ServiceRequest| async move {
        sleep(Duration::from_millis(300)).await;
        echo(request).await
    };
    let service = Service::start(&world.conn, spec(2), slow).await.unwrap();
    let client = world.server.connect().await;
    let asked = tokio::spawn(async move {
        let answers = join_all((0..4).map(|_| ask(&client, "vp.tool.one", "{}"))).await;
        (answers, client)
    });
    sleep(Duration::from_millis(100)).await;
    timeout(WAIT, service.stop()).await.unwrap();
    let (answers, client) = asked.await.unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let error = ask(&client, "vp.tool.one", "{}").await.unwrap_err();
    assert_eq!(error, RequestError::NoResponders("vp.tool.one".to_owned()));
}

#[tokio::test]
async fn a_handler_that_panics_takes_down_neither_the_service_nor_its_place() {
    let world = World::start().await;
    let handler = |request: ServiceRequest| async move {
        assert_ne!(&request.body[..], b"panic", "as asked");
        echo(request).await
    };
    let _service = Service::start(&world.conn, spec(1), handler).await.unwrap();
    let short = Duration::from_millis(300);
    let error = request(&world.conn, "vp.tool.one", "panic".into(), None, short).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
    ask(&world.conn, "vp.tool.one", "{}").await.unwrap();
}

#[tokio::test]
async fn a_request_has_an_end_even_without_a_server() {
    let mut world = World::start().await;
    world.server.stop().await;
    let begun = Instant::now();
    let error =
        request(&world.conn, "vp.tool.one", "{}".into(), None, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn hints_tell_what_was_published_about_a_mission_and_a_lane() {
    let world = World::start().await;
    let mut mission = MissionWatch::mission(&world.conn, &world.lane, &world.mission("k")).await.unwrap();
    let kinds = [EventKind::Dispatched, EventKind::Started];
    let mut lane = MissionWatch::lane(&world.conn, &world.lane, &kinds).await.unwrap();
    world.conn.flush().await.unwrap();
    let seq = world.dispatch("k").await;
    world.dispatch("other").await;
    world.log.append(&event("k", 1, started("a", "lease")), seq).await.unwrap();
    for _ in 0..2 {
        let hint = timeout(WAIT, mission.next()).await.unwrap().unwrap();
        assert_eq!(hint.mission_id, world.mission("k"));
    }
    for _ in 0..3 {
        timeout(WAIT, lane.next()).await.unwrap().unwrap();
    }
    assert!(
        timeout(Duration::from_millis(100), mission.next()).await.is_err(),
        "nothing of the other mission"
    );
}
