//! Every field of every tool with everything that is wrong: refused by name, and nothing is published.

use serde_json::{Value, json};
use vp_shared::api::{ErrorCode, ToolName};

use crate::world::{CODER, World, result, session};

const MISSION: &str = "m-aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn megabytes(character: char) -> Value {
    json!(character.to_string().repeat(5 * 1024 * 1024))
}

/// No text at all.
fn not_text() -> Vec<Value> {
    vec![json!(1), json!(-1.5), json!(true), json!([]), json!(["x"]), json!({}), json!({"x": 1})]
}

/// No id of any kind.
fn not_an_id() -> Vec<Value> {
    let texts = [
        "",
        " ",
        ".",
        "..",
        "*",
        ">",
        "a.*",
        "a.>",
        "a b",
        "a\0b",
        "a\nb",
        "vp.*.primary",
        "vp.coder.>",
        "vp.coder",
        "ä",
    ];
    let mut all: Vec<Value> = texts.map(Value::from).to_vec();
    all.extend(not_text());
    all.extend([Value::Null, megabytes('a'), megabytes('.')]);
    all
}

fn not_an_integer(min: i64, max: i64) -> Vec<Value> {
    vec![
        json!(min - 1),
        json!(max + 1),
        json!(0),
        json!(-1),
        json!(1.5),
        json!("20"),
        json!(""),
        json!(true),
        json!([]),
        json!([1]),
        json!({}),
        Value::Null,
        json!(u64::MAX),
        json!(1e300),
        megabytes('1'),
    ]
}

/// A name: bounded text without control characters.
fn not_a_word(max: usize) -> Vec<Value> {
    let mut all = vec![
        json!(""),
        json!("  "),
        json!("a\0b"),
        json!("a\nb"),
        json!("x".repeat(max + 1)),
        megabytes('x'),
    ];
    all.extend(not_text());
    all
}

fn not_a_time() -> Vec<Value> {
    let mut all: Vec<Value> = ["", "tomorrow", "2026-11-22", "2026-11-22T09:00:00", "*", ">", "a\0b", "0"]
        .map(Value::from)
        .to_vec();
    all.extend(not_text());
    all.push(megabytes('2'));
    all
}

fn not_a_choice() -> Vec<Value> {
    let mut all: Vec<Value> = ["", "x", "Urgent", "*", ">", "a b", "normal\0"].map(Value::from).to_vec();
    all.extend([json!(true), json!([]), json!({}), json!(1.5), Value::Null, megabytes('n')]);
    all
}

/// Field by field: the field, what the message must name, and what is wrong.
fn dispatch() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let mut objective = not_text();
    objective.extend([
        json!(""),
        json!(" \n"),
        json!("a\0b"),
        json!("x".repeat(64 * 1024 + 1)),
        Value::Null,
        megabytes('x'),
    ]);
    let not_an_object =
        || vec![json!(1), json!("x"), json!(true), json!([]), json!([1, 2]), Value::Null, megabytes('x')];
    let mut constraints = not_an_object();
    constraints.push(json!({"x": "y".repeat(600 * 1024)}));
    let nested = (0..200).fold(json!(1), |inner, _| json!({"deep": inner}));
    constraints.push(json!({"x": nested}));
    let mut budget = not_an_object();
    budget.push(json!({"wallet": 1}));
    let seconds = || {
        vec![
            json!(0),
            json!(-1),
            json!(1.5),
            json!("60"),
            json!(true),
            json!([]),
            json!(2_592_001),
            json!(u64::MAX),
        ]
    };
    let budget_of = |field: &str, values: Vec<Value>| {
        values.into_iter().map(|value| json!({field: value})).collect::<Vec<_>>()
    };
    let input = |value: Value| json!([value]);
    vec![
        ("vp_id", "vp_id", not_an_id()),
        ("objective", "objective", objective),
        ("mission_type", "mission_type", not_a_word(64)),
        ("constraints", "constraints", constraints),
        ("budget", "budget", budget),
        ("budget", "wall_seconds", budget_of("wall_seconds", seconds())),
        ("budget", "idle_seconds", budget_of("idle_seconds", seconds())),
        (
            "budget",
            "cost_usd",
            budget_of("cost_usd", vec![json!(-0.01), json!(2e9), json!("1"), json!(true), json!([])]),
        ),
        (
            "budget",
            "tokens",
            budget_of("tokens", vec![json!(-1), json!(1.5), json!("1"), json!(u64::MAX), json!({})]),
        ),
        ("idempotency_key", "idempotency_key", not_a_word(200)),
        ("priority", "priority", not_a_choice()),
        ("reply_mode", "reply_mode", not_a_choice()),
        ("not_before", "not_before", not_a_time()),
        ("deadline", "deadline", not_a_time()),
        (
            "max_attempts",
            "max_attempts",
            not_an_integer(1, 20).into_iter().filter(|value| !value.is_null()).collect(),
        ),
        (
            "require_live_worker",
            "require_live_worker",
            vec![json!(0), json!(1), json!("true"), json!([]), json!({}), Value::Null],
        ),
        ("source_turn_id", "source_turn_id", not_a_word(200)),
        (
            "inputs",
            "inputs",
            vec![
                json!(1),
                json!("x"),
                json!(true),
                json!({}),
                Value::Null,
                json!([1]),
                json!(["x"]),
                json!([[]]),
                json!([null]),
                input(json!({})),
                input(json!({"path": "a"})),
                input(json!({"text": "a"})),
                input(json!({"path": "a", "text": "x", "more": 1})),
                input(json!({"path": "a", "text": 1})),
                input(json!({"path": 1, "text": "x"})),
                input(json!({"path": "a", "object": "o"})),
                input(json!({"path": "a", "text": "x".repeat(5 * 1024 * 1024)})),
                json!(vec![json!({"path": "a", "text": "x"}); 2]),
                json!((0..101).map(|n| json!({"path": n.to_string(), "text": ""})).collect::<Vec<_>>()),
            ],
        ),
        (
            "inputs",
            "inputs[0].path",
            ["", "/", "/etc/passwd", "../a", "a/../b", "a//b", "./a", "a/", "a\\b", "a\0b", "."]
                .into_iter()
                .map(|path| input(json!({"path": path, "text": "x"})))
                .chain([input(json!({"path": "p".repeat(1025), "text": "x"}))])
                .collect(),
        ),
    ]
}

fn list() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let not_absent =
        |values: Vec<Value>| values.into_iter().filter(|value| !value.is_null()).collect::<Vec<_>>();
    let mut status: Vec<Value> = ["", "x", "Queued", "*", ">", "queued\0"].map(Value::from).to_vec();
    status.extend([
        json!(1),
        json!(true),
        json!({}),
        json!([]),
        json!(["queued", "x"]),
        json!([1]),
        json!([["queued"]]),
        megabytes('q'),
    ]);
    let long = "s".repeat(65);
    let mut session_id: Vec<Value> = ["", " ", "a b", "a\0b", "ä", &long].map(Value::from).to_vec();
    session_id.extend(not_text());
    session_id.push(megabytes('s'));
    let mut cursor: Vec<Value> =
        ["", "x", "1", "1.", ".x", "1.m-x", "x.m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "*", ">"]
            .map(Value::from)
            .to_vec();
    cursor.extend(not_text());
    cursor.push(megabytes('1'));
    vec![
        ("vp_id", "vp_id", not_absent(not_an_id())),
        ("status", "status", status),
        ("session_id", "session_id", session_id),
        ("limit", "limit", not_an_integer(1, 500)),
        ("cursor", "cursor", cursor),
    ]
}

fn of_one_mission(tool: ToolName) -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let mut fields = vec![("mission_id", "mission_id", not_an_id())];
    match tool {
        ToolName::Wait => fields.push(("timeout_seconds", "timeout_seconds", not_an_integer(1, 3600))),
        ToolName::Cancel => {
            let mut reason = not_text();
            reason.extend([
                json!(""),
                json!("  "),
                json!("a\0b"),
                json!("x".repeat(1001)),
                Value::Null,
                megabytes('x'),
            ]);
            fields.push(("reason", "reason", reason));
        }
        ToolName::ReadArtifacts => {
            let category = not_a_choice().into_iter().filter(|value| !value.is_null()).collect();
            fields.push(("category", "category", category));
            fields.push(("max_files", "max_files", not_an_integer(1, 200)));
            fields.push(("max_bytes", "max_bytes", not_an_integer(256, 2_000_000)));
        }
        _ => {}
    }
    fields
}

fn valid(tool: ToolName) -> Value {
    match tool {
        ToolName::Dispatch => json!({"vp_id": CODER, "objective": "do it"}),
        ToolName::List => json!({}),
        _ => json!({"mission_id": MISSION}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_refused_by_name_and_nothing_is_published() {
    let world = World::start().await;
    let mut cases = 0;
    for tool in vp_shared::api::TOOLS {
        let fields = match tool {
            ToolName::Dispatch => dispatch(),
            ToolName::List => list(),
            tool => of_one_mission(tool),
        };
        for (field, named, values) in fields {
            for value in values {
                let mut input = valid(tool);
                input[field] = value.clone();
                let answer = world.call(tool, input).await;
                let shown = vp_shared::text::cut(value.to_string(), 100);
                let error = answer.expect_err(&format!("{tool}: `{field}` = {shown} was accepted"));
                assert_eq!(error.code, ErrorCode::ValidationError, "{tool}: `{field}` = {shown}: {error}");
                assert!(error.message.contains(named), "{tool}: `{field}` = {shown}: {error}");
                assert!(error.message.len() <= 4096 && !error.retryable, "{tool}: `{field}` = {shown}");
                cases += 1;
            }
        }
    }
    assert!(cases > 300, "{cases}");
    assert_eq!(world.last_seq().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_object_of_the_known_fields_is_refused() {
    let world = World::start().await;
    let caller = session("s1");
    for tool in vp_shared::api::TOOLS {
        let mut more = valid(tool);
        more["surprise"] = json!(1);
        let answer = world.call(tool, more).await;
        assert!(answer.unwrap_err().message.contains("surprise"), "{tool}");
        let list = json!([CODER, "do it"]).to_string();
        let twice = valid(tool)
            .to_string()
            .replace('}', ",\"mission_id\":\"x\",\"mission_id\":\"y\"}")
            .replace("{,", "{");
        let huge = format!("[{}]", "1,".repeat(1024 * 1024) + "1");
        let deep = "[".repeat(100_000);
        for bad in [
            "",
            " ",
            "null",
            "1",
            "true",
            "\"x\"",
            "[]",
            "{",
            "}",
            "{\"a\"",
            "\u{feff}{}",
            "{} {}",
            &list,
            &twice,
            &huge,
            &deep,
            &format!("{} x", valid(tool)),
        ] {
            let error = result(&world.dispatcher.call(tool, bad.as_bytes(), &caller).await);
            assert_eq!(error.unwrap_err().code, ErrorCode::ValidationError, "{tool}: {bad:.60}");
        }
        for bad in [&b"\xff\xfe{}"[..], b"{\"objective\":\"\xff\"}", b"\0"] {
            let error = result(&world.dispatcher.call(tool, bad, &caller).await);
            assert_eq!(error.unwrap_err().code, ErrorCode::ValidationError, "{tool}: {bad:?}");
        }
    }
    assert_eq!(world.last_seq().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_field_is_named() {
    let world = World::start().await;
    for (tool, field) in [
        (ToolName::Dispatch, "vp_id"),
        (ToolName::Dispatch, "objective"),
        (ToolName::Get, "mission_id"),
        (ToolName::Wait, "mission_id"),
        (ToolName::Cancel, "mission_id"),
        (ToolName::ReadArtifacts, "mission_id"),
    ] {
        let mut input = valid(tool);
        input.as_object_mut().unwrap().remove(field);
        let error = world.call(tool, input).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ValidationError);
        assert!(error.message.contains(field), "{tool}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_json_makes_too_large_for_the_server_is_refused_by_name() {
    let world = World::start().await;
    let escaped = "\u{1}".repeat(300 * 1024);
    let input = json!([{"path": "a", "text": escaped}]);
    let error = world.dispatch(json!({"inputs": input})).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ValidationError);
    assert!(error.message.starts_with("`inputs`"), "{error}");
    assert_eq!(world.last_seq().await, 0);
    // And what fits is taken, however long it is.
    let long = json!([{"path": "a", "text": "x".repeat(400 * 1024)}]);
    world.dispatch(json!({"inputs": long})).await.unwrap();
}
