//! Checks the folder of an output file.

use std::fmt::Display;
use std::fs;
use std::path::Path;

/// Returns the folder that contains, or will contain, the file at `path`.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Checks that the folder of a file exists. The error contains the file and the folder.
pub(crate) fn check_folder(path: &Path) -> Result<(), String> {
    let folder = folder(path);
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(error(path, "not a directory")),
        Err(system) => Err(error(path, system)),
    }
}

fn error(path: &Path, reason: impl Display) -> String {
    let (path, folder) = (path.display(), folder(path).display());
    format!("{path}: directory {folder}: {reason}")
}
