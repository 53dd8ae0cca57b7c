//! The example lanes' scripts, run as the `command` executor runs them, on real git repositories.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// What a user's own git configuration may look like; no script may care.
const HOSTILE_GITCONFIG: &str = "\
[core]\n\tautocrlf = true\n\tquotePath = true\n\tpager = false\n[color]\n\tui = always\n\
[diff]\n\tnoprefix = true\n\texternal = /bin/false\n\trenames = copies\n[log]\n\tshowSignature = true\n\
[grep]\n\tlineNumber = true\n\tpatternType = perl\n[apply]\n\twhitespace = error\n[init]\n\tdefaultBranch = odd\n\
[clone]\n\trejectShallow = false\n[commit]\n\tgpgSign = false\n";

/// A repository, a home and a work directory, all temporary.
struct World {
    dir: TempDir,
    home: PathBuf,
}

/// What a script did.
struct Ran {
    code: Option<i32>,
    stderr: String,
    says: Vec<Value>,
    work: PathBuf,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("vp lanes ").tempdir().unwrap();
        let home = dir.path().join("home");
        for name in ["home", "re po", "work"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(home.join(".gitconfig"), HOSTILE_GITCONFIG).unwrap();
        let world = Self { dir, home };
        world.git(&["init", "--quiet"]);
        world
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("re po")
    }

    fn git(&self, args: &[&str]) -> String {
        git_in(&self.repo(), args)
    }

    fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, author: &str) -> String {
        self.git(&["add", "--all"]);
        let author = format!("{author} <someone@example.org>");
        self.git(&["commit", "--quiet", "--allow-empty", "--author", &author, "-m", "a change"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Runs the script on the repository as the executor does: few variables, its own directory.
    fn run(&self, script: &str) -> Ran {
        self.run_on(script, Some(self.repo().as_os_str()))
    }

    fn run_on(&self, script: &str, repo: Option<&OsStr>) -> Ran {
        self.run_at_home(script, repo, &self.home)
    }

    fn run_at_home(&self, script: &str, repo: Option<&OsStr>, home: &Path) -> Ran {
        let work =
            tempfile::Builder::new().prefix("attempt").tempdir_in(self.dir.path().join("work")).unwrap();
        let work = work.keep();
        let mut command = Command::new("sh");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("lanes").join(script));
        command.current_dir(&work).env_clear().env("HOME", home).env("TMPDIR", self.dir.path());
        command.env("PATH", std::env::var_os("PATH").unwrap());
        for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(repo.map(|repo| ("VP_CONSTRAINT_REPO", repo)));
        let Output { status, stdout, stderr } = command.output().unwrap();
        let says = String::from_utf8(stdout).expect("stdout is not UTF-8");
        let says =
            says.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
        Ran {
            code: status.code(),
            says: says.collect(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            work,
        }
    }
}

impl Ran {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.stderr, "");
        // Nothing is in the directory but what was declared.
        let mut declared: Vec<String> = self.deliverables().into_keys().collect();
        declared.sort();
        assert_eq!(files_below(&self.work), declared);
        self
    }

    /// Path and category of each.
    fn deliverables(&self) -> BTreeMap<String, String> {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
        let declared = self.says.iter().filter(|line| line["vp"] == "deliverable");
        declared.map(|line| (text(line, "path"), text(line, "category"))).collect()
    }

    fn primary(&self) -> Vec<String> {
        let all = self.deliverables().into_iter();
        all.filter(|(_, category)| category == "primary_work_product").map(|(path, _)| path).collect()
    }

    fn summary(&self) -> String {
        let lines: Vec<_> = self.says.iter().filter(|line| line["vp"] == "summary").collect();
        assert_eq!(lines.len(), 1, "want one summary");
        lines[0]["text"].as_str().unwrap().to_owned()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.work.join(path)).unwrap()
    }

    /// The rows of a table without its header.
    fn rows(&self, table: &str) -> Vec<Vec<String>> {
        let text = self.read(&format!("tables/{table}.tsv"));
        text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }
}

fn git_in(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=Committer",
        "-c",
        "user.email=c@example.org",
        "-c",
        "core.autocrlf=false",
    ]);
    command
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "git {args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

fn files_below(dir: &Path) -> Vec<String> {
    let mut all: Vec<String> = snapshot(dir).into_keys().map(|path| path.display().to_string()).collect();
    all.sort();
    all
}

/// Every file below `dir` with its content (of a link: its target), and when it was changed.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let below = path.strip_prefix(dir).unwrap().to_owned();
            if meta.is_dir() {
                dirs.push(path);
            } else if meta.is_symlink() {
                let target = fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec();
                found.insert(below, (target, meta.modified().unwrap()));
            } else {
                found.insert(below, (fs::read(&path).unwrap(), meta.modified().unwrap()));
            }
        }
    }
    found
}

/// Names that have broken scripts before.
const ODD_NAMES: [&str; 9] = [
    "with space.rs",
    "quote\"d.rs",
    "back\\slash.rs",
    "tab\there.rs",
    "new\nline.rs",
    "größe.rs",
    "-n.rs",
    "pipe|and`tick.rs",
    "colon:1:a.rs",
];

fn odd_world() -> World {
    let world = World::new();
    for (index, name) in ODD_NAMES.iter().enumerate() {
        world.write(name, format!("// TODO: number {index}: a|b <c>\nfn f() {{}}\n"));
    }
    world.write("latin1.py", b"# TODO caf\xe9\n");
    world.write("logo.png", [0x89, b'P', 0, 0, b'T', b'O', b'D', b'O', 0]);
    world.write("Makefile", "all:\n");
    world.write("LICENSE", "");
    symlink("Makefile", world.repo().join("link.rs")).unwrap();
    world.commit("Ann | Ärger");
    world
}

#[test]
fn a_report_has_sizes_changes_authors_and_todos() {
    let world = World::new();
    world.write("src/main.rs", "fn main() {}\n// FIXME later\n");
    world.write("gone.rs", "x\n");
    world.commit("Ann");
    world.write("src/main.rs", "fn main() {}\n// FIXME later\n\n    // TODO: at once\n");
    world.write("README.md", "# big\n".repeat(100));
    fs::remove_file(world.repo().join("gone.rs")).unwrap();
    let head = world.commit("Bob");
    world.write("README.md", "not committed");

    let ran = world.run("report.sh").ok();
    assert_eq!(ran.primary(), ["report.md"]);
    let supporting = ran.deliverables();
    assert_eq!(supporting.len(), 6);
    assert_eq!(supporting["tables/todos.tsv"], "supporting_artifact");
    assert_eq!(ran.rows("files"), [["600", "README.md"], ["50", "src/main.rs"]]);
    assert_eq!(ran.rows("languages"), [["Markdown", "1", "600", "92.3 %"], ["Rust", "1", "50", "7.7 %"]]);
    // What is gone is no longer a file to look at.
    assert_eq!(ran.rows("changed"), [["src/main.rs", "2"], ["README.md", "1"]]);
    let authors: Vec<_> = ran.rows("authors").into_iter().map(|row| row[..2].to_vec()).collect();
    assert_eq!(authors, [["Ann", "1"], ["Bob", "1"]]);
    assert_eq!(
        ran.rows("todos"),
        [["src/main.rs", "2", "// FIXME later"], ["src/main.rs", "4", "// TODO: at once"]]
    );
    let report = ran.read("report.md");
    for part in [&head[..12], "2 files, 650 bytes", "2 commits by 2 authors", "src/main.rs:4", "| Bob | 1 |"]
    {
        assert!(report.contains(part), "{part:?} is missing in\n{report}");
    }
    assert!(!report.contains("example.org"), "an address is in\n{report}");
    assert!(
        ran.summary().contains("mostly Markdown") && ran.summary().contains("2 open TODOs"),
        "{}",
        ran.summary()
    );
    assert!(ran.says.iter().any(|line| line["vp"] == "progress"));
}

#[test]
fn a_report_survives_odd_names_binary_files_and_old_encodings() {
    let world = odd_world();
    let before = snapshot(&world.repo());
    let ran = world.run("report.sh").ok();
    assert_eq!(snapshot(&world.repo()), before, "the repository was touched");
    // The nine odd ones, latin1, the image, Makefile and LICENSE; the link is no file.
    assert_eq!(ran.rows("files").len(), 13);
    let languages: BTreeMap<_, _> =
        ran.rows("languages").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let want = [("(no extension)", "1"), ("Image", "1"), ("Make", "1"), ("Python", "1"), ("Rust", "9")];
    assert_eq!(languages, want.map(|(name, files)| (name.to_owned(), files.to_owned())).into());
    let todos = ran.rows("todos");
    assert_eq!(todos.len(), 10, "{todos:?}");
    let of = |path: &str| {
        todos.iter().find(|row| row[0] == path).unwrap_or_else(|| panic!("{path:?} not in {todos:?}"))
    };
    assert_eq!(of("colon:1:a.rs")[1..], ["1", "// TODO: number 8: a|b <c>"]);
    assert_eq!(of("with space.rs")[1], "1");
    assert_eq!(of("größe.rs")[1], "1");
    assert_eq!(of("new?line.rs")[1], "1");
    assert_eq!(of("latin1.py")[2], "# TODO caf");
    assert!(todos.iter().all(|row| row.len() == 3), "{todos:?}");
    let report = ran.read("report.md");
    assert!(report.contains("Ann \\| Ärger") && report.contains("a\\|b &lt;c>"), "{report}");
}

#[test]
fn a_report_on_a_bare_a_shallow_and_a_detached_repository_works() {
    let world = World::new();
    for text in ["1\n", "2\n", "3\n"] {
        world.write("a.txt", text);
        world.commit("Ann");
    }
    world.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    assert!(world.run("report.sh").ok().summary().contains("2 commits by 1 author,"));
    let (bare, shallow) = (world.dir.path().join("bare.git"), world.dir.path().join("shallow"));
    git_in(world.dir.path(), &["clone", "--quiet", "--bare", "re po", "bare.git"]);
    let ran = world.run_on("report.sh", Some(bare.as_os_str())).ok();
    assert!(ran.summary().starts_with("bare: 1 file "), "{}", ran.summary());
    git_in(world.dir.path(), &["clone", "--quiet", "--depth=1", "--no-local", "re po", "shallow"]);
    let ran = world.run_on("report.sh", Some(shallow.as_os_str())).ok();
    assert!(ran.read("report.md").contains("This is a shallow clone"), "{}", ran.read("report.md"));
}

#[test]
fn a_repository_without_a_commit_is_told_as_such() {
    let world = World::new();
    world.write("a.rs", "x");
    for (script, primary) in [("report.sh", "report.md"), ("coder.sh", "review.md")] {
        let ran = world.run(script).ok();
        assert_eq!(ran.primary(), [primary]);
        assert!(ran.summary().contains("has no commit yet"), "{}", ran.summary());
        assert!(ran.read(primary).contains("no commit yet"));
    }
}

#[test]
fn an_empty_tree_is_a_repository_too() {
    let world = World::new();
    world.commit("Ann");
    assert!(
        world
            .run("report.sh")
            .ok()
            .summary()
            .contains("0 files (0 bytes, mostly nothing), 1 commit by 1 author")
    );
    assert_eq!(world.run("coder.sh").ok().primary(), ["review.md"]);
}

#[test]
fn without_a_repository_the_scripts_end_as_misconfigured_and_say_why() {
    let world = World::new();
    let plain = world.dir.path().join("plain");
    // Inside a repository, but not one itself.
    let inside = world.repo().join("inside");
    fs::create_dir(&plain).unwrap();
    fs::create_dir(&inside).unwrap();
    fs::write(world.dir.path().join("file"), "").unwrap();
    for script in ["report.sh", "coder.sh"] {
        for (repo, why) in [
            (None, "no repository was given"),
            (Some(PathBuf::new()), "no repository was given"),
            (Some(world.dir.path().join("nowhere")), "is no directory on this host"),
            (Some(world.dir.path().join("file")), "is no directory on this host"),
            (Some(plain.clone()), "is not a git repository"),
            (Some(inside.clone()), "is not a git repository"),
        ] {
            let ran = world.run_on(script, repo.as_ref().map(|path| path.as_os_str()));
            assert_eq!(ran.code, Some(78), "{script} {repo:?}: {}", ran.stderr);
            assert!(
                ran.stderr.starts_with(&format!("{script}: ")) && ran.stderr.contains(why),
                "{}",
                ran.stderr
            );
            assert!(ran.deliverables().is_empty());
        }
    }
}

fn messy_world() -> World {
    let world = World::new();
    for name in ODD_NAMES {
        world.write(name, "fn f() {}  \n\t\nfn g() {}");
    }
    world.write("windows.py", "a = 1\r\nb = 2 \r\n");
    world.write("clean.py", "a = 1\n");
    world.write("run.sh", "#!/bin/sh\necho hi \n");
    fs::set_permissions(world.repo().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    world.write("broken.sh", "if true; then\n");
    world.write("notes.md", "a line break  \nafter it");
    world.write("data.csv", "1, \r\n");
    world.write("fix.patch", "- \n");
    world.write("vendor/lib.c", "int x; \n");
    world.write("deep/vendor/lib.c", "int x; \n");
    world.write("web/lib.min.js", "f() \n");
    world.write("binary.c", b"\0 \n");
    world.write("empty.rs", "");
    world.write("conflict.txt", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n");
    symlink("windows.py", world.repo().join("link.py")).unwrap();
    symlink("/etc/hostname", world.repo().join("out.rs")).unwrap();
    world.commit("Ann");
    world
}

#[test]
fn the_coder_hands_over_a_patch_that_applies_and_leaves_the_repository_alone() {
    let world = messy_world();
    world.write("clean.py", "a = 1 # being edited \n");
    world.write("untracked.py", "x \n");
    let (before, head) = (snapshot(&world.repo()), world.git(&["rev-parse", "HEAD"]));
    let ran = world.run("coder.sh").ok();
    assert_eq!(snapshot(&world.repo()), before, "the repository was touched");
    assert_eq!(ran.primary(), ["changes.patch"]);
    assert_eq!(ran.deliverables()["check.log"], "supporting_artifact");
    assert!(
        ran.summary().contains("12 files changed") && ran.summary().contains("applies with git apply"),
        "{}",
        ran.summary()
    );

    let fresh = world.dir.path().join("fresh");
    git_in(world.dir.path(), &["clone", "--quiet", "re po", "fresh"]);
    git_in(&fresh, &["checkout", "--quiet", head.trim()]);
    git_in(&fresh, &["apply", ran.work.join("changes.patch").to_str().unwrap()]);
    for name in ODD_NAMES {
        assert_eq!(fs::read_to_string(fresh.join(name)).unwrap(), "fn f() {}\n\nfn g() {}\n", "{name:?}");
    }
    let read = |name: &str| fs::read(fresh.join(name)).unwrap();
    assert_eq!(read("windows.py"), b"a = 1\nb = 2\n");
    assert_eq!(read("notes.md"), b"a line break  \nafter it\n");
    for same in [
        "clean.py",
        "data.csv",
        "fix.patch",
        "vendor/lib.c",
        "deep/vendor/lib.c",
        "web/lib.min.js",
        "binary.c",
        "empty.rs",
    ] {
        assert_eq!(read(same), git_in(&fresh, &["show", &format!("HEAD:{same}")]).into_bytes(), "{same}");
    }
    assert_eq!(fs::read_link(fresh.join("link.py")).unwrap(), Path::new("windows.py"));
    assert_eq!(fs::metadata(fresh.join("run.sh")).unwrap().permissions().mode() & 0o111, 0o111);
}

#[test]
fn the_coder_logs_what_it_checked() {
    let world = messy_world();
    let ran = world.run("coder.sh").ok();
    let log = ran.read("check.log");
    for part in ["ok   run.sh", "FAIL broken.sh: ", "FAIL conflict.txt:1:<<<<<<< HEAD", "cargo fmt: not used"]
    {
        assert!(log.contains(part), "{part:?} is missing in\n{log}");
    }
    assert!(
        ran.summary().contains("2 shell scripts checked, 1 broken, 2 conflict markers"),
        "{}",
        ran.summary()
    );
}

#[test]
fn a_clean_repository_gets_a_review_instead_of_an_empty_patch() {
    let world = World::new();
    world.write("a.py", "a = 1\n");
    world.write("run.sh", "echo hi\n");
    world.commit("Ann");
    let ran = world.run("coder.sh").ok();
    assert_eq!(ran.primary(), ["review.md"]);
    assert!(ran.summary().contains("is clean, so there is no patch"), "{}", ran.summary());
    assert!(ran.read("review.md").contains("2 text files looked at"), "{}", ran.read("review.md"));
}

#[test]
fn line_ends_that_the_repository_asks_for_are_kept() {
    let world = World::new();
    world.write(".gitattributes", "*.py text eol=crlf\n");
    world.write("a.py", "a = 1\nb = 2\n");
    world.write("b.py", "a = 1 \nb = 2");
    world.commit("Ann");
    let ran = world.run("coder.sh").ok();
    let patch = ran.read("changes.patch");
    assert!(patch.contains("b/b.py") && !patch.contains("a/a.py") && !patch.contains('\r'), "{patch}");
}

#[test]
fn the_coder_works_on_bare_shallow_and_detached_repositories() {
    let world = World::new();
    for text in ["1 \n", "2 \n", "3 \n"] {
        world.write("a.py", text);
        world.commit("Ann");
    }
    world.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    let ran = world.run("coder.sh").ok();
    assert!(ran.read("changes.patch").contains("-2 \n+2\n"));
    for (name, args) in [("bare.git", &["--bare"][..]), ("shallow", &["--no-local", "--depth=1"][..])] {
        let mut clone = vec!["clone", "--quiet"];
        clone.extend_from_slice(args);
        clone.extend_from_slice(&["re po", name]);
        git_in(world.dir.path(), &clone);
        let ran = world.run_on("coder.sh", Some(world.dir.path().join(name).as_os_str())).ok();
        assert_eq!(ran.primary(), ["changes.patch"], "{name}");
    }
}

#[test]
fn rust_is_formatted_where_cargo_can() {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let can =
        Command::new("cargo").args(["fmt", "--version"]).output().is_ok_and(|done| done.status.success());
    let world = World::new();
    world.write("Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    world.write("src/lib.rs", "pub fn f( )->u8{1}\n");
    world.commit("Ann");
    let ran = world.run_at_home("coder.sh", Some(world.repo().as_os_str()), &home).ok();
    if can {
        assert!(ran.read("changes.patch").contains("+pub fn f() -> u8 {"), "{}", ran.read("check.log"));
    } else {
        assert_eq!(ran.primary(), ["review.md"]);
    }

    // A formatter would follow this to files that are not in the clone.
    let outside = world.dir.path().join("outside.rs");
    fs::write(&outside, "fn  o( ){}\n").unwrap();
    world.write("src/lib.rs", format!("#[path = \"{}\"]\nmod o;\n", outside.display()));
    world.commit("Ann");
    let ran = world.run_at_home("coder.sh", Some(world.repo().as_os_str()), &home).ok();
    assert!(
        ran.read("check.log").contains("a path leads out of the repository"),
        "{}",
        ran.read("check.log")
    );
    assert_eq!(fs::read_to_string(&outside).unwrap(), "fn  o( ){}\n");
}

#[test]
fn a_link_out_of_the_repository_keeps_the_formatter_away() {
    let world = World::new();
    let outside = world.dir.path().join("outside.rs");
    fs::write(&outside, "fn  o( ){}\n").unwrap();
    world.write("Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    world.write("src/lib.rs", "mod o;\n");
    symlink(&outside, world.repo().join("src/o.rs")).unwrap();
    world.commit("Ann");
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let ran = world.run_at_home("coder.sh", Some(world.repo().as_os_str()), &home).ok();
    assert!(
        ran.read("check.log").contains("a path leads out of the repository"),
        "{}",
        ran.read("check.log")
    );
    assert_eq!(fs::read_to_string(&outside).unwrap(), "fn  o( ){}\n");
}
