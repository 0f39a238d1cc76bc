//! Frames, read as a Teranode reads them.

use std::io::{self, Read};

use bsv_p2p::wire::sha256d;

use super::rules::payload_limit;

const HEADER_LEN: usize = 24;

/// A complete frame with a command in UTF-8, a valid checksum and a payload within its limit.
pub(super) struct RawFrame {
    pub(super) command: String,
    pub(super) payload: Vec<u8>,
}

/// A frame that a Teranode calls malformed.
pub(super) struct MalformedFrame {
    pub(super) command: String,
    pub(super) rule: &'static str,
}

/// The bytes that arrived and are not yet read as frames.
pub(super) struct FrameBuffer {
    magic: [u8; 4],
    has_streams: bool,
    bytes: Vec<u8>,
    chunk: Box<[u8]>,
}

impl FrameBuffer {
    pub(super) fn new(magic: [u8; 4], has_streams: bool) -> Self {
        Self {
            magic,
            has_streams,
            bytes: Vec::new(),
            chunk: vec![0; 64 * 1024].into(),
        }
    }

    /// Reads once. Returns the number of bytes, which is 0 at the end of the stream.
    pub(super) fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let len = source.read(&mut self.chunk)?;
        self.bytes.extend_from_slice(&self.chunk[..len]);
        Ok(len)
    }

    /// Removes the next complete frame. A payload is read whole before it is checked.
    pub(super) fn next_frame(&mut self) -> Result<Option<RawFrame>, MalformedFrame> {
        let Some(header) = self.bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let command = header[4..16].split(|byte| *byte == 0).next();
        let command = String::from_utf8(command.unwrap_or_default().to_vec());
        let len = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
        let checksum = [header[20], header[21], header[22], header[23]];
        let malformed = |command: &str, rule| {
            Err(MalformedFrame {
                command: command.to_owned(),
                rule,
            })
        };
        if header[..4] != self.magic {
            return malformed("", "another magic");
        }
        if len == u32::MAX {
            // It would discard 4 GiB first.
            return malformed("extmsg", "extended frames cannot be read");
        }
        let end = HEADER_LEN + len as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let Ok(command) = command else {
            return malformed("", "a command that is not UTF-8");
        };
        let payload = self.bytes[HEADER_LEN..end].to_vec();
        self.bytes.drain(..end);
        match payload_limit(&command, self.has_streams) {
            None => malformed(&command, "an unknown command"),
            Some(limit) if u64::from(len) > limit => {
                malformed(&command, "a payload that is too long")
            }
            Some(_) if sha256d(&payload).0[..4] != checksum => {
                malformed(&command, "a wrong checksum")
            }
            Some(_) => Ok(Some(RawFrame { command, payload })),
        }
    }
}
