//! The summary of `monitor` as a table, which fits 100 columns for IPv4 peers.

use std::io;

use serde_json::Value;

use crate::shared::say;

const TITLES: [&str; 7] = [
    "peer",
    "user agent",
    "version",
    "height",
    "rtt ms",
    "msgs in/out",
    "bytes in/out",
];

/// Maximum width of a user agent, in characters. Longer ones are truncated.
const MAX_USER_AGENT: usize = 20;

/// Prints the table. `peers` are the objects of the summary in JSON.
pub(crate) fn print(peers: &[Value]) -> io::Result<()> {
    let titles = TITLES.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(titles)
        .chain(peers.iter().flat_map(rows))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    say("")?;
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or_default();
            line += &match column {
                0 | 1 => format!("{cell:<width$}  "),
                _ => format!("{cell:>width$}  "),
            };
        }
        say(line.trim_end())?;
    }
    Ok(())
}

/// Returns the row of a peer, followed by one row for each stream if it has or had two.
fn rows(peer: &Value) -> Vec<[String; TITLES.len()]> {
    let mut rows = vec![[
        text(&peer["peer"]),
        truncated(&text(&peer["user_agent"])),
        text(&peer["version"]),
        text(&peer["height"]),
        peer["rtt_ms"]
            .as_f64()
            .map_or("-".to_owned(), |time| format!("{time:.1}")),
        messages(peer),
        bytes(peer),
    ]];
    let streams = peer["streams"].as_array().map_or(&[][..], Vec::as_slice);
    if streams.len() > 1 {
        rows.extend(streams.iter().map(|stream| {
            let name = format!("  {}", text(&stream["stream"]));
            let empty = String::new;
            let (messages, bytes) = (messages(stream), bytes(stream));
            [name, empty(), empty(), empty(), empty(), messages, bytes]
        }));
    }
    rows
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn truncated(text: &str) -> String {
    if text.chars().count() <= MAX_USER_AGENT {
        return text.to_owned();
    }
    let kept: String = text.chars().take(MAX_USER_AGENT - 1).collect();
    kept + "…"
}

fn messages(traffic: &Value) -> String {
    format!(
        "{}/{}",
        short(&traffic["messages_received"]),
        short(&traffic["messages_sent"])
    )
}

fn bytes(traffic: &Value) -> String {
    format!(
        "{}/{}",
        short(&traffic["bytes_received"]),
        short(&traffic["bytes_sent"])
    )
}

/// Returns a number with at most four digits, and the prefix of a power of 1,000 if it is larger.
fn short(number: &Value) -> String {
    let number = number.as_u64().unwrap_or_default();
    if number < 10_000 {
        return number.to_string();
    }
    let mut scaled = number as f64;
    let mut prefixes = "kMGTPE".chars();
    let mut prefix = ' ';
    while scaled >= 999.5 {
        scaled /= 1000.0;
        prefix = prefixes.next().unwrap_or_default();
    }
    // Three significant digits.
    let decimals = match scaled {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$}{prefix}")
}
