//! The command line: what can be said, and who carries it out.

mod attach;
mod deliver;
mod doctor;
mod events;
mod hook;
mod lanes;
mod ledger;
mod mcp;
mod notices;
mod output;
mod prune;
mod route;
mod serve;
mod tools;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

pub(crate) use hook::hex;
pub(crate) use ledger::ask_status;
pub(crate) use output::{json, line, say, table};

use crate::config::Settings;
use crate::exit::{Exit, Failed};

/// Delegate missions to independent VP lanes over NATS JetStream, and be told what came of them.
///
/// Exit codes: 0 ok; 1 failure; 2 usage; `wait` and `dispatch --wait`: 3 failed, 4 cancelled, 5 timed out;
/// 69 broker or ledger unreachable; 75 try again later; 77 forbidden; 78 configuration.
#[derive(Debug, Parser)]
#[command(name = "vp", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// A configuration file, over /etc/vp/vp.toml and the user's
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "VP_CONFIG",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    config: Option<PathBuf>,
    /// Where `vp up` keeps everything: the managed nats-server's store, the ledger, workspaces
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "VP_DATA_DIR",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    data_dir: Option<PathBuf>,
    /// An existing nats-server, instead of the managed one of the data dir
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    nats_url: Option<String>,
    /// Another value of the configuration, such as `log.filter=debug`; may be given again
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", help_heading = "Global options")]
    set: Vec<String>,
    /// How to print data
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = "Global options")]
    output: Format,
}

/// How data is printed on stdout; everything else goes to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON value, exactly the tool's output
    Json,
    /// One JSON value a line
    Ndjson,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole system in the foreground: nats-server, bridge, dispatcher and workers
    Up(serve::Up),
    /// See the main job done on a git repository, from delegation to notice, and exit
    Demo(crate::demo::Demo),
    /// Run a worker that serves lanes
    Worker(serve::WorkerArgs),
    /// Run the bridge: log to ledger, ledger to notices
    Bridge,
    /// Run the dispatcher: the tools over NATS and HTTP
    Dispatcher,
    /// Delegate a mission
    Dispatch(tools::Dispatch),
    /// Show a mission
    Get(tools::Get),
    /// List missions, newest first
    List(tools::List),
    /// Wait until a mission has ended
    Wait(tools::Wait),
    /// Stop a mission
    Cancel(tools::Cancel),
    /// Read what a mission left behind
    Artifacts(tools::Artifacts),
    /// Show what a session is told, and mark it shown
    Notices(notices::Notices),
    /// Serve the tools to an MCP host on standard input and output
    Mcp(mcp::Mcp),
    /// Deliver notices to the configured targets; see how they stand, re-send dead letters
    Deliver(deliver::DeliverArgs),
    /// Run an agent over stream-json and hand it its notices between its turns
    Attach(attach::Attach),
    /// Answer a hook of Claude Code or the Agent SDK: hold explicit delegation to its word
    Hook(hook::HookArgs),
    /// Show the log of missions
    Events(events::Events),
    /// Explain whether words delegate to a lane, ask about one, or neither
    Route(route::RouteArgs),
    /// Show lanes, their queues and workers
    Lanes(lanes::LanesArgs),
    /// Look after the ledger
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Remove by hand what the policy of retention does not keep
    #[command(subcommand)]
    Prune(prune::Prune),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check everything a working system needs
    Doctor,
    /// Measure this system on this machine
    Bench(crate::bench::Bench),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Own an executor's process tree (started by workers)
    #[command(hide = true)]
    Keeper,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show every value and where it came from; secrets are masked
    Show,
    /// Check every layer
    Check,
}

/// What commands work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The configuration.
    pub settings: Settings,
    /// How to print.
    pub format: Format,
}

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        // No configuration, no runtime: a keeper must be light and must not fail for want of a file.
        Command::Keeper => return vp_worker::keeper::main(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "vp", &mut std::io::stdout());
            Ok(Exit::Ok)
        }
        // Before the configuration: in a worker's own session there may be none, and nobody is held to anything.
        Command::Hook(args) if args.is_workers_own() => return hook::stand_aside(),
        // A host takes any other code for a hook that does not matter.
        Command::Hook(args) if args.answers() => {
            let answering = AssertUnwindSafe(|| configured(Command::Hook(args), &cli.global));
            match std::panic::catch_unwind(answering) {
                Ok(Err(failed)) => Err(Failed { exit: Exit::Usage, ..failed }),
                Ok(answered) => answered,
                Err(_) => Err(Failed::new(Exit::Usage, "the hook ended abnormally")),
            }
        }
        command => configured(command, &cli.global),
    };
    match ended {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failed) => {
            output::complain(&failed);
            ExitCode::from(failed.exit as u8)
        }
    }
}

fn configured(command: Command, global: &Global) -> Result<Exit, Failed> {
    if let Command::Config(command) = &command {
        return config(command, global);
    }
    let settings =
        Settings::load(&global.layers()?).map_err(|error| Failed::from_error(Exit::Config, &error))?;
    let mut log = settings.log.clone();
    if !command.serves() {
        // Whoever asked a question wants the answer; VP_LOG says more.
        "warn".clone_into(&mut log.filter);
    }
    crate::logging::init(&log).map_err(|error| Failed::from_error(Exit::Config, &error))?;
    let context = Context { settings, format: global.output };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(command.threads())
        .build()
        .map_err(|error| Failed::new(Exit::Failure, format!("could not start the runtime: {error}")))?;
    // A read of standard input cannot be given up, and a host that stops us may leave it open.
    let patience = if matches!(command, Command::Mcp(_)) { 0 } else { 5 };
    let ended = runtime.block_on(run(command, context));
    runtime.shutdown_timeout(std::time::Duration::from_secs(patience));
    ended
}

impl Command {
    /// True for what runs until it is told to stop.
    fn serves(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Worker(_) | Self::Bridge | Self::Dispatcher)
            || matches!(self, Self::Deliver(args) if args.serves())
    }

    /// A client needs one thread; what serves uses what there is, within reason.
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        match self {
            Self::Up(_)
            | Self::Demo(_)
            | Self::Bench(_)
            | Self::Worker(_)
            | Self::Bridge
            | Self::Dispatcher => cores.clamp(2, 8),
            _ => 1,
        }
    }
}

async fn run(command: Command, context: Context) -> Result<Exit, Failed> {
    match command {
        Command::Up(args) => serve::up(&context, args).await,
        Command::Demo(args) => crate::demo::run(&context, args).await,
        Command::Worker(args) => serve::worker(&context, args).await,
        Command::Bridge => serve::bridge(&context).await,
        Command::Dispatcher => serve::dispatcher(&context).await,
        Command::Dispatch(args) => tools::dispatch(&context, args).await,
        Command::Get(args) => tools::get(&context, args).await,
        Command::List(args) => tools::list(&context, args).await,
        Command::Wait(args) => tools::wait(&context, args).await,
        Command::Cancel(args) => tools::cancel(&context, args).await,
        Command::Artifacts(args) => tools::artifacts(&context, args).await,
        Command::Notices(args) => notices::run(&context, args).await,
        Command::Mcp(args) => mcp::run(&context, args).await,
        Command::Deliver(args) => deliver::run(&context, args).await,
        Command::Attach(args) => attach::run(&context, args).await,
        Command::Hook(args) => hook::run(&context, args).await,
        Command::Events(args) => events::run(&context, args).await,
        Command::Route(args) => route::run(&context, args),
        Command::Lanes(args) => lanes::run(&context, args).await,
        Command::Ledger(command) => ledger::run(&context, command).await,
        Command::Prune(command) => prune::run(&context, command).await,
        Command::Doctor => doctor::run(&context).await,
        Command::Bench(args) => Box::pin(crate::bench::run(&context, args)).await,
        // Carried out before a runtime exists.
        Command::Config(_) | Command::Completions { .. } | Command::Keeper => Ok(Exit::Ok),
    }
}

fn config(command: &ConfigCommand, global: &Global) -> Result<Exit, Failed> {
    let layers = global.layers()?;
    match command {
        ConfigCommand::Show => {
            let rows = Settings::show(&layers).map_err(|error| Failed::from_error(Exit::Config, &error))?;
            output::config_rows(&rows, global.output)?;
        }
        ConfigCommand::Check => {
            Settings::load(&layers).map_err(|error| Failed::from_error(Exit::Config, &error))?;
            output::say("the configuration is sound");
        }
    }
    Ok(Exit::Ok)
}

impl Global {
    /// The layers of configuration that this command line asks for.
    fn layers(&self) -> Result<crate::config::Layers, Failed> {
        let mut flags = Vec::new();
        if let Some(dir) = &self.data_dir {
            flags.push(("data_dir".to_owned(), dir.display().to_string()));
        }
        if let Some(url) = &self.nats_url {
            flags.push(("nats.url".to_owned(), url.clone()));
        }
        for pair in &self.set {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Failed::new(Exit::Usage, format!("`--set {pair}`: want KEY=VALUE")))?;
            flags.push((key.to_owned(), value.to_owned()));
        }
        Ok(crate::config::Layers::of_process(self.config.clone(), flags))
    }
}
