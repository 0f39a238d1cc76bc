//! Draws the statistics as an SVG image, or as an HTML page that contains the image.
//!
//! Both formats are self-contained and load no other resources.

mod charts;
mod image;

mod svg;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use bsv_p2p::Network;

use crate::census::Census;
use crate::date::utc;
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
        _ => return Err("a name that ends with .svg or .html is needed".to_owned()),
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

    /// Writes the picture into the file. `known` is the number of known addresses.
    pub(crate) fn write(
        mut self,
        census: &Census,
        network: &Network,
        known: usize,
    ) -> Result<(), Failure> {
        let date = utc(SystemTime::now());
        let image = image::render(census, network, known, &date);
        let text = if self.target.is_page {
            page(network, &image)
        } else {
            image
        };
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| format!("{}: {error}", self.target.path.display()).into())
    }
}

/// Returns the HTML page that contains `image`.
fn page(network: &Network, image: &str) -> String {
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bitcoin SV {network}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ margin: 0; background: #f4f6f9; }}
  svg {{ display: block; width: 100%; max-width: {width}px; height: auto; margin: 0 auto; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #10151c; }} }}
</style>
</head>
<body>
{image}</body>
</html>
"#,
        width = image::WIDTH
    )
}
