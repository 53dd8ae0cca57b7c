//! `vp demo`: the main job on real input, with no model and no account.
//!
//! Starts a whole system in a folder of its own, delegates two missions on a git repository as session `demo`,
//! follows them live, and shows what the session is told and what it can read back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use vp_dispatcher::{Caller, Dispatcher};
use vp_nats::connect::Connection;
use vp_nats::notices::NoticeReader;
use vp_nats::reader::{Reader, Start};
use vp_nats::{clock, subject, topology};
use vp_shared::api::{Dispatched, ReadResultArtifacts, ResultArtifacts};
use vp_shared::artifact::Category;
use vp_shared::event::Event;
use vp_shared::ids::{MissionId, SessionId};
use vp_shared::mission::EventKind;
use vp_shared::notice::Notice;
use vp_shared::time::UtcTime;

use crate::cli::{Context, line, say};
use crate::exit::{Exit, Failed};
use crate::link;
use crate::system::System;

/// See the main job done on a git repository.
#[derive(Debug, Args)]
pub struct Demo {
    /// The git repository to work on; the one around the current folder when absent
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Keep the demo's data dir, and say where it is
    #[arg(long)]
    keep: bool,
}

const SESSION: &str = "demo";
const DEADLINE: Duration = Duration::from_mins(3);

/// What is delegated: lane and objective.
const MISSIONS: [(&str, &str); 2] = [
    ("vp.general.primary", "Report on the repository: languages, sizes, history, authors, open TODOs"),
    (
        "vp.coder.primary",
        "Format and check the repository in a clone of your own; hand over a patch that applies",
    ),
];

/// `vp demo`.
pub async fn run(context: &Context, args: Demo) -> Result<Exit, Failed> {
    let repo = repository(args.repo.as_deref())?;
    let dir = std::env::temp_dir().join(format!("vp-demo-{}", std::process::id()));
    let mut settings = context.settings.clone();
    settings.use_data_dir(&dir);
    say(format!("vp demo on {} (data dir {})", repo.display(), dir.display()));
    let system = System::start(&settings).await?;
    say("nats-server, bridge, dispatcher and two workers are up\n");
    let told = show(&system, &settings, &repo).await;
    system.stop(Duration::from_secs(10)).await;
    if args.keep {
        say(format!("kept: {}", dir.display()));
    } else if let Err(error) = std::fs::remove_dir_all(&dir) {
        say(format!("warning: could not remove {}: {error}", dir.display()));
    }
    let told = told?;
    if told.iter().all(|notice| notice.event == EventKind::Completed.type_name()) {
        Ok(Exit::Ok)
    } else {
        Err(Failed::new(Exit::MissionFailed, "not every mission completed"))
    }
}

/// The repository's top folder.
fn repository(asked: Option<&Path>) -> Result<PathBuf, Failed> {
    let start = asked.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let start = start
        .canonicalize()
        .map_err(|error| Failed::new(Exit::Usage, format!("`{}`: {error}", start.display())))?;
    start.ancestors().find(|dir| dir.join(".git").exists()).map(Path::to_path_buf).ok_or_else(|| {
        Failed::new(Exit::Usage, format!("`{}` is not in a git repository", start.display()))
            .hint("name one with --repo DIR")
    })
}

async fn show(
    system: &System,
    settings: &crate::config::Settings,
    repo: &Path,
) -> Result<Vec<Notice>, Failed> {
    let conn = system.connect("vp-demo").await?;
    let dispatcher = link::dispatcher(settings, &conn);
    let session = SessionId::new(SESSION).map_err(|error| Failed::from_error(Exit::Failure, &error))?;
    let caller = Caller::session(session.clone());
    let unavailable = |error| Failed::from_error(Exit::Unavailable, &error);
    let mut log = Reader::open(&conn, topology::MISSIONS, &[subject::ALL_MISSIONS.into()], Start::New)
        .await
        .map_err(unavailable)?;

    say(format!("session `{SESSION}` delegates {} missions:", MISSIONS.len()));
    let mut missions = Vec::new();
    for (lane, objective) in MISSIONS {
        missions.push(delegate(&dispatcher, &caller, lane, objective, repo).await?);
    }
    say("\nthe log, live:");
    let (times, told) =
        tokio::try_join!(follow(&mut log, &missions), read_notices(&conn, &session, missions.len()))?;
    say("\nwhat the session is told:\n");
    for (notice, _) in &told {
        line(format!("{}\n", notice.text))?;
    }
    for mission in &missions {
        show_product(&dispatcher, mission).await?;
    }
    show_times(&times, &told)?;
    let told = told.into_iter().map(|(notice, _)| notice).filter(|notice| notice.terminal).collect();
    say(format!(
        "\nwhat to try next:\n  vp up                      the same system, to stay, in {}\n  \
         vp dispatch --session me --lane vp.general.primary --constraint repo=$PWD 'Report on this' --wait\n  \
         vp notices --session me --follow\n  vp list; vp get MISSION; vp artifacts MISSION; vp doctor",
        crate::config::default_data_dir().display()
    ));
    Ok(told)
}

async fn delegate(
    dispatcher: &Dispatcher,
    caller: &Caller,
    lane: &str,
    objective: &str,
    repo: &Path,
) -> Result<MissionId, Failed> {
    let input = json!({"vp_id": lane, "objective": objective, "constraints": {"repo": repo}, "source_turn_id": "demo-turn"});
    let input = vp_shared::api::parse(input.to_string().as_bytes())?;
    let Dispatched { mission_id, vp_id, status, .. } = dispatcher.dispatch(input, caller).await?;
    say(format!("  {mission_id}  {vp_id}  {status}"));
    Ok(mission_id)
}

/// When what happened, by the clock of this process.
#[derive(Debug, Default)]
struct Times {
    dispatched: Vec<(MissionId, UtcTime)>,
    started: Vec<(MissionId, UtcTime)>,
    ended: Vec<(MissionId, UtcTime)>,
}

async fn follow(log: &mut Reader, missions: &[MissionId]) -> Result<Times, Failed> {
    let mut times = Times::default();
    let until = Instant::now() + DEADLINE;
    while times.ended.len() < missions.len() {
        if Instant::now() > until {
            return Err(Failed::new(
                Exit::TimedOut,
                format!("the missions did not end within {} s", DEADLINE.as_secs()),
            ));
        }
        let records = log
            .next_batch(64, Duration::from_secs(1))
            .await
            .map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
        for record in records {
            let Ok(event) = Event::from_json(&record.payload) else { continue };
            say(format!("  {}  {}  {}", event.time, event.vp_id, event.kind()));
            let place = match event.kind() {
                EventKind::Dispatched => &mut times.dispatched,
                EventKind::Started => &mut times.started,
                kind if kind.is_terminal() => &mut times.ended,
                _ => continue,
            };
            place.push((event.mission_id, event.time));
        }
    }
    Ok(times)
}

/// Reads until so many terminal notices have come; each with the moment of its arrival.
async fn read_notices(
    conn: &Connection,
    session: &SessionId,
    wanted: usize,
) -> Result<Vec<(Notice, UtcTime)>, Failed> {
    let unavailable = |error| Failed::from_error(Exit::Unavailable, &error);
    let mut reader = NoticeReader::open(conn, session).await.map_err(unavailable)?;
    let mut told: Vec<(Notice, UtcTime)> = Vec::new();
    let until = Instant::now() + DEADLINE;
    while told.iter().filter(|(notice, _)| notice.terminal).count() < wanted {
        if Instant::now() > until {
            return Err(Failed::new(Exit::TimedOut, format!("only {} notices came in time", told.len())));
        }
        if let Some(delivery) = reader.next(Duration::from_secs(2)).await.map_err(unavailable)? {
            told.push((delivery.notice.clone(), clock::now()));
            delivery.ack().await.map_err(unavailable)?;
        }
    }
    Ok(told)
}

async fn show_product(dispatcher: &Dispatcher, mission: &MissionId) -> Result<(), Failed> {
    let input = ReadResultArtifacts {
        mission_id: mission.clone(),
        category: Some(Category::PrimaryWorkProduct),
        max_files: 1,
        max_bytes: 1500,
    };
    let ResultArtifacts { artifacts, .. } = dispatcher.read_artifacts(input).await?;
    for artifact in artifacts {
        let cut = if artifact.excerpt_truncated { ", the beginning" } else { "" };
        line(format!("--- {} ({} bytes{cut})", artifact.path, artifact.bytes))?;
        line(artifact.excerpt.unwrap_or_default())?;
    }
    Ok(())
}

fn show_times(times: &Times, told: &[(Notice, UtcTime)]) -> Result<(), Failed> {
    let of =
        |list: &[(MissionId, UtcTime)], id: &MissionId| list.iter().find(|(m, _)| m == id).map(|(_, t)| *t);
    let between = |from: Option<UtcTime>, to: Option<UtcTime>| match (from, to) {
        (Some(from), Some(to)) => format!("{:.1} ms", to.since(from).as_secs_f64() * 1000.0),
        _ => "unknown".into(),
    };
    for (notice, arrived) in told.iter().filter(|(notice, _)| notice.terminal) {
        let id = &notice.mission_id;
        line(format!(
            "{}: dispatch to start {}, terminal event to notice {}",
            notice.vp_name,
            between(of(&times.dispatched, id), of(&times.started, id)),
            between(of(&times.ended, id), Some(*arrived)),
        ))?;
    }
    Ok(())
}
