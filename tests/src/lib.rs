//! Sentences about the whole, against a real nats-server.
