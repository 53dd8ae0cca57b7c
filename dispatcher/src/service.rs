//! The six tools as a NATS micro service: name `vp`, one endpoint `vp.tool.<tool name>` each; and `vp.tool.route`,
//! which says what the user's own words ask for; and, on a subject of its own, `vp.lane.mode` for operators.
//!
//! The caller's session is in the header `Vp-Session`, which the caller's own door sets; where callers are not
//! trusted, the account's permissions decide who may publish to the tools at all. Who calls `vp_wait_mission` must
//! allow its request as much time as it asks for.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use vp_nats::service::{EndpointSpec, Service, ServiceError, ServiceRequest, ServiceSpec};
use vp_nats::subject;
use vp_shared::api::{Answer, ErrorCode, TOOLS, ToolError, ToolName};
use vp_shared::ids::SessionId;

use crate::config::Caller;
use crate::dispatcher::Dispatcher;
use crate::failure;
use crate::schemas::{input_schema, lane_mode_schemas, output_schema, route_schemas};

/// The service's name, as `nats micro ls` shows it.
pub const SERVICE_NAME: &str = "vp";
/// The endpoint of the routing policy.
const ROUTE: &str = "route";
/// The endpoint that pauses and resumes lanes.
const LANE_MODE: &str = "lane_mode";
/// How many calls beside waits are handled at a time; more wait in the client.
const MAX_CALLS: usize = 1024;

/// Serves the six tools until the returned service is stopped or dropped.
///
/// # Errors
/// [`ServiceError`].
pub async fn serve(dispatcher: Dispatcher) -> Result<Service, ServiceError> {
    let max_waits = dispatcher.config().max_waits;
    let spec = ServiceSpec {
        name: SERVICE_NAME.into(),
        description: "Delegate missions to VP lanes and follow them".into(),
        endpoints: endpoints(),
        max_in_flight: MAX_CALLS + max_waits,
    };
    let conn = dispatcher.connection().clone();
    let waits = Arc::new(Semaphore::new(max_waits));
    Service::start(&conn, spec, move |request| {
        let (dispatcher, waits) = (dispatcher.clone(), Arc::clone(&waits));
        async move { handle(&dispatcher, &waits, request).await }
    })
    .await
}

/// All that is served.
fn endpoints() -> Vec<EndpointSpec> {
    TOOLS.into_iter().map(endpoint).chain([route_endpoint(), lane_mode_endpoint()]).collect()
}

fn endpoint(tool: ToolName) -> EndpointSpec {
    let metadata = HashMap::from([
        ("description".to_owned(), tool.description().to_owned()),
        ("schema.input".to_owned(), input_schema(tool).to_string()),
        ("schema.output".to_owned(), output_schema(tool).to_string()),
    ]);
    EndpointSpec { name: tool.name().to_owned(), subject: subject::tool(tool), metadata }
}

fn route_endpoint() -> EndpointSpec {
    let metadata = HashMap::from([
        ("description".to_owned(), "What the user's own words ask for, and of which lane".to_owned()),
        ("schema.input".to_owned(), route_schemas().0.to_string()),
        ("schema.output".to_owned(), route_schemas().1.to_string()),
    ]);
    EndpointSpec { name: ROUTE.to_owned(), subject: subject::route(), metadata }
}

fn lane_mode_endpoint() -> EndpointSpec {
    let metadata = HashMap::from([
        ("description".to_owned(), "Pause, drain or resume a lane".to_owned()),
        ("schema.input".to_owned(), lane_mode_schemas().0.to_string()),
        ("schema.output".to_owned(), lane_mode_schemas().1.to_string()),
    ]);
    EndpointSpec { name: LANE_MODE.to_owned(), subject: subject::lane_mode(), metadata }
}

async fn handle(dispatcher: &Dispatcher, waits: &Semaphore, request: ServiceRequest) -> Vec<u8> {
    if request.endpoint == ROUTE {
        return Answer(dispatcher.route(&request.body)).to_json();
    }
    if request.endpoint == LANE_MODE {
        return dispatcher.answer_lane_mode(&request.body).await;
    }
    match accept(waits, &request) {
        Ok((tool, caller, _permit)) => dispatcher.call(tool, &request.body, &caller).await,
        Err(error) => Answer::<()>(Err(error)).to_json(),
    }
}

/// Which tool is called and by whom; a wait holds a permit until it is answered.
fn accept<'a>(
    waits: &'a Semaphore,
    request: &ServiceRequest,
) -> Result<(ToolName, Caller, Option<tokio::sync::SemaphorePermit<'a>>), ToolError> {
    let tool = ToolName::from_name(&request.endpoint).ok_or_else(|| {
        ToolError::new(ErrorCode::NotFound, format!("there is no tool `{}`", request.endpoint))
    })?;
    let caller = match &request.session_id {
        Some(session) => {
            Caller::session(SessionId::new(session).map_err(|error| ToolError::field("Vp-Session", error))?)
        }
        None => Caller::actor("nats"),
    };
    let permit = match tool {
        ToolName::Wait => Some(waits.try_acquire().map_err(|_| failure::too_many_waits())?),
        _ => None,
    };
    Ok((tool, caller, permit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_endpoint_tells_two_sound_schemas() {
        let endpoints = endpoints();
        assert_eq!(endpoints.len(), 8);
        for endpoint in endpoints {
            for name in ["schema.input", "schema.output"] {
                let schema = serde_json::from_str(&endpoint.metadata[name]).unwrap();
                crate::schemas::sound::check(&schema);
            }
        }
    }
}
