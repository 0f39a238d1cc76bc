//! Rules for outgoing messages: sizes, and content that nodes punish or ignore.

use super::content_rules::{ContentError, check_content};
use super::keepalive::PING_WITHOUT_NONCE;
use super::{PeerProfile, teranode_rules};
use crate::wire::{
    Authch, Command, DecodeError, Encode, Inventory, MAX_ADDRESSES, MAX_HEADERS, Message,
    PayloadLimits, Ping, Reader, Services, inventory_limit,
};

/// The reason why a message of the application is not sent.
///
/// The checks depend on the message, on what the peer announced, and on the messages that were sent
/// before. A check takes as long as decoding the message. Each header and each transaction of a
/// block is hashed in addition.
///
/// # Not checked
///
/// Nodes also punish content that cannot be judged without the chain, scripts or signatures. An SV
/// Node with default options bans at a score of 100. The caller must not send:
///
/// | message | content that is not checked | reaction of an SV Node |
/// | --- | --- | --- |
/// | `headers` | the first parent is unknown to the peer | 20 for every tenth list in a row, 10 for 8 or more headers |
/// | `headers`, `block`, `cmpctblock` | difficulty, the limit of the network, checkpoints | 50 or 100 |
/// | `block` | rules other than proof of work and merkle root: coinbase, size, transactions | 10 or 100 |
/// | `tx` | duplicate inputs, size, scripts, signatures, non-final replacements | 10 or 100 |
/// | `cmpctblock` | more than a tenth of the maximum block size in transactions | 100 |
/// | `blocktxn` | number of transactions that differs from the request | 100 |
/// | `getblocktxn` | index beyond the end of the block | 100 |
/// | `dsdetected` | proof of work and age of the headers | 10 |
/// | `revokemid` | signatures and keys | 10 |
/// | `authch`, `authresp` | more than 6, and one more per 10 minutes | 10 |
///
/// A Teranode closes the connection for `headers` that do not connect to its chain. Nodes ignore
/// `hdrsen`, `merkleblock`, `datareftx` and `notfound`, whose content is not checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session sends this message itself, or the name is reserved for frames (`extmsg`).
    #[error("{command} is sent by the session only")]
    SessionOwned {
        /// The command of the message.
        command: Command,
    },
    /// The handshake is not complete. The peer would drop the message, and score it.
    #[error("{command}: handshake is not complete")]
    HandshakeIncomplete {
        /// The command of the message.
        command: Command,
    },
    /// The message has more entries than the peer accepts in one message.
    /// [`Inv::split`](crate::wire::Inv::split) and [`GetData::split`](crate::wire::GetData::split)
    /// create smaller ones.
    #[error("{command}: expected at most {limit} entries, got {entries}")]
    TooLarge {
        /// The command of the message.
        command: Command,
        /// The number of entries.
        entries: usize,
        /// The maximum that the peer accepts.
        limit: usize,
    },
    /// The payload is longer than the peer accepts.
    #[error("{command}: expected at most {limit} bytes, got {bytes}")]
    PayloadTooLarge {
        /// The command of the message.
        command: Command,
        /// The length of the payload in bytes.
        bytes: u64,
        /// The maximum that the peer accepts.
        limit: u64,
    },
    /// No receiver can decode the message: a field exceeds its maximum, or a manually built payload
    /// is invalid for its command. `send_unchecked` sends it anyway.
    #[error("{command} cannot be decoded by a receiver")]
    Malformed {
        /// The command of the message.
        command: Command,
        /// The field, its valid range and its value.
        #[source]
        error: DecodeError,
    },
    /// A node of the peer's [`PeerProfile`] with default options punishes the message.
    /// `send_unchecked` sends it anyway.
    #[error("{command}: {rule}")]
    Punished {
        /// The command of the message.
        command: Command,
        /// The kind of node, and its reaction.
        rule: &'static str,
    },
    /// A node of the peer's [`PeerProfile`] ignores the message, so no response would arrive.
    /// `send_unchecked` sends it anyway.
    #[error("{command}: {rule}")]
    Ignored {
        /// The command of the message.
        command: Command,
        /// The kind of node, and the ignored part.
        rule: &'static str,
    },
    /// The content violates a rule of the network, which nodes punish. `send_unchecked` sends it
    /// anyway.
    #[error("{command} is invalid")]
    InvalidContent {
        /// The command of the message.
        command: Command,
        /// The rule, and the value that violates it. Boxed, because each result that holds an
        /// [`Error`](crate::Error) would be large otherwise.
        #[source]
        error: Box<ContentError>,
    },
    /// The message may be sent once per connection. An SV Node scores 1 for each further one.
    /// `send_unchecked` sends it anyway.
    #[error("{command} was already sent on this connection")]
    AlreadySent {
        /// The command of the message.
        command: Command,
    },
}

/// The properties of a peer that determine the messages it accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerCapabilities {
    /// Whether the handshake is complete.
    pub(super) ready: bool,
    pub(super) services: Services,
    /// The minimum of both protocol versions.
    pub(super) version: i32,
    /// The maximum payload of commands without their own limit that the peer accepts, in bytes.
    pub(super) max_payload: u32,
    pub(super) profile: PeerProfile,
    /// Whether the peer accepts announcements of transactions.
    pub(super) relay: bool,
    /// Whether the peer has requested headers that were not sent.
    pub(super) awaits_headers: bool,
    /// Whether the peer has requested a block that was not sent.
    pub(super) awaits_block: bool,
    /// Whether `sendhdrsen` was sent.
    pub(super) sendhdrsen_sent: bool,
}

impl PeerCapabilities {
    /// Checks whether the application may send `message`.
    ///
    /// This takes as long as decoding and hashing the message. It needs no
    /// [`Session`](super::Session), so that the caller need not hold a lock.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the violated rule.
    pub(crate) fn check(self, message: &Message) -> Result<(), SendError> {
        self.check_with(message, check_content)
    }

    /// Like [`PeerCapabilities::check`], but for a message whose content is known to be valid.
    pub(crate) fn check_valid(self, message: &Message) -> Result<(), SendError> {
        self.check_with(message, |_| Ok(()))
    }

    /// Like [`PeerCapabilities::check`], but checks the content with `content`, which may know the
    /// result of [`check_content`] for the decoded message.
    pub(crate) fn check_with(
        self,
        message: &Message,
        content: impl FnOnce(&Message) -> Result<(), ContentError>,
    ) -> Result<(), SendError> {
        self.check_lenient(message)?;
        check_policy(message, self, content)
    }

    /// Returns the properties before the handshake, when no message is accepted.
    pub(crate) fn before_handshake(self) -> Self {
        Self {
            ready: false,
            ..self
        }
    }

    /// Returns whether pings have nonces and are answered.
    pub(super) fn supports_ping_nonce(self) -> bool {
        self.version > PING_WITHOUT_NONCE
    }

    /// Like [`PeerCapabilities::check`], but accepts messages that a default node punishes or
    /// ignores, and messages that no receiver can decode.
    pub(crate) fn check_lenient(self, message: &Message) -> Result<(), SendError> {
        let command = message.command();
        check_reserved(command)?;
        if !self.ready {
            return Err(SendError::HandshakeIncomplete { command });
        }
        check_size(message, self)
    }
}

/// The minimum protocol version that supports payloads above 4 GiB.
const EXTENDED_PAYLOADS: i32 = 70016;

/// Prefix of command names that a receiver takes for an extended header, after which it cannot find
/// the next frame.
const EXTENDED_MARK: &str = "extmsg";

pub(super) const SENDHDRSEN: Command = Command::new("sendhdrsen");

/// Checks that the session does not send this message itself.
fn check_reserved(command: Command) -> Result<(), SendError> {
    match command.name() {
        "version" | "verack" | "protoconf" | "createstrm" | "streamack" | "sendheaders" => {
            Err(SendError::SessionOwned { command })
        }
        name if name.starts_with(EXTENDED_MARK) => Err(SendError::SessionOwned { command }),
        _ => Ok(()),
    }
}

/// Checks the sizes for which every node bans or disconnects the sender.
fn check_size(message: &Message, receiver: PeerCapabilities) -> Result<(), SendError> {
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
    // The limits of the node, with the announced limit of the peer as the general one.
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

/// Returns the maximum payload of a frame for a peer of this protocol version.
const fn frame_limit(version: i32) -> u64 {
    if version >= EXTENDED_PAYLOADS {
        u64::MAX
    } else {
        u32::MAX as u64
    }
}

/// Returns the number of entries of a list message, whether it is typed or manually built.
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

/// Checks that a default node of the peer's kind neither punishes nor ignores the message, and that
/// it can be decoded.
fn check_policy(
    message: &Message,
    receiver: PeerCapabilities,
    content: impl FnOnce(&Message) -> Result<(), ContentError>,
) -> Result<(), SendError> {
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
    if receiver.sendhdrsen_sent && command == SENDHDRSEN {
        return Err(SendError::AlreadySent { command });
    }
    // A manually built message whose command has a type is decoded as its receiver would.
    let decoded;
    let read = match message {
        Message::Unknown { payload, .. } => {
            decoded = Message::decode(command, payload.clone());
            decoded.as_ref().map_err(DecodeError::clone)
        }
        known => known.validate().map(|()| known),
    };
    let read = match read {
        Ok(read) => read,
        Err(error) if is_filter && error.is_above_limit() => {
            return punished(
                "an SV Node bans for filters above 36,000 bytes or 50 functions and elements above 520 bytes",
            );
        }
        Err(error) => return Err(SendError::Malformed { command, error }),
    };
    if is_teranode {
        teranode_rules::check_message(read, receiver)?;
    } else {
        check_message(read, receiver)?;
    }
    content(read).map_err(|error| SendError::InvalidContent {
        command,
        error: Box::new(error),
    })
}

/// Checks that a default SV Node does not punish the message.
fn check_message(message: &Message, receiver: PeerCapabilities) -> Result<(), SendError> {
    let command = message.command();
    let punished = |rule| Err(SendError::Punished { command, rule });
    match message {
        Message::Inv(inv) if !inv.inventory.iter().all(is_announceable) => {
            punished("an SV Node closes the connection for types other than tx and block")
        }
        // A request with an age is ignored and not punished.
        Message::Mempool(request) if request.age().is_none() => {
            punished("an SV Node with default options closes the connection")
        }
        Message::Authch(challenge) if challenge.version != Authch::VERSION => {
            punished("an SV Node rejects challenges of versions other than 1")
        }
        Message::Ping(Ping { nonce: None }) if receiver.supports_ping_nonce() => {
            punished("an SV Node rejects pings without a nonce from peers whose version has one")
        }
        _ => Ok(()),
    }
}

fn is_announceable(entry: &Inventory) -> bool {
    matches!(entry, Inventory::Tx(_) | Inventory::Block(_))
}

#[cfg(test)]
mod tests {
    use super::frame_limit;

    #[test]
    fn frame_limit_depends_on_protocol_version() {
        assert_eq!(frame_limit(70015), 0xffff_ffff);
        assert_eq!(frame_limit(70016), u64::MAX);
    }
}
