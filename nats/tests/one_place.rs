//! The expectation is written in one place, over one filter text, and nothing else can publish to a mission: by the
//! sources. What happens where this rule is broken shows `cluster.rs`, on a replicated stream.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

/// The crates, beside this one.
const CRATES: [&str; 7] = ["shared", "nats", "dispatcher", "worker", "bridge", "deploy", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every source file of the product with its path below the root, without comments and what only tests compile.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut dirs: Vec<_> = CRATES.iter().map(|name| root().join(name).join("src")).collect();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let test = name.ends_with("tests.rs") || name.contains("/tests/") || name.contains("harness");
            if path.extension().is_some_and(|kind| kind == "rs") && !test {
                found.push((name, code_of(&std::fs::read_to_string(&path).unwrap())));
            }
        }
    }
    assert!(found.len() > 100, "the sources are not where they were: {}", found.len());
    found
}

/// The code before the tests of a file, without comments.
fn code_of(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let product = product.split("#[cfg(test)]\n#[allow").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The files whose code holds one of these words.
fn holders(words: &[&str]) -> Vec<String> {
    let holds = |code: &str| words.iter().any(|word| code.contains(word));
    let mut names: Vec<_> =
        sources().into_iter().filter(|(_, code)| holds(code)).map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn the_expectation_is_written_in_one_file() {
    assert_eq!(holders(&["Expected-Last-Subject", "NATS_EXPECTED_LAST_SUBJECT"]), ["nats/src/headers.rs"]);
    // The notices' stream has one writer at a time and an expectation over the whole of it.
    let others: Vec<_> = holders(&["Expected-Last", "NATS_EXPECTED_LAST"]);
    assert_eq!(others, ["nats/src/headers.rs", "nats/src/notices.rs"]);
}

#[test]
fn a_missions_subject_is_spelled_in_one_file_and_made_where_events_are_published_and_read() {
    assert_eq!(holders(&["\"missions.", "missions.{"]), ["nats/src/subject.rs"]);
    let made = holders(&["MissionSubject {"]);
    assert_eq!(made, ["nats/src/mission_log.rs", "nats/src/publish.rs", "nats/src/subject.rs"]);
}

#[test]
fn only_the_nats_crate_can_publish_at_all() {
    let strangers: Vec<_> =
        holders(&["async_nats::"]).into_iter().filter(|name| !name.starts_with("nats/src/")).collect();
    assert_eq!(strangers, Vec::<String>::new());
    // Through it, others reach the client; they may not. What breaks things in tests may.
    let reached: Vec<_> = holders(&[".client()", ".jetstream()"])
        .into_iter()
        .filter(|name| !name.starts_with("nats/src/") && !name.starts_with("tests/src/"))
        .collect();
    assert_eq!(reached, Vec::<String>::new());
}

#[test]
fn the_look_at_the_sources_sees_code_and_no_comments_or_tests() {
    let text = "/// Expected-Last\nlet a = \"missions.x\";\n#[cfg(test)]\nmod tests { Expected-Last }";
    assert_eq!(code_of(text), "let a = \"missions.x\";");
}
