//! The console over plain HTTP, as a person without a script and as a page of somebody else would ask.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use support::script::{CODER, GENERAL, Script};
use support::{PATIENCE, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use vp_bridge::harness::LedgerKind;
use vp_bridge::{Bridge, BridgeConfig, ConsoleConfig, on_both_ledgers};
use vp_nats::bridges::BRIDGES_PATIENCE;
use vp_shared::artifact::{Artifact, Category, MissionResult};
use vp_shared::door::{DoorKeys, Guard, TokenDigest};
use vp_shared::event::EventBody;

const TOKEN: &str = "0123456789abcdef-secret";
/// What a mission may say, and a page must not become.
const PROBE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n no more than its first bytes";

/// A console, and who asks it.
struct Console {
    bridge: Bridge,
    address: SocketAddr,
}

struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Console {
    async fn start(world: &World, keys: DoorKeys) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let guard = Guard::new(listen, keys, None).unwrap();
        let console = Some(ConsoleConfig { listen, guard, host: "host-1".into() });
        let bridge = world.bridge_with(BridgeConfig { console, ..world.config() }).await;
        let mut status = bridge.status();
        let served = timeout(PATIENCE, status.wait_for(|status| status.console.is_some())).await;
        let address = served.unwrap().unwrap().console.unwrap();
        Self { bridge, address }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut lines = vec![format!("{method} {path} HTTP/1.1"), "Connection: close".to_owned()];
        if !headers.iter().any(|(name, _)| *name == "Host") {
            lines.push(format!("Host: {}", self.address));
        }
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if method == "POST" {
            lines.push("Content-Type: application/x-www-form-urlencoded".to_owned());
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let request = lines.join("\r\n");
        stream.write_all(format!("{request}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answered { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, &[], "").await
    }

    async fn page(&self, path: &str) -> String {
        let answered = self.get(path).await;
        assert_eq!(answered.status, 200, "{path}: {}", answered.body);
        answered.body
    }
}

/// A mission that left these files behind on this host, whatever their names.
fn ended(world: &World, script: &mut Script, files: &[(&str, Category, &[u8])]) -> MissionResult {
    let root = world.dir.path().join(script.mission_id.as_str());
    let artifacts = files.iter().map(|(path, category, content)| {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        let digits: Vec<_> = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        Artifact {
            path: (*path).into(),
            category: *category,
            bytes: content.len() as u64,
            media_type: "text/plain".into(),
            sha256: digits.concat(),
            stored: false,
        }
    });
    let artifacts: Vec<_> = artifacts.collect();
    std::fs::write(root.join("mission_receipt.json"), "{\"the\": \"receipt\"}").unwrap();
    std::fs::write(root.join("sync_ready.json"), "{}").unwrap();
    let primary = files.iter().filter(|(_, category, _)| *category == Category::PrimaryWorkProduct).count();
    MissionResult {
        result_ref: Some(format!("workspace://host-1{}", root.display())),
        artifacts_total: artifacts.len() as u64,
        primary_total: primary as u64,
        artifacts,
        receipt: Some("mission_receipt.json".into()),
        sync_marker: Some("sync_ready.json".into()),
        ..MissionResult::default()
    }
}

async fn complete(world: &mut World, script: &mut Script, summary: &str, result: MissionResult) {
    let usage = support::script::usage();
    let completed = EventBody::Completed { summary: summary.into(), result, usage };
    for event in [script.dispatched(), script.started(), script.outcome(), script.event(completed)] {
        world.append(&event).await;
    }
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = &text[text.find(from).unwrap_or_else(|| panic!("no {from} in {text}")) + from.len()..];
    &rest[..rest.find(to).unwrap_or(rest.len())]
}

async fn a_completion_is_shown_in_three_groups_with_previews_and_downloads(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let mut script = Script::new(CODER, "report");
    let files: [(&str, Category, &[u8]); 3] = [
        ("out/report.md", Category::PrimaryWorkProduct, b"# The report"),
        ("chart.png", Category::PrimaryWorkProduct, PNG),
        ("run.log", Category::SupportingArtifact, b"a line"),
    ];
    let result = ended(&world, &mut script, &files);
    complete(&mut world, &mut script, "all is well", result).await;
    let console = Console::start(&world, DoorKeys::default()).await;
    world.settled().await;
    let id = script.mission_id.clone();
    assert!(console.page("/sessions").await.contains("/feed?session=simone-1#latest"));
    for path in ["/feed?session=simone-1".to_owned(), format!("/missions/{id}")] {
        let page = console.page(&path).await;
        assert!(page.contains("all is well"), "{path}");
        let primary = between(&page, "Primary work product", "</section>");
        assert!(primary.contains("# The report") && primary.contains("<img"), "{primary}");
        assert!(between(&page, "Supporting artifacts", "</section>").contains("run.log"), "{path}");
        let receipts = between(&page, "Receipt and sync marker", "</section>");
        assert!(receipts.contains("mission_receipt.json") && receipts.contains("sync_ready.json"));
    }
    let file = |path: &str, act: &str| format!("/missions/{id}/{act}?path={path}");
    let got = console.get(&file("out%2Freport.md", "file")).await;
    assert_eq!((got.status, got.body.as_str()), (200, "# The report"));
    assert!(got.header("content-disposition").unwrap().starts_with("attachment; filename=\"report.md\""));
    assert_eq!(got.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(console.get(&file("chart.png", "image")).await.header("content-type"), Some("image/png"));
    assert_eq!(console.get(&file("out%2Freport.md", "image")).await.status, 400, "no image by its bytes");
    assert!(console.page(&file("mission_receipt.json", "text")).await.contains("&#34;receipt&#34;"));
    for path in ["..%2f..%2fetc%2fpasswd", "%2Fetc%2Fpasswd", "none.md"] {
        assert_eq!(console.get(&file(path, "file")).await.status, 404, "{path}");
    }
    std::fs::write(world.dir.path().join(id.as_str()).join("run.log"), "b line").unwrap();
    assert_eq!(console.get(&file("run.log", "file")).await.status, 410, "it is not what was told of");
}

async fn missions_are_filtered_searched_and_paged(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    for nth in 0..70_i64 {
        let lane = if nth % 2 == 0 { CODER } else { GENERAL };
        let mut script = Script::new(lane, &format!("number-{nth:02}"))
            .at(1_700_000_000_000_000 + nth * 1_000_000)
            .session(Some(if nth < 60 { "simone-1" } else { "other & one" }).filter(|id| !id.contains(' ')));
        world.append(&script.dispatched()).await;
    }
    let console = Console::start(&world, DoorKeys::default()).await;
    world.settled().await;
    let mut seen = Vec::new();
    let mut path = "/missions?status=queued".to_owned();
    loop {
        let page = console.page(&path).await;
        seen.extend(page.split("Do number-").skip(1).map(|rest| rest[..2].to_owned()));
        if !page.contains("rel=\"next\"") {
            break;
        }
        let next = page.split("class=\"button\" href=\"").nth(1).unwrap();
        path = next[..next.find('"').unwrap()].replace("&#38;", "&");
    }
    let wanted: Vec<_> = (0..70).rev().map(|nth| format!("{nth:02}")).collect();
    assert_eq!(seen, wanted, "each once, the newest first");
    let found = async |query: &str| {
        console.page(&format!("/missions?{query}")).await.matches("<th scope=\"row\">").count()
    };
    assert_eq!(found("vp=vp.coder.primary&q=NUMBER-0").await, 5);
    assert_eq!(found("q=number-07").await, 1);
    assert_eq!(found("q=number+nothing").await, 0);
    assert_eq!(found("status=ended").await, 0);
    assert_eq!(found("session=simone-1&vp=vp.general.primary").await, 30);
    let id = Script::new(CODER, "number-08").mission_id;
    assert_eq!(found(&format!("q={id}")).await, 1);
    for wrong in ["status=bogus", "vp=bogus", "after=bogus", "session=%00"] {
        assert_eq!(console.get(&format!("/missions?{wrong}")).await.status, 400, "{wrong}");
    }
}

on_both_ledgers!(
    a_completion_is_shown_in_three_groups_with_previews_and_downloads,
    missions_are_filtered_searched_and_paged,
);

#[tokio::test]
async fn nothing_that_a_mission_says_becomes_markup() {
    let mut world = World::start().await;
    let mut script = Script::new(CODER, "probe");
    script.objective = PROBE.into();
    let name = "<img src=x onerror=alert(4)>\"'&?#.md";
    let result = ended(&world, &mut script, &[(name, Category::PrimaryWorkProduct, PROBE.as_bytes())]);
    complete(&mut world, &mut script, PROBE, result).await;
    let mut cancelled = Script::new(GENERAL, "cancelled");
    let reason = EventBody::CancelRequested { reason: PROBE.into(), by: PROBE.into() };
    for event in [cancelled.dispatched(), cancelled.started(), cancelled.event(reason)] {
        world.append(&event).await;
    }
    world.poison(&format!("missions.{CODER}.{}.failed", cancelled.mission_id), PROBE).await;
    let console = Console::start(&world, DoorKeys::default()).await;
    world.settled().await;
    let (one, other) = (&script.mission_id, &cancelled.mission_id);
    let quoted: Vec<_> = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let quoted = quoted.concat();
    for path in [
        "/feed?session=simone-1".to_owned(),
        format!("/missions?q={}", "%3Cscript%3E"),
        format!("/missions/{one}"),
        format!("/missions/{other}"),
        format!("/missions/{one}/cancel"),
        format!("/missions/{one}/again"),
        format!("/missions/{one}/text?path={quoted}"),
        "/ledger".to_owned(),
        "/sessions".to_owned(),
    ] {
        let page = console.page(&path).await;
        for markup in ["<script>", "<svg", "onerror=alert(2)>\"", "<img src=x"] {
            assert!(!page.contains(markup), "{path}: {markup}");
        }
    }
    let got = console.get(&format!("/missions/{one}/file?path={quoted}")).await;
    assert_eq!(got.status, 200, "{}", got.body);
    assert!(!got.header("content-disposition").unwrap().contains('<'));
}

#[tokio::test]
async fn every_page_works_without_a_script_and_says_what_it_may_load() {
    let world = World::start().await;
    let console = Console::start(&world, DoorKeys::default()).await;
    for path in ["/sessions", "/feed?session=nobody", "/missions", "/lanes", "/ledger", "/login"] {
        let answered = console.get(path).await;
        assert_eq!(answered.status, 200, "{path}");
        let policy = answered.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answered.header("x-content-type-options"), Some("nosniff"));
        for mark in ["<html lang=\"en\">", "<main id=\"main\"", "<nav aria-label", "<h1>", "class=\"skip\""] {
            assert!(answered.body.contains(mark), "{path}: {mark}");
        }
        assert!(!answered.body.contains("style=") && !answered.body.contains("onclick"), "{path}");
    }
    for name in ["console.css", "console.js", "htmx.min.js", "sse.min.js", "icon.svg", "LICENSES.txt"] {
        assert_eq!(console.get(&format!("/assets/{name}?v=1")).await.status, 200, "{name}");
    }
    for path in ["/nowhere", "/assets/none", "/missions/none", "/missions/m-aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(console.get(path).await.status, 404, "{path}");
    }
    console.bridge.stop().await;
}

#[tokio::test]
async fn the_ledger_s_page_shows_this_bridge_and_does_not_wait_for_all_that_may_answer() {
    let world = World::start().await;
    let console = Console::start(&world, DoorKeys::default()).await;
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let asked = Instant::now();
        let page = console.page("/ledger").await;
        quickest = quickest.min(asked.elapsed());
        assert!(page.contains("works</span>"), "{page}");
    }
    assert!(quickest < BRIDGES_PATIENCE, "{quickest:?}");
    console.bridge.stop().await;
}

#[tokio::test]
async fn a_mission_whose_worker_cannot_be_reached_says_where_its_log_is() {
    let mut world = World::start().await;
    let mut script = Script::new(CODER, "far");
    world.append_all(&[script.dispatched(), script.started()]).await;
    let console = Console::start(&world, DoorKeys::default()).await;
    world.settled().await;
    let page = console.page(&format!("/missions/{}", script.mission_id)).await;
    let log = between(&page, "<details id=\"log\"", "</details>");
    assert!(log.contains("cannot be reached just now") && log.contains(" on host "), "{log}");
    world.append_all(&[script.outcome(), script.completed()]).await;
    world.settled().await;
    let page = console.page(&format!("/missions/{}", script.mission_id)).await;
    assert!(!between(&page, "<details id=\"log\"", "</details>").contains("reached"), "{page}");
    console.bridge.stop().await;
}

#[tokio::test]
async fn pages_of_other_places_and_forms_of_nobody_are_refused() {
    let mut world = World::start().await;
    let mut script = Script::new(CODER, "safe");
    world.append(&script.dispatched()).await;
    let console = Console::start(&world, DoorKeys::default()).await;
    world.settled().await;
    for header in [("Host", "evil.example"), ("Origin", "http://evil.example"), ("Origin", "null")] {
        assert_eq!(console.ask("GET", "/sessions", &[header], "").await.status, 403, "{header:?}");
    }
    let path = format!("/missions/{}/cancel", script.mission_id);
    let page = console.page(&path).await;
    let (nonce, token) =
        (between(&page, "name=\"nonce\" value=\"", "\""), between(&page, "name=\"token\" value=\"", "\""));
    let form = format!("nonce={nonce}&token={token}&reason=no");
    let foreign = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")];
    for header in foreign {
        assert_eq!(console.ask("POST", &path, &[header], &form).await.status, 403, "{header:?}");
    }
    for wrong in
        ["nonce=a&token=b".to_owned(), format!("nonce=x&token={token}"), format!("nonce={nonce}&token=")]
    {
        assert_eq!(console.ask("POST", &path, &[], &wrong).await.status, 403, "{wrong}");
    }
    let again = format!("/missions/{}/again", script.mission_id);
    assert_eq!(console.ask("POST", &again, &[], &form).await.status, 403, "a form is for one act");
    // It comes through, and there is no dispatcher here to do it.
    assert_eq!(console.ask("POST", &path, &[], &form).await.status, 503);
}

#[tokio::test]
async fn with_a_token_nothing_is_shown_before_the_login() {
    let world = World::start().await;
    let keys = DoorKeys { token: Some(TokenDigest::new(TOKEN).unwrap()), ..DoorKeys::default() };
    let console = Console::start(&world, keys).await;
    let html = ("Accept", "text/html,*/*");
    for path in ["/sessions", "/missions", "/lanes", "/ledger", "/feed?session=me", "/feed/live?session=me"] {
        assert_eq!(console.get(path).await.status, 401, "{path}");
        let sent = console.ask("GET", path, &[html], "").await;
        assert_eq!((sent.status, sent.header("location")), (303, Some("/login")), "{path}");
    }
    assert_eq!(console.ask("POST", "/login", &[], "token=wrong-wrong-wrong-wrong").await.status, 401);
    let sent = console.ask("POST", "/login", &[], &format!("token={TOKEN}")).await;
    assert_eq!(sent.status, 303);
    let cookie = sent.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(console.ask("GET", "/sessions", &[("Cookie", &cookie)], "").await.status, 200);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(console.ask("GET", "/sessions", &[("Authorization", &bearer)], "").await.status, 200);
}

#[tokio::test]
async fn an_open_feed_gets_each_message_once_and_goes_on_where_it_was() {
    let mut world = World::start().await;
    let mut script = Script::new(CODER, "live");
    world.append(&script.dispatched()).await;
    let console = Console::start(&world, DoorKeys::default()).await;
    world.settled().await;
    let mut open = TcpStream::connect(console.address).await.unwrap();
    let host = console.address;
    let request = format!("GET /feed/live?session=simone-1&after=0 HTTP/1.1\r\nHost: {host}\r\n\r\n");
    open.write_all(request.as_bytes()).await.unwrap();
    let mut text = until_read(&mut open, String::new(), "id=\"n-1\"").await;
    world.append_all(&[script.started(), script.outcome(), script.completed()]).await;
    text = until_read(&mut open, text, "Primary work product").await;
    for id in ["id=\"n-1\"", "id=\"n-2\"", "id=\"n-4\""] {
        assert_eq!(text.matches(id).count(), 1, "{id} in {text}");
    }
    drop(open);
    let mut open = TcpStream::connect(console.address).await.unwrap();
    let request = request.replace("\r\n\r\n", "\r\nLast-Event-ID: 2\r\n\r\n");
    open.write_all(request.as_bytes()).await.unwrap();
    let text = until_read(&mut open, String::new(), "Primary work product").await;
    assert!(!text.contains("id=\"n-1\"") && !text.contains("id=\"n-2\""), "{text}");
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

#[tokio::test]
async fn a_bridge_that_stands_by_says_so_and_serves_when_it_takes_over() {
    let world = World::start().await;
    let first = world.bridge().await;
    let console = Console::start(&world, DoorKeys::default()).await;
    let answered = console.get("/sessions").await;
    assert_eq!(answered.status, 503);
    assert!(answered.body.contains("This bridge stands by"), "{}", answered.body);
    first.stop().await;
    let mut status = console.bridge.status();
    timeout(PATIENCE, status.wait_for(|status| status.active)).await.unwrap().unwrap();
    console.page("/sessions").await;
    console.bridge.stop().await;
}
