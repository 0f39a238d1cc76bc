//! The SVG image: a fixed layout for documents and image viewers.

use super::svg::Canvas;
use crate::report::{Chart, Report};
use crate::run_info::GENERATOR;

/// Width of the image in pixels.
const WIDTH: f64 = 1080.0;
const MARGIN: f64 = 36.0;
const GAP: f64 = 20.0;
/// Distance between the edge of a card and its content, in pixels.
const PADDING: f64 = 22.0;
/// Height of the part of a card above its rows, in pixels.
const HEADING: f64 = 72.0;
/// Height of a row, in pixels.
const ROW: f64 = 28.0;
/// Width of the labels, in pixels.
const LABELS: f64 = 400.0;
/// Width of the numbers after the longest bar, in pixels.
const NUMBERS: f64 = 112.0;
const INNER: f64 = WIDTH - 2.0 * MARGIN;

const STYLE: &str = r#"
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; font-size: 14px; fill: #1b2430; }
  .ground { fill: #f4f6f9; } .card { fill: #ffffff; stroke: #dfe5ec; }
  .title { font-size: 26px; font-weight: 700; } .heading { font-size: 16px; font-weight: 600; }
  .large { font-size: 28px; font-weight: 700; } .number { font-variant-numeric: tabular-nums; }
  .muted { fill: #57626f; font-size: 13px; } .line { fill: #8b97a5; } .bar { fill: #2f6fde; }
  .failure { fill: #f5b78f; stroke: #c2410c; stroke-width: 2; stroke-dasharray: 5 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6ebf2; } .ground { fill: #10151c; } .card { fill: #18202a; stroke: #2a3542; }
    .muted { fill: #9aa7b6; } .line { fill: #66758a; } .bar { fill: #5b92f5; }
    .failure { fill: #7c3a14; stroke: #f08a4b; }
  }
"#;

/// Returns the report as an image.
pub(super) fn render(report: &Report) -> String {
    let mut layout = Layout::default();
    layout.title(report);
    layout.figures(report);
    for chart in &report.charts {
        layout.chart(chart);
    }
    layout.parameters(report);
    let height = layout.y - GAP + MARGIN;
    let mut ground = Canvas::default();
    ground.rect("ground", (0.0, 0.0), (WIDTH, height), 0.0);
    ground.append(layout.canvas);
    ground.image(&report.title, STYLE, (WIDTH, height))
}

/// The upper part of the image, down to `y`.
#[derive(Default)]
struct Layout {
    canvas: Canvas,
    y: f64,
}

impl Layout {
    fn text(&mut self, class: &str, at: (f64, f64), text: &str, longest: usize) {
        self.canvas.text(class, at, text, longest);
    }

    /// Draws the title and the line below it.
    fn title(&mut self, report: &Report) {
        self.text("title", (MARGIN, 62.0), &report.title, 60);
        self.text("muted", (MARGIN, 88.0), &report.subtitle, 120);
        self.y = 112.0;
    }

    /// Draws a row of cards with one number each.
    fn figures(&mut self, report: &Report) {
        const HEIGHT: f64 = 92.0;
        let number = report.figures.len() as f64;
        let width = (INNER - GAP * (number - 1.0)) / number;
        for (place, figure) in report.figures.iter().enumerate() {
            let x = MARGIN + place as f64 * (width + GAP);
            let (left, y) = (x + PADDING, self.y);
            self.canvas.rect("card", (x, y), (width, HEIGHT), 12.0);
            self.text("large number", (left, y + 48.0), &figure.value, 14);
            self.text("muted", (left, y + 72.0), figure.name, 30);
        }
        self.y += HEIGHT + GAP;
    }

    /// Draws a card with a chart.
    fn chart(&mut self, chart: &Chart) {
        let rows = chart.rows.len().max(1) as f64;
        let note = if chart.note.is_some() { ROW } else { 0.0 };
        self.card(chart.title, HEADING + rows * ROW + note + PADDING);
        let (left, top) = (MARGIN + PADDING, self.y);
        let bars = left + LABELS;
        let track = INNER - 2.0 * PADDING - LABELS - NUMBERS;
        if chart.rows.is_empty() {
            self.text("muted", (left, top + 62.0), "none", 4);
        } else {
            self.text("muted", (left, top + 58.0), chart.labels, 60);
            let axis = format!("{}, % of {}", chart.unit, chart.total);
            self.text("muted", (bars, top + 58.0), &axis, 60);
        }
        let bar = if chart.is_failure { "failure" } else { "bar" };
        for (place, row) in chart.rows.iter().enumerate() {
            let y = top + HEADING + place as f64 * ROW;
            let fitting = fitting(&row.label, LABELS - 12.0);
            self.text("label", (left, y + 18.0), &row.label, fitting);
            let mut length = 0.0;
            if row.count > 0 {
                // Even the smallest share must be visible.
                length = (track * row.share).max(3.0);
                self.canvas.rect(bar, (bars, y + 6.0), (length, 15.0), 3.0);
            }
            let number = format!("{}  ({:.1} %)", row.count, row.share * 100.0);
            self.text("number", (bars + length + 8.0, y + 18.0), &number, 30);
        }
        if !chart.rows.is_empty() {
            let size = (1.0, rows * ROW);
            self.canvas.rect("line", (bars, top + HEADING), size, 0.0);
        }
        if let Some(note) = &chart.note {
            let y = top + HEADING + rows * ROW + 20.0;
            self.text("muted number", (left, y), note, 130);
        }
        self.y += HEADING + rows * ROW + note + PADDING + GAP;
    }

    /// Draws the card with the parameters of the run, and the line of the generator.
    fn parameters(&mut self, report: &Report) {
        let rows = report.parameters.len() as f64;
        let height = 52.0 + rows * ROW + PADDING;
        self.card("Parameters of the crawl", height);
        for (place, (name, value)) in report.parameters.iter().enumerate() {
            let y = self.y + 52.0 + place as f64 * ROW + 18.0;
            self.text("muted", (MARGIN + PADDING, y), name, 60);
            let longest = fitting(value, INNER - 2.0 * PADDING - LABELS);
            self.text("label", (MARGIN + PADDING + LABELS, y), value, longest);
        }
        self.y += height + GAP;
        let line = format!("Generated by {GENERATOR}");
        self.text("muted", (MARGIN, self.y + 8.0), &line, 80);
        self.y += 8.0 + GAP;
    }

    /// Draws a card with a heading. Does not move `y`.
    fn card(&mut self, heading: &str, height: f64) {
        let corner = (MARGIN, self.y);
        self.canvas.rect("card", corner, (INNER, height), 12.0);
        self.text("heading", (MARGIN + PADDING, self.y + 32.0), heading, 60);
    }
}

/// Returns the approximate number of characters of `label` that fit into `width` pixels.
///
/// The font depends on the viewer, so the widths are estimates.
fn fitting(label: &str, width: f64) -> usize {
    let mut left = width;
    let fits = label.chars().take_while(|character| {
        let wide = character.is_uppercase() || matches!(character, 'm' | 'w' | '_');
        left -= if wide { 10.3 } else { 7.8 };
        left >= 0.0
    });
    fits.count()
}
