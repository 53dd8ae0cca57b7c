//! The door over HTTP: resources, statuses, tokens and hosts, notices as events, and MCP.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::HOST;
use reqwest::{Client as Http, Response, StatusCode};
use rmcp::ServiceExt as _;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use tokio::time::timeout;
use vp_tests::until::until_true;

use crate::doors::{Client, Host, installation, journey, progress, up};

const GENERAL: &str = "0123456789abcdef-general";
const SIMONE: &str = "0123456789abcdef-simone";
const OTHER: &str = "0123456789abcdef-other";

fn keys() -> String {
    format!("token = \"{GENERAL}\"\ncredentials = [\"simone:{SIMONE}\", \"other:{OTHER}\"]")
}

async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

async fn post(url: &str, token: &str, body: Value) -> (u16, Value) {
    answer(Http::new().post(url).bearer_auth(token).json(&body).send().await.unwrap()).await
}

async fn get(url: &str, token: &str) -> (u16, Value) {
    answer(Http::new().get(url).bearer_auth(token).send().await.unwrap()).await
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    assert_eq!(answer.1["ok"], false, "{}", answer.1);
    (answer.0, answer.1["error"]["code"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_are_resources_with_statuses_of_their_codes() {
    let vp = installation(&keys());
    let (_up, base) = up(&vp).await;
    let missions = format!("{base}/api/v1/missions");
    let input = json!({"vp_id": "vp.general.primary", "objective": "Report", "idempotency_key": "k"});
    let (status, made) = post(&missions, SIMONE, input.clone()).await;
    assert_eq!((status, &made["ok"]), (201, &json!(true)), "{made}");
    assert_eq!(post(&missions, SIMONE, input).await.0, 200);
    let one = format!("{missions}/{}", made["mission_id"].as_str().unwrap());
    let (status, waited) = post(&format!("{one}/wait"), SIMONE, json!({"timeout_seconds": 60})).await;
    assert_eq!((status, &waited["mission"]["status"]), (200, &json!("completed")), "{waited}");
    assert_eq!(waited["mission"]["source"]["session_id"], "simone");
    assert_eq!(get(&one, GENERAL).await.1["terminal"], true);
    let listed = get(&format!("{missions}?status=completed&status=failed&limit=5"), SIMONE).await;
    assert_eq!(listed.1["count"], 1, "{}", listed.1);
    let read = get(&format!("{one}/artifacts?max_files=1"), SIMONE).await;
    assert_eq!((read.0, &read.1["files_listed"]), (200, &json!(1)), "{}", read.1);
    let file =
        Http::new().get(format!("{one}/artifacts/result.md")).bearer_auth(SIMONE).send().await.unwrap();
    assert_eq!(file.headers()["content-disposition"], "attachment");
    assert_eq!(file.headers()["x-content-type-options"], "nosniff");
    assert_eq!(file.text().await.unwrap(), "# Result\n");
    let routed = post(
        &format!("{base}/api/v1/route"),
        SIMONE,
        json!({"text": "Ask the General VP to write a report"}),
    )
    .await;
    assert_eq!((routed.0, &routed.1["decision"]), (200, &json!("delegate")), "{}", routed.1);

    let bad = |input| post(&missions, SIMONE, input);
    assert_eq!(code(&bad(json!({"vp_id": "vp.x.y", "objective": "x"})).await), (404, "unknown_lane"));
    assert_eq!(code(&bad(json!({"vp_id": "vp.general.primary"})).await), (400, "validation_error"));
    let other = json!({"vp_id": "vp.general.primary", "objective": "Other", "idempotency_key": "k"});
    assert_eq!(code(&bad(other).await), (409, "idempotency_conflict"));
    assert_eq!(
        code(&get(&format!("{missions}/m-aaaaaaaaaaaaaaaaaaaaaaaaaa"), SIMONE).await),
        (404, "not_found")
    );
    assert_eq!(code(&get(&format!("{missions}?limit=0"), SIMONE).await), (400, "validation_error"));
    assert_eq!(code(&get(&format!("{missions}?nonsense=1"), SIMONE).await), (400, "validation_error"));
    assert_eq!(
        code(&get(&format!("{one}/artifacts/..%2F..%2Fsecret"), SIMONE).await),
        (404, "artifact_unavailable")
    );
    assert_eq!(code(&post(&format!("{one}/cancel"), SIMONE, json!({})).await), (409, "already_terminal"));
    assert_eq!(code(&get(&format!("{base}/nowhere"), SIMONE).await), (404, "not_found"));
    assert_eq!(code(&get(&format!("{one}/wait"), SIMONE).await).0, 405);
    let sessionless =
        post(&missions, GENERAL, json!({"vp_id": "vp.general.primary", "objective": "x"})).await;
    assert_eq!(code(&sessionless), (403, "forbidden"));
    let served = get(&format!("{base}/openapi.json"), SIMONE).await.1;
    let copy = include_str!("../../../docs/openapi.json");
    assert_eq!(served, serde_json::from_str::<Value>(copy).unwrap());
    assert_eq!(get(&format!("{base}/healthz"), SIMONE).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_with_a_wrong_token_or_under_a_foreign_host() {
    let vp = installation(&keys());
    let (_up, base) = up(&vp).await;
    for path in
        ["/api/v1/missions", "/mcp", "/openapi.json", "/healthz", "/api/v1/sessions/simone/notices", "/x"]
    {
        let url = format!("{base}{path}");
        let ask = |token: Option<&str>, header: (&'static str, &str)| {
            let request = Http::new().get(&url).header(header.0, header.1);
            token.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token)).send()
        };
        let none = ask(None, ("x", "y")).await.unwrap();
        assert_eq!(none.status(), 401, "{path}");
        assert_eq!(none.headers()["www-authenticate"], "Bearer");
        assert_eq!(ask(Some("0123456789abcdef-nobody"), ("x", "y")).await.unwrap().status(), 401, "{path}");
        assert_eq!(
            ask(Some(GENERAL), (HOST.as_str(), "evil.example")).await.unwrap().status(),
            403,
            "{path}"
        );
        let page = ask(Some(GENERAL), ("origin", "http://evil.example")).await.unwrap();
        assert_eq!(page.status(), 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_dispatcher_waits_for_the_port_and_takes_it_over() {
    let vp = installation("");
    let (_up, base) = up(&vp).await;
    let port = format!("--set=http.dispatcher={}", base.trim_start_matches("http://"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let own = format!("--set=http.dispatcher={free}");
    let mut first = vp.spawn("first", [own.as_str(), "dispatcher"]);
    first.until_it_says(&format!("http://{free}/mcp")).await;
    let mut second = vp.spawn("second", [own.as_str(), "dispatcher"]);
    second.until_it_says("wait until it is gone").await;
    let mut third = vp.spawn("third", [port.as_str(), "dispatcher"]);
    third.until_it_says("wait until it is gone").await;
    assert!(first.terminate().await.success());
    until_true("the second one serves", async || {
        Http::new().get(format!("http://{free}/healthz")).send().await.is_ok()
    })
    .await;
    assert!(second.terminate().await.success() && third.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_hosts_come_in_over_http_as_the_session_of_their_credential() {
    let vp = installation(&keys());
    let (_up, base) = up(&vp).await;
    let client = mcp(&base, SIMONE).await.unwrap();
    journey(&client, "simone").await;
    progress(&client, &vp).await;
    client.cancel().await.unwrap();
    assert!(mcp(&base, "0123456789abcdef-nobody").await.is_err());
    // The general token is of no session: nobody could be told.
    assert!(mcp(&base, GENERAL).await.is_err());
    let refused =
        post(&format!("{base}/mcp"), GENERAL, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
    assert_eq!(code(&refused), (403, "forbidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_never_say_goodbye_do_not_pile_up() {
    let vp = installation(&keys());
    let (_up, base) = up(&vp).await;
    let url = format!("{base}/mcp");
    let http = Http::new();
    let say = async |session: Option<&str>, message: &Value| {
        let request = http.post(&url).bearer_auth(SIMONE).json(message);
        let request = request.header("accept", "application/json, text/event-stream");
        let request = match session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        };
        request.send().await.unwrap()
    };
    let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let mut sessions = Vec::new();
    for _ in 0..514 {
        let welcomed = say(None, &begin).await;
        assert_eq!(welcomed.status(), StatusCode::OK);
        sessions.push(welcomed.headers()["mcp-session-id"].to_str().unwrap().to_owned());
        // The first one goes on to talk; the second one never says a word again.
        let kept = say(Some(&sessions[0]), &ping).await;
        assert_eq!(kept.status(), StatusCode::OK, "after {}", sessions.len());
    }
    let silent = say(Some(&sessions[1]), &ping).await;
    assert_eq!(silent.status(), StatusCode::NOT_FOUND, "its host begins again");
    assert_eq!(say(sessions.last().map(String::as_str), &ping).await.status(), StatusCode::OK);
}

async fn mcp(base: &str, token: &str) -> Result<Client, String> {
    let config = StreamableHttpClientTransportConfig::with_uri(format!("{base}/mcp")).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let connected = timeout(Duration::from_secs(30), Host::default().serve(transport)).await.unwrap();
    connected.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_are_events_that_go_on_where_the_reader_left_off() {
    let vp = installation(&keys());
    let (_up, base) = up(&vp).await;
    for key in ["a", "b"] {
        let input = json!({"vp_id": "vp.general.primary", "objective": key, "idempotency_key": key, "reply_mode": "final"});
        let (status, made) = post(&format!("{base}/api/v1/missions"), SIMONE, input).await;
        assert_eq!(status, 201, "{made}");
        let id = made["mission_id"].as_str().unwrap();
        post(&format!("{base}/api/v1/missions/{id}/wait"), SIMONE, json!({})).await;
    }
    let notices = format!("{base}/api/v1/sessions/simone/notices");
    let first = events(&notices, None, 2).await;
    assert_eq!(objectives(&first), ["a", "b"]);
    // Reading marks nothing: who comes without a place gets both again, who comes with one gets what is behind it.
    assert_eq!(events(&notices, None, 2).await, first);
    assert_eq!(objectives(&events(&notices, Some(&first[0].0), 1).await), ["b"]);
    let (status, acked) =
        post(&format!("{notices}/ack"), SIMONE, json!({"up_to": first[0].0.parse::<u64>().unwrap()})).await;
    assert_eq!((status, &acked["acked"]), (200, &json!(1)), "{acked}");
    assert_eq!(objectives(&events(&notices, None, 1).await), ["b"]);
    until_true("the command line is shown what is left", async || {
        let left = vp.run(["-o", "ndjson", "notices", "--session", "simone"]);
        let left = String::from_utf8(left.stdout).unwrap();
        left.lines().count() == 1 && left.contains("\"objective\":\"b\"")
    })
    .await;
    assert_eq!(code(&get(&notices, OTHER).await), (403, "forbidden"));
    assert_eq!(code(&post(&format!("{notices}/ack"), OTHER, json!({"up_to": 1})).await), (403, "forbidden"));
    let wrong =
        Http::new().get(&notices).bearer_auth(SIMONE).header("last-event-id", "x").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
}

fn objectives(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(_, notice)| notice["objective"].as_str().unwrap()).collect()
}

/// The next so many events: id and data.
async fn events(url: &str, after: Option<&str>, wanted: usize) -> Vec<(String, Value)> {
    let mut request = Http::new().get(url).bearer_auth(SIMONE);
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut text, mut found) = (String::new(), Vec::new());
    while found.len() < wanted {
        let chunk = timeout(Duration::from_secs(30), response.chunk()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        found = text.split("\n\n").filter_map(event).collect();
    }
    found
}

fn event(block: &str) -> Option<(String, Value)> {
    let fields: HashMap<&str, &str> = block.lines().filter_map(|line| line.split_once(": ")).collect();
    if fields.get("event") != Some(&"notice") || !fields.contains_key("id") {
        return None;
    }
    Some((fields["id"].to_owned(), serde_json::from_str(fields.get("data")?).ok()?))
}
