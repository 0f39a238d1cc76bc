//! What is printed, as text or as JSON.

use std::io;
use std::net::SocketAddr;

use bsv_p2p::event::{ControlEvent, SharedMessage};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Inventory, Message};
use serde_json::{Value, json};

use crate::shared::{say, say_json};

pub(crate) struct Report {
    json: bool,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn control(&self, event: &ControlEvent) -> io::Result<()> {
        if !self.json {
            return say(event);
        }
        let peer = event.peer().map(|(_, address)| address.to_string());
        let mut object = json!({ "event": event.name(), "peer": peer });
        match event {
            ControlEvent::ConnectionEstablished { direction, .. } => {
                object["direction"] = direction.to_string().into();
            }
            ControlEvent::HandshakeComplete { info, .. } => {
                object["user_agent"] = info.user_agent.to_string().into();
                object["version"] = info.version.into();
                object["services"] = info.services.0.into();
                object["height"] = info.start_height.into();
            }
            ControlEvent::ConnectionLost { reason, .. }
            | ControlEvent::ConnectionFailed { reason, .. } => {
                object["reason"] = reason.to_string().into();
            }
            ControlEvent::PeerMisbehavior {
                misbehavior, score, ..
            } => {
                object["reason"] = misbehavior.to_string().into();
                object["score"] = (*score).into();
            }
            ControlEvent::PayloadPassedOver { command, len, .. } => {
                object["command"] = command.to_string().into();
                object["bytes"] = (*len).into();
            }
            ControlEvent::Lagged(missed) => object["missed"] = (*missed).into(),
            _ => {}
        }
        say_json(&object)
    }

    pub(crate) fn unresolved(&self, name: &str, reason: &DisconnectReason) -> io::Result<()> {
        if self.json {
            let reason = reason.to_string();
            say_json(&json!({ "event": "ConnectionFailed", "peer": name, "reason": reason }))
        } else {
            say(format_args!("{name}: connection failed: {reason}"))
        }
    }

    pub(crate) fn message(&self, peer: SocketAddr, message: &SharedMessage) -> io::Result<()> {
        let (command, bytes) = (message.command(), message.payload_len());
        if !self.json {
            let what = describe(message).unwrap_or_else(|| format!("{command} of {bytes} bytes"));
            return say(format_args!("{peer}: {what}"));
        }
        let mut object = json!({
            "event": "Message",
            "peer": peer.to_string(),
            "command": command.to_string(),
            "bytes": bytes,
        });
        if let Message::Block(block) = &**message {
            object["hash"] = block.hash().to_string().into();
            object["transactions"] = block.transaction_count().into();
        }
        say_json(&object)
    }

    pub(crate) fn summary(&self, peers: &[Value]) -> io::Result<()> {
        if self.json {
            return say_json(&json!({ "event": "Summary", "peers": peers }));
        }
        say("")?;
        for peer in peers {
            let field = |name: &str| match &peer[name] {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                Value::Number(number) if number.is_f64() => {
                    format!("{:.3}", number.as_f64().unwrap_or_default())
                }
                value => value.to_string(),
            };
            say(format_args!(
                "{}  {}  version {}  height {}  round trip {} ms  in {} messages {} bytes  \
                 out {} messages {} bytes",
                field("peer"),
                field("user_agent"),
                field("version"),
                field("height"),
                field("rtt_ms"),
                field("messages_in"),
                field("bytes_in"),
                field("messages_out"),
                field("bytes_out"),
            ))?;
        }
        Ok(())
    }
}

/// What a person wants to know of an announcement or a block.
fn describe(message: &Message) -> Option<String> {
    match message {
        Message::Inv(inv) => {
            let count =
                |wanted: fn(&&Inventory) -> bool| inv.inventory.iter().filter(wanted).count();
            let blocks = count(|entry| matches!(entry, Inventory::Block(_)));
            let transactions = count(|entry| matches!(entry, Inventory::Tx(_)));
            Some(format!(
                "announces {blocks} blocks and {transactions} transactions"
            ))
        }
        Message::Headers(headers) => match &headers.headers[..] {
            [] => Some("has no further headers".to_owned()),
            [header] => Some(format!("announces block {}", header.hash())),
            headers => Some(format!("sends {} headers", headers.len())),
        },
        Message::Block(block) => Some(format!(
            "sends block {} with {} transactions in {} bytes",
            block.hash(),
            block.transaction_count(),
            block.bytes().len()
        )),
        Message::Reject(reject) => Some(reject.to_string()),
        _ => None,
    }
}
