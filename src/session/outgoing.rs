//! What may be sent: nothing of ours shall get us banned.

use std::borrow::Cow;

use crate::wire::{
    BloomFilter, Command, CompactBlock, Decode, Encode, FilterAdd, Inv, Inventory, MAX_ADDRESSES,
    MAX_HEADERS, Mempool, Message, PayloadLimits, Reader, Services, inventory_limit,
};

/// Why a message of the program is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
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
    /// More entries than the peer takes in one message: split it, with [`Inv::split`] or
    /// [`GetData::split`](crate::wire::GetData::split).
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
    /// A default node punishes the message. `send_unchecked` sends it all the same.
    #[error("{command} is not sent: {rule}")]
    Punished {
        /// The message's name.
        command: Command,
        /// What the node does about it.
        rule: &'static str,
    },
}

/// What is known of a peer that bears on what it may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiver {
    pub(super) services: Services,
    /// The least of both sides' protocol versions.
    pub(super) version: i32,
    /// The longest general payload that the peer takes.
    pub(super) max_payload: u32,
}

/// The lowest protocol version that understands payloads above 4 GiB.
const EXTENDED_PAYLOADS: i32 = 70016;

/// Names that begin like this make a receiver look for a longer header: it loses its place in the stream.
const EXTENDED_MARK: &str = "extmsg";

/// Messages that belong to the session.
pub(super) fn check_owner(command: Command) -> Result<(), SendRefused> {
    match command.name() {
        "version" | "verack" | "protoconf" | "createstrm" | "streamack" | "sendheaders" => {
            Err(SendRefused::SessionOwned { command })
        }
        name if name.starts_with(EXTENDED_MARK) => Err(SendRefused::SessionOwned { command }),
        _ => Ok(()),
    }
}

/// Sizes for which every node bans or drops the sender.
pub(super) fn check_size(message: &Message, receiver: Receiver) -> Result<(), SendRefused> {
    let command = message.command();
    let limit = match command.name() {
        "inv" | "getdata" | "notfound" => inventory_limit(receiver.max_payload),
        "addr" => MAX_ADDRESSES,
        "headers" | "hdrsen" => MAX_HEADERS,
        _ => usize::MAX,
    };
    let entries = entries(message);
    if entries > limit {
        return Err(SendRefused::TooLarge {
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
    let limit = limits.limit(command).min(frame_limit(receiver.version));
    let bytes = message.encoded_len();
    if bytes > limit {
        return Err(SendRefused::PayloadTooLarge {
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
        Message::Hdrsen(hdrsen) => hdrsen.len(),
        Message::Unknown { payload, .. } => {
            let count = Reader::new(payload).compact_size("entries").unwrap_or(0);
            usize::try_from(count).unwrap_or(usize::MAX)
        }
        _ => 0,
    }
}

/// What a default node punishes.
pub(super) fn check_manners(message: &Message, receiver: Receiver) -> Result<(), SendRefused> {
    let command = message.command();
    let punished = |rule| Err(SendRefused::Punished { command, rule });
    let inv = match message {
        Message::Inv(inv) => Some(Cow::Borrowed(inv)),
        Message::Unknown { payload, .. } if command.name() == "inv" => {
            Inv::decode_from(payload).ok().map(Cow::Owned)
        }
        _ => None,
    };
    if let Some(inv) = inv {
        let welcome = |entry: &Inventory| matches!(entry, Inventory::Tx(_) | Inventory::Block(_));
        if !inv.inventory.iter().all(welcome) {
            return punished("a node closes the connection for types other than tx and block");
        }
    }
    let compact = match message {
        Message::CompactBlock(compact) => Some(compact.clone()),
        Message::Unknown { payload, .. } if command.name() == "cmpctblock" => {
            CompactBlock::from_payload(payload.clone()).ok()
        }
        _ => None,
    };
    if compact.is_some_and(|compact| compact.check().is_err()) {
        return punished("a node bans the sender of a compact block that can be no block");
    }
    match command.name() {
        "mempool" if wants_whole_mempool(message) => {
            punished("a node closes the connection unless it is told not to")
        }
        "filterload" | "filteradd" if !receiver.services.contains(Services::BLOOM) => {
            punished("a node without NODE_BLOOM bans the sender")
        }
        "filterload" | "filteradd" if is_oversized_filter(message) => punished(
            "a node bans for filters above 36,000 bytes or 50 functions and elements above 520 bytes",
        ),
        _ => Ok(()),
    }
}

/// Whether a `mempool`, however it was built, is of the forms for which a node closes the connection. Without effect, and
/// without harm, is the one with an age.
fn wants_whole_mempool(message: &Message) -> bool {
    let request = match message {
        Message::Mempool(request) => Some(*request),
        Message::Unknown { payload, .. } => Mempool::decode_from(payload).ok(),
        _ => None,
    };
    request.is_none_or(|request| request.age().is_none())
}

/// Whether a filter or an element, however it was built, is above the limits of the protocol.
fn is_oversized_filter(message: &Message) -> bool {
    match message {
        // A `BloomFilter` is within its limits by itself.
        Message::FilterAdd(add) => add.data.len() > BloomFilter::MAX_ELEMENT,
        Message::Unknown { command, payload } => {
            let read = if command.name() == "filteradd" {
                FilterAdd::decode_from(payload).map(drop)
            } else {
                BloomFilter::decode_from(payload).map(drop)
            };
            read.is_err_and(|error| error.is_above_limit())
        }
        _ => false,
    }
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
