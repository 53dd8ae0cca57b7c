//! Configuration: one validated [`Settings`], and for each key where its value came from.
//!
//! - [`env`](mod@env): every environment variable that means something here.
//! - [`Layers`]: the places that are read. [`load`]: reads them all, merges, checks.
//! - [`Settings`]: the values; how to turn them into what the other crates take is in its methods.
//! - [`ConfigError`]: all that is wrong, at once. [`Shown`]: one line of `vp config show`.
//! - [`default_worker_id`]: a worker's name, where the user gives none.
//!
//! The order, later wins: built-in defaults, `/etc/vp/vp.toml`, the user's file, the `--config` file, the nats
//! tool's variables, `VP_*`, flags. Each place is checked by itself, so a mistake is found even where a later
//! place overrides it. Nothing is connected to, and nothing is written.

mod convert;
mod deliver;
pub mod env;
mod identity;
mod lanes;
mod layer;
mod origin;
mod problem;
mod resolve;
mod schema;
mod settings;
mod shown;
mod sources;

pub use deliver::{DeliverTarget, TargetKind};
pub use identity::default_worker_id;
pub use origin::Origin;
pub use problem::{ConfigError, Problem};
pub use resolve::default_data_dir;
pub use settings::{
    Address, BridgeSettings, DispatcherSettings, HookSettings, HttpSettings, LogFormat, LogSettings,
    NatsSettings, RetentionSettings, ServerSettings, ServerUrl, Settings, WorkerSettings,
};
pub use shown::Shown;
pub use sources::{Layers, SYSTEM_FILE};

use std::path::PathBuf;

use ::config::{Config, Map, Value};

use layer::Layer;

/// The built-in configuration, which is the manual of all keys.
pub const DEFAULTS: &str = include_str!("../config/vp.toml");

/// A configuration that holds.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// Every key with its value and where that came from, in the manual's order; secrets masked.
    pub shown: Vec<Shown>,
    /// The files that were read, later ones winning.
    pub files: Vec<PathBuf>,
}

/// Every key, in the manual's order, without those of the lanes.
pub fn keys() -> impl Iterator<Item = &'static str> {
    schema::KEYS.iter().map(|key| key.path)
}

/// Reads all places, merges them and checks the result.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong in any of them.
pub fn load(sources: &Layers) -> Result<Loaded, ConfigError> {
    let (layers, files, mut problems) = sources.read();
    let mut merged = match merge(layers) {
        Ok(merged) => merged,
        Err(error) => return Err(ConfigError { problems: vec![Problem::general(error.to_string())] }),
    };
    problems.extend(resolve::fill_derived(&mut merged, sources));
    let (profiles, lane_problems) = lanes::profiles(&merged);
    problems.extend(lane_problems);
    let (targets, target_problems) = deliver::targets(&mut merged, sources);
    problems.extend(target_problems);
    // With a value left out, a check across values would complain about what was not written.
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let mut shown = shown::all(&merged, &profiles);
    shown.extend(deliver::shown(&targets));
    let mut settings = resolve::settings(merged, profiles, sources)?;
    settings.deliver = targets.into_iter().map(|(target, _)| target).collect();
    Ok(Loaded { settings, shown, files })
}

fn merge(layers: Vec<Layer>) -> Result<Map<String, Value>, ::config::ConfigError> {
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    builder.build()?.cache.into_table()
}
