//! From the configuration to a connection, and to the tools behind it.

use vp_dispatcher::{Dispatcher, DispatcherConfig};
use vp_nats::connect::{ConnectConfig, ConnectError, Connection, connect as connect_nats};
use vp_nats::server::running_server;

use crate::config::Settings;
use crate::exit::{Exit, Failed};

/// Where nats-server is: the configured one, or the one that `vp up` runs on the data dir.
pub fn target(settings: &Settings, name: &str) -> Result<ConnectConfig, Failed> {
    if let Some(config) =
        settings.connect_config(name).map_err(|error| Failed::from_error(Exit::Config, &error))?
    {
        return Ok(config);
    }
    let dir = &settings.data_dir;
    running_server(dir, name).map_err(|error| Failed::from_error(Exit::Unavailable, &error))?.ok_or_else(|| {
        Failed::new(Exit::Unavailable, format!("no nats-server runs on the data dir `{}`", dir.display())).hint(
            "start one with `vp up`, name its --data-dir, or point at an existing server with --nats-url or `nats.url`",
        )
    })
}

/// Connects as `name`.
pub async fn connect(settings: &Settings, name: &str) -> Result<Connection, Failed> {
    connect_to(&target(settings, name)?).await
}

/// Connects to a known server.
pub async fn connect_to(config: &ConnectConfig) -> Result<Connection, Failed> {
    connect_nats(config).await.map_err(|error| Failed::from_error(exit_of(&error), &error))
}

fn exit_of(error: &ConnectError) -> Exit {
    match error {
        ConnectError::AuthRefused { .. } => Exit::Forbidden,
        ConnectError::BadConfig { .. } | ConnectError::File { .. } | ConnectError::Tls { .. } => Exit::Config,
        _ => Exit::Unavailable,
    }
}

/// The tools over this connection.
pub fn dispatcher(settings: &Settings, conn: &Connection) -> Dispatcher {
    let mut config = DispatcherConfig::new(settings.lanes.clone(), host());
    config.ledger_timeout = settings.dispatcher.ledger_timeout();
    Dispatcher::new(conn.clone(), config)
}

/// This host's name, as it stands in `workspace://<host>/...`.
pub fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}
