//! A payload that has not arrived completely.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::FrameHeader;
use crate::wire::{BlockHeader, Command};

/// The size in bytes below which a payload is copied out of the receive buffer.
///
/// Each small payload gets its own allocation, so a small message does not keep a large buffer
/// alive. A larger payload is read directly into its own buffer.
pub const COPY_THRESHOLD: u64 = 32 * 1024;

/// The maximum size in bytes of one read into the buffer of a payload.
const MAX_STEP: usize = 256 * 1024;
/// The minimum size in bytes of one read, unless fewer bytes are missing.
const MIN_STEP: usize = 4 * 1024;

/// The length in bytes of a chunk of a streamed block.
pub const BLOCK_CHUNK: usize = 256 * 1024;

/// The treatment of the bytes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PayloadMode {
    /// A block whose header is incomplete, or whose treatment is not decided yet.
    BlockHeader,
    /// The bytes are kept in memory.
    Buffer,
    /// The bytes are counted and discarded.
    Discard,
    /// The bytes are returned in chunks.
    Stream,
}

/// The received part of a payload.
///
/// Its memory grows with the received bytes and not with the length that the header claims.
#[derive(Debug)]
pub(super) struct PayloadBuffer {
    pub(super) header: FrameHeader,
    /// Initialized memory. The first `filled` bytes have been received.
    bytes: Vec<u8>,
    filled: usize,
    /// The number of received bytes, kept or discarded.
    arrived: u64,
    mode: PayloadMode,
    /// The maximum length of a payload of this kind that is kept. Streamed blocks ignore it.
    pub(super) kept_limit: u64,
    /// The received part of the header of a discarded block.
    head: Vec<u8>,
    hasher: Option<Sha256>,
}

impl PayloadBuffer {
    /// Starts a payload. With `pause_at_header`, it stops after a block header: see
    /// [`PayloadBuffer::pending_header`].
    pub(super) fn new(header: FrameHeader, kept_limit: u64, pause_at_header: bool) -> Self {
        let kept = header.len <= kept_limit;
        let mode = match (pause_at_header, kept) {
            (true, _) => PayloadMode::BlockHeader,
            (false, true) => PayloadMode::Buffer,
            (false, false) => PayloadMode::Discard,
        };
        let hashed = (kept || pause_at_header) && header.checksum.is_some();
        Self {
            header,
            bytes: Vec::new(),
            filled: 0,
            arrived: 0,
            mode,
            kept_limit,
            head: Vec::new(),
            hasher: hashed.then(Sha256::new),
        }
    }

    /// Returns the number of bytes that have not been received.
    pub(super) fn missing(&self) -> u64 {
        self.header.len - self.arrived
    }

    pub(super) fn is_kept(&self) -> bool {
        self.mode == PayloadMode::Buffer
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.mode == PayloadMode::Stream
    }

    /// Returns the header of a block whose treatment must be decided now.
    pub(super) fn pending_header(&self) -> Option<BlockHeader> {
        let header = self.bytes.get(..self.filled)?.first_chunk()?;
        (self.mode == PayloadMode::BlockHeader).then(|| BlockHeader::from_bytes(header))
    }

    /// Returns the header of a block that was discarded.
    pub(super) fn discarded_header(&self) -> Option<BlockHeader> {
        self.head.first_chunk().map(BlockHeader::from_bytes)
    }

    /// Streams a block whose header has been received. `chunk` is the buffer of the first chunk.
    pub(super) fn stream(&mut self, chunk: Vec<u8>) {
        if self.mode == PayloadMode::BlockHeader {
            self.mode = PayloadMode::Stream;
            let head = std::mem::replace(&mut self.bytes, chunk);
            self.ready_chunk();
            self.bytes[..self.filled].copy_from_slice(&head[..self.filled]);
        }
    }

    /// Handles a block whose header has been received like any other payload.
    pub(super) fn buffer_block(&mut self) {
        if self.mode == PayloadMode::BlockHeader {
            self.mode = if self.header.len <= self.kept_limit {
                PayloadMode::Buffer
            } else {
                self.head = std::mem::take(&mut self.bytes);
                self.filled = 0;
                PayloadMode::Discard
            };
        }
    }

    /// Returns the current chunk of a streamed payload if it is full or the last one.
    pub(super) fn take_chunk(&mut self) -> Option<Vec<u8>> {
        let whole = self.filled == BLOCK_CHUNK || self.missing() == 0;
        if !self.is_streamed() || self.filled == 0 || !whole {
            return None;
        }
        let mut chunk = std::mem::take(&mut self.bytes);
        chunk.truncate(self.filled);
        self.filled = 0;
        Some(chunk)
    }

    /// Sets the buffer for the next chunk of a streamed payload.
    pub(super) fn refill(&mut self, chunk: Vec<u8>) {
        if self.is_streamed() && self.bytes.is_empty() {
            self.bytes = chunk;
        }
    }

    /// Returns whether reads go directly into the buffer of this payload.
    pub(super) fn reads_directly(&self) -> bool {
        match self.mode {
            PayloadMode::Buffer => self.header.len >= COPY_THRESHOLD,
            PayloadMode::Stream => true,
            PayloadMode::BlockHeader | PayloadMode::Discard => false,
        }
    }

    /// Returns the maximum number of bytes that the next read can add to the kept bytes.
    pub(super) fn reservable(&self) -> usize {
        let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
        if self.is_kept() {
            missing.min(MAX_STEP)
        } else {
            0
        }
    }

    /// Returns the number of kept bytes.
    pub(super) fn kept(&self) -> usize {
        if self.is_kept() { self.filled } else { 0 }
    }

    /// Consumes the bytes of this payload at the front of `arrived` and returns their number.
    pub(super) fn take_from(&mut self, arrived: &[u8]) -> usize {
        let len = usize::try_from(self.missing())
            .unwrap_or(usize::MAX)
            .min(arrived.len());
        if len == 0 {
            // Truncating the buffer would make `read_from` initialize it again for each read.
            return 0;
        }
        match self.mode {
            PayloadMode::Buffer => {
                if len as u64 == self.header.len {
                    // The whole payload has arrived, so its buffer needs exactly its size.
                    self.bytes.reserve_exact(len);
                } else {
                    self.reserve(len);
                }
                self.bytes.truncate(self.filled);
                self.bytes.extend_from_slice(&arrived[..len]);
                self.count(len);
                len
            }
            PayloadMode::BlockHeader => {
                let len = len.min(BlockHeader::LEN - self.filled);
                self.bytes.extend_from_slice(&arrived[..len]);
                self.count(len);
                len
            }
            PayloadMode::Stream => {
                self.ready_chunk();
                let len = len.min(BLOCK_CHUNK - self.filled);
                self.bytes[self.filled..self.filled + len].copy_from_slice(&arrived[..len]);
                self.count(len);
                len
            }
            PayloadMode::Discard => {
                if is_block(&self.header) && self.head.len() < BlockHeader::LEN {
                    let more = len.min(BlockHeader::LEN - self.head.len());
                    self.head.extend_from_slice(&arrived[..more]);
                }
                self.arrived += len as u64;
                len
            }
        }
    }

    /// Reads once from `source` into the buffer of this payload.
    pub(super) fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.is_streamed() {
            self.ready_chunk();
            let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
            // Bytes of the next frame must stay in the source.
            let end = BLOCK_CHUNK.min(self.filled.saturating_add(missing));
            let read = source.read(&mut self.bytes[self.filled..end])?;
            self.count(read);
            return Ok(read);
        }
        if self.filled == self.bytes.len() {
            let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
            let step = self.filled.clamp(MIN_STEP, MAX_STEP).min(missing);
            self.reserve(step);
            self.bytes.resize(self.filled + step, 0);
        }
        let read = source.read(&mut self.bytes[self.filled..])?;
        self.count(read);
        Ok(read)
    }

    /// Returns the complete payload, or its checksum if it differs from that of the header.
    pub(super) fn finish(self) -> Result<Bytes, [u8; 4]> {
        let bytes = self.bytes;
        check(self.hasher, self.header.checksum)?;
        Ok(bytes.into())
    }

    /// Resizes the buffer to one chunk. A recycled full chunk is not initialized again.
    fn ready_chunk(&mut self) {
        self.bytes.resize(BLOCK_CHUNK, 0);
    }

    /// Ensures capacity for `more` bytes.
    ///
    /// The buffer grows to at least twice the received bytes, but not beyond the whole payload.
    fn reserve(&mut self, more: usize) {
        let needed = self.filled + more;
        if needed > self.bytes.capacity() {
            let whole = usize::try_from(self.header.len).unwrap_or(usize::MAX);
            let capacity = needed.max(self.filled.saturating_mul(2)).min(whole);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    /// Adds the next `len` bytes of the buffer to the received bytes and to the checksum.
    fn count(&mut self, len: usize) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.bytes[self.filled..self.filled + len]);
        }
        self.filled += len;
        self.arrived += len as u64;
    }
}

fn is_block(header: &FrameHeader) -> bool {
    const BLOCK: Command = Command::new("block");
    header.command == Ok(BLOCK)
}

fn check(hasher: Option<Sha256>, expected: Option<[u8; 4]>) -> Result<(), [u8; 4]> {
    if let (Some(hasher), Some(expected)) = (hasher, expected) {
        let hash = Sha256::digest(hasher.finalize());
        let got = [hash[0], hash[1], hash[2], hash[3]];
        if got != expected {
            return Err(got);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::header::EXTENDED_HEADER_LEN;
    use super::*;

    #[test]
    fn initialized_buffer_is_not_rewritten_per_read() {
        let mut header = [0; EXTENDED_HEADER_LEN];
        header[4..10].copy_from_slice(b"extmsg");
        header[38] = 1; // 65,536 bytes
        let header = FrameHeader::parse(&header).unwrap();
        let mut payload = PayloadBuffer::new(header, u64::MAX, false);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.read_from(&mut &[7; 1][..]).unwrap(), 1);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.filled, 1);
    }
}
