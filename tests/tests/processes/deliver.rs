//! Notices into real places: an inbox, a webhook, a running agent; killed, refused, late.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use vp_nats::notices::NoticeReader;
use vp_shared::failure::FailureClass;
use vp_shared::ids::SessionId;
use vp_tests::lanes::{CODER, noop_lane, shell_lane};
use vp_tests::process::Installation;
use vp_tests::until::until_true;
use vp_tests::world::World;

pub(crate) fn append(vp: &Installation, text: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(vp.dir().join("vp.toml")).unwrap();
    writeln!(file, "\n{text}").unwrap();
}

fn lines(vp: &Installation) -> Vec<Value> {
    let text = std::fs::read_to_string(vp.dir().join("inbox/chat.ndjson")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) async fn missions(world: &World, count: usize) {
    for key in 0..count {
        let more = json!({"reply_mode": "final", "idempotency_key": key.to_string()});
        world.dispatch_as("chat", CODER, more).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_missions_with_retries_are_a_hundred_notices_in_the_inbox_whoever_is_killed() {
    const MISSIONS: usize = 100;
    let mut lane = shell_lane("test \"$VP_ATTEMPT\" -gt 1 || exit 1; echo done > result.md");
    lane.slots = 8;
    lane.retry.retry_on.push(FailureClass::ExecutorError);
    let world = World::builder().lane(CODER, lane).workers(1).start().await;
    let vp = Installation::of(&world);
    append(&vp, "[[deliver]]\nname = \"file\"\nsessions = [\"chat\"]\nkind = \"inbox\"\ndir = \"inbox\"");
    missions(&world, MISSIONS).await;
    let mut lives = 0;
    while lines(&vp).len() < MISSIONS {
        lives += 1;
        let begun = lines(&vp).len();
        let mut deliverer = vp.spawn("deliver", ["deliver"]);
        deliverer.until_it_says("notices are delivered to").await;
        until_true("some more are delivered", async || lines(&vp).len() >= (begun + 30).min(MISSIONS)).await;
        deliverer.kill();
        assert!(lives < 10);
    }
    // A last life, which finds nothing left to tell.
    let mut deliverer = vp.spawn("deliver", ["deliver"]);
    deliverer.until_it_says("notices are delivered to").await;
    until_true("all is acked", async || {
        let doctor: Value = vp.json(["doctor"]);
        doctor["checks"].as_array().unwrap().iter().any(|check| check["check"] == "notices")
            && vp_nats::notices::unread(world.conn()).await.unwrap().is_empty()
    })
    .await;
    assert!(deliverer.terminate().await.success());
    let told = lines(&vp);
    let ids: BTreeSet<_> = told.iter().map(|notice| notice["notice_id"].to_string()).collect();
    assert_eq!((told.len(), ids.len()), (MISSIONS, MISSIONS), "after {lives} lives");
    assert!(told.iter().all(|notice| notice["terminal"] == true && notice["attempt"] == 2));
}

/// What the hook was sent, and how it answers the next request.
#[derive(Default)]
struct Heard {
    requests: Vec<(String, Value)>,
    answers: Vec<&'static str>,
}

/// A real HTTP listener: answers as told, 200 when nothing is told; `hang` keeps the connection and says nothing.
async fn listener(heard: Arc<Mutex<Heard>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut hanging = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (fields, body) = request(&mut stream).await.unwrap();
            let body = serde_json::from_slice(&body).unwrap();
            let answer = {
                let mut heard = heard.lock().unwrap();
                heard.requests.push((fields, body));
                if heard.answers.is_empty() { "200 OK" } else { heard.answers.remove(0) }
            };
            if answer == "hang" {
                hanging.push(stream);
                continue;
            }
            let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    url
}

/// The fields and the body of one request.
pub(crate) async fn request(stream: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((head, body))
}

async fn webhook(attempts: u32) -> (World, Installation, Arc<Mutex<Heard>>) {
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let heard = Arc::<Mutex<Heard>>::default();
    let url = listener(Arc::clone(&heard)).await;
    let target = format!(
        "[[deliver]]\nname = \"ops\"\nsessions = [\"chat\"]\nkind = \"webhook\"\nurl = {url:?}\n\
         secret = \"0123456789abcdef\"\ntimeout_seconds = 1\nattempts = {attempts}"
    );
    append(&vp, &target);
    (world, vp, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_hangs_and_comes_back_is_told_everything_in_order_and_signed() {
    let (world, vp, heard) = webhook(20).await;
    heard.lock().unwrap().answers = vec!["500 No", "hang", "200 OK"];
    missions(&world, 3).await;
    let mut deliverer = vp.spawn("deliver", ["deliver"]);
    deliverer.until_it_says("notices are delivered to ops").await;
    until_true("all are told", async || heard.lock().unwrap().requests.len() >= 5).await;
    assert!(deliverer.terminate().await.success());
    let requests = std::mem::take(&mut heard.lock().unwrap().requests);
    let ids: Vec<_> = requests.iter().map(|(_, event)| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((&ids[0], &ids[1]), (&ids[2], &ids[2]), "the first one until it is taken");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
    for (fields, event) in &requests {
        assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("vp.mission.completed")));
        assert_eq!(event["data"]["notice_id"], event["id"]);
        let fields = fields.to_lowercase();
        assert!(fields.contains("vp-signature: v1=") && fields.contains("vp-timestamp: "), "{fields}");
        assert!(fields.contains("content-type: application/cloudevents+json"), "{fields}");
    }
    assert!(vp.json(["config", "show"]).to_string().contains("ops"));
    assert!(!vp.json(["config", "show"]).to_string().contains("0123456789abcdef"), "the secret is not shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_does_not_take_is_a_dead_letter_that_can_be_sent_again() {
    let (world, vp, heard) = webhook(2).await;
    heard.lock().unwrap().answers = vec!["400 No", "503 No"];
    missions(&world, 2).await;
    let mut deliverer = vp.spawn("deliver", ["deliver"]);
    deliverer.until_it_says("notices are delivered to ops").await;
    until_true("the second one is told", async || heard.lock().unwrap().requests.len() >= 3).await;
    assert!(deliverer.terminate().await.success());
    let letter = vp.json(["deliver", "--dead"]);
    let first = heard.lock().unwrap().requests[0].1["id"].clone();
    assert_eq!((&letter["target"], &letter["letter"]["notice"]["notice_id"]), (&json!("ops"), &first));
    let doctor: Value = vp.json(["doctor"]);
    assert!(doctor.to_string().contains("1 notices were not taken"), "{doctor}");
    assert!(vp.run(["deliver", "--resend"]).status.success());
    assert_eq!(heard.lock().unwrap().requests.last().unwrap().1["id"], first);
    assert!(vp.run(["deliver", "--dead", "-o", "json"]).stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_down_is_seen_and_keeps_its_notice_in_hand_while_it_is_tried_again() {
    let (world, vp, heard) = webhook(20).await;
    heard.lock().unwrap().answers = vec!["500 No"; 20];
    missions(&world, 2).await;
    let status = || vp.json(["deliver", "--status"])["targets"][0].clone();
    let doctor = || {
        let checks = vp.json(["doctor"])["checks"].clone();
        checks.as_array().unwrap().iter().find(|check| check["check"] == "delivery").unwrap().clone()
    };
    until_true("the notices are sent", async || status()["sessions"][0]["waiting"] == 2).await;
    assert_eq!((&status()["served"], &doctor()["verdict"]), (&json!(false), &json!("warning")));
    let mut deliverer = vp.spawn("deliver", ["deliver"]);
    deliverer.until_it_says("not accepted yet").await;
    let down = status();
    let session = &down["sessions"][0];
    assert_eq!((&down["served"], &session["session"]), (&json!(true), &json!("chat")), "{down}");
    assert_eq!((&session["waiting"], &down["dead_letters"]), (&json!(2), &json!(0)), "{down}");
    assert_eq!(session["trouble"]["why"], "the answer was 500", "{down}");
    assert!(session["oldest"].is_string() && session["trouble"]["since"].is_string(), "{down}");
    assert!(doctor()["found"].as_str().unwrap().contains("`chat`: the answer was 500"), "{}", doctor());
    // Another process of that target, on another host perhaps, is given nothing of it, for twice the lease.
    let chat = SessionId::new("chat").unwrap();
    let mut other = NoticeReader::open_for(world.conn(), &chat, "ops").await.unwrap();
    assert!(other.next(Duration::from_secs(11)).await.unwrap().is_none());
    heard.lock().unwrap().answers.clear();
    until_true("all is told", async || status()["sessions"][0]["waiting"] == 0).await;
    let up = status();
    assert_eq!((&up["sessions"][0]["trouble"], &up["sessions"][0]["oldest"]), (&Value::Null, &Value::Null));
    assert_eq!(doctor()["verdict"], "ok");
    assert!(deliverer.terminate().await.success());
}

/// Stands in for an agent: plays every message back, then ends the turn. Not a real one.
const STAND_IN_AGENT: &str = "while IFS= read -r line; do printf '%s\\n' \"$line\"; \
                              printf '{\"type\":\"result\",\"subtype\":\"success\"}\\n'; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_is_handed_its_notices_between_its_turns_and_each_once() {
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    missions(&world, 3).await;
    until_true("the notices wait", async || {
        vp_nats::notices::unread(world.conn()).await.unwrap().values().sum::<u64>() == 3
    })
    .await;
    // An agent that dies with what it was handed has not taken it.
    let dies = ["attach", "--session", "chat", "--stay", "--", "sh", "-c", "read -r line; exit 3"];
    let out = vp.command(dies).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let mut command = vp.command(["attach", "--session", "chat", "--", "sh", "-c", STAND_IN_AGENT]);
    let mut attach = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = attach.stdin.take().unwrap();
    let said = BufReader::new(tokio::process::ChildStdout::from_std(attach.stdout.take().unwrap()).unwrap());
    let mut said = said.lines();
    let mut next = async || said.next_line().await.unwrap().unwrap();
    let handed = next().await;
    let words = serde_json::from_str::<Value>(&handed).unwrap()["message"]["content"][0]["text"].clone();
    assert!(words.as_str().unwrap().starts_with("3 notices"), "{words}");
    assert!(next().await.contains("result"));
    writeln!(stdin, "{}", json!({"type": "user", "message": {"role": "user", "content": "hello"}})).unwrap();
    assert!(next().await.contains("hello"));
    assert!(next().await.contains("result"));
    until_true("they are acked", async || vp_nats::notices::unread(world.conn()).await.unwrap().is_empty())
        .await;
    let more = json!({"reply_mode": "final", "idempotency_key": "late"});
    world.dispatch_as("chat", CODER, more).await;
    let late = next().await;
    assert!(late.contains("A notice of the VP lanes"), "{late}");
    drop(stdin);
    assert!(attach.wait().unwrap().success());
    let left = vp.run(["-o", "ndjson", "notices", "--session", "chat"]);
    assert!(left.status.success() && left.stdout.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_is_handed_a_notice_once_when_another_door_was_faster_with_those_before_it() {
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let unread = async || vp_nats::notices::unread(world.conn()).await.unwrap().values().sum::<u64>();
    missions(&world, 3).await;
    until_true("the notices wait", async || unread().await == 3).await;
    // It says that it read the first message, and plays it back only when it is told to.
    let gate = vp.dir().join("gate");
    rustix::fs::mkfifoat(rustix::fs::CWD, &gate, rustix::fs::Mode::RWXU).unwrap();
    let agent = format!(
        "IFS= read -r line; echo got; read -r _ < '{}'; printf '%s\\n' \"$line\"; \
         echo '{{\"type\":\"result\",\"subtype\":\"success\"}}'; {STAND_IN_AGENT}",
        gate.display()
    );
    let mut command = vp.command(["attach", "--session", "chat", "--", "sh", "-c", &agent]);
    let mut attach = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = attach.stdin.take().unwrap();
    let said = BufReader::new(tokio::process::ChildStdout::from_std(attach.stdout.take().unwrap()).unwrap());
    let mut said = said.lines();
    let mut next = async || said.next_line().await.unwrap().unwrap();
    assert_eq!(next().await, "got");
    let shown = vp.run(["-o", "ndjson", "notices", "--session", "chat"]);
    assert_eq!(String::from_utf8(shown.stdout).unwrap().lines().count(), 3);
    let more = json!({"reply_mode": "final", "idempotency_key": "late"});
    world.dispatch_as("chat", CODER, more).await;
    until_true("the fourth notice waits", async || unread().await == 1).await;
    std::fs::write(&gate, "go\n").unwrap();
    assert!(next().await.contains("3 notices"));
    assert!(next().await.contains("result"));
    let late = next().await;
    assert!(late.contains("A notice of the VP lanes"), "{late}");
    assert!(next().await.contains("result"));
    until_true("it is acked", async || unread().await == 0).await;
    writeln!(stdin, "{}", json!({"type": "user", "message": {"role": "user", "content": "hello"}})).unwrap();
    assert!(next().await.contains("hello"), "the notice is not handed over again");
    assert!(next().await.contains("result"));
    drop(stdin);
    assert!(attach.wait().unwrap().success());
}
