//! Who delegates: sends, repeats until answered, cancels, sends again; writes down what it was told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use vp_nats::connect::Connection;
use vp_nats::{service, subject};
use vp_shared::api::ToolName;
use vp_shared::time::UtcTime;

use super::evidence::{Asked, CancelTold};
use super::missions::{Again, Planned};

/// How long one answer is waited for.
const ANSWER: Duration = Duration::from_secs(15);
/// Before the same is asked again.
const PAUSE: Duration = Duration::from_millis(400);

/// When the round began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// By the monotonic one.
    pub at: Instant,
    /// By the host's.
    pub time: UtcTime,
    /// When callers give up.
    pub give_up: Instant,
}

/// Carries one mission's part of the load out to its end.
pub async fn delegate(conn: Arc<Connection>, planned: Planned, begun: Begun) -> Asked {
    let dispatched_at = begun.at + planned.at;
    sleep_until(dispatched_at).await;
    let call = Call { conn: &conn, planned: &planned, begun };
    let mut asked = Asked {
        mission_id: planned.mission_id(),
        vp_id: planned.vp_id.clone(),
        session: planned.session.clone(),
        kind: planned.kind,
        accepted: false,
        cancel: None,
        wrong: Vec::new(),
    };
    match call.dispatch(planned.input(begun.time)).await {
        Told::Ok(answer) => {
            asked.accepted = true;
            asked.wrong.extend(call.misnamed(&answer));
        }
        Told::Refused(code, message) => asked.wrong.push(format!("dispatch refused: {code}: {message}")),
        Told::Nothing => return asked,
    }
    let mut deeds: Vec<_> =
        planned.again.iter().map(|(after, again)| (*after, Deed::Again(*again))).collect();
    deeds.extend(planned.cancel.map(|after| (after, Deed::Cancel)));
    deeds.sort_by_key(|(after, _)| *after);
    for (after, deed) in deeds {
        sleep_until(dispatched_at + after).await;
        match deed {
            Deed::Cancel => call.cancel(&mut asked).await,
            Deed::Again(again) => asked.wrong.extend(call.again(again).await),
        }
    }
    asked
}

enum Deed {
    Cancel,
    Again(Again),
}

/// What an answer said.
enum Told {
    Ok(Value),
    Refused(String, String),
    /// None came until the end of the round.
    Nothing,
}

struct Call<'a> {
    conn: &'a Connection,
    planned: &'a Planned,
    begun: Begun,
}

impl Call<'_> {
    async fn dispatch(&self, input: Value) -> Told {
        self.ask(ToolName::Dispatch, input).await
    }

    async fn cancel(&self, asked: &mut Asked) {
        let input = json!({"mission_id": asked.mission_id, "reason": "changed my mind"});
        match self.ask(ToolName::Cancel, input).await {
            Told::Ok(answer) => {
                let status = |value: &Value| value["status"].as_str().unwrap_or_default().to_owned();
                asked.cancel = Some(match (status(&answer).as_str(), status(&answer["mission"]).as_str()) {
                    ("cancelled", _) => CancelTold::Cancelled,
                    (_, "finalizing") => CancelTold::TooLate,
                    _ => CancelTold::Requested,
                });
            }
            Told::Refused(code, _) if code == "already_terminal" => {}
            Told::Refused(code, message) => asked.wrong.push(format!("cancel refused: {code}: {message}")),
            Told::Nothing => {}
        }
    }

    /// Uses the key again; the words are what was wrong with the answer.
    async fn again(&self, again: Again) -> Option<String> {
        let mut input = self.planned.input(self.begun.time);
        if again == Again::Different {
            input["objective"] = json!("Something else altogether");
        }
        match (again, self.dispatch(input).await) {
            (Again::Same, Told::Ok(answer)) if answer["duplicate"] == true => self.misnamed(&answer),
            (Again::Same, Told::Ok(_)) => Some("a repeat was not answered as a duplicate".to_owned()),
            (Again::Different, Told::Refused(code, _)) if code == "idempotency_conflict" => None,
            (Again::Different, Told::Ok(_)) => Some("a key was accepted with another content".to_owned()),
            (_, Told::Refused(code, message)) => Some(format!("a repeat was refused: {code}: {message}")),
            (_, Told::Nothing) => None,
        }
    }

    fn misnamed(&self, answer: &Value) -> Option<String> {
        let wanted = self.planned.mission_id();
        (answer["mission_id"] != wanted.as_str()).then(|| format!("answered with {}", answer["mission_id"]))
    }

    /// Asks until there is an answer that says something about the mission.
    async fn ask(&self, tool: ToolName, input: Value) -> Told {
        let subject = subject::tool(tool);
        let body = Bytes::from(input.to_string());
        loop {
            let session = Some(&self.planned.session);
            let why = match service::request(self.conn, &subject, body.clone(), session, ANSWER).await {
                Ok(answer) => {
                    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
                    let text = |field: &str| answer["error"][field].as_str().unwrap_or_default().to_owned();
                    match text("code").as_str() {
                        _ if answer["ok"] == true => return Told::Ok(answer),
                        "broker_unavailable" | "ledger_unavailable" | "lane_unavailable" => text("message"),
                        _ => return Told::Refused(text("code"), text("message")),
                    }
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() > self.begun.give_up {
                tracing::warn!(why, "no answer until the end of the round");
                return Told::Nothing;
            }
            sleep(PAUSE).await;
        }
    }
}
