//! Writes the report as an HTML page or as an SVG image.
//!
//! Both formats are self-contained and load no other resources.

mod escape;
mod image;
mod page;
mod svg;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use crate::report::Report;
use crate::shared::Failure;

/// The path and the format of a picture.
#[derive(Clone)]
pub(crate) struct Target {
    path: PathBuf,
    /// Whether the format is HTML. Otherwise it is SVG.
    is_page: bool,
}

/// Parses the argument of `--out`.
///
/// Returns an error if the extension is not `svg`, `html` or `htm`. Case is ignored.
pub(crate) fn parse_target(text: &str) -> Result<Target, String> {
    let path = PathBuf::from(text);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_page = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("svg") => false,
        Some("html" | "htm") => true,
        _ => return Err("expected a name that ends with .svg or .html".to_owned()),
    };
    Ok(Target { path, is_page })
}

/// An open file for the picture.
pub(crate) struct Picture {
    target: Target,
    file: File,
}

impl Picture {
    /// Creates the file, or truncates an existing one.
    pub(crate) fn create(target: Target) -> Result<Self, Failure> {
        match File::create(&target.path) {
            Ok(file) => Ok(Self { target, file }),
            Err(error) => Err(format!("{}: {error}", target.path.display()).into()),
        }
    }

    /// Writes the report into the file.
    pub(crate) fn write(mut self, report: &Report) -> Result<(), Failure> {
        let text = if self.target.is_page {
            page::render(report)
        } else {
            image::render(report)
        };
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| format!("{}: {error}", self.target.path.display()).into())
    }
}
