//! The example lanes' scripts, laid into the data dir so that one binary is enough.

use std::path::Path;

use crate::exit::{Exit, Failed};

const FILES: [(&str, &str); 2] =
    [("report.sh", include_str!("../lanes/report.sh")), ("coder.sh", include_str!("../lanes/coder.sh"))];

/// Writes the scripts to `<data_dir>/lanes/`, replacing older ones in one step each.
pub fn write(data_dir: &Path) -> Result<(), Failed> {
    let dir = data_dir.join("lanes");
    let wrap = |path: &Path, error: &std::io::Error| {
        Failed::new(Exit::Failure, format!("could not write `{}`: {error}", path.display()))
            .hint("is the data dir writable? choose another one with --data-dir")
    };
    std::fs::create_dir_all(&dir).map_err(|error| wrap(&dir, &error))?;
    for (name, text) in FILES {
        let path = dir.join(name);
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            continue;
        }
        let fresh = dir.join(format!(".{name}.{}", std::process::id()));
        std::fs::write(&fresh, text)
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(|error| wrap(&path, &error))?;
    }
    Ok(())
}
