use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Origin {
    /// The built-in configuration.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// The command line.
    Flag,
}

impl Origin {
    /// The text by which the `config` crate remembers it beside each value.
    pub(super) fn tag(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File(path) => format!("file:{}", path.display()),
            Self::Variable(name) => format!("variable:{name}"),
            Self::Flag => "flag:".to_owned(),
        }
    }

    /// The origin behind a tag; a value without one was put there by us.
    pub(super) fn of_tag(tag: Option<&str>) -> Self {
        match tag.and_then(|tag| tag.split_once(':')) {
            Some(("file", path)) => Self::File(PathBuf::from(path)),
            Some(("variable", name)) => Self::Variable(name.to_owned()),
            Some(("flag", _)) => Self::Flag,
            _ => Self::Default,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag => f.write_str("the command line"),
        }
    }
}
