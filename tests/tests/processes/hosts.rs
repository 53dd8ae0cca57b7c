//! Real agents' command lines as hosts of ours, with nothing behind them but the loopback address.
//!
//! Only with `VP_TEST_REAL_CLIS=1`, and each only where its program is: in PATH, or where `VP_TEST_CLAUDE`,
//! `VP_TEST_CODEX` and `VP_TEST_GEMINI` say. From npm: `@anthropic-ai/claude-code`, `@openai/codex`,
//! `@google/gemini-cli`. With which versions they were seen is in docs/simone.md.
//!
//! - `model`: stands in for the model; says what its script says.
//! - `tools`: claude uses the six tools. `hooks`: claude is held to the user's words. `servers`: the documented lines
//!   that make each of them a host.

mod hooks;
mod model;
mod servers;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::time::timeout;

/// The longest that one of them may run.
const PATIENCE: Duration = Duration::from_mins(3);

/// Where a program is; `None`, said aloud, when this is not asked for or it is not there.
#[expect(clippy::print_stderr, reason = "what is skipped is said aloud")]
fn program(name: &str) -> Option<PathBuf> {
    if std::env::var_os("VP_TEST_REAL_CLIS").is_none_or(|on| on != "1") {
        eprintln!("SKIPPED: set VP_TEST_REAL_CLIS=1 to try the real {name}");
        return None;
    }
    let variable = format!("VP_TEST_{}", name.to_uppercase());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    let found = std::env::var_os(&variable).map(PathBuf::from).or_else(in_path);
    if found.is_none() {
        eprintln!("SKIPPED: there is no {name} in PATH, and {variable} does not say where it is");
    }
    found
}

/// Gives it a home of its own and nothing of the caller's environment: what begins with `VP_` is a misspelled setting
/// to the `vp` processes that it starts.
fn at_home(command: &mut Command, home: &Path) {
    std::fs::create_dir_all(home).unwrap();
    command.env_clear().current_dir(home).env("HOME", home).stdin(Stdio::null());
    command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
}

/// As [`at_home`], for a claude whose model is at `url`.
fn claude_at_home(command: &mut Command, home: &Path, url: &str) {
    at_home(command, home);
    command.env("ANTHROPIC_BASE_URL", url).env("ANTHROPIC_API_KEY", "anything");
    command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").env("MCP_CONNECT_TIMEOUT_MS", "60000");
}

/// Runs it to its end.
async fn ended(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    timeout(PATIENCE, command.kill_on_drop(true).output()).await.unwrap().unwrap()
}

/// All that it wrote.
fn written(out: &Output) -> String {
    String::from_utf8_lossy(&[out.stdout.as_slice(), &out.stderr].concat()).into_owned()
}
