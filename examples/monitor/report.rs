//! The output of `monitor`, as text or as JSON.

use std::error::Error;
use std::io;

use bsv_p2p::event::{ControlEvent, SharedMessage};
use bsv_p2p::wire::{Inventory, Message};
use serde_json::{Value, json};

use crate::events::say_event;
use crate::plural::plural;
use crate::shared::{say, say_json, with_sources};
use crate::table;

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
    pub(crate) fn not_dialed(&self, name: &str, reason: &dyn Error) -> io::Result<()> {
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
            let size = || format!("{command} of {}", plural(bytes, "byte"));
            let what = describe(message).unwrap_or_else(size);
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
        table::print(peers)
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
        Message::SendHeaders => Some("requests announcements of blocks by headers".to_owned()),
        Message::Reject(reject) => Some(reject.to_string()),
        _ => None,
    }
}
