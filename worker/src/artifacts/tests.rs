#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn workspace(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn declare(path: &str, category: Category) -> Declared {
    Declared { path: path.into(), category }
}

fn look_at(dir: &TempDir, declared: &[Declared]) -> Looked {
    look(dir.path(), declared, &Inputs::new(), &[]).unwrap()
}

fn paths(looked: &Looked) -> Vec<&str> {
    looked.listed.iter().map(|artifact| artifact.path.as_str()).collect()
}

use Category::{PrimaryWorkProduct as P, SupportingArtifact as S};

#[test]
fn products_come_first_and_builds_do_not_come_at_all() {
    let dir = workspace(&[
        ("report.md", "# r"),
        ("deep/er/data.csv", "1"),
        ("logs/stdout.log", "x"),
        (".git/config", "x"),
        ("target/debug/a", "x"),
        ("web/node_modules/x/index.js", "x"),
        ("mission_receipt.json", "forged"),
        ("sync_ready.json", "forged"),
    ]);
    let looked = look_at(&dir, &[]);
    assert_eq!(paths(&looked), ["report.md", "deep/er/data.csv", "logs/stdout.log"]);
    assert_eq!((looked.total, looked.primary), (3, 2));
    let report = &looked.listed[0];
    assert_eq!((report.bytes, report.media_type.as_str(), report.category), (3, "text/markdown", P));
    assert_eq!(report.sha256, hex(&Sha256::digest(b"# r")));
}

#[test]
fn what_is_declared_comes_first_in_the_order_declared() {
    let dir =
        workspace(&[("a.md", "a"), ("z.md", "z"), ("out/x", "x"), ("out/y", "y"), ("target/app", "bin")]);
    let looked = look_at(
        &dir,
        &[declare("z.md", P), declare("target/app", P), declare("out", S), declare("./z.md", P)],
    );
    assert_eq!(paths(&looked)[..2], ["z.md", "target/app"]);
    assert_eq!((looked.total, looked.primary), (5, 3));
    assert!(
        looked.listed.iter().filter(|found| found.path.starts_with("out/")).all(|found| found.category == S)
    );
}

#[test]
fn an_input_counts_only_when_it_was_changed() {
    let dir = workspace(&[("in.txt", "given"), ("edited.txt", "after"), ("new.txt", "n")]);
    let digest = |text: &str| hex(&Sha256::digest(text.as_bytes()));
    let inputs = [("in.txt", "given"), ("edited.txt", "before")]
        .map(|(path, text)| (path.to_owned(), digest(text)))
        .into();
    let looked = look(dir.path(), &[declare("in.txt", P)], &inputs, &[]).unwrap();
    let mut found = paths(&looked);
    found.sort_unstable();
    assert_eq!(found, ["edited.txt", "new.txt"]);
}

#[test]
fn links_never_lead_out_of_the_workspace() {
    let outside = workspace(&[("secret.md", "s")]);
    let dir = workspace(&[("real.md", "r")]);
    symlink(outside.path().join("secret.md"), dir.path().join("stolen.md")).unwrap();
    symlink(outside.path(), dir.path().join("all")).unwrap();
    symlink("real.md", dir.path().join("inside.md")).unwrap();
    symlink("nowhere", dir.path().join("broken")).unwrap();
    let secret = outside.path().join("secret.md");
    let declared = [
        declare("stolen.md", P),
        declare("all/secret.md", P),
        declare("../secret.md", P),
        declare(secret.to_str().unwrap(), P),
        declare("inside.md", P),
        declare("missing.md", P),
        declare("", P),
        declare("a\0b", P),
    ];
    let looked = look_at(&dir, &declared);
    assert_eq!(paths(&looked), ["real.md"]);
    assert_eq!((looked.total, looked.primary), (1, 1));
}

#[test]
fn ignore_rules_hide_clutter_but_never_the_only_product() {
    let dir =
        workspace(&[(".gitignore", "build/\n*.tmp\n"), ("main.rs", "x"), ("build/o", "x"), ("a.tmp", "x")]);
    assert_eq!(paths(&look_at(&dir, &[])), ["main.rs", ".gitignore"]);
    let dir = workspace(&[(".gitignore", "*\n"), ("report.md", "x")]);
    assert_eq!(paths(&look_at(&dir, &[]))[0], "report.md");
}

#[test]
fn ten_thousand_files_are_counted_and_the_best_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    for folder in 0..100 {
        let folder = dir.path().join(format!("d{folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..100 {
            fs::write(folder.join(format!("{file}.txt")), "x").unwrap();
        }
    }
    fs::write(dir.path().join("top.md"), "t").unwrap();
    let looked = look_at(&dir, &[declare("d99/99.txt", P)]);
    assert_eq!((looked.total, looked.primary, looked.listed.len()), (10_001, 10_001, LISTED));
    assert_eq!(paths(&looked)[..2], ["d99/99.txt", "top.md"]);
    assert_eq!(looked, look_at(&dir, &[declare("d99/99.txt", P)]));
}

#[test]
fn pipes_and_directories_are_no_files() {
    let dir = workspace(&[("a.md", "a")]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let looked = look_at(&dir, &[declare("pipe", P)]);
    assert_eq!(paths(&looked), ["a.md"]);
}

#[test]
fn a_list_of_long_names_leaves_room_in_its_message_and_all_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    // Each of these bytes is six in JSON.
    let deep = vec!["\u{1}".repeat(250); 13].join("/");
    fs::create_dir_all(dir.path().join(&deep)).unwrap();
    for nth in 0..MissionResult::MAX_LISTED {
        fs::write(dir.path().join(&deep).join(format!("{nth}.md")), "x").unwrap();
    }
    let looked = look_at(&dir, &[]);
    let bytes = serde_json::to_vec(&looked.listed).unwrap().len();
    assert!((100_000..=MissionResult::MAX_LISTED_BYTES + 100).contains(&bytes), "{bytes}");
    assert_eq!((looked.total, looked.primary), (50, 50));
}
