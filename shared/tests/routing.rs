//! The routing policy against phrases that people write.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use proptest::prelude::*;
use vp_shared::ids::VpId;
use vp_shared::lane::Lanes;
use vp_shared::routing::table::{self, Phrase};
use vp_shared::routing::{Intent, MAX_ROUTED_BYTES, Router};

/// Two lanes, called as in the configuration that is built in.
fn lanes() -> Lanes {
    let lane = |name: &str, aliases: &[&str]| serde_json::json!({"display_name": name, "aliases": aliases, "executor": {"kind": "noop"}});
    serde_json::from_value(serde_json::json!({
        "vp.coder.primary": lane("CODIE", &["Cody", "coder VP", "coding VP", "code VP"]),
        "vp.general.primary": lane("General VP", &["generalist", "VP general agent", "General DP"]),
    }))
    .unwrap()
}

fn phrases() -> Vec<Phrase> {
    table::parse(include_str!("routing/phrases.tsv")).unwrap()
}

/// Written with the rules at hand, to hold them.
fn wordings() -> Vec<Phrase> {
    table::parse(include_str!("routing/wordings.tsv")).unwrap()
}

fn delegations() -> Vec<Phrase> {
    let mut all = phrases();
    all.append(&mut wordings());
    all.retain(|phrase| phrase.expected.starts_with("delegate"));
    all
}

#[test]
fn every_phrase_of_the_table_is_understood() {
    let phrases = phrases();
    assert!(phrases.len() >= 600, "{}", phrases.len());
    let report = table::report(&Router::new(&lanes()), &phrases);
    for wrong in &report.wrong {
        println!("{wrong:?}");
    }
    assert!(report.wrong.is_empty(), "{report:#?}");
    assert_eq!(report.recall.right, report.recall.of);
    assert!(report.recall.of > 250 && report.categories.len() >= 18, "{report:#?}");
}

#[test]
fn every_wording_is_understood() {
    let report = table::report(&Router::new(&lanes()), &wordings());
    assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
    assert!(report.categories["asks_nothing"].of > 500, "{:#?}", report.categories);
}

#[test]
fn no_request_that_is_quoted_or_pasted_asks_for_anything() {
    let router = Router::new(&lanes());
    for phrase in delegations() {
        let text = phrase.text.replace(['"', '`', '\u{201c}', '\u{201d}', '\u{ab}', '\u{bb}'], "");
        let line = text.replace('\n', " ");
        let quoted = format!("> {}\n", text.replace('\n', "\n> "));
        for wrapped in [
            format!("```\n{text}\n```"),
            format!("Why does this fail?\n```text\n{text}\n```\n"),
            format!("~~~\n{text}\n~~~\nthanks"),
            format!("What does this mean?\n\n{quoted}"),
            format!("Is \"{line}\" good English?"),
            format!("Is \u{201c}{line}\u{201d} good English?"),
            format!("Is \u{ab}{line}\u{bb} good English?"),
            format!("Is `{line}` good English?"),
        ] {
            assert_ne!(router.route(&wrapped).decision, Intent::Delegate, "{wrapped}");
        }
    }
}

#[test]
fn case_space_and_hyphens_within_a_name_change_nothing() {
    let router = Router::new(&lanes());
    let (mut seen, mut written, mut wrong) = (0, 0, Vec::new());
    for phrase in phrases() {
        for name in ["General VP", "coder VP", "CODIE", "generalist"] {
            if !phrase.text.contains(name)
                || phrase.text.starts_with('>')
                || phrase.category == "pasted"
                || phrase.category == "title"
            {
                continue;
            }
            seen += 1;
            for other in [
                name.to_lowercase(),
                name.to_uppercase(),
                name.replace(' ', "-"),
                name.replace(' ', "  "),
                name.replace(' ', "\n"),
                name.replace(' ', "\u{a0}"),
                name.replace(' ', "\u{2011}"),
            ] {
                let text = phrase.text.replace(name, &other);
                written += 1;
                if table::decision(&router.route(&text)) != phrase.expected {
                    wrong.push((text, phrase.expected.clone()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
    assert!(seen > 500 && written > 3500, "{seen} {written}");
}

#[test]
fn a_report_counts_what_is_read_wrong() {
    let rows = "a	delegate coder	\"use CODIE\"
a	none	\"use CODIE\"
b	delegate general	\"hello\"
";
    let report = table::report(&Router::new(&lanes()), &table::parse(rows).unwrap());
    assert_eq!((report.precision.right, report.precision.of), (1, 2));
    assert_eq!((report.recall.right, report.recall.of), (1, 2));
    assert_eq!((report.categories["a"].right, report.categories["a"].of, report.wrong.len()), (1, 2, 2));
    assert!(table::parse("a	none").unwrap_err().to_string().starts_with("line 1: want"));
}

/// Names, verbs and marks in any order.
fn soup() -> impl Strategy<Value = String> {
    let words = vec![
        "use",
        "have",
        "CODIE",
        "the General VP",
        "VP",
        "don't",
        "cancel",
        "status",
        "what",
        "is",
        "\"",
        "'",
        "`",
        "(",
        ")",
        "?",
        ".",
        ",",
        ":",
        "\n",
        "\n\n",
        "- ",
        "-",
        "/",
        "to",
        "and",
        "or",
        "it",
        "if",
        "mission",
        "m-",
        "vp.coder.primary",
        "```",
        "\u{201c}",
        "\u{201d}",
        "\u{a0}",
        "\u{200b}",
        "\u{2014}",
        "\u{130}",
        "\u{fb03}",
        "'s",
        "2026-01-01 INFO",
        "a=b c=d",
    ];
    let word = prop_oneof![4 => prop::sample::select(words).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_and_its_words_are_the_texts_own(text in soup()) {
        let route = Router::new(&lanes()).route(&text);
        for because in &route.because {
            prop_assert!(text.contains(&because.words));
        }
        let delegates = route.decision == Intent::Delegate;
        prop_assert_eq!(delegates, !route.missions.is_empty());
        prop_assert_eq!(route.decision == Intent::Control, route.action.is_some());
        let unique: std::collections::BTreeSet<_> = route.vp_ids.iter().collect();
        prop_assert_eq!(unique.len(), route.vp_ids.len());
    }

    #[test]
    fn what_somebody_else_said_asks_for_nothing(index in 0_usize..200) {
        let phrases = phrases();
        let plain: Vec<_> = phrases.iter().filter(|phrase| phrase.category == "plain").collect();
        let phrase = &plain[index % plain.len()].text.replace(['"', '\n'], " ");
        let route = Router::new(&lanes()).route(&format!("Translate into German: \"{phrase}\""));
        prop_assert_eq!(route.decision, Intent::None, "{}", phrase);
        let route = Router::new(&lanes()).route(&format!("What does this mean?\n\n> {phrase}\n"));
        prop_assert_eq!(route.decision, Intent::None, "{}", phrase);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_text_of_any_characters_and_length_is_read(part in any::<String>(), name in "use CODIE|\u{201c}|```|@codie|", times in 1_usize..20_000) {
        let times = times.min(3 * MAX_ROUTED_BYTES / (part.len() + name.len() + 1));
        let text = format!("{name}{part}").repeat(times);
        let route = Router::new(&lanes()).route(&text);
        prop_assert!(route.vp_ids.len() <= 2);
    }
}

#[test]
fn the_longest_text_of_names_and_marks_is_read() {
    for part in [
        "use CODIE and ",
        "\u{201c}use ",
        "have the ",
        "CODIE ",
        "\"CODIE\" ",
        "if CODIE, ",
        "2026-01-01 INFO x\n",
    ] {
        let text = part.repeat(MAX_ROUTED_BYTES / part.len() + 1);
        let route = Router::new(&lanes()).route(&text);
        assert!(route.vp_ids.len() <= 2);
    }
}

#[test]
fn names_come_from_the_profiles() {
    let mut lanes = lanes();
    let mut lane = lanes.values().next().unwrap().clone();
    lane.display_name = "Ada".into();
    lane.aliases = vec!["legal VP".into()];
    lanes.insert(VpId::new("vp.legal.primary").unwrap(), lane);
    let router = Router::new(&lanes);
    for phrase in [
        "Have Ada read the contract",
        "Send this to the VP (legal)",
        "ada, check clause 4",
        "use the legal-VP for it",
    ] {
        assert_eq!(table::decision(&router.route(phrase)), "delegate legal", "{phrase}");
    }
    assert_eq!(table::decision(&Router::new(&Lanes::default()).route("Have Ada read the contract")), "none");
}
