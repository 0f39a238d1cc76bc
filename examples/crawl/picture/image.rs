//! The layout of the image.

use bsv_p2p::Network;

use super::charts::{self, Bar};
use super::svg::{Anchor, Canvas};
use crate::census::Census;

/// Width of the image in pixels.
pub(super) const WIDTH: f64 = 1080.0;
const MARGIN: f64 = 36.0;
const GAP: f64 = 20.0;
/// Distance between the edge of a card and its content, in pixels.
const PADDING: f64 = 22.0;
/// Height of the part of a card above its chart, in pixels.
const HEADING: f64 = 52.0;
const INNER: f64 = WIDTH - 2.0 * MARGIN;
const HALF: f64 = (INNER - GAP) / 2.0;

const STYLE: &str = r#"
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; font-size: 13px; fill: #1b2430; }
  .ground { fill: #f4f6f9; } .card { fill: #ffffff; stroke: #e1e6ed; }
  .title { font-size: 26px; font-weight: 700; } .heading { font-size: 15px; font-weight: 600; }
  .large { font-size: 28px; font-weight: 700; } .number { font-variant-numeric: tabular-nums; }
  .muted { fill: #66717f; } .track { fill: #eaf0f8; } .bar { fill: #2f6fde; } .line { fill: #c9d2dd; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6ebf2; } .ground { fill: #10151c; } .card { fill: #18202a; stroke: #2a3542; }
    .muted { fill: #93a0b0; } .track { fill: #233040; } .bar { fill: #5b92f5; } .line { fill: #3a4756; }
  }
"#;

/// Returns the whole image as SVG. `known` is the number of known addresses.
pub(super) fn render(census: &Census, network: &Network, known: usize, date: &str) -> String {
    let mut layout = Layout::default();
    let title = format!("Bitcoin SV {network}");
    let nodes = if census.reached == 1 {
        "node says"
    } else {
        "nodes say"
    };
    let what = format!("what {} {nodes} · {date}", census.reached);
    layout.title(&title, &what);
    let marks = census.round_trips.marks();
    let median = marks.map_or("–".to_owned(), |[_, (_, median), ..]| time(median));
    layout.tiles([
        ("nodes reached", census.reached.to_string()),
        ("not reached", census.not_reached.to_string()),
        ("addresses known", known.to_string()),
        ("median round trip", median),
    ]);
    layout.bars([("User agents", charts::bars(&census.user_agents))], 400.0);
    layout.bars(
        [
            ("Protocol versions", charts::bars(&census.versions)),
            ("Services", charts::bars(&census.services)),
        ],
        190.0,
    );
    layout.bars(
        [
            ("Heights at the start", charts::bars(&census.heights)),
            (
                "Why others were not reached",
                charts::bars(&census.failures),
            ),
        ],
        190.0,
    );
    layout.round_trips(census);
    let height = layout.y - GAP + MARGIN;
    let mut ground = Canvas::default();
    ground.rect("ground", (0.0, 0.0), (WIDTH, height), 0.0);
    ground.append(layout.canvas);
    ground.image(&title, STYLE, (WIDTH, height))
}

/// The upper part of the image, down to `y`.
#[derive(Default)]
struct Layout {
    canvas: Canvas,
    y: f64,
}

impl Layout {
    /// Draws the title and the line below it.
    fn title(&mut self, title: &str, what: &str) {
        let canvas = &mut self.canvas;
        canvas.text("title", (MARGIN, 62.0), Anchor::Start, title, 60);
        canvas.text("muted", (MARGIN, 88.0), Anchor::Start, what, 120);
        self.y = 112.0;
    }

    /// Draws a row of cards with one number each.
    fn tiles<const N: usize>(&mut self, tiles: [(&str, String); N]) {
        const HEIGHT: f64 = 92.0;
        let width = (INNER - GAP * (N as f64 - 1.0)) / N as f64;
        for (place, (name, number)) in tiles.iter().enumerate() {
            let x = MARGIN + place as f64 * (width + GAP);
            let (left, canvas) = (x + PADDING, &mut self.canvas);
            canvas.rect("card", (x, self.y), (width, HEIGHT), 12.0);
            canvas.text(
                "large number",
                (left, self.y + 48.0),
                Anchor::Start,
                number,
                14,
            );
            canvas.text("muted", (left, self.y + 72.0), Anchor::Start, name, 30);
        }
        self.y += HEIGHT + GAP;
    }

    /// Draws one or two bar charts next to each other, on cards of equal height.
    ///
    /// `labels` is the width of the labels in pixels.
    fn bars<const N: usize>(&mut self, charts: [(&str, Vec<Bar>); N], labels: f64) {
        let width = if N == 1 { INNER } else { HALF };
        let heights = charts.iter().map(|(_, bars)| charts::bars_height(bars));
        let height = HEADING + heights.fold(0.0, f64::max) + PADDING - 6.0;
        for (place, (heading, bars)) in charts.iter().enumerate() {
            let x = MARGIN + place as f64 * (HALF + GAP);
            self.card(heading, x, (width, height));
            let corner = (x + PADDING, self.y + HEADING);
            let size = (width - 2.0 * PADDING, labels);
            charts::draw_bars(&mut self.canvas, bars, corner, size);
        }
        self.y += height + GAP;
    }

    /// Draws the card with the histogram of round-trip times.
    fn round_trips(&mut self, census: &Census) {
        let height = HEADING + charts::COLUMNS_HEIGHT + PADDING;
        self.card("Round trips", MARGIN, (INNER, height));
        if let Some(marks) = census.round_trips.marks() {
            let marks = marks.map(|(name, mark)| format!("{name} {}", time(mark)));
            let right = (WIDTH - MARGIN - PADDING, self.y + 32.0);
            let marks = marks.join(" · ");
            self.canvas
                .text("muted number", right, Anchor::End, &marks, 100);
        }
        let corner = (MARGIN + PADDING, self.y + HEADING);
        let width = INNER - 2.0 * PADDING;
        charts::draw_columns(&mut self.canvas, &census.round_trips, corner, width);
        self.y += height + GAP;
    }

    /// Draws a card with a heading. Does not move `y`.
    fn card(&mut self, heading: &str, x: f64, size: (f64, f64)) {
        self.canvas.rect("card", (x, self.y), size, 12.0);
        let corner = (x + PADDING, self.y + 32.0);
        self.canvas
            .text("heading", corner, Anchor::Start, heading, 60);
    }
}

/// Formats milliseconds with a unit. Larger values have fewer decimals.
fn time(milliseconds: f64) -> String {
    if milliseconds < 10.0 {
        format!("{milliseconds:.2} ms")
    } else if milliseconds < 1_000.0 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1_000.0)
    }
}
