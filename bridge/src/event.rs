//! Events that a bridge makes.

use vp_nats::clock;
use vp_shared::event::{Actor, ActorKind, Event, EventBody};
use vp_shared::mission::Mission;

/// An event of a mission, in its present attempt, made now by the duty of that name.
pub(crate) fn event_by(duty: &str, mission: &Mission, body: EventBody) -> Event {
    Event {
        id: clock::event_id(),
        mission_id: mission.mission_id.clone(),
        vp_id: mission.vp_id.clone(),
        attempt: mission.attempt,
        time: clock::now(),
        actor: Actor { kind: ActorKind::Bridge, id: duty.to_owned() },
        source: mission.source.clone(),
        body,
    }
}
