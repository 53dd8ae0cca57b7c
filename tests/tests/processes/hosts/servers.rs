//! The lines of docs/simone.md that make Claude Code, Codex and Gemini CLI hosts of ours, run as they stand there; each
//! then reaches the tools, without a model.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;
use vp_shared::api::{TOOLS, ToolName};
use vp_tests::process::{Installation, Process, vp_binary};

use super::{PATIENCE, at_home, ended, program, written};
use crate::doors::{installation, up};

const TOKEN: &str = "0123456789abcdef-simone";

/// The user of a host: a home with our configuration where `vp` looks for it, and both programs in PATH.
struct User {
    vp: Installation,
    base: String,
    _up: Process,
}

impl User {
    /// `None` when the host's program is not to be tried.
    async fn of(name: &str) -> Option<Self> {
        let program = program(name)?;
        let vp = installation(&format!("credentials = [\"simone:{TOKEN}\"]"));
        let (bin, config) = (vp.dir().join("bin"), vp.dir().join("home/.config/vp"));
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&config).unwrap();
        std::fs::copy(vp.dir().join("vp.toml"), config.join("vp.toml")).unwrap();
        std::os::unix::fs::symlink(vp_binary(), bin.join("vp")).unwrap();
        std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
        let (up, base) = up(&vp).await;
        Some(Self { vp, base, _up: up })
    }

    fn home(&self) -> PathBuf {
        self.vp.dir().join("home")
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        at_home(&mut command, &self.home());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.vp.dir().join("bin")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all).unwrap()).env("SIMONE_TOKEN", TOKEN);
        let project = self.home().join("project");
        std::fs::create_dir_all(&project).unwrap();
        command.current_dir(project);
        command
    }

    /// Runs a line to its good end.
    async fn run(&self, line: &str) -> String {
        let out = ended(self.shell(line)).await;
        assert!(out.status.success(), "{line}: {}", written(&out));
        written(&out)
    }

    /// Runs the line of the documentation that begins with this.
    async fn follow_the_docs(&self, begin: &str) {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/simone.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let line = docs.lines().find(|line| line.starts_with(begin));
        let line = line.unwrap_or_else(|| panic!("docs/simone.md has no line `{begin}`"));
        self.run(&line.replace("http://127.0.0.1:7410", &self.base)).await;
    }

    fn file(&self, path: &str) -> String {
        std::fs::read_to_string(self.home().join(path)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_reaches_the_tools_by_the_documented_lines() {
    let Some(user) = User::of("claude").await else { return };
    for begin in ["claude mcp add vp --", "claude mcp add --transport http vp"] {
        user.follow_the_docs(begin).await;
        let listed = user.run("claude mcp list").await;
        assert!(listed.contains("vp: ") && listed.contains("Connected"), "{begin}: {listed}");
        user.run("claude mcp remove vp").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_reaches_the_tools_by_the_documented_lines() {
    let Some(user) = User::of("gemini").await else { return };
    for (begin, written) in [
        (
            "gemini mcp add -s user -e",
            json!({"command": "vp", "args": ["mcp"], "env": {"VP_SESSION": "simone"}}),
        ),
        (
            "gemini mcp add -s user -t http",
            json!({"type": "http", "url": format!("{}/mcp", user.base),
                "headers": {"Authorization": format!("Bearer {TOKEN}")}}),
        ),
    ] {
        user.follow_the_docs(begin).await;
        let settings: Value = serde_json::from_str(&user.file(".gemini/settings.json")).unwrap();
        assert_eq!(settings["mcpServers"]["vp"], written, "{begin}");
        // In a folder that is not trusted it starts no server.
        let listed = user.run("GEMINI_CLI_TRUST_WORKSPACE=true gemini mcp list").await;
        assert!(listed.contains("vp: ") && listed.contains("- Connected"), "{begin}: {listed}");
        user.run("gemini mcp remove -s user vp").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_reaches_the_tools_by_the_documented_lines() {
    let Some(user) = User::of("codex").await else { return };
    for (begin, transport) in [
        (
            "codex mcp add vp --env",
            json!({"type": "stdio", "command": "vp", "args": ["mcp"], "env": {"VP_SESSION": "simone"}}),
        ),
        (
            "codex mcp add vp --url",
            json!({"type": "streamable_http", "url": format!("{}/mcp", user.base), "bearer_token_env_var": "SIMONE_TOKEN"}),
        ),
    ] {
        user.follow_the_docs(begin).await;
        let out = ended(user.shell("codex mcp list --json")).await;
        let listed: Value = serde_json::from_slice(&out.stdout).unwrap();
        for (field, wanted) in transport.as_object().unwrap() {
            assert_eq!(&listed[0]["transport"][field], wanted, "{begin}: {listed}");
        }
        let status = codex_status(&user).await;
        let found = status["data"][0]["tools"].as_object().cloned().unwrap_or_default();
        let mut wanted = TOOLS.map(ToolName::name).to_vec();
        wanted.sort_unstable();
        assert_eq!(found.keys().collect::<Vec<_>>(), wanted, "{begin}: {status}");
        user.run("codex mcp remove vp").await;
    }
}

/// What codex knows of its servers: its app server connects to them for the asking.
async fn codex_status(user: &User) -> Value {
    let mut command = tokio::process::Command::from(user.shell("exec codex app-server"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut server = command.spawn().unwrap();
    let mut input = server.stdin.take().unwrap();
    let us = json!({"clientInfo": {"name": "test", "title": "test", "version": "1"}});
    for message in [
        json!({"id": 1, "method": "initialize", "params": us}),
        json!({"method": "initialized"}),
        json!({"id": 2, "method": "mcpServerStatus/list", "params": {}}),
    ] {
        input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let answer = async {
        loop {
            let line: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            if line["id"] == 2 {
                return line["result"].clone();
            }
        }
    };
    timeout(PATIENCE, answer).await.unwrap()
}
