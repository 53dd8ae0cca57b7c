//! What the tests of connections need besides the harness.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use vp_nats::server::find_binary;

use crate::PATIENCE;

/// A server that is not ours: plain nats-server with a configuration of the test's own.
pub(crate) struct PlainServer {
    pub(crate) url: String,
    _child: Child,
    _dir: tempfile::TempDir,
}

pub(crate) async fn plain_server(config: &str) -> PlainServer {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "listen: \"127.0.0.1:-1\"\nports_file_dir: \"{0}\"\n{1}\n",
        dir.path().display(),
        config.replace("DIR", dir.path().to_str().unwrap())
    );
    let file = dir.path().join("plain.conf");
    std::fs::write(&file, text).unwrap();
    let child = Command::new(find_binary().await.unwrap().path)
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let url = loop {
        if let Some(url) = announced_url(dir.path(), pid) {
            break url;
        }
        assert!(Instant::now() < deadline, "the plain server does not start");
        sleep(Duration::from_millis(5)).await;
    };
    PlainServer { url, _child: child, _dir: dir }
}

fn announced_url(dir: &Path, pid: u32) -> Option<String> {
    let text = std::fs::read(dir.join(format!("nats-server_{pid}.ports"))).ok()?;
    let ports: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(ports["nats"][0].as_str()?.replace("tls://", "nats://"))
}
