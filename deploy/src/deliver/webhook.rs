//! A signed webhook: each notice as a CloudEvents 1.0 JSON body.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tokio::time::timeout;
use vp_nats::connect::Secret;
use vp_shared::notice::Notice;

use super::engine::{Refusal, Sink};
use super::http::Poster;

/// When the request was signed, in seconds since 1970.
pub const TIMESTAMP: &str = "vp-timestamp";
/// `v1=` and the HMAC-SHA256, in hex, over the timestamp, a dot and the body.
pub const SIGNATURE: &str = "vp-signature";

/// An HTTP server that is told.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where.
    pub url: String,
    /// What signs.
    pub secret: Secret,
    /// The limit of each try.
    pub timeout: Duration,
    /// Shared by all that post there.
    pub poster: Poster,
}

impl Sink for Webhook {
    async fn accept(&mut self, notice: &Notice) -> Result<(), Refusal> {
        let not_there = |why: String| Refusal { why, final_word: false };
        let body = body(notice).map_err(not_there)?;
        let timestamp = (vp_nats::clock::now().as_micros() / 1_000_000).to_string();
        let signed = signature(self.secret.expose(), &timestamp, &body).map_err(not_there)?;
        let headers = [(TIMESTAMP, timestamp), (SIGNATURE, signed)];
        let status = match timeout(self.timeout, self.poster.post(&self.url, &headers, body)).await {
            Ok(answered) => answered.map_err(not_there)?,
            Err(_) => return Err(not_there(format!("no answer within {} s", self.timeout.as_secs()))),
        };
        match status {
            200..=299 => Ok(()),
            // What will pass: too slow, too early, too often.
            400..=499 if ![408, 425, 429].contains(&status) => {
                Err(Refusal { why: format!("the answer was {status}"), final_word: true })
            }
            _ => Err(not_there(format!("the answer was {status}"))),
        }
    }
}

/// The notice as a CloudEvents 1.0 event; its id is the notice's.
fn body(notice: &Notice) -> Result<Vec<u8>, String> {
    let event = json!({
        "specversion": "1.0",
        "id": notice.notice_id,
        "source": format!("/vp/lanes/{}", notice.vp_id),
        "type": notice.event,
        "subject": notice.mission_id,
        "time": notice.time,
        "datacontenttype": "application/json",
        "data": notice,
    });
    serde_json::to_vec(&event).map_err(|error| error.to_string())
}

/// The signature of a body at a time.
fn signature(secret: &str, timestamp: &str, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(format!("v1={}", crate::cli::hex(&mac.finalize().into_bytes())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_makes_of_it() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let got = signature("0123456789abcdef", "1700000000", br#"{"a":1}"#).unwrap();
        assert_eq!(got, "v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23");
    }
}
