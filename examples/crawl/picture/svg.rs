//! The elements of an SVG image.

use std::fmt::Write;

/// Where a text stands beside its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The elements of an image, in the order in which they are drawn.
#[derive(Default)]
pub(super) struct Canvas {
    elements: String,
}

impl Canvas {
    /// A rectangle with round corners.
    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), r: f64) {
        // Writing to a string never fails.
        let _ = writeln!(
            self.elements,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="{r}"/>"#
        );
    }

    /// A line of text. It is cut off after `longest` characters, and whole where a pointer rests on it.
    pub(super) fn text(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        anchor: Anchor,
        text: &str,
        longest: usize,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let whole = escape(text);
        let (shown, title) = if text.chars().count() > longest {
            let cut: String = text.chars().take(longest.saturating_sub(1)).collect();
            (escape(&cut) + "…", format!("<title>{whole}</title>"))
        } else {
            (whole, String::new())
        };
        let _ = writeln!(
            self.elements,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{shown}{title}</text>"#
        );
    }

    /// What is on another canvas, above what is here.
    pub(super) fn append(&mut self, other: Canvas) {
        self.elements += &other.elements;
    }

    /// The whole image.
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

/// What peers say is text here, and nothing else.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // Most of them may not stand in an image at all.
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
