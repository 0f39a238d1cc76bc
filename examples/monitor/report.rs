//! The output of `monitor`, as text or as JSON.

use std::error::Error;
use std::io;

use bsv_p2p::event::{ControlEvent, SharedMessage};
use bsv_p2p::wire::{Inventory, Message};
use serde_json::{Value, json};

use crate::events::say_event;
use crate::shared::{say, say_json, with_sources};

pub(crate) struct Report {
    json: bool,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn control(&self, event: &ControlEvent) -> io::Result<()> {
        say_event(event, self.json)
    }

    /// Prints that a peer was not dialed, and why.
    pub(crate) fn not_dialled(&self, name: &str, reason: &dyn Error) -> io::Result<()> {
        let reason = with_sources(reason);
        if self.json {
            let fields = json!({ "peer": name, "reason": reason });
            say_json("ConnectionFailed", &fields)
        } else {
            say(format_args!("{name}: connection failed: {reason}"))
        }
    }

    pub(crate) fn message(&self, peer: &str, message: &SharedMessage) -> io::Result<()> {
        let (command, bytes) = (message.command(), message.payload_len());
        if !self.json {
            let what = describe(message).unwrap_or_else(|| format!("{command} of {bytes} bytes"));
            return say(format_args!("{peer}: {what}"));
        }
        let mut object = json!({
            "peer": peer,
            "command": command.to_string(),
            "size_bytes": bytes,
        });
        if let Message::Block(block) = &**message {
            object["hash"] = block.hash().to_string().into();
            object["transactions"] = block.transaction_count().into();
        }
        say_json("Message", &object)
    }

    pub(crate) fn summary(&self, peers: &[Value]) -> io::Result<()> {
        if self.json {
            return say_json("Summary", &json!({ "peers": peers }));
        }
        let header = COLUMNS.map(|(title, _)| title.to_owned());
        let rows = peers.iter().flat_map(rows);
        let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
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
}

/// The columns of the summary: title, and field of the JSON object.
const COLUMNS: [(&str, &str); 9] = [
    ("peer", "peer"),
    ("user agent", "user_agent"),
    ("version", "version"),
    ("height at start", "height"),
    ("round trip ms", "rtt_ms"),
    ("messages in", "messages_in"),
    ("messages out", "messages_out"),
    ("bytes in", "bytes_in"),
    ("bytes out", "bytes_out"),
];

/// Returns the row of a peer, followed by one row for each stream if it has or had two.
fn rows(peer: &Value) -> Vec<[String; COLUMNS.len()]> {
    let mut rows = vec![COLUMNS.map(|(_, field)| cell(&peer[field]))];
    let streams = peer["streams"].as_array().map_or(&[][..], Vec::as_slice);
    if streams.len() > 1 {
        rows.extend(streams.iter().map(|stream| {
            COLUMNS.map(|(_, field)| match field {
                "peer" => format!("  {}", cell(&stream["stream"])),
                _ if stream[field].is_null() => String::new(),
                _ => cell(&stream[field]),
            })
        }));
    }
    rows
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.3}", number.as_f64().unwrap_or_default())
        }
        value => value.to_string(),
    }
}

/// Returns a readable text for announcements, headers, blocks and rejects. Returns `None` for other
/// messages.
fn describe(message: &Message) -> Option<String> {
    match message {
        Message::Inv(inv) if let [Inventory::Block(hash)] = &inv.inventory[..] => {
            Some(format!("announces block {hash}"))
        }
        Message::Inv(inv) => {
            let announced = |wanted: fn(&&Inventory) -> bool, name| {
                let count = inv.inventory.iter().filter(wanted).count();
                (count > 0).then(|| plural(count, name))
            };
            let kinds = [
                announced(|entry| matches!(entry, Inventory::Block(_)), "block"),
                announced(|entry| matches!(entry, Inventory::Tx(_)), "transaction"),
            ];
            let kinds: Vec<_> = kinds.into_iter().flatten().collect();
            (!kinds.is_empty()).then(|| format!("announces {}", kinds.join(" and ")))
        }
        Message::Headers(headers) => match &headers.headers[..] {
            [] => Some("has no further headers".to_owned()),
            [header] => Some(format!("announces block {}", header.hash())),
            headers => Some(format!("sends {} headers", headers.len())),
        },
        Message::Block(block) => Some(format!(
            "sends block {} with {} in {}",
            block.hash(),
            plural(block.transaction_count(), "transaction"),
            plural(block.bytes().len(), "byte")
        )),
        Message::SendHeaders => Some("wants new blocks announced by their headers".to_owned()),
        Message::Reject(reject) => Some(reject.to_string()),
        _ => None,
    }
}

fn plural(count: usize, name: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {name}{s}")
}
