//! Times, sizes and outputs as they are shown.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use vp_shared::api::EventView;
use vp_shared::artifact::{Artifact, Category, MissionResult};
use vp_shared::ids::MissionId;
use vp_shared::mission::Status;
use vp_shared::notice::Notice;
use vp_shared::text::cut;
use vp_shared::time::UtcTime;

use crate::ledger::Told;

/// The longest text of an executor that a page shows at once.
const MAX_TEXT: usize = 8 * 1024;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When(pub(super) UtcTime);

impl When {
    pub(super) fn iso(self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for When {
    /// To the second, as a person reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let (day, time) = text.split_once('T').unwrap_or((&text, ""));
        write!(f, "{day} {} UTC", time.get(..8).unwrap_or(time))
    }
}

/// A moment as it is shown.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
pub(super) fn when(at: &UtcTime) -> When {
    When(*at)
}

/// A span of time: `850 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(duration: Duration) -> String {
    let (ms, s) = (duration.as_millis(), duration.as_secs());
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{}.{} s", s, duration.subsec_millis() / 100),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// A size: `512 bytes`, `1.5 kB`, `3.0 MB`.
pub(super) fn size(bytes: u64) -> String {
    let unit = |unit: u64, name: &str| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        1 => "1 byte".to_owned(),
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => unit(1_000, "kB"),
        1_000_000..1_000_000_000 => unit(1_000_000, "MB"),
        _ => unit(1_000_000_000, "GB"),
    }
}

/// A value as one part of an address.
pub(super) fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut quoted, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(quoted, "%{byte:02X}");
        }
        quoted
    })
}

/// One thing that a session was told.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) pos: i64,
    pub(super) notice: Notice,
    pub(super) kind: Kind,
    pub(super) at: When,
    pub(super) outputs: Option<Outputs>,
}

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The session's own words: it has delegated.
    Delegated,
    /// A line in between.
    Line,
    /// The end.
    End,
}

impl Message {
    /// How a told notice is shown; previews are laid in later.
    pub(super) fn of(told: Told) -> Self {
        let Told { pos, notice } = told;
        let kind = match notice.status {
            _ if notice.terminal => Kind::End,
            Status::Queued | Status::Scheduled => Kind::Delegated,
            _ => Kind::Line,
        };
        let outputs = notice.result.as_ref().map(|result| Outputs::of(&notice.mission_id, result));
        Self { pos, kind, at: When(notice.time), outputs, notice }
    }

    pub(super) fn initial(&self) -> char {
        self.notice.vp_name.chars().find(|c| c.is_alphanumeric()).unwrap_or('?').to_ascii_uppercase()
    }
}

/// What a mission left behind, in the three groups that are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Outputs {
    pub(super) primary: Group,
    pub(super) supporting: Group,
    pub(super) receipts: Group,
    pub(super) place: Option<String>,
    pub(super) partial: bool,
}

/// Files of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) files: Vec<FileShown>,
    /// How many more there are that the mission's end does not list.
    pub(super) more: u64,
}

/// A file, as it is listed.
#[derive(Debug, Clone)]
pub(super) struct FileShown {
    pub(super) path: String,
    pub(super) category: Category,
    /// Size and media type; not known of receipt and marker.
    pub(super) told: Option<Artifact>,
    /// `/missions/<id>/{}?path=<path>` without the act.
    mission: String,
    pub(super) preview: Option<Preview>,
}

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Preview {
    Text {
        text: String,
        cut: bool,
    },
    Image,
    /// Why there is none.
    Gone(String),
}

impl FileShown {
    pub(super) fn link(&self, act: &str) -> String {
        format!("/missions/{}/{act}?path={}", self.mission, quoted(&self.path))
    }

    pub(super) fn size(&self) -> String {
        self.told.as_ref().map(|told| size(told.bytes)).unwrap_or_default()
    }
}

impl Outputs {
    pub(super) fn of(mission_id: &MissionId, result: &MissionResult) -> Self {
        let file = |path: &str, category, told: Option<&Artifact>| FileShown {
            path: path.to_owned(),
            category,
            told: told.cloned(),
            mission: mission_id.to_string(),
            preview: None,
        };
        let of = |category: Category, total: u64| {
            let files: Vec<_> = result
                .artifacts
                .iter()
                .filter(|artifact| artifact.category == category)
                .map(|artifact| file(&artifact.path, category, Some(artifact)))
                .collect();
            let more = total.saturating_sub(files.len() as u64);
            Group { files, more }
        };
        let supporting = result.artifacts_total.saturating_sub(result.primary_total);
        let receipts = [(&result.receipt, Category::Receipt), (&result.sync_marker, Category::SyncMarker)];
        let receipts = receipts.into_iter().filter_map(|(path, category)| Some((path.as_ref()?, category)));
        Self {
            primary: of(Category::PrimaryWorkProduct, result.primary_total),
            supporting: of(Category::SupportingArtifact, supporting),
            receipts: Group {
                files: receipts.map(|(path, category)| file(path, category, None)).collect(),
                more: 0,
            },
            place: result.result_ref.clone(),
            partial: result.partial,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.primary.is_empty() && self.supporting.is_empty() && self.receipts.is_empty()
    }
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.more == 0
    }
}

/// An event in the timeline.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) seq: u64,
    pub(super) attempt: u32,
    pub(super) at: When,
    pub(super) actor: String,
    pub(super) detail: String,
}

impl Step {
    pub(super) fn of(event: &EventView) -> Self {
        let name = event.event.trim_start_matches("vp.mission.").to_owned();
        Self {
            name,
            seq: event.seq,
            attempt: event.attempt,
            at: When(event.time),
            actor: event.actor.id.clone(),
            detail: cut(detail(&event.body), 600),
        }
    }
}

/// What else an event says: its reason, its failure, its worker; whichever it has.
fn detail(body: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let failure =
        |failure: &Value| Some(format!("{}: {}", failure["class"].as_str()?, failure["message"].as_str()?));
    let worker =
        || Some(format!("{} on {}", body["worker"]["worker_id"].as_str()?, body["worker"]["host"].as_str()?));
    let took_over = failure(&body["took_over"]).map(|why| format!("; {why}")).unwrap_or_default();
    failure(&body["failure"])
        .or_else(|| worker().map(|worker| worker + &took_over))
        .or_else(|| text(&body["reason"]))
        .or_else(|| text(&body["outcome"]["status"]))
        .or_else(|| text(&body["priority"]))
        .unwrap_or_default()
}

/// A long text of an executor, at most so much of it.
pub(super) fn shortened(text: &str) -> String {
    cut(text.trim().to_owned(), MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_read_at_a_glance() {
        for (ms, text) in [
            (0, "0 ms"),
            (850, "850 ms"),
            (3_240, "3.2 s"),
            (250_000, "4 min 10 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_500, "1.5 kB"),
            (3_000_000, "3.0 MB"),
            (u64::MAX, "18446744073.7 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn an_address_holds_nothing_that_means_something() {
        assert_eq!(quoted("a b/ü?&#\"<"), "a%20b%2F%C3%BC%3F%26%23%22%3C");
    }

    #[test]
    fn moments_are_shown_to_the_second() {
        let when = When(UtcTime::from_micros(1_700_000_000_123_456));
        assert_eq!(when.to_string(), "2023-11-14 22:13:20 UTC");
        assert_eq!(when.iso(), "2023-11-14T22:13:20.123456Z");
    }
}
