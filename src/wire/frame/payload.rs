//! A payload that has not arrived completely.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::FrameHeader;
use super::buffer_pool::{BufferPool, Loan};
use crate::wire::{BlockHeader, BlockParser, Command};

/// The size in bytes below which a payload is copied out of the receive buffer.
///
/// Each small payload gets its own allocation, so a small message does not keep a large buffer
/// alive. A larger payload is read directly into its own buffer.
pub const COPY_THRESHOLD: u64 = 32 * 1024;

/// The maximum size in bytes of one read into the buffer of a payload.
const MAX_STEP: usize = 256 * 1024;
/// The minimum size in bytes of one read, unless fewer bytes are missing.
const MIN_STEP: usize = 4 * 1024;

/// The number of bytes that are hashed before they are parsed.
///
/// Hashing is a chain of dependent steps. A processor parses short pieces in its gaps, so parsing
/// takes no additional time.
const PIECE: usize = 512;

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
/// Its memory grows with the received bytes and not with the length that the header claims, unless
/// the buffer is on loan.
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
    /// The parser of a block that is kept.
    parser: Option<BlockParser>,
    /// Counts the buffer in the pool that lent it.
    loan: Option<Loan>,
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
            parser: (kept && is_block(&header)).then(BlockParser::new),
            loan: None,
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
            self.parser = None;
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
                let end = self.filled + len;
                if end > self.bytes.len() {
                    if len as u64 == self.header.len {
                        // The whole payload has arrived, so its buffer needs exactly its size.
                        self.bytes.reserve_exact(len);
                    } else {
                        self.reserve(len);
                    }
                    self.bytes.truncate(self.filled);
                    self.bytes.extend_from_slice(&arrived[..len]);
                } else {
                    self.bytes[self.filled..end].copy_from_slice(&arrived[..len]);
                }
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

    /// Reads once from `source` into the buffer of this payload. A buffer of `pool` replaces one that
    /// is full.
    pub(super) fn read_from(
        &mut self,
        source: &mut impl Read,
        pool: Option<&Arc<BufferPool>>,
    ) -> io::Result<usize> {
        if self.is_streamed() {
            self.ready_chunk();
            let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
            // Bytes of the next frame must stay in the source.
            let end = BLOCK_CHUNK.min(self.filled.saturating_add(missing));
            let read = source.read(&mut self.bytes[self.filled..end])?;
            self.count(read);
            return Ok(read);
        }
        if self.filled == self.bytes.len() && !self.borrow(pool) {
            let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
            let step = self.filled.clamp(MIN_STEP, MAX_STEP).min(missing);
            self.reserve(step);
            self.bytes.resize(self.filled + step, 0);
        }
        let end = self.bytes.len().min(self.filled + self.reservable());
        let read = source.read(&mut self.bytes[self.filled..end])?;
        self.count(read);
        Ok(read)
    }

    /// Returns the complete payload, or its checksum if it differs from that of the header. Returns
    /// the parser, too, if the payload is a block.
    ///
    /// The buffer of a large payload is added to `pool` when its last owner drops it.
    pub(super) fn finish(
        mut self,
        pool: Option<&Arc<BufferPool>>,
    ) -> Result<(Bytes, Option<BlockParser>), [u8; 4]> {
        check(self.hasher, self.header.checksum)?;
        // A buffer of the pool may be longer.
        self.bytes.truncate(self.filled);
        let payload = match pool {
            Some(pool) if self.header.len >= COPY_THRESHOLD => pool.share(self.bytes, self.loan),
            _ => self.bytes.into(),
        };
        Ok((payload, self.parser))
    }

    /// Moves the received bytes into a buffer of the pool, if it has one for the whole payload.
    fn borrow(&mut self, pool: Option<&Arc<BufferPool>>) -> bool {
        let lent = pool.and_then(|pool| pool.lend(usize::try_from(self.header.len).ok()?));
        let Some((mut buffer, loan)) = lent else {
            return false;
        };
        buffer[..self.filled].copy_from_slice(&self.bytes);
        self.bytes = buffer;
        self.loan = Some(loan);
        true
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
        let end = self.filled + len;
        while self.filled < end {
            let start = self.filled;
            // Unaligned pieces would leave a part of a block of the hash to the next one.
            self.filled = end.min(start - start % PIECE + PIECE);
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&self.bytes[start..self.filled]);
            }
            if let Some(parser) = &mut self.parser {
                parser.advance(&self.bytes[..self.filled]);
            }
        }
        self.arrived += len as u64;
    }
}

impl fmt::Debug for PayloadBuffer {
    /// Omits the buffer, which may contain bytes of another connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadBuffer")
            .field("header", &self.header)
            .field("arrived", &self.arrived)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
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
    use super::super::{FrameReader, Incoming};
    use super::*;
    use crate::network::Magic;
    use crate::wire::{Message, PayloadLimits, encode_frame};

    const MAGIC: Magic = Magic([1, 2, 3, 4]);

    /// Reads one frame in reads of at most `step` bytes.
    fn read_frame(frames: &mut FrameReader, payload: &[u8], step: usize) -> Bytes {
        let message = Message::Unknown {
            command: Command::new("foo"),
            payload: Bytes::copy_from_slice(payload),
        };
        let mut bytes = Vec::new();
        encode_frame(MAGIC, &message, &mut bytes);
        for part in bytes.chunks(step) {
            let mut part = part;
            while !part.is_empty() {
                frames.read_from(&mut part).unwrap();
                if let Some(incoming) = frames.next_frame().unwrap() {
                    let Incoming::Frame(frame) = incoming else {
                        panic!("expected a frame, got {incoming:?}");
                    };
                    return frame.payload;
                }
            }
        }
        panic!("the frame is incomplete");
    }

    #[test]
    fn reused_buffer_shows_only_bytes_of_its_payload() {
        for step in [1_000, 70_000] {
            let mut frames = FrameReader::new(MAGIC, PayloadLimits::default());
            frames.set_buffer_pool(Arc::default());
            let first = read_frame(&mut frames, &[7; 150_000], step);
            let address = first.as_ptr();
            drop(first);
            let second = read_frame(&mut frames, &[9; 100_000], step);
            assert_eq!(second.as_ptr(), address);
            assert_eq!(second, [9; 100_000][..]);
            let third = read_frame(&mut frames, &[8; 100_000], step);
            assert_eq!(
                (third, second),
                ([8; 100_000][..].into(), [9; 100_000][..].into())
            );
        }
    }

    #[test]
    fn debug_output_omits_bytes_of_reused_buffer() {
        let mut frames = FrameReader::new(MAGIC, PayloadLimits::default());
        frames.set_buffer_pool(Arc::default());
        drop(read_frame(&mut frames, &[77; 100_000], 70_000));
        let mut bytes = Vec::new();
        let payload = Bytes::from(vec![9; 100_000]);
        let command = Command::new("foo");
        encode_frame(MAGIC, &Message::Unknown { command, payload }, &mut bytes);
        let mut received = &bytes[..80_000];
        while !received.is_empty() {
            frames.read_from(&mut received).unwrap();
            assert!(frames.next_frame().unwrap().is_none());
        }
        assert!(frames.arriving.as_ref().unwrap().loan.is_some());
        assert!(!format!("{:?}", frames.arriving).contains("77"));
    }

    #[test]
    fn initialized_buffer_is_not_rewritten_per_read() {
        let mut header = [0; EXTENDED_HEADER_LEN];
        header[4..10].copy_from_slice(b"extmsg");
        header[38] = 1; // 65,536 bytes
        let header = FrameHeader::parse(&header).unwrap();
        let mut payload = PayloadBuffer::new(header, u64::MAX, false);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.read_from(&mut &[7; 1][..], None).unwrap(), 1);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.filled, 1);
    }
}
