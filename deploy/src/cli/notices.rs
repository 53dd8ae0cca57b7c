//! `vp notices`: what a session is told, each until it was shown.

use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;
use vp_nats::notices::NoticeReader;
use vp_shared::ids::SessionId;
use vp_shared::notice::Notice;

use super::{Context, Format, output};
use crate::deliver::{Line, Place, Refusal, Sink, pump};
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
    let mut sink = Shown { format: context.format, gone: None };
    if args.follow {
        let line = Line { session_id: session, place: Place::Session, limit: None, troubles: None };
        let stop = shutdown::token().child_token();
        let reader_gone = CancellationToken::new();
        sink.gone = Some(reader_gone.clone());
        tokio::select! {
            () = pump(&conn, &line, &mut sink, &stop) => {}
            () = reader_gone.cancelled() => {}
        }
        return Ok(Exit::Ok);
    }
    let unavailable = |error| Failed::from_error(Exit::Unavailable, &error);
    let mut reader = NoticeReader::open(&conn, &session).await.map_err(unavailable)?;
    let stop = shutdown::token();
    while !stop.is_cancelled() {
        let Some(delivery) = reader.next(LAST_WAIT).await.map_err(unavailable)? else { break };
        // Shown first, then acked: who is killed in between shows it again rather than never.
        show(&delivery.notice, context.format)?;
        delivery.ack().await.map_err(unavailable)?;
    }
    Ok(Exit::Ok)
}

/// Standard output as a sink.
struct Shown {
    format: Format,
    /// Cancelled when nobody reads it any more.
    gone: Option<CancellationToken>,
}

impl Sink for Shown {
    async fn accept(&mut self, notice: &Notice) -> Result<(), Refusal> {
        show(notice, self.format).map_err(|failed| {
            if let Some(gone) = &self.gone {
                gone.cancel();
            }
            Refusal { why: failed.message, final_word: false }
        })
    }
}

/// Written out and flushed when it returns.
fn show(notice: &Notice, format: Format) -> Result<(), Failed> {
    match format {
        Format::Table => output::line(format!("{}\n", notice.text)),
        format => output::json(notice, format),
    }
}
