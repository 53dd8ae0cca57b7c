//! Retry as validated values. Who waits by them is elsewhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::FailureClass;

/// When a failed attempt is followed by another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// How many attempts may count; released ones do not. A mission may say otherwise.
    pub max_attempts: u32,
    /// The classes that are retried when the mission says nothing, none of them permanent. A mission that sets its own
    /// `max_attempts` is retried for every class that is not permanent.
    pub retry_on: Vec<FailureClass>,
    /// How long to wait between attempts.
    pub delay: RetryDelay,
}

impl Default for RetryPolicy {
    /// An executor's own failure is not retried; a lost worker is retried once.
    fn default() -> Self {
        Self { max_attempts: 2, retry_on: vec![FailureClass::WorkerLost], delay: RetryDelay::default() }
    }
}

impl RetryPolicy {
    /// The most attempts any mission may ask for.
    pub const MAX_ATTEMPTS: u32 = 20;

    /// True when an attempt that failed so may be followed by another.
    pub fn allows(&self, class: FailureClass, counted: u32, mission_max: Option<u32>) -> bool {
        !class.is_permanent()
            && counted < mission_max.unwrap_or(self.max_attempts)
            && (mission_max.is_some() || self.retry_on.contains(&class))
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The field and what was wrong with it.
    pub fn check(&self) -> Result<(), BadRetry> {
        if !(1..=Self::MAX_ATTEMPTS).contains(&self.max_attempts) {
            return Err(BadRetry("max_attempts", "want 1 to 20"));
        }
        if self.retry_on.iter().any(|class| class.is_permanent()) {
            return Err(BadRetry(
                "retry_on",
                "want only classes that can be retried: executor_error, timeout, idle_timeout, worker_lost, \
                 upstream_unavailable, internal",
            ));
        }
        self.delay.check()
    }
}

/// Growing delays with a cap and jitter: with the defaults 1 s, 2 s, 4 s ... 300 s, each up to a fifth shorter
/// or longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryDelay {
    /// The first delay, in milliseconds.
    pub initial_ms: u64,
    /// What each delay is multiplied with to get the next.
    pub multiplier: f64,
    /// No delay is longer than this, jitter aside; in milliseconds.
    pub max_ms: u64,
    /// The share of a delay by which it may be shorter or longer, 0 to 1.
    pub jitter: f64,
}

impl Default for RetryDelay {
    fn default() -> Self {
        Self { initial_ms: 1_000, multiplier: 2.0, max_ms: 300_000, jitter: 0.2 }
    }
}

impl RetryDelay {
    /// Short delays for a request to a server that is likely back soon: 50 ms to 2 s.
    pub const REQUEST: Self = Self { initial_ms: 50, multiplier: 1.6, max_ms: 2_000, jitter: 0.5 };

    /// The first delay.
    pub const fn initial(&self) -> Duration {
        Duration::from_millis(self.initial_ms)
    }

    /// The longest delay.
    pub const fn max(&self) -> Duration {
        Duration::from_millis(self.max_ms)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The field and what was wrong with it.
    pub fn check(&self) -> Result<(), BadRetry> {
        if self.initial_ms == 0 || self.initial_ms > self.max_ms {
            return Err(BadRetry("initial_ms", "want at least 1 and at most max_ms"));
        }
        if self.max_ms > 86_400_000 {
            return Err(BadRetry("max_ms", "want at most a day"));
        }
        if !(1.0..=100.0).contains(&self.multiplier) {
            return Err(BadRetry("multiplier", "want 1 to 100"));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(BadRetry("jitter", "want 0 to 1"));
        }
        Ok(())
    }
}

/// A retry value out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("retry `{0}`: {1}")]
pub struct BadRetry(pub &'static str, pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_only_a_lost_worker_is_retried_and_once() {
        let policy = RetryPolicy::default();
        for class in FailureClass::ALL {
            assert_eq!(policy.allows(class, 1, None), class == FailureClass::WorkerLost, "{class}");
            assert!(!policy.allows(class, 2, None), "{class}");
        }
    }

    #[test]
    fn a_mission_that_asks_for_attempts_gets_them_unless_it_is_hopeless() {
        let policy = RetryPolicy::default();
        for class in FailureClass::ALL {
            assert_eq!(policy.allows(class, 2, Some(3)), !class.is_permanent(), "{class}");
            assert!(!policy.allows(class, 3, Some(3)), "{class}");
        }
    }

    #[test]
    fn a_class_that_is_never_retried_is_refused_and_every_other_one_is_named() {
        for class in FailureClass::ALL {
            let checked = RetryPolicy { retry_on: vec![class], ..RetryPolicy::default() }.check();
            assert_eq!(checked.is_err(), class.is_permanent(), "{class}");
            if let Err(refused) = checked {
                let named = FailureClass::ALL.into_iter().filter(|class| refused.1.contains(class.name()));
                assert!(
                    named.eq(FailureClass::ALL.into_iter().filter(|class| !class.is_permanent())),
                    "{refused}"
                );
                assert_eq!(refused.0, "retry_on");
            }
        }
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let base = RetryPolicy::default();
        base.check().unwrap();
        let complaint = |policy: RetryPolicy| policy.check().unwrap_err().0;
        assert_eq!(complaint(RetryPolicy { max_attempts: 0, ..base.clone() }), "max_attempts");
        let delay = |delay| complaint(RetryPolicy { delay, ..base.clone() });
        assert_eq!(delay(RetryDelay { initial_ms: 0, ..base.delay }), "initial_ms");
        assert_eq!(delay(RetryDelay { multiplier: f64::NAN, ..base.delay }), "multiplier");
        assert_eq!(delay(RetryDelay { jitter: 1.5, ..base.delay }), "jitter");
        assert_eq!(delay(RetryDelay { max_ms: u64::MAX, ..base.delay }), "max_ms");
        RetryDelay::REQUEST.check().unwrap();
    }
}
