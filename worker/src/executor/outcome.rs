//! From how an executor ended to what the log says of it.

use std::time::Duration;

use vp_shared::event::{Outcome, OutcomeStatus, Usage};
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::text::cut;

use super::Declared;

/// How an executor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Exited(i32),
    /// By a signal that was not ours.
    Signaled(i32),
    /// It never began.
    NotStarted(Failure),
    /// Its keeper was lost, and its tree was killed.
    KeeperLost,
    /// It was killed at a limit.
    Limit(Failure),
    /// It was stopped on request.
    Cancelled,
}

/// What it said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) summary: String,
    pub(super) cost_usd: Option<f64>,
    pub(super) tokens: Option<u64>,
    pub(super) failed: Option<Failure>,
    pub(super) declared: Vec<Declared>,
    pub(super) no_deliverable: Option<String>,
}

/// What the log says of an executor that ended so, said this, and complained `last_words` at last.
pub(super) fn outcome(end: End, heard: &Heard, last_words: &str, ran: Duration) -> Outcome {
    let usage = Usage {
        wall_ms: u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
        cost_usd: heard.cost_usd.filter(|cost| cost.is_finite()),
        tokens: heard.tokens,
    };
    let (status, failure) = match (end, &heard.failed) {
        (End::Cancelled, _) => (OutcomeStatus::Cancelled, None),
        (End::Limit(failure) | End::NotStarted(failure), _) => (OutcomeStatus::Failed, Some(failure)),
        (_, Some(failure)) => (OutcomeStatus::Failed, Some(failure.clone())),
        (End::Exited(0), None) => (OutcomeStatus::Completed, None),
        (End::Exited(code), None) => (OutcomeStatus::Failed, Some(exited(code, last_words))),
        (End::Signaled(signal), None) => {
            let message =
                with_last_words(format!("the executor was ended by {}", signal_name(signal)), last_words);
            (OutcomeStatus::Failed, Some(Failure::new(FailureClass::ExecutorError, message)))
        }
        (End::KeeperLost, None) => {
            let message = "the executor's keeper was killed; the executor was killed with it";
            (OutcomeStatus::Failed, Some(Failure::new(FailureClass::Internal, message)))
        }
    };
    let said = match &heard.no_deliverable {
        Some(because) if heard.summary.is_empty() => because,
        _ => &heard.summary,
    };
    Outcome { status, failure, summary: cut(said.clone(), Outcome::MAX_SUMMARY_BYTES), usage }
}

/// The codes of `sysexits.h` that say something policy can act on.
fn exited(code: i32, last_words: &str) -> Failure {
    let class = match code {
        75 => FailureClass::UpstreamUnavailable,
        77 => FailureClass::Auth,
        78 => FailureClass::InvalidMission,
        _ => FailureClass::ExecutorError,
    };
    Failure::new(class, with_last_words(format!("the executor exited with code {code}"), last_words))
}

fn with_last_words(message: String, last_words: &str) -> String {
    match last_words.trim() {
        "" => message,
        words => format!("{message}: {words}"),
    }
}

/// The class an executor may claim for its own failure; what only the system can know is not its to claim.
pub(super) fn claimed(class: FailureClass, message: &str) -> Failure {
    let class = match class {
        FailureClass::WorkerLost
        | FailureClass::DeadlineExceeded
        | FailureClass::MissingDeliverable
        | FailureClass::Internal => FailureClass::ExecutorError,
        class => class,
    };
    Failure::new(class, message)
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn class(end: End, heard: &Heard) -> Option<FailureClass> {
        outcome(end, heard, "", Duration::ZERO).failure.map(|failure| failure.class)
    }

    #[test]
    fn each_end_has_its_class() {
        use FailureClass as C;
        let nothing = Heard::default();
        for (end, want) in [
            (End::Exited(0), None),
            (End::Exited(1), Some(C::ExecutorError)),
            (End::Exited(75), Some(C::UpstreamUnavailable)),
            (End::Exited(77), Some(C::Auth)),
            (End::Exited(78), Some(C::InvalidMission)),
            (End::Signaled(11), Some(C::ExecutorError)),
            (End::KeeperLost, Some(C::Internal)),
            (End::Limit(Failure::new(C::Timeout, "x")), Some(C::Timeout)),
            (End::NotStarted(Failure::new(C::ExecutorError, "x")), Some(C::ExecutorError)),
            (End::Cancelled, None),
        ] {
            assert_eq!(class(end.clone(), &nothing), want, "{end:?}");
        }
    }

    #[test]
    fn a_failure_it_claims_counts_though_it_exits_with_0() {
        let heard = Heard { failed: Some(claimed(FailureClass::Auth, "no")), ..Heard::default() };
        assert_eq!(class(End::Exited(0), &heard), Some(FailureClass::Auth));
        // It was killed at a limit: what it said before explains nothing.
        let limit = End::Limit(Failure::new(FailureClass::Timeout, "x"));
        assert_eq!(class(limit, &heard), Some(FailureClass::Timeout));
    }

    #[test]
    fn it_cannot_claim_what_only_the_system_knows() {
        assert_eq!(claimed(FailureClass::WorkerLost, "x").class, FailureClass::ExecutorError);
        assert_eq!(claimed(FailureClass::Guardrail, "x").class, FailureClass::Guardrail);
    }

    #[test]
    fn last_words_and_signals_are_in_the_message() {
        let message =
            |end| outcome(end, &Heard::default(), "boom\n", Duration::ZERO).failure.unwrap().message;
        assert_eq!(message(End::Exited(3)), "the executor exited with code 3: boom");
        assert_eq!(message(End::Signaled(9)), "the executor was ended by SIGKILL: boom");
    }
}
