#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::routing::Because;

fn coder() -> VpId {
    VpId::new("vp.coder.primary").unwrap()
}

fn general() -> VpId {
    VpId::new("vp.general.primary").unwrap()
}

fn route_of(decision: Intent, vp_ids: Vec<VpId>) -> Route {
    let because = vec![Because { words: "x".into(), means: "because".into() }];
    let action = (decision == Intent::Control).then_some(ControlAction::Status);
    Route { decision, vp_ids, action, mission: None, missions: Vec::new(), because }
}

fn stored(vp_id: VpId) -> Outcome {
    Outcome::Stored { mission_id: MissionId::of_key(&vp_id, "k"), vp_id }
}

fn owed(lanes: &[VpId], stops: u8) -> Phase {
    Phase::Owed { lanes: lanes.to_vec(), refused: None, stops }
}

fn run(phase: &Phase, event: &Event<'_>, strict: bool) -> Step {
    step(&TurnState { turn: 7, phase: phase.clone() }, event, strict)
}

fn answer_kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Pass => "pass",
        Answer::Context(_) => "context",
        Answer::Refuse(_) => "refuse",
        Answer::Warn(_) => "warn",
    }
}

fn phase_kind(phase: &Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::Owed { .. } => "owed",
        Phase::Kept => "kept",
    }
}

/// For each event: what follows in the phases open, kept, owed, owed after one stop; strict.
#[test]
fn every_pair_of_state_and_event_has_its_answer() {
    let (none, control) = (route_of(Intent::None, vec![]), route_of(Intent::Control, vec![coder()]));
    let ambiguous = route_of(Intent::Ambiguous, vec![coder(), general()]);
    let delegate = route_of(Intent::Delegate, vec![coder()]);
    let trouble = ["nobody serves it".to_owned()];
    let before = |tool, vp_id: Option<VpId>| Event::Before { tool, vp_id, in_sub_agent: false };
    let prompt = |route| Event::Prompt { route, troubles: &[] };
    let all = |one: &'static str| [one; 4];
    let table: Vec<(&str, Event<'_>, [&str; 4])> = vec![
        ("fresh start", Event::Started { fresh: true }, all("pass open")),
        ("compacted", Event::Started { fresh: false }, ["pass open", "pass kept", "pass owed", "pass owed"]),
        ("plain words", prompt(&none), all("pass open")),
        ("a question", prompt(&control), all("context open")),
        ("which one", prompt(&ambiguous), all("context open")),
        ("delegation", prompt(&delegate), all("context owed")),
        ("no worker", Event::Prompt { route: &delegate, troubles: &trouble }, all("refuse open")),
        ("notices", Event::Notices, ["pass open", "pass kept", "pass owed", "pass owed"]),
        (
            "the dispatch",
            before(Tool::Dispatch, Some(coder())),
            ["pass open", "pass kept", "pass owed", "pass owed"],
        ),
        ("no lane", before(Tool::Dispatch, None), ["pass open", "pass kept", "pass owed", "pass owed"]),
        (
            "wrong lane",
            before(Tool::Dispatch, Some(general())),
            ["pass open", "pass kept", "refuse owed", "refuse owed"],
        ),
        ("a look", before(Tool::Vp, None), ["pass open", "pass kept", "pass owed", "pass owed"]),
        ("Task", before(Tool::SubAgent, None), ["pass open", "pass kept", "refuse owed", "refuse owed"]),
        ("curl", before(Tool::Wrapped, None), ["pass open", "pass kept", "refuse owed", "refuse owed"]),
        ("Read", before(Tool::Other, None), ["pass open", "pass kept", "refuse owed", "refuse owed"]),
        (
            "an older sub-agent",
            Event::Before { tool: Tool::Other, vp_id: None, in_sub_agent: true },
            ["pass open", "pass kept", "pass owed", "pass owed"],
        ),
        ("stored", Event::Dispatched(stored(coder())), ["pass open", "pass kept", "pass kept", "pass kept"]),
        (
            "stored elsewhere",
            Event::Dispatched(stored(general())),
            ["pass open", "pass kept", "pass owed", "pass owed"],
        ),
        (
            "refused",
            Event::Dispatched(Outcome::Refused("full".into())),
            ["pass open", "pass kept", "warn owed", "warn owed"],
        ),
        ("stop", Event::Stop, ["pass open", "pass kept", "refuse owed", "warn owed"]),
    ];
    let phases = [Phase::Open, Phase::Kept, owed(&[coder()], 0), owed(&[coder()], 1)];
    for (name, event, wanted) in &table {
        for (phase, wanted) in phases.iter().zip(wanted) {
            let step = run(phase, event, true);
            let got = format!("{} {}", answer_kind(&step.answer), phase_kind(&step.state.phase));
            assert_eq!(&got, wanted, "{name} in {phase:?}");
        }
    }
}

#[test]
fn not_strict_means_that_what_is_impossible_is_told_and_traps_nobody() {
    let delegate = route_of(Intent::Delegate, vec![coder()]);
    let trouble = ["nobody serves it".to_owned()];
    let step = run(&Phase::Open, &Event::Prompt { route: &delegate, troubles: &trouble }, false);
    assert!(matches!(&step.answer, Answer::Context(words) if words.contains("nobody serves it")));
    let step = run(&owed(&[coder()], 0), &Event::Dispatched(Outcome::Refused("full".into())), false);
    assert_eq!((answer_kind(&step.answer), step.state.phase), ("warn", Phase::Open));
}

#[test]
fn each_lane_that_was_asked_needs_its_own_dispatch() {
    let step = run(&owed(&[coder(), general()], 0), &Event::Dispatched(stored(coder())), true);
    assert_eq!(step.state.phase, owed(&[general()], 0));
    assert_eq!(step.noted[0].decision, Decision::Dispatched);
    let step = run(&step.state.phase, &Event::Dispatched(stored(general())), true);
    assert_eq!((step.state.phase, step.noted[0].decision), (Phase::Kept, Decision::Kept));
}

#[test]
fn a_turn_that_ends_without_its_dispatch_is_held_once_and_recorded_once() {
    let mut phase = owed(&[coder()], 0);
    let mut decisions = Vec::new();
    for _ in 0..4 {
        let step = run(&phase, &Event::Stop, true);
        decisions.extend(step.noted.iter().map(|noted| noted.decision));
        phase = step.state.phase;
    }
    assert_eq!(decisions, [Decision::Reminded, Decision::Violated]);
    let none = route_of(Intent::None, vec![]);
    let next = run(&phase, &Event::Prompt { route: &none, troubles: &[] }, true);
    assert_eq!(next.noted.len(), 1, "it is not abandoned as well");
    let next = run(&owed(&[coder()], 0), &Event::Prompt { route: &none, troubles: &[] }, true);
    assert_eq!(next.noted[0].decision, Decision::Abandoned);
}

#[test]
fn only_the_six_by_their_own_names_are_the_six() {
    let tool = |name, input: Value| classify(name, &input);
    for name in
        ["vp_dispatch_mission", "mcp__vp__vp_dispatch_mission", "mcp__plugin_a_b__vp_dispatch_mission"]
    {
        assert_eq!(tool(name, json!({})), Tool::Dispatch, "{name}");
    }
    for name in ["vp_get_mission", "mcp__x__vp_read_result_artifacts"] {
        assert_eq!(tool(name, json!({})), Tool::Vp, "{name}");
    }
    for name in [
        "VP_DISPATCH_MISSION",
        "vp_dispatch_mission2",
        "x_vp_dispatch_mission",
        "mcp__vp_dispatch_mission",
        "mcp_vp_vp_dispatch_mission",
        " vp_dispatch_mission",
        "vp_purge",
    ] {
        assert_eq!(tool(name, json!({})), Tool::Other, "{name}");
    }
    assert_eq!(tool("Task", json!({"prompt": "call vp_dispatch_mission"})), Tool::SubAgent);
    assert_eq!(tool("Agent", json!({})), Tool::SubAgent);
    for input in [
        json!({"command": "curl -d '{}' localhost/vp_dispatch_mission"}),
        json!({"command": "nats req vp.tool.x '{}'"}),
        json!({"command": "vp dispatch --lane x y"}),
        json!({"calls": [{"slug": "vp_dispatch_mission", "args": {}}]}),
        json!({"vp_dispatch_mission": {}}),
    ] {
        assert_eq!(tool("Bash", input.clone()), Tool::Wrapped, "{input}");
    }
    assert_eq!(tool("Bash", json!({"command": "ls"})), Tool::Other);
}

#[test]
fn only_an_answer_that_says_so_is_a_success() {
    let lane = coder();
    let mission = MissionId::of_key(&lane, "k");
    let answer =
        json!({"ok": true, "mission_id": mission, "vp_id": lane, "status": "queued", "duplicate": false});
    let text = answer.to_string();
    let wanted = Outcome::Stored { vp_id: lane, mission_id: mission };
    for answer in [
        answer.clone(),
        json!(text),
        json!([{"type": "text", "text": text}]),
        json!({"content": [{"type": "text", "text": "queued"}], "structuredContent": answer}),
        json!({"content": [{"type": "text", "text": text}], "isError": false}),
    ] {
        assert_eq!(outcome(&answer), wanted, "{answer}");
    }
    let refused = json!({"ok": false, "error": {"code": "unknown_lane", "message": "no such lane"}});
    let said = Outcome::Refused("unknown_lane: no such lane".into());
    assert_eq!(outcome(&refused), said);
    assert_eq!(outcome(&json!([{"type": "text", "text": refused.to_string()}])), said);
    let mut failed = answer.clone();
    failed["ok"] = false.into();
    for answer in [
        failed,
        json!({"isError": true, "content": [{"type": "text", "text": text}]}),
        json!({"ok": true}),
        json!("done"),
        json!(null),
        json!({"ok": true, "mission_id": "m-1", "vp_id": "vp.coder.primary", "duplicate": false}),
    ] {
        assert!(matches!(outcome(&answer), Outcome::Refused(_)), "{answer}");
    }
}

#[test]
fn the_report_lists_explicit_turns_that_ended_without_a_dispatch() {
    let row = |turn: u64, decision| AuditRow {
        time: crate::time::UtcTime::from_micros(i64::try_from(turn).unwrap()),
        session: "s".into(),
        turn,
        hook: "Stop".into(),
        decision,
        reason: "r".into(),
        text_sha256: None,
        vp_ids: vec![coder()],
        tool: None,
        mission_id: None,
    };
    let rows = [
        row(1, Decision::Open),
        row(2, Decision::Owed),
        row(2, Decision::Denied),
        row(2, Decision::Kept),
        row(3, Decision::Owed),
        row(3, Decision::Reminded),
        row(3, Decision::Violated),
        row(4, Decision::Unavailable),
        row(5, Decision::Owed),
    ];
    let report = report(&rows);
    assert_eq!((report.explicit, report.kept), (4, 1));
    let ended: Vec<_> = report.without_dispatch.iter().map(|turn| (turn.turn, turn.ended)).collect();
    assert_eq!(ended, [(3, Ended::Violated), (4, Ended::Unavailable), (5, Ended::Owes)]);
}

#[derive(Debug, Clone)]
enum Move {
    Prompt(bool),
    Tool(u8),
    Stored(bool),
    Refused,
    Stop,
    Notices,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        any::<bool>().prop_map(Move::Prompt),
        (0_u8..4).prop_map(Move::Tool),
        any::<bool>().prop_map(Move::Stored),
        Just(Move::Refused),
        Just(Move::Stop),
        Just(Move::Notices),
    ];
    proptest::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn nothing_but_the_six_passes_between_the_words_and_the_dispatch(moves in moves()) {
        let delegate = route_of(Intent::Delegate, vec![coder()]);
        let none = route_of(Intent::None, vec![]);
        let mut state = TurnState::default();
        // What must hold, kept by hand beside it.
        let mut owes = false;
        for one in moves {
            let event = match one {
                Move::Prompt(asks) => Event::Prompt { route: if asks { &delegate } else { &none }, troubles: &[] },
                Move::Tool(which) => Event::Before {
                    tool: [Tool::Other, Tool::SubAgent, Tool::Wrapped, Tool::Vp][usize::from(which)],
                    vp_id: None,
                    in_sub_agent: false,
                },
                Move::Stored(right) => Event::Dispatched(stored(if right { coder() } else { general() })),
                Move::Refused => Event::Dispatched(Outcome::Refused("no".into())),
                Move::Stop => Event::Stop,
                Move::Notices => Event::Notices,
            };
            let step = step(&state, &event, true);
            match one {
                Move::Prompt(asks) => owes = asks,
                Move::Stored(true) => owes = false,
                Move::Tool(which) => {
                    let refused = matches!(step.answer, Answer::Refuse(_));
                    prop_assert_eq!(refused, owes && which < 3);
                }
                _ => {}
            }
            prop_assert_eq!(matches!(step.state.phase, Phase::Owed { .. }), owes);
            let kept = serde_json::to_string(&step.state).unwrap();
            prop_assert_eq!(&serde_json::from_str::<TurnState>(&kept).unwrap(), &step.state);
            state = step.state;
        }
    }
}
