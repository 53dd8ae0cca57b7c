//! The places that are read, and reading them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::env;
use super::layer::Layer;
use super::origin::Origin;
use super::problem::Problem;

/// The system's configuration file.
pub const SYSTEM_FILE: &str = "/etc/vp/vp.toml";
/// A configuration is a page or two; anything much longer is something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the configuration is read from.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The system's file; it need not exist.
    pub system_file: PathBuf,
    /// The file given with `--config`; it must exist.
    pub given_file: Option<PathBuf>,
    /// The environment: `VP_*`, the nats tool's variables, and those that say where things are.
    pub env: BTreeMap<OsString, OsString>,
    /// Keys and values from the command line; lists are separated by commas.
    pub flags: Vec<(String, String)>,
    /// What relative paths in variables and flags start at, if it can be told.
    pub current_dir: Option<PathBuf>,
}

impl Layers {
    /// This process's: its environment and its current directory.
    pub fn of_process(given_file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        Self {
            system_file: PathBuf::from(SYSTEM_FILE),
            given_file,
            env: std::env::vars_os().collect(),
            flags,
            current_dir: std::env::current_dir().ok(),
        }
    }

    /// The user's file, if it is known where the user's files are; it need not exist.
    pub fn user_file(&self) -> Option<PathBuf> {
        self.config_home().map(|home| home.join("vp/vp.toml"))
    }

    pub(super) fn config_home(&self) -> Option<PathBuf> {
        self.dir(env::XDG_CONFIG_HOME).or_else(|| Some(self.home()?.join(".config")))
    }

    pub(super) fn home(&self) -> Option<PathBuf> {
        self.dir(env::HOME)
    }

    /// The absolute path in a variable; a relative or empty one counts as not set, as XDG wants it.
    pub(super) fn dir(&self, variable: &str) -> Option<PathBuf> {
        self.env.get(OsStr::new(variable)).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    fn places(&self, base: Option<&Path>) -> Places {
        Places { base: base.map(Path::to_owned), home: self.home() }
    }

    /// What the paths written there start at.
    pub(super) fn places_of(&self, origin: &Origin) -> Places {
        match origin {
            Origin::File(path) => self.places(path.parent()),
            _ => self.places(self.current_dir.as_deref()),
        }
    }

    /// All layers from the weakest to the strongest, the files among them that exist, and what was wrong.
    pub(super) fn read(&self) -> (Vec<Layer>, Vec<PathBuf>, Vec<Problem>) {
        let mut layers = Vec::new();
        let mut files = Vec::new();
        let mut problems = Vec::new();
        let mut add = |(layer, found): (Layer, Vec<Problem>)| {
            layers.push(layer);
            problems.extend(found);
        };
        let here = self.places(self.current_dir.as_deref());
        add(Layer::of_toml(super::DEFAULTS, &Origin::Default, &here));
        for (path, must_exist) in self.files() {
            let origin = Origin::File(path.clone());
            match read_text(&path) {
                Ok(text) => {
                    add(Layer::of_toml(&text, &origin, &self.places(path.parent())));
                    files.push(path);
                }
                Err(Unread::Missing) if !must_exist => {}
                Err(why) => add((Layer::default(), vec![Problem::of_source(&origin, why.to_string())])),
            }
        }
        add(Layer::of_nats_variables(&self.env, &here));
        add(Layer::of_variables(&self.env, &here));
        add(Layer::of_flags(&self.flags, &here));
        (layers, files, problems)
    }

    fn files(&self) -> Vec<(PathBuf, bool)> {
        let here =
            |path: &PathBuf| self.current_dir.as_ref().map_or_else(|| path.clone(), |here| here.join(path));
        let given = self.given_file.as_ref().map(|path| (here(path), true));
        let user = self.user_file().map(|path| (path, false));
        [Some((self.system_file.clone(), false)), user, given].into_iter().flatten().collect()
    }
}

/// What the paths in one layer start at.
pub(super) struct Places {
    base: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Places {
    /// The path made absolute; an empty one stays empty.
    pub(super) fn absolute(&self, text: &str) -> Result<String, String> {
        if text.is_empty() {
            return Ok(String::new());
        }
        let path = match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => return Err("`~/` needs the variable HOME, which is not set".to_owned()),
            (None, _) => match &self.base {
                Some(base) => base.join(text),
                None => PathBuf::from(text),
            },
        };
        if !path.is_absolute() {
            return Err("want an absolute path, as the current directory cannot be told".to_owned());
        }
        let text = path.into_os_string().into_string();
        text.map_err(|path| format!("want a path in UTF-8, not `{}`", path.display()))
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("there is no such file")]
    Missing,
    #[error("cannot read it: {0}")]
    Failed(io::Error),
    #[error("it is longer than {MAX_FILE_BYTES} bytes, so it is no configuration")]
    TooLong,
    #[error("it is not UTF-8 text")]
    NotText,
}

fn read_text(path: &Path) -> Result<String, Unread> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Missing,
        _ => Unread::Failed(error),
    };
    // A pipe would be waited for; a plain file can also be read again by `config show`.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Unread::Failed(io::Error::other("it is not a file")));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Unread::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Unread::NotText)
}
