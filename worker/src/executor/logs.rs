//! The bounded logs of an attempt.

use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use vp_shared::artifact::{STDERR_LOG, STDOUT_LOG};

/// Two logs with one limit for both. Made when the first byte comes; what does not fit, or cannot be written, is
/// counted.
#[derive(Debug)]
pub(super) struct Logs {
    streams: [Log; 2],
    room: u64,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Option<File>,
    pending: Vec<u8>,
    dropped: u64,
    broken: bool,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

impl Logs {
    /// Logs in `dir`, of at most `limit` bytes together.
    pub(super) fn new(dir: &Path, limit: u64) -> Self {
        let log =
            |name| Log { path: dir.join(name), file: None, pending: Vec::new(), dropped: 0, broken: false };
        Self { streams: [log(STDOUT_LOG), log(STDERR_LOG)], room: limit }
    }

    /// Takes a line of which `dropped` more bytes are lost already.
    pub(super) fn line(&mut self, stream: Stream, text: &[u8], dropped: u64) {
        let log = &mut self.streams[stream as usize];
        let size = text.len() as u64 + 1;
        if size > self.room || log.broken {
            log.dropped += size + dropped;
            // Later lines, though shorter, would make the log look whole.
            self.room = 0;
            return;
        }
        self.room -= size;
        log.pending.extend_from_slice(text);
        if dropped > 0 {
            log.pending.extend_from_slice(format!(" [{dropped} bytes of this line dropped]").as_bytes());
        }
        log.pending.push(b'\n');
    }

    /// Writes what was taken.
    pub(super) async fn flush(&mut self) {
        for log in &mut self.streams {
            log.flush().await;
        }
    }

    /// Ends both, with a word about what was dropped.
    pub(super) async fn end(&mut self) {
        for log in &mut self.streams {
            if log.dropped > 0 {
                let note = format!("[{} bytes dropped: the limit of the logs is reached]\n", log.dropped);
                log.pending.extend_from_slice(note.as_bytes());
            }
            log.flush().await;
            if let Some(file) = &mut log.file
                && let Err(error) = file.flush().await
            {
                log.gave_up(&error);
            }
        }
    }
}

impl Log {
    async fn flush(&mut self) {
        if self.pending.is_empty() || self.broken {
            self.pending.clear();
            return;
        }
        if let Err(error) = self.write().await {
            self.gave_up(&error);
            self.dropped += self.pending.len() as u64;
        }
        self.pending.clear();
    }

    async fn write(&mut self) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self
                .file
                .insert(OpenOptions::new().write(true).create_new(true).mode(0o640).open(&self.path).await?),
        };
        file.write_all(&self.pending).await
    }

    fn gave_up(&mut self, error: &std::io::Error) {
        self.broken = true;
        tracing::warn!(path = %self.path.display(), %error, "an attempt's log cannot be written; the rest of it is lost");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn logs_stay_within_their_limit_and_say_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let mut logs = Logs::new(dir.path(), 20);
        logs.line(Stream::Out, b"0123456789", 0);
        logs.line(Stream::Err, b"0123", 7);
        logs.flush().await;
        logs.line(Stream::Out, b"0123456789", 0);
        logs.line(Stream::Out, b"x", 0);
        logs.end().await;
        let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read(STDOUT_LOG), "0123456789\n[13 bytes dropped: the limit of the logs is reached]\n");
        assert_eq!(read(STDERR_LOG), "0123 [7 bytes of this line dropped]\n");
    }

    #[tokio::test]
    async fn silence_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        Logs::new(dir.path(), 20).end().await;
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
