//! `vp notices`: what a session is told, each until it was shown.

use std::time::Duration;

use clap::Args;
use vp_nats::notices::NoticeReader;
use vp_shared::ids::SessionId;

use super::{Context, Format, output};
use crate::exit::{Exit, Failed};
use crate::link;
use crate::shutdown;

/// Show what a session is told.
#[derive(Debug, Args)]
pub struct Notices {
    /// The session; also VP_SESSION or `session` in the configuration
    #[arg(long, value_name = "SESSION", env = "VP_SESSION", hide_env_values = true)]
    session: Option<SessionId>,
    /// Keep showing what comes
    #[arg(long)]
    follow: bool,
}

/// How long to wait for one more before saying that there is none.
const LAST_WAIT: Duration = Duration::from_millis(700);

/// `vp notices`.
pub async fn run(context: &Context, args: Notices) -> Result<Exit, Failed> {
    let session = args.session.or_else(|| context.settings.session.clone()).ok_or_else(|| {
        Failed::new(Exit::Usage, "no session is known").hint("pass --session, or set VP_SESSION")
    })?;
    let conn = link::connect(&context.settings, "vp-notices").await?;
    let unavailable = |error| Failed::from_error(Exit::Unavailable, &error);
    let mut reader = NoticeReader::open(&conn, &session).await.map_err(unavailable)?;
    let stop = shutdown::token();
    while !stop.is_cancelled() {
        let wait = if args.follow { Duration::from_secs(2) } else { LAST_WAIT };
        match reader.next(wait).await {
            Ok(Some(delivery)) => {
                match context.format {
                    Format::Table => output::line(format!("{}\n", delivery.notice.text))?,
                    format => output::json(&delivery.notice, format)?,
                }
                // Shown first, then acked: who is killed in between shows it again rather than never.
                delivery.ack().await.map_err(unavailable)?;
            }
            Ok(None) if args.follow => {}
            Ok(None) => break,
            Err(error) if args.follow => {
                tracing::warn!(error = %vp_shared::error::Chain(&error), session_id = %session, "notices are late");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => return Err(unavailable(error)),
        }
    }
    Ok(Exit::Ok)
}
