//! Encodes messages as frames.

use bytes::Bytes;

use super::{BASIC_HEADER_LEN, EXTENDED_HEADER_LEN};
use crate::network::Magic;
use crate::wire::{Command, Encode, Message, sha256d};

/// Appends `message` to `out` as a complete frame.
///
/// Allocates at most once, and only if `out` must grow. A payload of 4 GiB or more gets the
/// extended header. Send it only to peers of protocol version 70016 or higher.
pub fn encode_frame(magic: Magic, message: &Message, out: &mut Vec<u8>) {
    let start = out.len();
    let len = message.encoded_len();
    let header_len = header_len(len);
    out.reserve(header_len.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)));
    out.resize(start + header_len, 0);
    let payload_at = out.len();
    message.encode(out);
    let (header, payload) = out[start..].split_at_mut(payload_at - start);
    write_header(
        magic,
        message.command(),
        payload.len() as u64,
        || checksum(payload),
        header,
    );
}

/// A frame that is encoded once and can be sent to many peers.
///
/// A clone is cheap. The payload of a message that has a [`Message::payload_bytes`] is shared with
/// the message and not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrame {
    command: Command,
    header: [u8; EXTENDED_HEADER_LEN],
    header_len: u8,
    payload: Bytes,
}

impl EncodedFrame {
    /// Encodes `message` and computes its checksum.
    pub fn new(magic: Magic, message: &Message) -> Self {
        let payload = match message.payload_bytes() {
            Some(payload) => payload.clone(),
            None => message.encode_to_vec().into(),
        };
        let mut header = [0; EXTENDED_HEADER_LEN];
        let len = payload.len() as u64;
        let header_len = header_len(len);
        let command = message.command();
        write_header(
            magic,
            command,
            len,
            || checksum(&payload),
            &mut header[..header_len],
        );
        Self {
            command,
            header,
            header_len: header_len as u8,
            payload,
        }
    }

    /// Returns the command of the message.
    pub fn command(&self) -> Command {
        self.command
    }

    /// Returns the encoded header: 24 bytes, or 44 for a payload of 4 GiB or more.
    pub fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    /// Returns the encoded payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the length of the whole frame in bytes.
    pub fn len(&self) -> usize {
        usize::from(self.header_len) + self.payload.len()
    }

    /// Returns `false`, because a frame always has a header.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Returns the length of the header in bytes.
///
/// Like the node, uses the extended header only if the length of the payload needs more than 32
/// bits.
fn header_len(payload_len: u64) -> usize {
    if payload_len > u64::from(u32::MAX) {
        EXTENDED_HEADER_LEN
    } else {
        BASIC_HEADER_LEN
    }
}

/// Returns the first four bytes of the double SHA-256 of the payload.
pub(super) fn checksum(payload: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256d(payload).0;
    [a, b, c, d]
}

/// Fills `header`, whose length must be [`header_len`] of the payload.
///
/// Only the basic header has a checksum, so `checksum` is not called for an extended one.
fn write_header(
    magic: Magic,
    command: Command,
    payload_len: u64,
    checksum: impl FnOnce() -> [u8; 4],
    header: &mut [u8],
) {
    header[..4].copy_from_slice(&magic.0);
    match u32::try_from(payload_len) {
        Ok(len) => {
            header[4..16].copy_from_slice(&command.to_bytes());
            header[16..20].copy_from_slice(&len.to_le_bytes());
            header[20..24].copy_from_slice(&checksum());
        }
        Err(_) => {
            header[4..16].copy_from_slice(&const { Command::new("extmsg") }.to_bytes());
            header[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
            header[20..24].fill(0);
            header[24..36].copy_from_slice(&command.to_bytes());
            header[36..44].copy_from_slice(&payload_len.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    /// Returns the header alone: a payload of this length is too large for a test.
    fn block_header(len: u64, checksum: impl FnOnce() -> [u8; 4]) -> Vec<u8> {
        let mut header = vec![0xaa; header_len(len)];
        let magic = Network::Mainnet.magic();
        write_header(magic, Command::new("block"), len, checksum, &mut header);
        header
    }

    #[test]
    fn longest_32_bit_payload_has_basic_header() {
        let mut expected = b"\xe3\xe1\xf3\xe8block\0\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
        assert_eq!(block_header(0xffff_ffff, || [1, 2, 3, 4]), expected);
    }

    #[test]
    fn payload_of_4_gib_has_extended_header() {
        let mut expected = b"\xe3\xe1\xf3\xe8extmsg\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        expected.extend_from_slice(b"block\0\0\0\0\0\0\0");
        expected.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
        let header = block_header(0x1_0000_0000, || panic!("nothing is hashed"));
        assert_eq!(header, expected);
    }
}
