//! The README's own commands, as a reader would paste them.

use std::path::Path;
use std::process::{Command, Output};

use vp_tests::process::{Installation, vp_binary};

const README: &str = include_str!("../../../README.md");

/// The commands of the `sh` block below a heading, one by one, without comments.
fn commands(heading: &str) -> Vec<String> {
    let section = README.split(&format!("\n## {heading}\n")).nth(1).expect("the README has the section");
    let block = section.split("```sh\n").nth(1).expect("it begins with commands");
    let block = block.split("```").next().unwrap_or_default().replace("\\\n", " ");
    let without_comments = block.lines().map(|line| line.split(" #").next().unwrap_or_default());
    without_comments.flat_map(|line| line.split(';')).map(|one| one.trim().to_owned()).collect()
}

/// A repository as small as one can be.
fn repository(dir: &Path) {
    let git = "git init -q . && git config user.email a@example.org && git config user.name A \
               && echo '# A thing' > README.md && git add . && git commit -qm first";
    let made = Command::new("sh").args(["-c", git]).current_dir(dir).status().unwrap();
    assert!(made.success());
}

fn shell(vp: &Installation, repo: &Path, command: &str) -> Output {
    let config = vp.dir().join("vp.toml");
    let path = format!("{}:{}", vp_binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(repo).env("PATH", path).env("VP_CONFIG", config);
    // What this test was started with is no setting.
    shell.env_remove("VP_POSTGRES_BIN").env_remove("VP_TEST_LOG").output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_of_the_readme_does_what_it_is_there_for() {
    let vp = Installation::new(None, "");
    let repo = tempfile::tempdir().unwrap();
    repository(repo.path());
    let commands = commands("Use it");
    assert_eq!(commands[1], "vp up", "{commands:?}");
    let mut up = vp.spawn("up", ["up"]);
    up.until_it_says("vp is up").await;
    let mut mission = String::new();
    let mut ran = 0;
    for command in commands.iter().skip(2).filter(|command| !command.is_empty()) {
        // What follows for ever is stopped by `timeout`, with a status of its own.
        let endless = command.contains("--follow");
        let stopped = if endless { "timeout -s INT 3 " } else { "" };
        let ran_as = format!("{stopped}{}", command.replace("MISSION", &mission));
        let output = shell(&vp, repo.path(), &ran_as);
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code();
        match command.split_whitespace().nth(1).unwrap() {
            "dispatch" => {
                assert_eq!(code, Some(0), "{ran_as}: {said}");
                let id = said.split_whitespace().find(|word| word.starts_with("m-")).expect("it says the id");
                id.clone_into(&mut mission);
            }
            // It has ended by now, which is what it says.
            "cancel" => assert!(code != Some(0) && said.contains("already_terminal"), "{ran_as}: {said}"),
            "notices" => assert!(said.contains("Primary work product: report.md"), "{said}"),
            "artifacts" => assert!(code == Some(0) && said.contains("report.md"), "{ran_as}: {said}"),
            "events" => assert!(said.contains(&mission) || said.contains("completed"), "{said}"),
            _ => assert_eq!(code, Some(0), "{ran_as}: {said}"),
        }
        ran += 1;
    }
    assert!(ran >= 9, "{commands:?}");
    assert!(up.terminate().await.success());
}
