//! A nats-server that this process runs as its child.
//!
//! Invariants:
//! - at most one server per data directory, also after a crash of the supervisor: two servers on one
//!   store would corrupt it, and nats-server itself takes no lock;
//! - no server without its supervisor: a killed supervisor's server gets an INT and ends;
//! - it listens on the loopback address only, and only who can read `<data_dir>/nats/` can connect;
//! - ready means that a JetStream round trip has succeeded.
//!
//! Reading order: [`ServerConfig`], [`ManagedServer`], [`ServerError`], [`find_binary`].

mod binary;
mod child;
mod config;
mod error;
mod files;
mod lock;
mod managed;
mod ready;
mod version;

pub use binary::{BINARY_ENV, ServerBinary, check_binary, find_binary};
pub use config::{ServerConfig, SyncMode};
pub use error::{Exit, LogTail, ServerError, Tried};
pub use managed::{ManagedServer, Stopped, running_server};
pub use version::ServerVersion;
