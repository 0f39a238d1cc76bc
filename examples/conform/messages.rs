//! Messages in words, frames of any form, and values that no node has.

use std::time::{SystemTime, UNIX_EPOCH};

use bsv_p2p::network::Magic;
use bsv_p2p::wire::{BlockHash, Message, Txid, sha256d};
use uuid::Uuid;

use crate::plural::plural;

/// The maximum number of messages that a description names.
const MAX_DESCRIBED: usize = 4;

/// Returns the time in seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}

/// Returns a random number.
pub(crate) fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

/// Returns a hash that no block has.
pub(crate) fn unknown_block() -> BlockHash {
    BlockHash(unknown_hash())
}

/// Returns a hash that no transaction has.
pub(crate) fn unknown_tx() -> Txid {
    Txid(unknown_hash())
}

fn unknown_hash() -> [u8; 32] {
    let (low, high) = (Uuid::new_v4(), Uuid::new_v4());
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(low.as_bytes());
    hash[16..].copy_from_slice(high.as_bytes());
    hash
}

/// Returns a frame with a basic header and a valid checksum. The command may be invalid.
pub(crate) fn frame(magic: Magic, command: &[u8], payload: &[u8]) -> Vec<u8> {
    let checksum = sha256d(payload).0;
    let mut frame = header(magic, command, payload.len() as u32, &checksum[..4]);
    frame.extend_from_slice(payload);
    frame
}

/// Returns a basic header. The command is padded with NUL.
pub(crate) fn header(magic: Magic, command: &[u8], len: u32, checksum: &[u8]) -> Vec<u8> {
    let mut header = magic.0.to_vec();
    header.extend_from_slice(&padded(command));
    header.extend_from_slice(&len.to_le_bytes());
    header.extend_from_slice(checksum);
    header
}

/// Returns a frame with an extended header, whose basic part names `mark`, `len` and a zero checksum.
pub(crate) fn extended_frame(
    magic: Magic,
    mark: &[u8],
    len: u32,
    command: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = header(magic, mark, len, &[0; 4]);
    frame.extend_from_slice(&padded(command));
    frame.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn padded(command: &[u8]) -> [u8; 12] {
    let mut padded = [0; 12];
    padded[..command.len()].copy_from_slice(command);
    padded
}

/// Returns whether a node may send the message at any time, without a cause.
pub(crate) fn is_unprompted(message: &Message) -> bool {
    matches!(
        message,
        Message::Addr(_)
            | Message::Alert(_)
            | Message::Authch(_)
            | Message::FeeFilter(_)
            | Message::Inv(_)
            | Message::Ping(_)
            | Message::Protoconf(_)
            | Message::SendCmpct(_)
            | Message::SendHeaders
    )
}

/// Describes a list of messages in a few words.
pub(crate) fn describe_all(messages: &[Message]) -> String {
    let mut words: Vec<_> = messages.iter().take(MAX_DESCRIBED).map(describe).collect();
    match messages.len().checked_sub(MAX_DESCRIBED) {
        _ if messages.is_empty() => words.push("no answer".into()),
        Some(more @ 1..) => words.push(format!("{more} more messages")),
        _ => {}
    }
    words.join(", ")
}

/// Describes a message in a few words.
pub(crate) fn describe(message: &Message) -> String {
    let count = match message {
        Message::Reject(reject) => {
            let hash = if reject.hash.is_some() {
                ", with hash"
            } else {
                ""
            };
            return format!(
                "reject {} {:#04x} \"{}\"{hash}",
                reject.message, reject.code.0, reject.reason
            );
        }
        Message::Headers(headers) => headers.headers.len(),
        Message::HdrsEn(headers) => headers.len(),
        Message::Inv(list) => list.inventory.len(),
        Message::GetData(list) => list.inventory.len(),
        Message::NotFound(list) => list.inventory.len(),
        other => return other.command().to_string(),
    };
    let command = message.command();
    format!("{command} with {}", plural(count, "entry"))
}
