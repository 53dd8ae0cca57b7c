//! One place's values, checked by themselves and each marked with where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;

use ::config::{Map, Source, Value, ValueKind};
use toml::{Table, Value as Toml};
use vp_shared::ids::VpId;

use super::env;
use super::origin::Origin;
use super::problem::Problem;
use super::schema::{self, Key, quoted};
use super::sources::Places;

/// The table of lanes, which is merged by its own rule.
pub(super) const LANES: &str = "lanes";
/// The list of targets that notices are delivered to, replaced as a whole.
pub(super) const DELIVER: &str = "deliver";
const EXECUTOR: &str = "executor";
/// Of one file; who has so many reads no further.
const MAX_PROBLEMS: usize = 100;
/// A key in a problem is cut to this, in bytes.
const MAX_SHOWN_KEY: usize = 160;

/// The values of one place; those that were wrong are left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Layer {
    /// The values of a configuration file's text.
    pub(super) fn of_toml(text: &str, origin: &Origin, places: &Places) -> (Self, Vec<Problem>) {
        let mut reading = Reading::new(origin, places);
        match text.parse::<Table>() {
            Ok(table) => reading.section(&table, ""),
            Err(error) => reading.problems.push(Problem::of_source(origin, syntax(&error, text))),
        }
        reading.done()
    }

    /// The values of `VP_*`.
    pub(super) fn of_variables(env: &BTreeMap<OsString, OsString>, places: &Places) -> (Self, Vec<Problem>) {
        let mut all = (Self::default(), Vec::new());
        for (name, value) in env {
            let Some(name) = name.to_str().filter(|name| name.starts_with(env::PREFIX)) else { continue };
            if env::is_ours_but_no_setting(name) {
                continue;
            }
            let origin = Origin::Variable(name.to_owned());
            match schema::KEYS.iter().find(|key| env::variable_of(key.path) == name) {
                Some(key) => all.text(key, value.to_str(), &origin, places),
                None => all.1.push(Problem::of_source(&origin, unknown_variable(name))),
            }
        }
        all
    }

    /// The values of the nats tool's variables.
    pub(super) fn of_nats_variables(
        env: &BTreeMap<OsString, OsString>,
        places: &Places,
    ) -> (Self, Vec<Problem>) {
        let mut all = (Self::default(), Vec::new());
        for (name, path) in env::NATS_FALLBACKS {
            let value = env.get(&OsString::from(name)).filter(|value| !value.is_empty());
            if let (Some(value), Some(key)) = (value, schema::find(path)) {
                all.text(key, value.to_str(), &Origin::Variable(name.to_owned()), places);
            }
        }
        all
    }

    /// The values of flags.
    pub(super) fn of_flags(flags: &[(String, String)], places: &Places) -> (Self, Vec<Problem>) {
        let mut all = (Self::default(), Vec::new());
        for (path, value) in flags {
            if let Some(key) = schema::find(path) {
                all.text(key, Some(value), &Origin::Flag, places);
            } else {
                let shown = vp_shared::text::cut(path.clone(), MAX_SHOWN_KEY);
                all.1.push(Problem::of_key(shown, &Origin::Flag, unknown_key(path)));
            }
        }
        all
    }
}

/// Adding one value that is text to a layer and its problems.
trait AddText {
    fn text(&mut self, key: &Key, text: Option<&str>, origin: &Origin, places: &Places);
}

impl AddText for (Layer, Vec<Problem>) {
    fn text(&mut self, key: &Key, text: Option<&str>, origin: &Origin, places: &Places) {
        let value = match text {
            Some(text) => key.kind.read(text).and_then(|value| key.kind.check(&value, places)),
            None => Err("want UTF-8 text".to_owned()),
        };
        match value {
            Ok(value) => insert(&mut self.0.0, key.path, Value::new(Some(&origin.tag()), value)),
            Err(what) => self.1.push(Problem::of_key(key.path, origin, what)),
        }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }

    fn collect_to(&self, below: &mut Value) -> Result<(), ::config::ConfigError> {
        drop_replaced_executors(below, &self.0);
        Plain(self.0.clone()).collect_to(below)
    }
}

/// Merged key by key.
#[derive(Debug, Clone)]
struct Plain(Map<String, Value>);

impl Source for Plain {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Half of one executor and half of another is neither, so a layer that gives one replaces it whole.
fn drop_replaced_executors(below: &mut Value, above: &Map<String, Value>) {
    let Some(ValueKind::Table(lanes)) = above.get(LANES).map(|lanes| &lanes.kind) else { return };
    let ValueKind::Table(below) = &mut below.kind else { return };
    let Some(ValueKind::Table(below)) = below.get_mut(LANES).map(|lanes| &mut lanes.kind) else { return };
    for (id, lane) in lanes {
        let replaces = matches!(&lane.kind, ValueKind::Table(lane) if lane.contains_key(EXECUTOR));
        if let Some(ValueKind::Table(lane)) = below.get_mut(id).map(|lane| &mut lane.kind)
            && replaces
        {
            lane.remove(EXECUTOR);
        }
    }
}

/// A file while it is read.
struct Reading<'a> {
    origin: &'a Origin,
    tag: String,
    places: &'a Places,
    values: Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    fn new(origin: &'a Origin, places: &'a Places) -> Self {
        Self { origin, tag: origin.tag(), places, values: Map::new(), problems: Vec::new() }
    }

    fn done(self) -> (Layer, Vec<Problem>) {
        (Layer(self.values), self.problems)
    }

    fn problem(&mut self, key: &str, what: impl Into<String>) {
        let key = vp_shared::text::cut(key.to_owned(), MAX_SHOWN_KEY);
        self.problems.push(Problem::of_key(key, self.origin, what));
    }

    fn section(&mut self, table: &Table, above: &str) {
        for (name, value) in table {
            if self.problems.len() >= MAX_PROBLEMS {
                return;
            }
            let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            // A quoted name with dots in it only looks like the key of a section.
            let key = if name.contains('.') { None } else { schema::find(&path) };
            match (key, value) {
                (Some(key), value) => match key.kind.check(value, self.places) {
                    Ok(checked) => insert(&mut self.values, &path, Value::new(Some(&self.tag), checked)),
                    Err(what) => self.problem(&path, what),
                },
                (None, Toml::Table(lanes)) if path == LANES => self.lanes(lanes),
                (None, Toml::Array(_)) if path == DELIVER => match self.plain(value, DELIVER) {
                    Ok(value) => drop(self.values.insert(DELIVER.to_owned(), value)),
                    Err((path, what)) => self.problem(&path, what),
                },
                (None, _) if path == DELIVER => self.problem(&path, "want tables: `[[deliver]]`"),
                (None, Toml::Table(below)) if schema::is_section(&path) => self.section(below, &path),
                (None, _) if path == LANES || schema::is_section(&path) => {
                    self.problem(&path, format!("want a table: `[{path}]`"));
                }
                _ => self.problem(&path, unknown_key(&path)),
            }
        }
    }

    /// The lanes as they are written; their fields are checked when all layers are merged.
    fn lanes(&mut self, lanes: &Table) {
        let mut all = Map::new();
        for (id, lane) in lanes {
            let path = lane_path(id);
            let value = match (VpId::new(id), lane) {
                (Err(error), _) => Err((path, error.to_string())),
                (Ok(_), Toml::Table(_)) => self.plain(lane, &path),
                (Ok(_), _) => Err((path.clone(), format!("want a table: `[{path}]`"))),
            };
            match value {
                Ok(value) => drop(all.insert(id.clone(), value)),
                Err((path, what)) => self.problem(&path, what),
            }
        }
        self.values.insert(LANES.to_owned(), Value::new(Some(&self.tag), all));
    }

    /// The value without a check of its type, or what cannot be stored and where it is.
    fn plain(&self, value: &Toml, path: &str) -> Result<Value, (String, String)> {
        let kind = match value {
            Toml::String(text) => ValueKind::String(text.clone()),
            Toml::Integer(number) => ValueKind::I64(*number),
            Toml::Float(number) if number.is_finite() => ValueKind::Float(*number),
            Toml::Float(_) => return Err((path.to_owned(), "want a finite number".to_owned())),
            Toml::Boolean(on) => ValueKind::Boolean(*on),
            Toml::Datetime(_) => {
                return Err((path.to_owned(), "no lane has a key that is a date".to_owned()));
            }
            Toml::Array(entries) => {
                let entry = |(index, entry)| self.plain(entry, &format!("{path}[{index}]"));
                ValueKind::Array(entries.iter().enumerate().map(entry).collect::<Result<_, _>>()?)
            }
            Toml::Table(table) => {
                let entry = |(name, entry): (&String, _)| {
                    Ok::<_, (String, String)>((name.clone(), self.plain(entry, &format!("{path}.{name}"))?))
                };
                ValueKind::Table(table.iter().map(entry).collect::<Result<_, _>>()?)
            }
        };
        Ok(Value::new(Some(&self.tag), kind))
    }
}

/// How a lane's table is written.
pub(super) fn lane_path(id: &str) -> String {
    format!("{LANES}.{}", quoted(id))
}

fn insert(table: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((section, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), value);
        return;
    };
    let below =
        table.entry(section.to_owned()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    if let ValueKind::Table(below) = &mut below.kind {
        insert(below, rest, value);
    }
}

/// Where the text is no TOML. The line itself is left out: there may be a secret in it.
fn syntax(error: &toml::de::Error, text: &str) -> String {
    let message = vp_shared::text::one_line(error.message(), 200);
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column} is not TOML: {message}")
        }
        None => format!("it is not TOML: {message}"),
    }
}

fn unknown_key(path: &str) -> String {
    if path == DELIVER || path.starts_with("deliver.") {
        return "the targets of notices can only be set in files, as `[[deliver]]`".to_owned();
    }
    if path.starts_with("lanes.") {
        return "lanes can only be set in files".to_owned();
    }
    let keys = schema::KEYS.iter().map(|key| key.path);
    let sections = schema::KEYS.iter().filter_map(|key| Some(key.path.split_once('.')?.0));
    let known = keys.chain(sections).chain([LANES]).map(str::to_owned);
    format!("there is no such key{}", hint(path, known))
}

fn unknown_variable(name: &str) -> String {
    if name.starts_with("VP_LANES_") {
        return "lanes can only be set in files".to_owned();
    }
    let known = schema::KEYS.iter().map(|key| env::variable_of(key.path));
    let ours = [env::VP_CONFIG, env::VP_LOG, env::VP_NATS_SERVER].map(str::to_owned);
    format!("no setting has this variable{}", hint(name, known.chain(ours)))
}

/// The known name that is nearest, if one is near.
fn hint(given: &str, known: impl Iterator<Item = String>) -> String {
    let near = known.map(|name| (distance(given, &name), name)).min();
    match near {
        Some((edits, name)) if edits <= 3 => format!("; did you mean `{name}`?"),
        _ => "; `vp config show` lists all".to_owned(),
    }
}

/// How many characters must be added, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // Nothing near a key is longer than this, and a hostile file may hold very long names.
    for (i, x) in a.chars().take(128).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
