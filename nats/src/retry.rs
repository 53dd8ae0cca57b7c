//! The one place that uses the `backoff` crate: delays from the values of `vp_shared::retry`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use vp_shared::retry::RetryDelay;

/// Growing, jittered delays without an end; whoever takes them bounds how many, or how long.
#[derive(Debug)]
pub struct Delays(ExponentialBackoff);

impl Delays {
    /// Delays by these values.
    pub fn new(values: &RetryDelay) -> Self {
        let backoff = ExponentialBackoff {
            current_interval: values.initial(),
            initial_interval: values.initial(),
            randomization_factor: values.jitter,
            multiplier: values.multiplier,
            max_interval: values.max(),
            // The crate would give up by itself after 15 minutes.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self(backoff)
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next_backoff()
    }
}

/// The delay before the attempt that follows `failed` failed ones: the first delay after one.
pub fn delay_after(values: &RetryDelay, failed: u32) -> Duration {
    let nth = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX).min(64);
    Delays::new(values).nth(nth).unwrap_or(values.max())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_delay_is_within_its_jitter_of_the_capped_one(
            initial_ms in 1_u32..10_000, multiplier in 1.0_f64..10.0, cap in 1_u32..100, jitter in 0.0_f64..=1.0,
            nth in 1_u32..80,
        ) {
            let (first, max) = (f64::from(initial_ms), f64::from(initial_ms) * f64::from(cap));
            let values = RetryDelay {
                initial_ms: initial_ms.into(), multiplier, max_ms: u64::from(initial_ms) * u64::from(cap), jitter,
            };
            values.check().unwrap();
            let exact = (first * multiplier.powi(nth.min(65).cast_signed() - 1)).min(max);
            let got = delay_after(&values, nth).as_secs_f64() * 1000.0;
            prop_assert!(got >= exact * (1.0 - jitter) - 2.0 && got <= exact * (1.0 + jitter) + 2.0, "{got} for {exact}");
        }
    }

    #[test]
    fn delays_do_not_end_after_a_quarter_of_an_hour() {
        let values = RetryDelay { initial_ms: 1, multiplier: 2.0, max_ms: 4, jitter: 0.0 };
        assert_eq!(Delays::new(&values).take(10_000).count(), 10_000);
    }
}
