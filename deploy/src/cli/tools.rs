//! The six tools on the command line. Flags become the tool's input as written, so every rule of the contract
//! is checked in one place; `-o json` prints exactly the tool's output.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use vp_dispatcher::{Caller, Dispatcher};
use vp_shared::api::{ToolError, ToolName};
use vp_shared::ids::SessionId;
use vp_shared::mission::Status;

use super::{Context, Format, output};
use crate::exit::{Exit, Failed};
use crate::link;

/// Delegate a mission.
#[derive(Debug, Args)]
pub struct Dispatch {
    /// The lane that is to do it, such as vp.coder.primary
    #[arg(long, short, value_name = "VP_ID")]
    lane: Option<String>,
    /// What is to be done; `-` reads it from standard input
    objective: Option<String>,
    /// The session that is told; also VP_SESSION or `session` in the configuration
    #[arg(long, value_name = "SESSION", env = "VP_SESSION", hide_env_values = true)]
    session: Option<String>,
    /// The same key with the same content is the same mission, however often it is sent
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// urgent, high, normal, low, or an integer of which smaller is sooner
    #[arg(long, short, value_name = "PRIORITY")]
    priority: Option<String>,
    /// Which notices the session wants: async (all), final or silent
    #[arg(long, value_name = "MODE")]
    reply_mode: Option<String>,
    /// A name for the kind of work
    #[arg(long = "type", value_name = "NAME")]
    mission_type: Option<String>,
    /// A term for the executor; a value that is JSON is passed on as such
    #[arg(long = "constraint", value_name = "NAME=VALUE")]
    constraints: Vec<String>,
    /// Seconds an attempt may run
    #[arg(long, value_name = "SECONDS")]
    wall_seconds: Option<u64>,
    /// Seconds an attempt may stay silent
    #[arg(long, value_name = "SECONDS")]
    idle_seconds: Option<u64>,
    /// US dollars an attempt may report to have spent
    #[arg(long, value_name = "USD")]
    cost_usd: Option<f64>,
    /// Tokens an attempt may report to have used
    #[arg(long, value_name = "TOKENS")]
    tokens: Option<u64>,
    /// Not to be queued before, as RFC 3339
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// Fails when not ended by then, as RFC 3339; 7 days from now when absent
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// How many attempts may count
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// A text file laid into the workspace
    #[arg(long = "input", value_name = "PATH=FILE")]
    inputs: Vec<String>,
    /// The turn in which the session asks
    #[arg(long, value_name = "TURN")]
    turn: Option<String>,
    /// Refuse when no live worker serves the lane, or the lane is paused
    #[arg(long)]
    require_live_worker: bool,
    /// The tool's whole input as JSON, instead of the flags; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["lane", "objective"])]
    json: Option<PathBuf>,
    /// Wait until the mission has ended; the exit code says how
    #[arg(long)]
    wait: bool,
    /// With --wait: for how many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "wait")]
    timeout: u64,
}

/// Show a mission.
#[derive(Debug, Args)]
pub struct Get {
    /// Which
    mission_id: String,
}

/// List missions.
#[derive(Debug, Args)]
pub struct List {
    /// Of this lane only
    #[arg(long, short, value_name = "VP_ID")]
    lane: Option<String>,
    /// In this state only; may be given again
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
    /// Delegated from this session only
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// At most so many, 1 to 500
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// `next_cursor` of the page before
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// Wait for the end of a mission.
#[derive(Debug, Args)]
pub struct Wait {
    /// Which
    mission_id: String,
    /// For how many seconds, 1 to 3600
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Stop a mission.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Which
    mission_id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Read what a mission left behind.
#[derive(Debug, Args)]
pub struct Artifacts {
    /// Which mission
    mission_id: String,
    /// Of this category only: primary_work_product, supporting_artifact, receipt, sync_marker
    #[arg(long, value_name = "CATEGORY")]
    category: Option<String>,
    /// At most so many files, 1 to 200
    #[arg(long, value_name = "N")]
    max_files: Option<u64>,
    /// At most so many bytes of content, 256 to 2000000
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
}

/// `vp dispatch`.
pub async fn dispatch(context: &Context, args: Dispatch) -> Result<Exit, Failed> {
    let session = args.session.clone().or_else(|| context.settings.session.as_ref().map(ToString::to_string));
    let input = dispatch_input(&args)?;
    let (dispatcher, caller) = door(context, session.as_deref()).await?;
    let answer = call(&dispatcher, ToolName::Dispatch, &input, &caller).await?;
    if !args.wait {
        return show(&answer, context.format, ToolName::Dispatch);
    }
    let mission_id = ok(&answer)?["mission_id"].clone();
    if context.format == Format::Table {
        output::answer(&answer, Format::Table, ToolName::Dispatch)?;
    }
    wait_for(&dispatcher, &caller, &mission_id, args.timeout, context.format).await
}

/// `vp get`.
pub async fn get(context: &Context, args: Get) -> Result<Exit, Failed> {
    once(context, ToolName::Get, &json!({"mission_id": args.mission_id})).await
}

/// `vp list`.
pub async fn list(context: &Context, args: List) -> Result<Exit, Failed> {
    let mut input = Map::new();
    put(&mut input, "vp_id", args.lane);
    put(&mut input, "session_id", args.session);
    put(&mut input, "limit", args.limit);
    put(&mut input, "cursor", args.cursor);
    put(&mut input, "status", (!args.status.is_empty()).then_some(args.status));
    once(context, ToolName::List, &Value::Object(input)).await
}

/// `vp wait`.
pub async fn wait(context: &Context, args: Wait) -> Result<Exit, Failed> {
    let (dispatcher, caller) = door(context, None).await?;
    wait_for(
        &dispatcher,
        &caller,
        &Value::String(args.mission_id),
        args.timeout.unwrap_or(45),
        context.format,
    )
    .await
}

/// `vp cancel`.
pub async fn cancel(context: &Context, args: Cancel) -> Result<Exit, Failed> {
    let mut input = Map::new();
    put(&mut input, "mission_id", Some(args.mission_id));
    put(&mut input, "reason", args.reason);
    once(context, ToolName::Cancel, &Value::Object(input)).await
}

/// `vp artifacts`.
pub async fn artifacts(context: &Context, args: Artifacts) -> Result<Exit, Failed> {
    let mut input = Map::new();
    put(&mut input, "mission_id", Some(args.mission_id));
    put(&mut input, "category", args.category);
    put(&mut input, "max_files", args.max_files);
    put(&mut input, "max_bytes", args.max_bytes);
    once(context, ToolName::ReadArtifacts, &Value::Object(input)).await
}

async fn once(context: &Context, tool: ToolName, input: &Value) -> Result<Exit, Failed> {
    let session = context.settings.session.as_ref().map(ToString::to_string);
    let (dispatcher, caller) = door(context, session.as_deref()).await?;
    let answer = call(&dispatcher, tool, input, &caller).await?;
    show(&answer, context.format, tool)
}

async fn wait_for(
    dispatcher: &Dispatcher,
    caller: &Caller,
    mission_id: &Value,
    timeout_seconds: u64,
    format: Format,
) -> Result<Exit, Failed> {
    let input = json!({"mission_id": mission_id, "timeout_seconds": timeout_seconds});
    let answer = call(dispatcher, ToolName::Wait, &input, caller).await?;
    show(&answer, format, ToolName::Wait)?;
    let status = answer["mission"]["status"].as_str().and_then(Status::from_name);
    Ok(match status {
        Some(Status::Completed) => Exit::Ok,
        Some(Status::Failed) => Exit::MissionFailed,
        Some(Status::Cancelled) => Exit::MissionCancelled,
        _ => Exit::TimedOut,
    })
}

async fn door(context: &Context, session: Option<&str>) -> Result<(Dispatcher, Caller), Failed> {
    let caller = match session {
        Some(session) => {
            Caller::session(SessionId::new(session).map_err(|error| Failed::from_error(Exit::Usage, &error))?)
        }
        None => Caller::actor(format!("cli@{}", link::host())),
    };
    let conn = link::connect(&context.settings, "vp-cli").await?;
    Ok((link::dispatcher(&context.settings, &conn), caller))
}

async fn call(
    dispatcher: &Dispatcher,
    tool: ToolName,
    input: &Value,
    caller: &Caller,
) -> Result<Value, Failed> {
    let bytes = dispatcher.call(tool, input.to_string().as_bytes(), caller).await;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failed::new(Exit::Failure, format!("the answer of {tool} is no JSON: {error}")))
}

/// Prints the answer. A failure is printed too, where the reader asked for JSON, and decides the exit code.
fn show(answer: &Value, format: Format, tool: ToolName) -> Result<Exit, Failed> {
    if format == Format::Table {
        ok(answer)?;
    }
    output::answer(answer, format, tool)?;
    match ok(answer) {
        Ok(_) => Ok(Exit::Ok),
        Err(failed) => Ok(failed.exit),
    }
}

fn ok(answer: &Value) -> Result<&Value, Failed> {
    if answer["ok"] == Value::Bool(true) {
        return Ok(answer);
    }
    let error: ToolError = serde_json::from_value(answer["error"].clone())
        .map_err(|error| Failed::new(Exit::Failure, format!("the answer has no readable error: {error}")))?;
    Err(error.into())
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

fn dispatch_input(args: &Dispatch) -> Result<Value, Failed> {
    if let Some(path) = &args.json {
        let text = read_text(path)?;
        return serde_json::from_str(&text)
            .map_err(|error| Failed::new(Exit::Usage, format!("`--json {}`: {error}", path.display())));
    }
    let mut input = Map::new();
    put(&mut input, "vp_id", args.lane.clone());
    let objective = match args.objective.as_deref() {
        Some("-") => Some(read_text(std::path::Path::new("-"))?),
        other => other.map(ToOwned::to_owned),
    };
    put(&mut input, "objective", objective);
    put(&mut input, "idempotency_key", args.key.clone());
    put(&mut input, "priority", args.priority.as_deref().map(number_or_text));
    put(&mut input, "reply_mode", args.reply_mode.clone());
    put(&mut input, "mission_type", args.mission_type.clone());
    put(&mut input, "not_before", args.not_before.clone());
    put(&mut input, "deadline", args.deadline.clone());
    put(&mut input, "max_attempts", args.max_attempts);
    put(&mut input, "source_turn_id", args.turn.clone());
    put(&mut input, "require_live_worker", args.require_live_worker.then_some(true));
    let mut budget = Map::new();
    put(&mut budget, "wall_seconds", args.wall_seconds);
    put(&mut budget, "idle_seconds", args.idle_seconds);
    put(&mut budget, "cost_usd", args.cost_usd);
    put(&mut budget, "tokens", args.tokens);
    put(&mut input, "budget", (!budget.is_empty()).then_some(budget));
    let mut constraints = Map::new();
    for pair in &args.constraints {
        let (name, value) = pair_of("--constraint", pair)?;
        constraints.insert(name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
    }
    put(&mut input, "constraints", (!constraints.is_empty()).then_some(constraints));
    let mut inputs = Vec::new();
    for pair in &args.inputs {
        let (path, file) = pair_of("--input", pair)?;
        inputs.push(json!({"path": path, "text": read_text(std::path::Path::new(file))?}));
    }
    put(&mut input, "inputs", (!inputs.is_empty()).then_some(inputs));
    Ok(Value::Object(input))
}

fn number_or_text(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}

fn pair_of<'a>(flag: &str, pair: &'a str) -> Result<(&'a str, &'a str), Failed> {
    pair.split_once('=').ok_or_else(|| Failed::new(Exit::Usage, format!("`{flag} {pair}`: want NAME=VALUE")))
}

fn read_text(path: &std::path::Path) -> Result<String, Failed> {
    let read = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| {
        Failed::new(Exit::Usage, format!("could not read `{}` as text: {error}", path.display()))
    })
}
