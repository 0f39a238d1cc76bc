//! Messages into frames.

use bytes::Bytes;

use super::{BASIC_HEADER_LEN, EXTENDED_HEADER_LEN};
use crate::network::Magic;
use crate::wire::{Command, Encode, Message, sha256d};

/// Appends `message` as a whole frame to `out`. Allocates at most once, and only if `out` has to grow.
///
/// A payload above 4 GiB gets the extended header; only peers with protocol version 70016 or higher may be sent one.
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

/// A frame ready to be sent: encoded once, shared by all to whom it goes.
///
/// A clone is cheap. A block's or transaction's payload is shared with the message, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrame {
    command: Command,
    header: [u8; EXTENDED_HEADER_LEN],
    header_len: u8,
    payload: Bytes,
}

impl EncodedFrame {
    /// Encodes `message`, checksum included.
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

    /// The message's name.
    pub fn command(&self) -> Command {
        self.command
    }

    /// The header's bytes: 24, or 44 for a payload above 4 GiB.
    pub fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    /// The payload's bytes.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// How many bytes the whole frame has.
    pub fn len(&self) -> usize {
        usize::from(self.header_len) + self.payload.len()
    }

    /// Never: a frame has a header.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// The node uses the extended form exactly for payloads whose length does not fit 32 bits.
fn header_len(payload_len: u64) -> usize {
    if payload_len > u64::from(u32::MAX) {
        EXTENDED_HEADER_LEN
    } else {
        BASIC_HEADER_LEN
    }
}

/// The first four bytes of the double SHA-256.
pub(super) fn checksum(payload: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256d(payload).0;
    [a, b, c, d]
}

/// Fills `header`, whose length is that of [`header_len`]. Only the basic form has a checksum.
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

    /// Too large to be made for a test: the header alone.
    fn block_header(len: u64, checksum: impl FnOnce() -> [u8; 4]) -> Vec<u8> {
        let mut header = vec![0xaa; header_len(len)];
        let magic = Network::Mainnet.magic();
        write_header(magic, Command::new("block"), len, checksum, &mut header);
        header
    }

    #[test]
    fn the_longest_payload_of_32_bits_still_has_the_basic_header() {
        let mut expected = b"\xe3\xe1\xf3\xe8block\0\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
        assert_eq!(block_header(0xffff_ffff, || [1, 2, 3, 4]), expected);
    }

    #[test]
    fn a_payload_of_4_gib_has_the_extended_header_and_no_checksum() {
        let mut expected = b"\xe3\xe1\xf3\xe8extmsg\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        expected.extend_from_slice(b"block\0\0\0\0\0\0\0");
        expected.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
        let header = block_header(0x1_0000_0000, || panic!("nothing is hashed"));
        assert_eq!(header, expected);
    }
}
