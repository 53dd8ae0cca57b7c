//! The agent's stream-json, as far as it matters here.

use serde_json::{Value, json};

/// What a line of the agent's says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has this message of a user's.
    Played(String),
    /// A turn has ended.
    TurnEnded,
    /// Anything else.
    Other,
}

/// The flags of stream-json.
const FLAGS: [&str; 7] = [
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--replay-user-messages",
    "--verbose",
];

/// The program and its arguments; `claude` without `--input-format` gets the flags it needs.
pub(super) fn with_flags(command: &[String]) -> (String, Vec<String>) {
    let (program, arguments) =
        command.split_first().map_or((String::new(), &[][..]), |(a, b)| (a.clone(), b));
    let mut arguments = arguments.to_vec();
    let is_claude = std::path::Path::new(&program).file_name().is_some_and(|name| name == "claude");
    let says = |argument: &String| argument.starts_with("--input-format");
    if is_claude && !arguments.iter().any(says) {
        let given = std::mem::take(&mut arguments);
        arguments.extend(FLAGS.map(str::to_owned));
        arguments.extend(given);
    }
    (program, arguments)
}

/// A user's message, as a line.
pub(super) fn message(words: &str) -> String {
    let content = json!([{"type": "text", "text": words}]);
    json!({"type": "user", "message": {"role": "user", "content": content}}).to_string()
}

/// Whether the caller's line is a user's message, which begins a turn.
pub(super) fn is_message(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line["type"] == "user")
}

/// Reads a line of the agent's.
pub(super) fn read(line: &str) -> Heard {
    let Ok(line) = serde_json::from_str::<Value>(line) else { return Heard::Other };
    match line["type"].as_str() {
        Some("result") => Heard::TurnEnded,
        Some("user") => words(&line["message"]["content"]).map_or(Heard::Other, Heard::Played),
        _ => Heard::Other,
    }
}

fn words(content: &Value) -> Option<String> {
    match content {
        Value::String(words) => Some(words.clone()),
        Value::Array(blocks) => {
            let texts = blocks.iter().map(|block| block["text"].as_str());
            texts.collect::<Option<Vec<_>>>().map(|texts| texts.join("\n"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_played_back_is_known_by_its_words() {
        let words = "one\ntwo \"three\"";
        assert_eq!(read(&message(words)), Heard::Played(words.to_owned()));
        let plain = json!({"type": "user", "isReplay": true, "message": {"role": "user", "content": words}});
        assert_eq!(read(&plain.to_string()), Heard::Played(words.to_owned()));
        let result =
            json!({"type": "user", "message": {"content": [{"type": "tool_result", "content": "x"}]}});
        assert_eq!(read(&result.to_string()), Heard::Other);
        assert_eq!(read(r#"{"type":"result","subtype":"success"}"#), Heard::TurnEnded);
        assert_eq!(read("no json"), Heard::Other);
    }

    #[test]
    fn claude_gets_the_flags_it_needs_unless_it_has_them() {
        let of =
            |command: &[&str]| with_flags(&command.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()).1;
        assert_eq!(of(&["/usr/bin/claude", "--model", "x"]), [&FLAGS[..], &["--model", "x"]].concat());
        assert_eq!(of(&["claude", "--input-format=stream-json"]), ["--input-format=stream-json"]);
        assert_eq!(of(&["other", "-x"]), ["-x"]);
    }
}
