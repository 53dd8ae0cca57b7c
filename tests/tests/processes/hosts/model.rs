//! A model that is a script: the Messages API on the loopback address, streamed or whole.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vp_shared::ids::MissionId;

/// What the model says next.
#[derive(Debug, Clone)]
pub(super) enum Says {
    /// It calls a tool; `MISSION` in the input stands for the mission that it was told of last.
    Tool(&'static str, Value),
    /// It ends its turn with these words.
    Words(&'static str),
}

/// The model: what it says, and what it was told.
#[derive(Debug, Clone)]
pub(super) struct Model {
    url: String,
    script: Arc<Vec<Says>>,
    /// The longest conversation that it was shown.
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    /// Starts one. Behind its script it has nothing but words to say.
    pub(super) async fn start(script: impl IntoIterator<Item = Says>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let model = Self { url, script: Arc::new(script.into_iter().collect()), heard: Arc::default() };
        let app = Router::new().route("/v1/messages", post(turn)).with_state(model.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        model
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What its tools answered, in order.
    pub(super) fn results(&self) -> Vec<Value> {
        results(&self.heard.lock().unwrap())
    }

    /// All that it was shown, as JSON text.
    pub(super) fn heard(&self) -> String {
        Value::Array(self.heard.lock().unwrap().clone()).to_string()
    }

    /// Panics when the last conversation did not come to the end of the script.
    pub(super) fn assert_played(&self, beside: &str) {
        let (played, all) = (steps(&self.heard.lock().unwrap()), self.script.len());
        // What it says last is not shown to it again.
        assert!(played + 1 >= all, "{played} of {all} steps were played: {}\n{beside}", self.heard());
    }
}

/// The next step is the one behind what the model has said in the conversation: who asks again is told the same.
async fn turn(
    State(model): State<Model>,
    Json(asked): Json<Value>,
) -> ([(&'static str, &'static str); 1], String) {
    let messages = asked["messages"].as_array().cloned().unwrap_or_default();
    // The agent's own turns have tools; what it asks beside them, such as for a title, has none.
    let is_turn = asked["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let step = steps(&messages);
    let said = if is_turn { model.script.get(step) } else { None };
    let block = match said {
        Some(Says::Tool(tool, input)) => {
            let known = results(&messages).iter().rev().find_map(|result| mission_in(&result.to_string()));
            let input = input.to_string().replace("MISSION", known.as_deref().unwrap_or("none"));
            let input: Value = serde_json::from_str(&input).unwrap();
            json!({"type": "tool_use", "id": format!("toolu_{step}"), "name": tool, "input": input})
        }
        Some(Says::Words(words)) => json!({"type": "text", "text": words}),
        None => json!({"type": "text", "text": "that is all"}),
    };
    if is_turn {
        let mut heard = model.heard.lock().unwrap();
        if messages.len() >= heard.len() {
            *heard = messages;
        }
    }
    if asked["stream"] == true {
        ([("content-type", "text/event-stream")], streamed(step, &block))
    } else {
        let mut whole = message(step, &[&block]);
        whole["stop_reason"] = reason(&block).into();
        ([("content-type", "application/json")], whole.to_string())
    }
}

/// How often the model has spoken.
fn steps(messages: &[Value]) -> usize {
    messages.iter().filter(|message| message["role"] == "assistant").count()
}

fn results(messages: &[Value]) -> Vec<Value> {
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    blocks.filter(|block| block["type"] == "tool_result").cloned().collect()
}

fn mission_in(text: &str) -> Option<String> {
    let at = text.match_indices("m-").map(|(at, _)| at);
    at.filter_map(|at| text.get(at..at + 28)).find(|id| MissionId::new(*id).is_ok()).map(str::to_owned)
}

fn reason(block: &Value) -> &'static str {
    if block["type"] == "text" { "end_turn" } else { "tool_use" }
}

/// Two of one id would be taken for one message.
fn message(step: usize, content: &[&Value]) -> Value {
    json!({"id": format!("msg_{step}"), "type": "message", "role": "assistant", "model": "fake", "content": content,
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
}

/// A message of one block, as the Messages API streams it.
fn streamed(step: usize, block: &Value) -> String {
    let (start, delta) = if block["type"] == "text" {
        (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]}))
    } else {
        let mut start = block.clone();
        start["input"] = json!({});
        (start, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))
    };
    let end = json!({"stop_reason": reason(block), "stop_sequence": null});
    let events = [
        json!({"type": "message_start", "message": message(step, &[])}),
        json!({"type": "content_block_start", "index": 0, "content_block": start}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": end, "usage": {"input_tokens": 1, "output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ];
    let one = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(one).collect()
}
