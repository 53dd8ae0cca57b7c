//! Creates what is missing, and compares what is there with what must be, field by field.

use async_nats::jetstream::ErrorCode;
use serde_json::{Value, json};

use super::assets::Asset;
use super::{TopologyError, unanswered};
use crate::api::{ApiError, ask};
use crate::connect::Connection;

const CHANGE_CONFIG: &str = "change the configuration to what is there, or update it with the `nats` tool";
/// Where a consumer began says nothing of one that is there.
const ONLY_WHEN_MADE: [&str; 2] = ["deliver_policy", "opt_start_seq"];
/// From 2.15 on the server allows 1000 of a stream when nothing is said: 250 lanes, or 1000 sessions.
const MORE_CONSUMERS: &str = "write `limits { default_max_consumers: -1 }` into `jetstream` of the server's configuration, as in nats/cluster.conf, or raise the account's limit";
const NEWER_SERVER: &str = "this server does not do what was asked: use a newer nats-server";

/// Verifies the stream.
pub(super) async fn verify_stream(conn: &Connection, stream: &Asset) -> Result<(), TopologyError> {
    let asset = format!("stream {}", stream.name);
    match ask(conn, &stream_info(stream), &Value::Null).await {
        Ok(found) => compare(conn, &asset, stream, &found, CHANGE_CONFIG),
        Err(error) => Err(unanswered(error, asset)),
    }
}

/// Makes the stream if it is missing, and verifies it.
pub(super) async fn ensure_stream(conn: &Connection, stream: &Asset) -> Result<(), TopologyError> {
    let asset = match verify_stream(conn, stream).await {
        Err(TopologyError::Missing { asset }) => asset,
        verified => return verified,
    };
    let made = ask(conn, &format!("STREAM.CREATE.{}", stream.name), &stream.config()).await;
    finish(conn, &asset, stream, made, ErrorCode::STREAM_NAME_EXIST, &stream_info(stream)).await
}

/// Verifies the durable consumer of `stream`.
pub(super) async fn verify_consumer(
    conn: &Connection,
    stream: &str,
    consumer: &Asset,
) -> Result<(), TopologyError> {
    let asset = format!("consumer {}", consumer.name);
    match ask(conn, &consumer_info(stream, consumer), &Value::Null).await {
        Ok(found) => compare(conn, &asset, &consumer.without(&ONLY_WHEN_MADE), &found, CHANGE_CONFIG),
        Err(error) => Err(unanswered(error, asset)),
    }
}

/// Makes the durable consumer of `stream` if it is missing, and verifies it.
pub(super) async fn ensure_consumer(
    conn: &Connection,
    stream: &str,
    consumer: &Asset,
) -> Result<(), TopologyError> {
    let asset = match verify_consumer(conn, stream, consumer).await {
        Err(TopologyError::Missing { asset }) => asset,
        verified => return verified,
    };
    let config = consumer.config();
    let filter = config["filter_subject"].as_str().unwrap_or_default();
    let create = format!("CONSUMER.CREATE.{stream}.{}.{filter}", consumer.name);
    let body = json!({ "stream_name": stream, "config": config, "action": "create" });
    let made = ask(conn, &create, &body).await;
    let info = consumer_info(stream, consumer);
    finish(conn, &asset, consumer, made, ErrorCode::CONSUMER_ALREADY_EXISTS, &info).await
}

fn stream_info(stream: &Asset) -> String {
    format!("STREAM.INFO.{}", stream.name)
}

fn consumer_info(stream: &str, consumer: &Asset) -> String {
    format!("CONSUMER.INFO.{stream}.{}", consumer.name)
}

/// Verifies what was just made, by us or by another in the same moment.
async fn finish(
    conn: &Connection,
    asset: &str,
    wanted: &Asset,
    made: Result<Value, ApiError>,
    made_by_another: ErrorCode,
    info: &str,
) -> Result<(), TopologyError> {
    match made {
        Ok(found) => {
            compare(conn, asset, wanted, &found, NEWER_SERVER)?;
            tracing::info!(asset, "created");
            Ok(())
        }
        Err(error) if error.is(made_by_another) => {
            let found = ask(conn, info, &Value::Null).await;
            let found = found.map_err(|error| unanswered(error, asset.to_owned()))?;
            compare(conn, asset, &wanted.without(&ONLY_WHEN_MADE), &found, CHANGE_CONFIG)
        }
        Err(error @ ApiError::Refused { .. }) if error.is(ErrorCode::MAXIMUM_CONSUMERS_LIMIT) => {
            Err(TopologyError::Refused {
                asset: asset.to_owned(),
                reason: format!("{error}; {MORE_CONSUMERS}"),
            })
        }
        Err(ApiError::Refused { code, description, .. }) if code != 503 => {
            Err(TopologyError::Refused { asset: asset.to_owned(), reason: description })
        }
        Err(error) => Err(unanswered(error, asset.to_owned())),
    }
}

fn compare(
    conn: &Connection,
    asset: &str,
    wanted: &Asset,
    info: &Value,
    advice: &'static str,
) -> Result<(), TopologyError> {
    let config = &info["config"];
    for (field, value) in &wanted.fields {
        if !same(&config[*field], value) {
            return Err(TopologyError::Mismatch {
                asset: asset.to_owned(),
                field,
                found: config[*field].to_string().into(),
                wanted: value.to_string().into(),
                version: conn.server_version().to_string().into(),
                advice,
            });
        }
    }
    Ok(())
}

/// The server leaves out what is zero, and says some defaults by leaving them out.
fn same(found: &Value, wanted: &Value) -> bool {
    let is_zero = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text == "default" || text == "none" || text.is_empty(),
        _ => false,
    };
    found == wanted || (is_zero(found) && is_zero(wanted))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_zero_and_nothing_else() {
        assert!(same(&Value::Null, &json!(0)) && same(&Value::Null, &json!(false)));
        assert!(same(&Value::Null, &json!("default")) && same(&json!(-1), &json!(-1)));
        assert!(!same(&Value::Null, &json!(-1)) && !same(&Value::Null, &json!(true)));
        assert!(!same(&json!(1000), &json!(-1)) && !same(&json!(0), &json!(1)));
    }
}
