//! The lane worker: pulls missions, runs executors, finalises attempts.
