//! The configuration: which place wins, what is refused and how it is said, what is shown.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod connection;
mod doors;
mod lanes;
mod manual;
mod places;
mod refused;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use toml::Value as Toml;
use vp::config::{
    ConfigError, DEFAULTS, Layers, Loaded, LogFormat, Origin, Settings, Shown, env, keys, load,
};
use vp_nats::connect::Auth;
use vp_nats::server::SyncMode;
use vp_shared::ids::VpId;
use vp_shared::lane::ExecutorProfile;

/// All places the configuration is read from, in a temporary directory.
struct World {
    dir: TempDir,
    layers: Layers,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layers = Layers {
            system_file: dir.path().join("etc/vp.toml"),
            given_file: None,
            env: [("HOME".into(), dir.path().join("home").into_os_string())].into(),
            flags: Vec::new(),
            current_dir: Some(dir.path().join("here")),
        };
        Self { dir, layers }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn system(self, text: &str) -> Self {
        write(&self.layers.system_file, text);
        self
    }

    fn user(self, text: &str) -> Self {
        write(self.layers.user_file().unwrap(), text);
        self
    }

    fn given(mut self, text: impl AsRef<[u8]>) -> Self {
        let path = self.path("given.toml");
        write(&path, text);
        self.layers.given_file = Some(path);
        self
    }

    fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.layers.env.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.layers.flags.push((key.into(), value.into()));
        self
    }

    #[track_caller]
    fn load(&self) -> Loaded {
        load(&self.layers).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        self.load().settings
    }

    #[track_caller]
    fn error(&self) -> ConfigError {
        load(&self.layers).expect_err("the configuration was accepted")
    }

    /// The only problem, as it is printed.
    #[track_caller]
    fn problem(&self) -> String {
        let error = self.error();
        assert_eq!(error.problems.len(), 1, "{error}");
        error.problems[0].to_string()
    }

    #[track_caller]
    fn shown(&self, key: &str) -> Shown {
        let all = self.load().shown;
        all.into_iter().find(|shown| shown.key == key).unwrap_or_else(|| panic!("`{key}` is not shown"))
    }
}

fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The value of a key in the built-in file.
fn default_of(key: &str) -> Toml {
    let table: toml::Table = DEFAULTS.parse().unwrap();
    key.split('.').fold(Toml::Table(table), |value, name| value[name].clone())
}

/// The text of a file that sets the key.
fn file_with(key: &str, value: &str) -> String {
    match key.rsplit_once('.') {
        Some((section, name)) => format!("[{section}]\n{name} = {value}\n"),
        None => format!("{key} = {value}\n"),
    }
}

/// What must never be printed.
const SECRET: &str = "hunter2";
