//! The example lanes' scripts, which the default lanes run; they are in the binary.

use std::io::{self, Write as _};
use std::path::Path;

/// Each script's name and text.
pub const LANE_SCRIPTS: [(&str, &str); 2] = [
    ("coder.sh", include_str!("../../lanes/coder.sh")),
    ("report.sh", include_str!("../../lanes/report.sh")),
];

/// Writes the scripts to `<data_dir>/lanes/`, where the default lanes look for them.
///
/// Each is replaced as a whole, so that a mission that starts at the same time, or a crash, sees the old one or
/// the new one. What else is in the directory stays.
///
/// # Errors
/// If the directory or a file cannot be written.
pub fn write_lane_scripts(data_dir: &Path) -> io::Result<()> {
    let dir = data_dir.join("lanes");
    std::fs::create_dir_all(&dir)?;
    for (name, text) in LANE_SCRIPTS {
        let path = dir.join(name);
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            continue;
        }
        let draft = dir.join(format!(".{name}.{}", std::process::id()));
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
    }
    Ok(())
}
