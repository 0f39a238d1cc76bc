//! What may be sent: nothing of ours shall get us banned.

use super::PeerProfile;
use super::keepalive::PING_WITHOUT_NONCE;
use super::teranode_rules;
use crate::wire::{
    Authch, Command, DecodeError, Encode, Inventory, MAX_ADDRESSES, MAX_HEADERS, Message,
    PayloadLimits, Ping, Reader, Services, inventory_limit,
};

/// Why a message of the program is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session sends this message by itself, or frames are built with its name (`extmsg`).
    #[error("{command} belongs to the session")]
    SessionOwned {
        /// The message's name.
        command: Command,
    },
    /// The peer has not sent its `verack`: it would drop the message and count it against us.
    #[error("{command} cannot be sent: the handshake is not complete")]
    HandshakeIncomplete {
        /// The message's name.
        command: Command,
    },
    /// The message has more entries than the peer accepts in one message. [`Inv::split`](crate::wire::Inv::split) and
    /// [`GetData::split`](crate::wire::GetData::split) make smaller ones.
    #[error("{command} has {entries} entries, the peer takes {limit}")]
    TooLarge {
        /// The message's name.
        command: Command,
        /// How many entries it has.
        entries: usize,
        /// How many the peer takes.
        limit: usize,
    },
    /// A longer payload than the peer takes.
    #[error("{command} has {bytes} bytes, the peer takes {limit}")]
    PayloadTooLarge {
        /// The message's name.
        command: Command,
        /// How many bytes its payload has.
        bytes: u64,
        /// How many the peer takes.
        limit: u64,
    },
    /// No receiver can read the message: a field holds more than may be sent, or what was built by hand is no message of
    /// that name. `send_unchecked` sends it all the same.
    #[error("{command} cannot be read by a receiver: {error}")]
    Malformed {
        /// The message's name.
        command: Command,
        /// The field, what it may hold and what it holds.
        error: DecodeError,
    },
    /// A default node of the peer's [`PeerProfile`] punishes the message. `send_unchecked` sends it all the same.
    #[error("{command} is not sent: {rule}")]
    Punished {
        /// The message's name.
        command: Command,
        /// The kind of node, and what it does.
        rule: &'static str,
    },
    /// A node of the peer's [`PeerProfile`] ignores the message: no answer would arrive. `send_unchecked` sends it all the same.
    #[error("{command} is not sent: {rule}")]
    Ignored {
        /// The message's name.
        command: Command,
        /// The kind of node, and what it ignores.
        rule: &'static str,
    },
}

/// What is known of a peer that bears on what it may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    /// Whether the handshake is complete.
    pub(super) ready: bool,
    pub(super) services: Services,
    /// The least of both sides' protocol versions.
    pub(super) version: i32,
    /// The longest general payload that the peer takes.
    pub(super) max_payload: u32,
    pub(super) profile: PeerProfile,
    /// Whether the peer accepts announcements of transactions.
    pub(super) relay: bool,
    /// Whether the peer has requested headers that were not sent.
    pub(super) awaits_headers: bool,
    /// Whether the peer has requested a block that was not sent.
    pub(super) awaits_block: bool,
}

impl Receiver {
    /// Checks whether the program may send `message`. It takes as long as reading the message, so that no lock should be
    /// held: this is why it needs no session.
    pub(crate) fn check(self, message: &Message) -> Result<(), SendError> {
        self.check_unchecked(message)?;
        check_manners(message, self)
    }

    /// Whether pings have nonces, and pongs are sent.
    pub(super) fn exchanges_nonces(self) -> bool {
        self.version > PING_WITHOUT_NONCE
    }

    /// Like [`Receiver::check`], but lets pass what a default node punishes or ignores and what nobody can read.
    pub(crate) fn check_unchecked(self, message: &Message) -> Result<(), SendError> {
        let command = message.command();
        check_owner(command)?;
        if !self.ready {
            return Err(SendError::HandshakeIncomplete { command });
        }
        check_size(message, self)
    }
}

/// The lowest protocol version that understands payloads above 4 GiB.
const EXTENDED_PAYLOADS: i32 = 70016;

/// Names that begin like this make a receiver look for a longer header: it loses its place in the stream.
const EXTENDED_MARK: &str = "extmsg";

/// Messages that belong to the session.
fn check_owner(command: Command) -> Result<(), SendError> {
    match command.name() {
        "version" | "verack" | "protoconf" | "createstrm" | "streamack" | "sendheaders" => {
            Err(SendError::SessionOwned { command })
        }
        name if name.starts_with(EXTENDED_MARK) => Err(SendError::SessionOwned { command }),
        _ => Ok(()),
    }
}

/// Sizes for which every node bans or drops the sender.
fn check_size(message: &Message, receiver: Receiver) -> Result<(), SendError> {
    let command = message.command();
    let is_teranode = receiver.profile == PeerProfile::Teranode;
    let limit = match command.name() {
        "inv" | "getdata" | "notfound" => {
            let limit = inventory_limit(receiver.max_payload);
            if is_teranode {
                limit.min(teranode_rules::MAX_INVENTORY)
            } else {
                limit
            }
        }
        "addr" => MAX_ADDRESSES,
        "headers" | "hdrsen" => MAX_HEADERS,
        "getheaders" | "getblocks" if is_teranode => teranode_rules::MAX_LOCATOR,
        _ => usize::MAX,
    };
    let entries = entries(message);
    if entries > limit {
        return Err(SendError::TooLarge {
            command,
            entries,
            limit,
        });
    }
    // The node's own limits with the peer's in place of the general one.
    let limits = PayloadLimits {
        general: receiver.max_payload,
        ..PayloadLimits::default()
    };
    let mut limit = limits.limit(command).min(frame_limit(receiver.version));
    if is_teranode {
        limit = limit.min(teranode_rules::payload_limit(command));
    }
    let bytes = message.encoded_len();
    if bytes > limit {
        return Err(SendError::PayloadTooLarge {
            command,
            bytes,
            limit,
        });
    }
    Ok(())
}

/// The longest payload of any frame to a peer of that protocol version.
const fn frame_limit(version: i32) -> u64 {
    if version >= EXTENDED_PAYLOADS {
        u64::MAX
    } else {
        u32::MAX as u64
    }
}

/// How many entries the list has that a message is, whether it was built as one or by hand.
fn entries(message: &Message) -> usize {
    match message {
        Message::Inv(inv) => inv.inventory.len(),
        Message::GetData(getdata) => getdata.inventory.len(),
        Message::NotFound(notfound) => notfound.inventory.len(),
        Message::Addr(addr) => addr.addresses.len(),
        Message::Headers(headers) => headers.headers.len(),
        Message::HdrsEn(hdrsen) => hdrsen.len(),
        Message::GetHeaders(request) => request.locator.len(),
        Message::GetBlocks(request) => request.locator.len(),
        Message::Unknown { command, payload } => {
            let count_at = match command.name() {
                "getheaders" | "getblocks" => 4,
                _ => 0,
            };
            let payload = payload.get(count_at..).unwrap_or_default();
            let count = Reader::new(payload).compact_size("entries").unwrap_or(0);
            usize::try_from(count).unwrap_or(usize::MAX)
        }
        _ => 0,
    }
}

/// Checks for what a default node of the peer's kind punishes or ignores, and for what nobody can read.
fn check_manners(message: &Message, receiver: Receiver) -> Result<(), SendError> {
    let command = message.command();
    let punished = |rule| Err(SendError::Punished { command, rule });
    let is_teranode = receiver.profile == PeerProfile::Teranode;
    if is_teranode {
        teranode_rules::check_command(command)?;
    }
    let is_filter = matches!(command.name(), "filterload" | "filteradd");
    if is_filter && !receiver.services.contains(Services::BLOOM) {
        return punished("an SV Node without NODE_BLOOM bans the sender");
    }
    // What was built by hand under a name that has a type is judged as its receiver reads it.
    let by_hand;
    let read = match message {
        Message::Unknown { payload, .. } => {
            by_hand = Message::decode(command, payload.clone());
            by_hand.as_ref().map_err(DecodeError::clone)
        }
        known => known.validate().map(|()| known),
    };
    match read {
        Ok(read) if is_teranode => teranode_rules::check_content(read, receiver),
        Ok(read) => check_content(read, receiver),
        Err(error) if is_filter && error.is_above_limit() => punished(
            "an SV Node bans for filters above 36,000 bytes or 50 functions and elements above 520 bytes",
        ),
        Err(error) => Err(SendError::Malformed { command, error }),
    }
}

/// Checks for what a default SV Node punishes.
fn check_content(message: &Message, receiver: Receiver) -> Result<(), SendError> {
    let command = message.command();
    let punished = |rule| Err(SendError::Punished { command, rule });
    match message {
        Message::Inv(inv) if !inv.inventory.iter().all(may_be_announced) => {
            punished("an SV Node closes the connection for types other than tx and block")
        }
        Message::CompactBlock(compact) if compact.check().is_err() => {
            punished("an SV Node bans the sender of a compact block that can be no block")
        }
        Message::DsDetected(detected) if detected.verify().is_err() => {
            punished("an SV Node scores 10 for double spends that it cannot verify")
        }
        // Without effect, and without harm, is the one with an age.
        Message::Mempool(request) if request.age().is_none() => {
            punished("an SV Node closes the connection unless it is told not to")
        }
        Message::Authch(challenge) if challenge.version != Authch::VERSION => {
            punished("an SV Node refuses challenges of other versions than 1")
        }
        Message::Ping(Ping { nonce: None }) if receiver.exchanges_nonces() => {
            punished("an SV Node refuses pings without a nonce from peers that know it")
        }
        _ => Ok(()),
    }
}

fn may_be_announced(entry: &Inventory) -> bool {
    matches!(entry, Inventory::Tx(_) | Inventory::Block(_))
}

#[cfg(test)]
mod tests {
    use super::frame_limit;

    #[test]
    fn payloads_above_four_gib_go_only_to_peers_that_know_them() {
        assert_eq!(frame_limit(70015), 0xffff_ffff);
        assert_eq!(frame_limit(70016), u64::MAX);
    }
}
