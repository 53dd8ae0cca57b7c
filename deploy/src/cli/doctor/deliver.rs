//! Where notices are delivered besides: dead letters wait for somebody.

use super::Finding;
use crate::config::Settings;
use crate::deliver::DeadLetters;

const CHECK: &str = "dead letters";

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
