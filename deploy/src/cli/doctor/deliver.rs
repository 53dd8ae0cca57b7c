//! Where notices are delivered besides: what waits for a target, what is in its way, and dead letters.

use vp_nats::connect::Connection;
use vp_shared::time::UtcTime;

use super::Finding;
use crate::cli::deliver::in_words;
use crate::config::Settings;
use crate::deliver::{DeadLetters, TargetStanding};

const CHECK: &str = "dead letters";
const TARGETS: &str = "delivery";

/// How each target stands.
pub(super) async fn standings(conn: &Connection, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in &settings.deliver {
        let standing = TargetStanding::of(conn, target, &settings.data_dir).await;
        findings.push(match standing {
            Ok(standing) => judge(&standing, vp_nats::clock::now()),
            Err(why) => Finding::failed(TARGETS, format!("{}: {why}", target.name)),
        });
    }
    findings
}

fn judge(standing: &TargetStanding, now: UtcTime) -> Finding {
    let waiting: u64 = standing.sessions.iter().map(|session| session.waiting).sum();
    let oldest = standing.sessions.iter().filter_map(|session| session.oldest).min();
    let age = oldest.map(|oldest| format!(", the oldest for {} s", now.since(oldest).as_secs()));
    let said = format!("{}: {waiting} wait{}", standing.target, age.unwrap_or_default());
    if !standing.served {
        let found = format!("{said}; nobody is seen to deliver to it: `vp up` or `vp deliver` does");
        return Finding::warning(TARGETS, found);
    }
    // The worst first: what has been in the way the longest.
    let troubles = standing.sessions.iter().filter_map(|session| Some((session, session.trouble.as_ref()?)));
    match troubles.min_by_key(|(_, trouble)| trouble.since) {
        Some((session, trouble)) => {
            let found = format!("{said}; session `{}`: {}", session.session, in_words(trouble));
            Finding::warning(TARGETS, found)
        }
        None => Finding::ok(TARGETS, said),
    }
}

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let one = |name: &str| match DeadLetters::new(&settings.data_dir, name).list() {
        Ok(letters) => match letters.last() {
            None => Finding::ok(CHECK, format!("{name}: none")),
            Some(last) => {
                let (count, why) = (letters.len(), &last.why);
                let found = format!(
                    "{name}: {count} notices were not taken, the last one because: {why}; `vp deliver --dead` shows \
                     them, `vp deliver --resend` sends them again"
                );
                Finding::warning(CHECK, found)
            }
        },
        Err(why) => Finding::failed(CHECK, format!("{name}: {why}")),
    };
    settings.deliver.iter().map(|target| one(&target.name)).collect()
}
