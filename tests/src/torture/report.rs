//! The verdict, as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::actor::How;
use super::check::{Stories, Verdict};
use super::evidence::Evidence;
use super::options::Options;
use super::speed::FastReturn;

/// How many violations of a check are printed; all are counted.
const SHOWN: usize = 8;

/// Missions of killed workers that took longer than this to run again are named, so many of them.
const SLOW: Duration = Duration::from_secs(15);
const SLOWEST: usize = 5;

/// What a round came to.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub text: String,
    /// How many violations there are.
    pub violations: usize,
}

/// Words the verdict.
pub fn report(
    options: &Options,
    evidence: &Evidence,
    stories: &Stories,
    verdicts: &[Verdict],
    settled: Duration,
    dir: &Path,
) -> Report {
    let mut text = String::new();
    let width = verdicts.iter().map(|verdict| verdict.what.len()).max().unwrap_or_default();
    for verdict in verdicts {
        let result = if verdict.violations.is_empty() { "ok" } else { "VIOLATED" };
        let _ = writeln!(
            text,
            "{:width$}  {:>6}  {result} {}",
            verdict.what,
            verdict.looked_at,
            if verdict.violations.is_empty() { String::new() } else { verdict.violations.len().to_string() }
        );
    }
    text.push('\n');
    for verdict in verdicts.iter().filter(|verdict| !verdict.violations.is_empty()) {
        let _ = writeln!(text, "VIOLATED: {}", verdict.what);
        for violation in verdict.violations.iter().take(SHOWN) {
            let _ = writeln!(text, "  {violation}");
        }
        if verdict.violations.len() > SHOWN {
            let _ = writeln!(text, "  and {} more", verdict.violations.len() - SHOWN);
        }
    }
    figures(&mut text, evidence, stories, settled);
    let violations = verdicts.iter().map(|verdict| verdict.violations.len()).sum();
    let _ = writeln!(text, "seed {}; to repeat it: {}", options.seed, options.command());
    let _ = match violations {
        0 => writeln!(text, "no violation"),
        _ => writeln!(text, "{violations} VIOLATIONS; logs are in {}", dir.display()),
    };
    Report { text, violations }
}

fn figures(text: &mut String, evidence: &Evidence, stories: &Stories, settled: Duration) {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let mut attempts = 0;
    for mission in stories.values().filter_map(|story| story.mission.as_ref()) {
        *ends.entry(mission.status.to_string()).or_default() += 1;
        attempts += mission.attempt;
    }
    let ends: Vec<_> = ends.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let _ = writeln!(text, "missions: {} in {attempts} attempts: {}", stories.len(), ends.join(", "));
    let mut deaths: BTreeMap<String, usize> = BTreeMap::new();
    for death in &evidence.deaths {
        let how = match &death.how {
            How::Killed => "killed".to_owned(),
            How::Crashed(point) => format!("crashed {}", point.split(':').next().unwrap_or(point)),
            How::ByItself(status) => format!("by itself ({status})"),
        };
        *deaths.entry(how).or_default() += 1;
    }
    let deaths: Vec<_> = deaths.iter().map(|(how, count)| format!("{count} {how}")).collect();
    let _ = writeln!(text, "processes that died: {}", deaths.join(", "));
    let different: std::collections::BTreeSet<_> =
        evidence.shown.iter().map(|shown| &shown.notice_id).collect();
    let repeats = evidence.shown.len() - different.len();
    let _ =
        writeln!(text, "notices: {} shown, {repeats} of them a second time by the same id", different.len());
    let fast = FastReturn::of(evidence, stories);
    let seconds = |percent| fast.percentile(percent).map_or(f64::NAN, |time| time.as_secs_f64());
    let _ = writeln!(
        text,
        "fast return: {} deaths of workers, {} missions running, {} started again: p50 {:.1} s, p99 {:.1} s, \
         max {:.1} s (servers, links and bridge broken and lanes closed meanwhile included)",
        fast.deaths,
        fast.running,
        fast.times.len(),
        seconds(50),
        seconds(99),
        seconds(100)
    );
    for (time, what) in fast.slowest.iter().take(SLOWEST).filter(|(time, _)| *time > SLOW) {
        let _ = writeln!(text, "  slow: {:.1} s: {what}", time.as_secs_f64());
    }
    let _ = writeln!(text, "settled {:.1} s after the last fault", settled.as_secs_f64());
}
