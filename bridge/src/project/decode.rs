//! From a stored message to an event, or to what is wrong with it.

use vp_nats::reader::Record;
use vp_nats::subject::{MissionSubject, Token};
use vp_shared::event::{BadEvent, Event, EventBody};

/// What a message is.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// An event that fits its subject.
    Event(Box<Event>),
    /// A mission's timer: no event, nothing to project.
    Timer,
    /// Neither; why.
    Anomaly(String),
}

/// Reads a stored message. The words of an anomaly never hold what the message says: it may be a secret.
pub(crate) fn decode(record: &Record) -> Decoded {
    let subject: MissionSubject = match record.subject.parse() {
        Ok(subject) => subject,
        Err(_) => return Decoded::Anomaly("the subject is not a mission's".to_owned()),
    };
    if subject.token == Token::Timer {
        return Decoded::Timer;
    }
    if std::str::from_utf8(&record.payload).is_err() {
        return Decoded::Anomaly("the body is not UTF-8".to_owned());
    }
    match Event::from_json(&record.payload) {
        Ok(event) => match misfit(&subject, &event) {
            None => Decoded::Event(Box::new(event)),
            Some(what) => Decoded::Anomaly(what),
        },
        Err(error) => Decoded::Anomaly(words(&error)),
    }
}

fn misfit(subject: &MissionSubject, event: &Event) -> Option<String> {
    if subject.mission_id != event.mission_id {
        return Some(format!("the body is about mission {}", event.mission_id));
    }
    if subject.vp_id != event.vp_id {
        return Some(format!("the body is about lane {}", event.vp_id));
    }
    let fits = match (&subject.token, &event.body) {
        (Token::Dispatched(queue), EventBody::Dispatched { tier, .. }) => queue == tier,
        (Token::Event(kind), _) => *kind == event.kind(),
        _ => false,
    };
    (!fits).then(|| format!("the body is a `{}` event of another subject", event.kind()))
}

fn words(error: &BadEvent) -> String {
    let place =
        |source: &serde_json::Error| format!("{error}, at line {} column {}", source.line(), source.column());
    match error {
        BadEvent::Envelope(source) | BadEvent::Body { source, .. } => place(source),
        BadEvent::UnknownType(_) => "the event has an unknown type".to_owned(),
        BadEvent::FutureSchema { .. } => error.to_string(),
    }
}
