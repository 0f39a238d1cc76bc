//! The messages that a Teranode punishes.

use std::fmt;

use bsv_p2p::wire::{Command, Message, Reader};

/// The consequence for the sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Punishment {
    /// The address is banned and the connection closed.
    Banned,
    /// The connection is closed, perhaps after a `reject`.
    Closed,
    /// A `reject` is sent.
    Rejected,
}

/// A message, or a silence, that was punished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Punished {
    /// Number of the connection.
    pub peer: u64,
    pub command: String,
    pub rule: &'static str,
    pub punishment: Punishment,
}

impl fmt::Display for Punished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer,
            command,
            rule,
            punishment,
        } = self;
        write!(f, "{command} on connection {peer}: {rule} ({punishment:?})")
    }
}

const MIB: u64 = 1024 * 1024;
const MAX_OBJECT: u64 = 4_000_000_000;
const MAX_PAYLOAD: u64 = 8_388_608_000;

pub(super) const MAX_INVENTORY: u64 = 50_000;
const MAX_ADDRESSES: u64 = 1_000;
const MAX_LOCATOR: u64 = 500;
const MAX_HEADERS: u64 = 2_000;
const HEADER_ENTRY: usize = 81;

/// Maximum value of `feefilter`: all money, in satoshi.
const MAX_FEE: i64 = 2_100_000_000_000_000;

/// Returns the maximum payload of a command, or `None` for an unknown command.
pub(super) fn payload_limit(command: &str, has_streams: bool) -> Option<u64> {
    Some(match command {
        "version" => 496,
        "verack" | "getaddr" | "mempool" | "sendheaders" | "filterclear" => 0,
        "ping" | "pong" | "feefilter" => 8,
        "sendcmpct" => 9,
        "authch" => 40,
        "authresp" => 121,
        "streamack" if has_streams => 139,
        "createstrm" if has_streams => 404,
        "addr" => 9 + MAX_ADDRESSES * 30,
        "inv" | "getdata" | "notfound" => 9 + MAX_INVENTORY * 36,
        "getheaders" | "getblocks" => 45 + MAX_LOCATOR * 32,
        "headers" => 9 + MAX_HEADERS * HEADER_ENTRY as u64,
        "protoconf" | "extmsg" => MIB,
        "filterload" => 36_012,
        "filteradd" => 523,
        "block" | "tx" | "exttx" | "merkleblock" => MAX_OBJECT,
        "reject" | "getcfilters" | "getcfcheckpt" | "cfilter" | "cfheaders" | "cfcheckpt" => {
            MAX_PAYLOAD
        }
        _ => return None,
    })
}

/// Returns whether a command is read and then ignored.
pub(super) fn is_ignored(command: &str) -> bool {
    matches!(
        command,
        "filterload"
            | "filteradd"
            | "filterclear"
            | "getcfilters"
            | "getcfcheckpt"
            | "cfilter"
            | "cfheaders"
            | "cfcheckpt"
            | "merkleblock"
            | "sendcmpct"
            | "authresp"
            | "exttx"
            | "extmsg"
    )
}

/// Decodes a payload.
///
/// # Errors
///
/// The rule that makes the message malformed.
pub(super) fn decode(command: &str, payload: Vec<u8>) -> Result<Message, &'static str> {
    let at = match command {
        "getheaders" | "getblocks" => 4,
        _ => 0,
    };
    let limit = match command {
        "addr" => MAX_ADDRESSES,
        "inv" | "getdata" | "notfound" => MAX_INVENTORY,
        "getheaders" | "getblocks" => MAX_LOCATOR,
        "headers" => MAX_HEADERS,
        _ => u64::MAX,
    };
    let mut reader = Reader::new(payload.get(at..).unwrap_or_default());
    if limit < u64::MAX
        && reader
            .compact_size("count")
            .is_ok_and(|count| count > limit)
    {
        return Err("too many entries");
    }
    if command == "headers" {
        let mut list = Reader::new(&payload);
        let count = list.compact_size("count").unwrap_or_default();
        for _ in 0..count {
            match list.array::<HEADER_ENTRY>("header") {
                Ok(entry) if entry[80] > 0 => return Err("headers with a transaction count"),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    let mut name = [0; Command::LEN];
    name[..command.len()].copy_from_slice(command.as_bytes());
    let name = Command::parse(name).map_err(|_| "an unknown command")?;
    Message::decode(name, payload.into()).map_err(|_| "an undecodable payload")
}

/// Returns the rule that a decoded message breaks by its content alone: it closes the connection
/// without a `reject`.
pub(super) fn broken_rule(message: &Message) -> Option<&'static str> {
    match message {
        Message::Mempool(_) => Some("mempool requests are refused"),
        Message::Addr(addr) if addr.addresses.is_empty() => Some("an addr without entries"),
        Message::FeeFilter(filter) if !(0..=MAX_FEE).contains(&filter.rate) => {
            Some("a fee that no amount of money can be")
        }
        Message::Version(_) => Some("a second version"),
        _ => None,
    }
}
