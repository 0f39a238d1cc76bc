//! The rules of Teranode's legacy peer service: what it accepts, ignores and punishes.
//!
//! Source: teranode, `services/legacy/peer_server.go`, `peer/peer.go` and `netsync/manager.go`, and
//! go-wire, versions of October 2025 to September 2026. Its rules differ from those of the SV Node
//! for many commands. It closes the connection for an unknown command.

use std::time::Duration;

use super::send_rules::{PeerCapabilities, SendError};
use crate::wire::{Authch, Command, FeeFilter, Inventory, Message, Ping, Pong};

/// The maximum interval of our pings.
///
/// A Teranode closes a connection on which it receives no complete message for 125 s.
pub(super) const MAX_PING_INTERVAL: Duration = Duration::from_secs(60);

/// The maximum number of entries of an `inv`, `getdata` or `notfound`.
pub(super) const MAX_INVENTORY: usize = 50_000;

/// The maximum payload of an `inv` that a Teranode sends, in bytes. It ignores the limit of the
/// receiver.
pub(super) const MAX_INV_PAYLOAD: u32 = 9 + MAX_INVENTORY as u32 * 36;

/// The maximum number of hashes of a locator.
pub(super) const MAX_LOCATOR: usize = 500;

/// The maximum number of entries of a `getdata` that scores nothing.
///
/// Each `getdata` scores its entries x 99 / 50,000, rounded down. The score has a half-life of 60
/// s. Above 100 a Teranode bans for 24 hours, so two full requests within a minute lead to a ban.
/// Any number of requests of this size score 0.
pub(super) const MAX_UNSCORED_OBJECTS: usize = 505;

/// Returns the maximum payload of a command, in bytes.
pub(super) fn payload_limit(command: Command) -> u64 {
    match command.name() {
        "verack" | "getaddr" | "sendheaders" | "filterclear" => 0,
        "ping" | "pong" | "feefilter" => 8,
        "sendcmpct" => 9,
        "authch" => 40,
        "authresp" => 121,
        "addr" => 9 + 1000 * 30,
        "inv" | "getdata" | "notfound" => 9 + MAX_INVENTORY as u64 * 36,
        "getheaders" | "getblocks" => 45 + MAX_LOCATOR as u64 * 32,
        "headers" => 9 + 2000 * 81,
        "filterload" => 36_012,
        "filteradd" => 523,
        "block" | "tx" | "merkleblock" => 4_000_000_000,
        // A Teranode does not support the extended header of longer payloads.
        _ => u64::from(u32::MAX),
    }
}

/// Checks that a Teranode handles a command.
///
/// # Errors
///
/// [`SendError`], with the reaction of the node.
pub(super) fn check_command(command: Command) -> Result<(), SendError> {
    match command.name() {
        "ping" | "pong" | "addr" | "getaddr" | "inv" | "getdata" | "getheaders" | "getblocks"
        | "headers" | "block" | "tx" | "notfound" | "reject" | "feefilter" | "authch" => Ok(()),
        "filterload" | "filteradd" | "filterclear" | "getcfilters" | "getcfcheckpt" | "cfilter"
        | "cfheaders" | "cfcheckpt" | "merkleblock" => Err(SendError::Ignored {
            command,
            rule: "a Teranode ignores filters",
        }),
        "sendcmpct" => Err(SendError::Ignored {
            command,
            rule: "a Teranode sends no compact blocks",
        }),
        "authresp" | "exttx" => Err(SendError::Ignored {
            command,
            rule: "a Teranode ignores the message",
        }),
        "mempool" => Err(SendError::Punished {
            command,
            rule: "a Teranode closes the connection",
        }),
        _ => Err(SendError::Punished {
            command,
            rule: "a Teranode closes the connection for unknown commands",
        }),
    }
}

/// Checks the content of a message whose command a Teranode handles.
///
/// # Errors
///
/// [`SendError`], with the reaction of the node.
pub(super) fn check_message(
    message: &Message,
    receiver: PeerCapabilities,
) -> Result<(), SendError> {
    let command = message.command();
    let punished = |rule| Err(SendError::Punished { command, rule });
    let ignored = |rule| Err(SendError::Ignored { command, rule });
    match message {
        Message::Inv(inv) if !inv.inventory.iter().all(is_known_object) => {
            ignored("a Teranode ignores objects other than tx and block")
        }
        Message::Inv(inv) if !receiver.relay && inv.inventory.iter().any(is_transaction) => {
            punished(
                "a Teranode that wants no transactions closes the connection for an inv of one",
            )
        }
        Message::GetData(request) if !request.inventory.iter().all(is_known_object) => {
            ignored("a Teranode has no answer for objects other than tx and block")
        }
        Message::GetData(request) if request.inventory.len() > MAX_UNSCORED_OBJECTS => {
            punished("a Teranode scores requests of more than 505 objects, and bans")
        }
        Message::GetHeaders(request) if request.locator.is_empty() => {
            ignored("a Teranode does not answer without a locator")
        }
        Message::GetBlocks(request) if request.locator.is_empty() => {
            ignored("a Teranode does not answer without a locator")
        }
        Message::Addr(addr) if addr.addresses.is_empty() => {
            punished("a Teranode closes the connection for a list without addresses")
        }
        Message::FeeFilter(filter) if !FeeFilter::is_valid(*filter) => {
            punished("a Teranode closes the connection for an invalid fee rate")
        }
        Message::Headers(_) if !receiver.awaits_headers => punished(
            "a Teranode closes the connection for unrequested headers: announce blocks by inv",
        ),
        Message::Block(_) if !receiver.awaits_block => {
            punished("a Teranode closes the connection for an unrequested block")
        }
        Message::Authch(challenge) if challenge.version != Authch::VERSION => {
            punished("a Teranode rejects challenges of versions other than 1")
        }
        Message::Ping(Ping { nonce: None }) | Message::Pong(Pong { nonce: None })
            if receiver.supports_ping_nonce() =>
        {
            punished("a Teranode closes the connection for a ping or pong without a nonce")
        }
        _ => Ok(()),
    }
}

fn is_transaction(entry: &Inventory) -> bool {
    matches!(entry, Inventory::Tx(_))
}

fn is_known_object(entry: &Inventory) -> bool {
    matches!(entry, Inventory::Tx(_) | Inventory::Block(_))
}

/// The pending requests of the peer. A Teranode punishes responses without a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerRequests {
    /// The number of `getheaders` without a response.
    headers: u64,
    /// The number of requested blocks that were not sent.
    blocks: u64,
}

impl PeerRequests {
    /// Records a message from the peer.
    pub(super) fn on_received(&mut self, message: &Message) {
        match message {
            Message::GetHeaders(_) => self.headers = self.headers.saturating_add(1),
            Message::GetData(request) => {
                let entries = request.inventory.iter();
                let blocks = entries.filter(|entry| matches!(entry, Inventory::Block(_)));
                self.blocks = self.blocks.saturating_add(blocks.count() as u64);
            }
            _ => {}
        }
    }

    /// Returns whether a message to the peer is a response, so that [`PeerRequests::on_sent`] must
    /// be called.
    pub(super) fn affects(message: &Message) -> bool {
        const HEADERS: Command = Command::new("headers");
        const BLOCK: Command = Command::new("block");
        let command = message.command();
        command == HEADERS || command == BLOCK
    }

    /// Records a message to the peer.
    pub(super) fn on_sent(&mut self, message: &Message) {
        match message.command().name() {
            "headers" => self.headers = self.headers.saturating_sub(1),
            "block" => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
    }

    pub(super) fn awaits_headers(&self) -> bool {
        self.headers > 0
    }

    pub(super) fn awaits_block(&self) -> bool {
        self.blocks > 0
    }
}
