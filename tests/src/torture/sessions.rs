//! Readers of notices: each writes down what it shows before it acks it.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_nats::notices::NoticeReader;
use vp_shared::ids::SessionId;

use super::evidence::Shown;

/// How long one wait for a notice takes.
const WAIT: Duration = Duration::from_secs(2);

/// What a session was shown so far.
#[derive(Debug, Clone, Default)]
pub struct Screen(Arc<Mutex<Vec<Shown>>>);

impl Screen {
    /// All of it, in order.
    pub fn all(&self) -> Vec<Shown> {
        self.0.lock().unwrap().clone()
    }

    fn show(&self, shown: Shown) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push(shown);
        all.len() - 1
    }

    fn acked(&self, place: usize) {
        self.0.lock().unwrap()[place].acked = true;
    }
}

/// Reads the session's notices until it is told to stop.
pub async fn read(
    conn: Connection,
    session: SessionId,
    file: PathBuf,
    screen: Screen,
    stop: CancellationToken,
) {
    let mut file = File::create(file).unwrap();
    while !stop.is_cancelled() {
        let mut reader = match NoticeReader::open(&conn, &session).await {
            Ok(reader) => reader,
            Err(error) => {
                writeln!(file, "# not opened: {error}").unwrap();
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        while let Some(next) = stop.run_until_cancelled(reader.next(WAIT)).await {
            let delivery = match next {
                Ok(Some(delivery)) => delivery,
                Ok(None) => continue,
                Err(error) => {
                    writeln!(file, "# interrupted: {error}").unwrap();
                    sleep(Duration::from_millis(200)).await;
                    break;
                }
            };
            let notice = &delivery.notice;
            writeln!(file, "{} {} {}", delivery.seq, notice.notice_id, notice.event).unwrap();
            let place = screen.show(Shown {
                reader: session.clone(),
                session_id: notice.session_id.clone(),
                notice_id: notice.notice_id.clone(),
                seq: delivery.seq,
                acked: false,
            });
            match delivery.ack().await {
                Ok(()) => screen.acked(place),
                Err(error) => writeln!(file, "# not acked: {error}").unwrap(),
            }
        }
    }
}
