//! The routing policy against phrases that people write.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vp_shared::lane::Lanes;
use vp_shared::routing::{ControlAction, Intent, Route, Router};

/// Two lanes, called as in the configuration that is built in.
fn lanes() -> Lanes {
    let lane = |name: &str, aliases: &[&str]| serde_json::json!({"display_name": name, "aliases": aliases, "executor": {"kind": "noop"}});
    serde_json::from_value(serde_json::json!({
        "vp.coder.primary": lane("CODIE", &["Cody", "coder VP", "coding VP", "code VP"]),
        "vp.general.primary": lane("General VP", &["generalist", "VP general agent", "General DP"]),
    }))
    .unwrap()
}

/// A decision in the words of the table: "delegate coder general", "status", "none".
fn told(route: &Route) -> String {
    let action = match (route.decision, route.action) {
        (Intent::Delegate, _) => "delegate",
        (Intent::Ambiguous, _) => return "ambiguous".into(),
        (Intent::Control, Some(ControlAction::Cancel)) => "cancel",
        (Intent::Control, Some(ControlAction::Read)) => "read",
        (Intent::Control, _) => "status",
        (Intent::None, _) => return "none".into(),
    };
    let lanes = route.vp_ids.iter().map(|id| id.as_str().split('.').nth(1).unwrap());
    std::iter::once(action).chain(lanes).collect::<Vec<_>>().join(" ")
}

struct Phrase {
    category: String,
    expected: String,
    text: String,
}

fn phrases(table: &str) -> Vec<Phrase> {
    let rows = table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    rows.map(|line| {
        let mut fields = line.splitn(3, '\t').map(str::to_owned);
        let (category, expected) = (fields.next().unwrap(), fields.next().unwrap());
        Phrase { category, expected, text: serde_json::from_str(&fields.next().unwrap()).unwrap() }
    })
    .collect()
}

/// Right answers, and for delegations how many of those found were asked for, and how many of those asked for were found.
fn report(phrases: &[Phrase]) -> (String, usize) {
    let router = Router::new(&lanes());
    let mut by_category: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut found, mut wanted, mut both) = (0, 0, 0);
    let mut report = String::new();
    let mut wrong = 0;
    for phrase in phrases {
        let route = router.route(&phrase.text);
        let got = told(&route);
        let row = by_category.entry(&phrase.category).or_default();
        row.1 += 1;
        let delegates = [got.starts_with("delegate"), phrase.expected.starts_with("delegate")];
        found += usize::from(delegates[0]);
        wanted += usize::from(delegates[1]);
        both += usize::from(got == phrase.expected && delegates[1]);
        if got == phrase.expected {
            row.0 += 1;
        } else {
            wrong += 1;
            let because: Vec<_> = route.because.iter().map(|b| b.means.as_str()).collect();
            writeln!(
                report,
                "wrong [{}] {:?}: {got}, want {} ({because:?})",
                phrase.category, phrase.text, phrase.expected
            )
            .unwrap();
        }
    }
    for (category, (right, all)) in by_category {
        writeln!(report, "{category:22} {right:3} of {all}").unwrap();
    }
    writeln!(report, "delegation: precision {both} of {found}, recall {both} of {wanted}").unwrap();
    (report, wrong)
}

#[test]
fn every_phrase_of_the_table_is_understood() {
    let phrases = phrases(include_str!("routing/phrases.tsv"));
    assert!(phrases.len() >= 200, "{}", phrases.len());
    let (report, wrong) = report(&phrases);
    println!("{report}");
    assert_eq!(wrong, 0, "{report}");
}

/// A table beside the repository's, to be judged by eye: `VP_ROUTING_TABLE=FILE cargo test -p vp-shared --test routing
/// -- --nocapture`.
#[test]
fn a_table_of_yours_is_reported() {
    let Ok(path) = std::env::var("VP_ROUTING_TABLE") else { return };
    let table = std::fs::read_to_string(&path).unwrap();
    println!("{}", report(&phrases(&table)).0);
}
