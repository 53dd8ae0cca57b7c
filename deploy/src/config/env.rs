//! Every environment variable that means something here, or that we set for others.
//!
//! A variable `VP_*` that is neither a key of the configuration nor named here is refused: it is a misspelling.

/// What all our variables start with.
pub const PREFIX: &str = "VP_";
/// Stands for the dot of a key: `VP_NATS__URL` is `nats.url`.
pub const SEPARATOR: &str = "__";

/// The configuration file, as `--config`.
pub const VP_CONFIG: &str = "VP_CONFIG";
/// What is logged; wins over `RUST_LOG` and over the key `log.filter`.
pub const VP_LOG: &str = "VP_LOG";
/// What is logged, where `VP_LOG` is not set.
pub const RUST_LOG: &str = "RUST_LOG";
/// Set to anything: no colours.
pub const NO_COLOR: &str = "NO_COLOR";
/// The nats-server binary to manage; read where a server is started, below the key `server.binary`.
pub const VP_NATS_SERVER: &str = vp_nats::server::BINARY_ENV;

/// Where a test makes this process die; never set in earnest.
pub const VP_CRASH_AT: &str = vp_nats::crash::ENV;

/// Where a user's configuration is: `$XDG_CONFIG_HOME/vp/vp.toml`.
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Where a user's state is: `$XDG_STATE_HOME/vp` is the default `data_dir`.
pub const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// The user's home directory.
pub const HOME: &str = "HOME";
/// systemd's state directory of the service: the default `data_dir` where it is set.
pub const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
/// Where systemd puts credentials: `credential:NAME` is the file `NAME` in it.
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The nats tool's variables and the keys they set, below `VP_NATS__*`; an empty one counts as not set.
pub const NATS_FALLBACKS: [(&str, &str); 10] = [
    ("NATS_URL", "nats.url"),
    ("NATS_CONTEXT", "nats.context"),
    ("NATS_CREDS", "nats.creds"),
    ("NATS_NKEY", "nats.nkey"),
    ("NATS_USER", "nats.user"),
    ("NATS_PASSWORD", "nats.password"),
    ("NATS_TOKEN", "nats.token"),
    ("NATS_CA", "nats.ca"),
    ("NATS_CERT", "nats.cert"),
    ("NATS_KEY", "nats.key"),
];

/// Variables that an executor finds in its environment; a `vp` it starts must not take them for settings.
/// (`VP_SESSION` and `VP_DATA_DIR` are settings, so that such a `vp` finds the system that started it.)
pub const EXECUTOR: [&str; 10] = [
    "VP_MISSION_ID",
    "VP_VP_ID",
    "VP_ATTEMPT",
    "VP_WORKSPACE",
    "VP_OBJECTIVE_FILE",
    "VP_MISSION_FILE",
    "VP_MISSION_TYPE",
    "VP_DEADLINE",
    "VP_SESSION_ID",
    "VP_BIN",
];
/// An executor finds each constraint whose value is a text in `VP_CONSTRAINT_<KEY>`.
pub const CONSTRAINT_PREFIX: &str = "VP_CONSTRAINT_";
/// Switches of the tests.
pub const TEST_PREFIX: &str = "VP_TEST_";

/// The variable that sets the key.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', SEPARATOR).to_ascii_uppercase())
}

/// True for a variable that starts with `VP_` and is no setting, by intent.
pub fn is_ours_but_no_setting(name: &str) -> bool {
    [VP_CONFIG, VP_LOG, VP_NATS_SERVER, VP_CRASH_AT].contains(&name)
        || EXECUTOR.contains(&name)
        || name.starts_with(CONSTRAINT_PREFIX)
        || name.starts_with(TEST_PREFIX)
}
