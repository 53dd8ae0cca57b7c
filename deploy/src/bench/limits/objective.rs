//! An objective as large as it may be, with inputs up to the limit of both together; and one byte more.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use vp_dispatcher::Caller;
use vp_nats::notices::NoticeReader;
use vp_shared::api::{DispatchMission, ErrorCode, GetMission, MAX_INPUTS_BYTES};
use vp_shared::lane::Lanes;
use vp_shared::mission::{EventKind, MAX_OBJECTIVE_BYTES};

use crate::bench::sheet::{Sheet, count};
use crate::bench::stage::{Stage, lane_id, mission, script_lane};
use crate::exit::{Exit, Failed};

const LANE: &str = "vp.bench.objective";
/// Reads both files and says their digests.
const DIGESTS: &str = "printf '{\"vp\":\"summary\",\"text\":\"%s %s\"}\\n' \
     \"$(sha256sum < \"$VP_OBJECTIVE_FILE\" | cut -c1-64)\" \"$(sha256sum < large.txt | cut -c1-64)\"";
const INPUT: &str = "large.txt";
const PATIENCE: Duration = Duration::from_mins(1);

pub fn asked() -> String {
    format!(
        "an objective of {MAX_OBJECTIVE_BYTES} bytes, {MAX_INPUTS_BYTES} with its input; then a byte more"
    )
}

pub fn lanes() -> Result<Lanes, Failed> {
    Ok([(lane_id(LANE)?, script_lane(DIGESTS, 1)?)].into())
}

pub async fn push(stage: &mut Stage, sheet: &mut Sheet) -> Result<(), Failed> {
    stage.make_topology().await?;
    stage.start_bridge().await?;
    stage.start_worker("w1").await?;
    let objective = text(MAX_OBJECTIVE_BYTES);
    let content = text(MAX_INPUTS_BYTES - MAX_OBJECTIVE_BYTES - INPUT.len() - "{}".len());
    let session = stage.session()?;
    let unavailable = |error: &dyn std::error::Error| Failed::from_error(Exit::Unavailable, error);
    let mut notices = NoticeReader::open(&stage.conn, &session).await.map_err(|error| unavailable(&error))?;
    let caller = Caller::session(session);
    let largest = with(&objective, &content)?;
    let began = std::time::Instant::now();
    let mission_id = stage.dispatcher.dispatch(largest, &caller).await?.mission_id;
    sheet.figure("dispatch", began.elapsed().as_secs_f64() * 1000.0, "ms");
    let ended = stage.ended(&mission_id, PATIENCE).await?;
    let digests = format!("{} {}", digest(&objective), digest(&content));
    sheet.must("the executor read objective and input whole", ended.summary == digests);
    let told = notices.next(PATIENCE).await.map_err(|error| unavailable(&error))?;
    let told = told.ok_or_else(|| Failed::new(Exit::TimedOut, "no notice came"))?;
    sheet.must(
        "the session is told of its completion",
        told.notice.mission_id == mission_id && told.notice.event == EventKind::Completed.type_name(),
    );
    sheet.at_most("the notice's text", count(told.notice.text.len() as u64), "bytes", 8192.0);
    told.ack().await.map_err(|error| unavailable(&error))?;
    let shown = stage.dispatcher.get(GetMission { mission_id }).await?;
    sheet.must("vp_get_mission shows the objective whole", shown.mission.objective == objective);

    let refused = refusal(stage, &caller, with(&text(MAX_OBJECTIVE_BYTES + 1), "")?).await;
    sheet.must("a byte more is refused by name: `objective`", refused.contains("`objective`"));
    let refused = refusal(stage, &caller, with(&objective, &format!("{content}x"))?).await;
    sheet.must("a byte more of input is refused by name: `inputs`", refused.contains("`inputs`"));
    sheet.peak("worker", stage.usage("w1")?, 128.0);
    sheet.peak("bridge", stage.usage("bridge")?, 128.0);
    Ok(())
}

/// What a dispatch is refused with; empty when it is not, or with another code.
async fn refusal(stage: &Stage, caller: &Caller, input: DispatchMission) -> String {
    match stage.dispatcher.dispatch(input, caller).await {
        Err(error) if error.code == ErrorCode::ValidationError => error.message,
        _ => String::new(),
    }
}

fn with(objective: &str, content: &str) -> Result<DispatchMission, Failed> {
    let more = serde_json::json!({ "inputs": [{"path": INPUT, "text": content}] });
    mission(&lane_id(LANE)?, objective, &more)
}

/// So many bytes with everything that JSON writes longer: quotes, line ends, letters of several bytes.
fn text(bytes: usize) -> String {
    const LINE: &str = "Say \"größer\" \\ 大きい\n\tand go on.\n";
    let mut text = LINE.repeat(bytes / LINE.len());
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    text
}

fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
