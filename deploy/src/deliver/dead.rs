//! Dead letters: what a target did not take, kept in a file until somebody sends it again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vp_shared::notice::Notice;
use vp_shared::time::UtcTime;

/// More is not kept: the line stands still then, and nothing is lost.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A notice that was not delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up.
    pub time: UtcTime,
    /// The last reason.
    pub why: String,
    /// How often it was tried.
    pub tries: u32,
    /// The notice.
    pub notice: Notice,
}

/// A target's dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    path: PathBuf,
}

impl DeadLetters {
    /// Those of that target.
    pub fn new(data_dir: &Path, target: &str) -> Self {
        Self { path: data_dir.join("deliver").join(format!("{target}.dead.ndjson")) }
    }

    /// Keeps one; it is on the disk when this returns.
    ///
    /// # Errors
    /// The file and why.
    pub fn put(&self, notice: &Notice, why: &str, tries: u32) -> Result<(), String> {
        let letter =
            DeadLetter { time: vp_nats::clock::now(), why: why.to_owned(), tries, notice: notice.clone() };
        self.append(&letter).map_err(|error| self.failed(&error))
    }

    fn append(&self, letter: &DeadLetter) -> io::Result<()> {
        let mut text = serde_json::to_vec(letter)?;
        text.push(b'\n');
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        if file.metadata()?.len() > MAX_FILE {
            return Err(io::Error::other(
                "there are too many dead letters: send them again, or remove the file",
            ));
        }
        file.write_all(&text)?;
        file.sync_data()
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("dead letters in `{}`: {error}", self.path.display())
    }

    /// All of them, oldest first; those of a re-sending that was interrupted too.
    ///
    /// # Errors
    /// The file and why.
    pub fn list(&self) -> Result<Vec<DeadLetter>, String> {
        let mut letters = read(&self.taken()).map_err(|error| self.failed(&error))?;
        letters.extend(read(&self.path).map_err(|error| self.failed(&error))?);
        Ok(letters)
    }

    /// Takes all of them out, to be sent again; [`settle`](Self::settle) ends it. Who dies in between has them again.
    ///
    /// # Errors
    /// The file and why.
    pub fn take(&self) -> Result<Vec<DeadLetter>, String> {
        let taken = self.taken();
        let take = || {
            if !taken.exists() && self.path.exists() {
                fs::rename(&self.path, &taken)?;
            }
            read(&taken)
        };
        take().map_err(|error| self.failed(&error))
    }

    /// Ends what [`take`](Self::take) began: `left` were not delivered this time either.
    ///
    /// # Errors
    /// The file and why.
    pub fn settle(&self, left: &[DeadLetter]) -> Result<(), String> {
        let settle = || {
            for letter in left {
                self.append(letter)?;
            }
            match fs::remove_file(self.taken()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        settle().map_err(|error| self.failed(&error))
    }

    fn taken(&self) -> PathBuf {
        self.path.with_extension("resend")
    }
}

fn read(path: &Path) -> io::Result<Vec<DeadLetter>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut letters = Vec::new();
    for line in BufReader::new(file).lines() {
        match serde_json::from_str(&line?) {
            Ok(letter) => letters.push(letter),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "stepped over a broken dead letter");
            }
        }
    }
    Ok(letters)
}
