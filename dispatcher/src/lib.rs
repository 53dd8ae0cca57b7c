//! The six tools: a library and a NATS micro service.
