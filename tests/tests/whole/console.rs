//! The console's acts, over plain HTTP, through the dispatcher's service, to the log.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use vp_bridge::{Bridge, BridgeConfig, ConsoleConfig};
use vp_shared::door::{DoorKeys, Guard};
use vp_shared::ids::MissionId;
use vp_shared::mission::{EventKind, Status};
use vp_tests::lanes::{CODER, shell_lane};
use vp_tests::until::{PATIENCE, until_true};
use vp_tests::world::{HOST, SESSION, World};

/// Runs until it is stopped when it is told to, else delivers.
const LANE: &str =
    "case $(cat) in *forever*) while :; do sleep 0.05; done;; esac; echo '# Result' > result.md";

async fn ask(address: SocketAddr, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let form = "Content-Type: application/x-www-form-urlencoded";
    let text = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nConnection: close\r\n{form}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = &text[text.find(from).unwrap_or_else(|| panic!("no {from} in {text}")) + from.len()..];
    &rest[..rest.find(to).unwrap()]
}

/// Asks the page that asks, and sends the form that it has.
async fn act(address: SocketAddr, path: &str, more: &str) -> (String, String) {
    let page = ask(address, &format!("GET {path}"), "").await;
    let nonce = between(&page, "name=\"nonce\" value=\"", "\"");
    let token = between(&page, "name=\"token\" value=\"", "\"");
    let form = format!("nonce={nonce}&token={token}{more}");
    (ask(address, &format!("POST {path}"), &form).await, form)
}

async fn with_console(world: &World) -> (Bridge, SocketAddr) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let guard = Guard::new(listen, DoorKeys::default(), None).unwrap();
    let mut config = BridgeConfig::new(world.ledger(), world.lanes().clone());
    config.console = Some(ConsoleConfig { listen, guard, host: HOST.into() });
    let bridge = Bridge::start(world.server.connect().await, config).await.unwrap();
    let mut status = bridge.status();
    let served = timeout(PATIENCE, status.wait_for(|status| status.console.is_some())).await;
    let address = served.unwrap().unwrap().console.unwrap();
    (bridge, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_is_cancelled_and_dispatched_again_in_the_console() {
    let world = World::builder().lane(CODER, shell_lane(LANE)).workers(1).without_bridge().start().await;
    let service = vp_dispatcher::service::serve(world.dispatcher().clone()).await.unwrap();
    let (bridge, address) = with_console(&world).await;
    let shows =
        async |path: String, what: &str| ask(address, &format!("GET {path}"), "").await.contains(what);

    let endless = world.dispatch(CODER, json!({"objective": "go on forever"})).await;
    world.until_status(&endless, Status::Running).await;
    until_true("the page shows it running", async || {
        shows(format!("/missions/{endless}"), "chip running").await
    })
    .await;
    let (answer, _) =
        act(address, &format!("/missions/{endless}/cancel"), "&reason=no+longer+%3Cneeded%3E").await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("said=cancel_requested"), "{answer}");
    let log = world.until_status(&endless, Status::Cancelled).await;
    let asked = log.mission.cancel.unwrap();
    assert_eq!((asked.by.as_str(), asked.reason.as_str()), ("console", "no longer <needed>"));
    until_true("the session's feed tells why", async || {
        shows(format!("/feed?session={SESSION}"), "no longer &#60;needed&#62;").await
    })
    .await;

    let first = world.dispatch(CODER, json!({"objective": "write it", "constraints": {"a": 1}})).await;
    world.until_status(&first, Status::Completed).await;
    until_true("the page shows its end", async || {
        shows(format!("/missions/{first}"), "chip completed").await
    })
    .await;
    let (answer, form) = act(address, &format!("/missions/{first}/again"), "").await;
    let second = MissionId::new(between(&answer, "location: /missions/", "?said=dispatched")).unwrap();
    assert_ne!(first, second);
    world.until_status(&second, Status::Completed).await;
    let (one, other) = (world.log(&first).await, world.log(&second).await);
    assert_eq!(one.mission.spec.objective, other.mission.spec.objective);
    assert_eq!(one.mission.spec.constraints, other.mission.spec.constraints);
    assert_eq!(one.mission.source.session_id, other.mission.source.session_id);
    let twice = ask(address, &format!("POST /missions/{first}/again"), &form).await;
    assert!(twice.contains(second.as_str()), "a form that is sent twice does it once: {twice}");
    let ended = world.kinds(&second).await;
    assert_eq!(ended.iter().filter(|kind| **kind == EventKind::Completed).count(), 1);
    bridge.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_paused_drained_and_resumed_in_the_console() {
    let world = World::builder().lane(CODER, shell_lane(LANE)).workers(1).without_bridge().start().await;
    let service = vp_dispatcher::service::serve(world.dispatcher().clone()).await.unwrap();
    let (bridge, address) = with_console(&world).await;
    let lanes = async || ask(address, "GET /lanes", "").await;
    let path = |act: &str| format!("/lanes/{CODER}/{act}");
    let page = lanes().await;
    assert!(
        page.contains(&path("pause")) && page.contains(&path("drain")) && !page.contains(&path("resume"))
    );

    let (answer, form) = act(address, &path("pause"), "&reason=+a+%3Cbroken%3E+tool+").await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("said=paused"), "{answer}");
    assert!(ask(address, "GET /lanes?said=paused", "").await.contains("The lane is paused"));
    let mission = world.dispatch(CODER, json!({"objective": "write it"})).await;
    until_true("who paused it and why is shown, and the worker knows", async || {
        let page = lanes().await;
        page.contains("a &#60;broken&#62; tool")
            && page.contains("<strong>console</strong>")
            && page.matches("chip draining\">paused").count() == 2
    })
    .await;
    until_true("the mission's page says why it waits", async || {
        ask(address, &format!("GET /missions/{mission}"), "").await.contains("is paused by console")
    })
    .await;
    assert_eq!(world.kinds(&mission).await, [EventKind::Dispatched]);

    let resume = ask(address, &format!("POST {}", path("resume")), &form).await;
    assert!(resume.starts_with("HTTP/1.1 403"), "a form is for one act: {resume}");
    let (answer, _) = act(address, &path("resume"), "&reason=").await;
    assert!(answer.contains("said=open"), "{answer}");
    world.until_status(&mission, Status::Completed).await;

    let (answer, _) = act(address, &path("drain"), "").await;
    assert!(answer.contains("said=draining"), "{answer}");
    assert!(lanes().await.contains("chip draining\">draining"));
    for nowhere in ["/lanes/vp.no.lane/pause", "/lanes/nonsense/pause", &path("stop")] {
        assert!(ask(address, &format!("GET {nowhere}"), "").await.starts_with("HTTP/1.1 404"), "{nowhere}");
    }
    bridge.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_executor_says_is_shown_while_it_runs_and_when_it_has_ended() {
    let lane =
        "echo 'begun <b>'; until test -e go; do sleep 0.02; done; echo finished; echo '# Result' > result.md";
    let world = World::builder().lane(CODER, shell_lane(lane)).workers(1).without_bridge().start().await;
    let (bridge, address) = with_console(&world).await;
    let mission = world.dispatch(CODER, json!({"objective": "write it"})).await;
    world.until_status(&mission, Status::Running).await;
    let log = async || {
        let page = ask(address, &format!("GET /missions/{mission}"), "").await;
        between(&page, "<details id=\"log\"", "</details>").to_owned()
    };
    until_true("the page shows what it says", async || log().await.contains("begun &#60;b&#62;")).await;
    let mut open = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /missions/{mission}/live HTTP/1.1\r\nHost: {address}\r\n\r\n");
    open.write_all(request.as_bytes()).await.unwrap();
    let mut text = until_read(&mut open, String::new(), "event: log").await;
    text = until_read(&mut open, text, "begun").await;
    assert!(!text.contains("finished"), "{text}");
    std::fs::write(world.workspace(CODER, &mission, 1).join("go"), "").unwrap();
    until_read(&mut open, text, "finished").await;
    world.until_status(&mission, Status::Completed).await;
    until_true("it is shown when the mission has ended", async || {
        let log = log().await;
        log.contains("begun &#60;b&#62;") && log.contains("finished")
    })
    .await;
    bridge.stop().await;
}

async fn until_read(stream: &mut TcpStream, mut text: String, what: &str) -> String {
    let mut bytes = [0; 4096];
    while !text.contains(what) {
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "the stream ended before {what}: {text}");
        text += &String::from_utf8_lossy(&bytes[..read]);
    }
    text
}
