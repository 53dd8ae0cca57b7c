//! What was found at a limit, line by line, and whether it holds.

use serde::Serialize;

use super::process::Usage;
use crate::cli::say;

/// Everything found at one limit.
#[derive(Debug, Serialize)]
pub struct Sheet {
    limit: &'static str,
    asked: String,
    holds: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    found: Vec<Found>,
}

/// One figure.
#[derive(Debug, Serialize)]
struct Found {
    what: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
    ok: bool,
}

impl Sheet {
    pub fn new(limit: &'static str, asked: String) -> Self {
        Self { limit, asked, holds: true, seconds: 0.0, error: None, found: Vec::new() }
    }

    /// A figure without a bound.
    pub fn figure(&mut self, what: &str, value: f64, unit: &'static str) {
        self.put(what, value, unit, None, true);
    }

    /// A figure that must not be above `most`.
    pub fn at_most(&mut self, what: &str, value: f64, unit: &'static str, most: f64) {
        self.put(what, value, unit, Some(format!("at most {most}")), value <= most);
    }

    /// A figure that must not be below `least`.
    pub fn at_least(&mut self, what: &str, value: f64, unit: &'static str, least: u64) {
        self.put(what, value, unit, Some(format!("at least {least}")), value >= count(least));
    }

    /// A count that must be this one.
    pub fn exactly(&mut self, what: &str, value: u64, wanted: u64) {
        self.put(what, count(value), "", Some(format!("exactly {wanted}")), value == wanted);
    }

    /// Something that must be true.
    pub fn must(&mut self, what: &str, ok: bool) {
        self.put(what, f64::from(u8::from(ok)), "yes/no", Some("yes".to_owned()), ok);
    }

    /// The most memory a process ever had, which must not be above `most`.
    pub fn peak(&mut self, who: &str, usage: Usage, most_mib: f64) {
        self.at_most(&format!("{who}, peak resident"), usage.peak_mib, "MiB", most_mib);
    }

    /// How long it took in all, and why it broke off if it did.
    pub fn close(&mut self, seconds: f64, error: Option<String>) {
        self.seconds = seconds;
        self.holds &= error.is_none();
        self.error = error;
    }

    pub fn holds(&self) -> bool {
        self.holds
    }

    fn put(&mut self, what: &str, value: f64, unit: &'static str, wanted: Option<String>, ok: bool) {
        self.holds &= ok;
        let found = Found { what: what.to_owned(), value, unit, wanted, ok };
        // The whole takes long, and a part of it is worth something.
        say(format!("  {what}: {}{}", found.shown(), if ok { "" } else { ", BROKEN" }));
        self.found.push(found);
    }

    /// As rows of a table: limit, what, found, wanted, ok.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let verdict = |ok| if ok { "ok".to_owned() } else { "BROKEN".to_owned() };
        let mut rows = vec![vec![
            self.limit.to_owned(),
            self.asked.clone(),
            format!("{:.1} s", self.seconds),
            self.error.clone().unwrap_or_default(),
            verdict(self.holds),
        ]];
        rows.extend(self.found.iter().map(|found| {
            let wanted = found.wanted.clone().unwrap_or_default();
            let ok = if found.wanted.is_some() { verdict(found.ok) } else { String::new() };
            vec![String::new(), found.what.clone(), found.shown(), wanted, ok]
        }));
        rows
    }
}

impl Found {
    fn shown(&self) -> String {
        match self.unit {
            "yes/no" => if self.value > 0.0 { "yes" } else { "no" }.to_owned(),
            "" => format!("{:.0}", self.value),
            unit => format!("{:.*} {unit}", if self.value < 10.0 { 2 } else { 0 }, self.value),
        }
    }
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub const fn count(value: u64) -> f64 {
    value as f64
}

/// Bytes as MiB.
pub const fn mib(bytes: u64) -> f64 {
    count(bytes) / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_figure_beyond_its_bound_breaks_the_limit() {
        let mut sheet = Sheet::new("x", "y".into());
        sheet.figure("a", 5.0, "s");
        sheet.at_most("b", 5.0, "s", 5.0);
        sheet.exactly("c", 7, 7);
        sheet.must("d", true);
        assert!(sheet.holds() && sheet.rows().iter().all(|row| row[4] != "BROKEN"));
        sheet.at_most("e", 5.1, "s", 5.0);
        assert!(!sheet.holds());
        assert_eq!(sheet.rows().iter().filter(|row| row[4] == "BROKEN").count(), 2);
    }

    #[test]
    fn a_limit_that_broke_off_does_not_hold() {
        let mut sheet = Sheet::new("x", "y".into());
        sheet.close(1.0, Some("no answer".into()));
        assert!(!sheet.holds());
    }
}
