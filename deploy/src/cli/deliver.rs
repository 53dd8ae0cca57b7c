//! `vp deliver`: notices to the configured targets, and their dead letters.

use clap::Args;
use vp_nats::subject::session_token;

use super::{Context, Format, output};
use crate::config::DeliverTarget;
use crate::deliver::{DeadLetters, Deliverers, Poster, Sink as _, TargetStanding, Trouble, sink_of};
use crate::exit::{Exit, Failed};
use crate::{link, patience, shutdown};

/// Deliver notices.
#[derive(Debug, Args)]
pub struct DeliverArgs {
    /// Only this target; may be given again
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Show how each target stands instead: what waits, since when, and what is in its way
    #[arg(long, conflicts_with_all = ["dead", "resend"])]
    status: bool,
    /// Show the dead letters instead
    #[arg(long, conflicts_with = "resend")]
    dead: bool,
    /// Send the dead letters again instead, once; exits 1 when one is not taken this time either
    #[arg(long)]
    resend: bool,
}

impl DeliverArgs {
    /// True for what runs until it is told to stop.
    pub fn serves(&self) -> bool {
        !self.status && !self.dead && !self.resend
    }
}

/// `vp deliver`.
pub async fn run(context: &Context, args: DeliverArgs) -> Result<Exit, Failed> {
    let mut settings = context.settings.clone();
    if let Some(unknown) =
        args.target.iter().find(|name| settings.deliver.iter().all(|target| target.name != **name))
    {
        return Err(Failed::new(Exit::Usage, format!("there is no target `{unknown}`"))
            .hint("the configuration's `[[deliver]]` tables name them"));
    }
    settings.deliver.retain(|target| args.target.is_empty() || args.target.contains(&target.name));
    if settings.deliver.is_empty() {
        return Err(Failed::new(Exit::Config, "no target is configured")
            .hint("add a `[[deliver]]` table; docs/notices.md shows how"));
    }
    if args.status {
        return status(context, &settings.deliver).await;
    }
    if args.dead {
        return dead(context, &settings.deliver);
    }
    if args.resend {
        return resend(context, &settings.deliver).await;
    }
    let stop = shutdown::token();
    link::target(&settings, "vp-deliver")?;
    let conn = patience::start("the deliverer", settings.nats.start_wait(), async || {
        link::connect(&settings, "vp-deliver").await
    })
    .await?;
    let deliverers = Deliverers::start(&conn, &settings);
    let names: Vec<_> = settings.deliver.iter().map(|target| target.name.as_str()).collect();
    output::say(format!("notices are delivered to {}", names.join(", ")));
    stop.cancelled().await;
    deliverers.stop().await;
    Ok(Exit::Ok)
}

async fn status(context: &Context, targets: &[DeliverTarget]) -> Result<Exit, Failed> {
    let conn = link::connect(&context.settings, "vp-deliver").await?;
    let mut standings = Vec::new();
    for target in targets {
        let standing = TargetStanding::of(&conn, target, &context.settings.data_dir).await;
        standings
            .push(standing.map_err(|why| Failed::new(Exit::Failure, format!("{}: {why}", target.name)))?);
    }
    if context.format != Format::Table {
        output::json(&serde_json::json!({"targets": standings}), context.format)?;
        return Ok(Exit::Ok);
    }
    let rows = standings.iter().flat_map(|target| {
        target.sessions.iter().map(|session| {
            let trouble = session.trouble.as_ref();
            vec![
                target.target.clone(),
                if target.served { "yes" } else { "NO" }.to_owned(),
                session.session.to_string(),
                session.waiting.to_string(),
                session.oldest.map(|oldest| oldest.to_string()).unwrap_or_default(),
                target.dead_letters.to_string(),
                trouble.map(in_words).unwrap_or_default(),
            ]
        })
    });
    output::table(&["TARGET", "SERVED", "SESSION", "WAITING", "OLDEST", "DEAD", "TROUBLE"], rows)?;
    Ok(Exit::Ok)
}

/// A trouble in one line.
pub(super) fn in_words(trouble: &Trouble) -> String {
    format!(
        "{} (tried {} times since {}, last at {})",
        trouble.why, trouble.tries, trouble.since, trouble.last
    )
}

fn dead(context: &Context, targets: &[DeliverTarget]) -> Result<Exit, Failed> {
    let mut rows = Vec::new();
    for target in targets {
        let letters = DeadLetters::new(&context.settings.data_dir, &target.name).list();
        let letters = letters.map_err(|why| Failed::new(Exit::Failure, why))?;
        for letter in letters {
            if context.format == Format::Table {
                rows.push(vec![
                    target.name.clone(),
                    letter.time.to_string(),
                    session_token(&letter.notice.session_id),
                    letter.notice.notice_id.to_string(),
                    letter.tries.to_string(),
                    letter.why,
                ]);
            } else {
                output::json(&serde_json::json!({"target": target.name, "letter": letter}), context.format)?;
            }
        }
    }
    if context.format == Format::Table {
        output::table(&["TARGET", "GIVEN UP", "SESSION", "NOTICE", "TRIES", "WHY"], rows)?;
    }
    Ok(Exit::Ok)
}

async fn resend(context: &Context, targets: &[DeliverTarget]) -> Result<Exit, Failed> {
    let (mut sent, mut left_over) = (0_u64, 0_u64);
    for target in targets {
        let dead = DeadLetters::new(&context.settings.data_dir, &target.name);
        let mut resend = dead.take().await.map_err(|why| Failed::new(Exit::Failure, why))?;
        let (mut left, poster) = (Vec::new(), Poster::default());
        for mut letter in std::mem::take(&mut resend.letters) {
            let mut sink = sink_of(target, &letter.notice.session_id, &poster);
            match sink.accept(&letter.notice).await {
                Ok(()) => sent += 1,
                Err(refusal) => {
                    letter.why = refusal.why;
                    letter.tries += 1;
                    left.push(letter);
                }
            }
        }
        left_over += left.len() as u64;
        resend.settle(&left).await.map_err(|why| Failed::new(Exit::Failure, why))?;
    }
    output::say(format!("{sent} dead letters were delivered, {left_over} are left"));
    Ok(if left_over == 0 { Exit::Ok } else { Exit::Failure })
}
