//! Everything that speaks to nats-server: subjects, streams, compare-and-set, deliveries.
