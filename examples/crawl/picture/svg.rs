//! Writes the elements of an SVG image.

use std::fmt::Write;

use super::escape::escape;

/// The elements of an image, in drawing order. Later elements cover earlier ones.
#[derive(Default)]
pub(super) struct Canvas {
    elements: String,
}

impl Canvas {
    /// Draws a rectangle with rounded corners.
    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), r: f64) {
        // Writing to a string never fails.
        let _ = writeln!(
            self.elements,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="{r}"/>"#
        );
    }

    /// Draws a line of text.
    ///
    /// If the text is longer than `longest` characters, it is truncated and gets a tooltip with the
    /// whole text.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str, longest: usize) {
        let whole = escape(text);
        let (shown, title) = if text.chars().count() > longest {
            let cut: String = text.chars().take(longest.saturating_sub(1)).collect();
            (escape(&cut) + "…", format!("<title>{whole}</title>"))
        } else {
            (whole, String::new())
        };
        let _ = writeln!(
            self.elements,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{shown}{title}</text>"#
        );
    }

    /// Appends the elements of another canvas, which are drawn on top.
    pub(super) fn append(&mut self, other: Canvas) {
        self.elements += &other.elements;
    }

    /// Returns the image as an SVG document.
    pub(super) fn image(&self, title: &str, style: &str, (w, h): (f64, f64)) -> String {
        let title = escape(title);
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0} {h:.0}" width="{w:.0}" height="{h:.0}" role="img">
<title>{title}</title>
<style>{style}</style>
{elements}</svg>
"#,
            elements = self.elements
        )
    }
}
