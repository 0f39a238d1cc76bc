//! A payload while it arrives.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::FrameHeader;
use crate::wire::{BlockHeader, Command};

/// A payload below this size is copied out of the arrival buffer into an allocation of its own, so that a small message
/// never pins a large buffer; a larger one is read straight into its own.
pub const COPY_THRESHOLD: u64 = 32 * 1024;

/// How far ahead of what has arrived the buffer of a payload may grow.
const MAX_STEP: usize = 256 * 1024;
const MIN_STEP: usize = 4 * 1024;

/// How many bytes of a streamed payload come in one piece.
pub const BLOCK_CHUNK: usize = 256 * 1024;

/// What becomes of the bytes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// A block whose header has not come: what becomes of the rest is decided then.
    Heading,
    Kept,
    /// Counted only.
    Discarded,
    /// Handed on in pieces.
    Streamed,
}

/// What has arrived of a payload.
///
/// Its memory follows what has arrived and never the length that the header claims.
#[derive(Debug)]
pub(super) struct ArrivingPayload {
    pub(super) header: FrameHeader,
    /// Initialised memory, of which the first `filled` bytes have arrived.
    bytes: Vec<u8>,
    filled: usize,
    /// How many bytes have arrived, kept or not.
    arrived: u64,
    fate: Fate,
    /// The maximum length of a payload of this kind that is kept, unless its fate is decided otherwise.
    pub(super) kept_limit: u64,
    /// The header of a block that is read past, as far as it has come.
    head: Vec<u8>,
    hasher: Option<Sha256>,
}

impl ArrivingPayload {
    /// `heading`: stop at the header of a block, see [`ArrivingPayload::heading`].
    pub(super) fn new(header: FrameHeader, kept_limit: u64, heading: bool) -> Self {
        let kept = header.len <= kept_limit;
        let fate = match (heading, kept) {
            (true, _) => Fate::Heading,
            (false, true) => Fate::Kept,
            (false, false) => Fate::Discarded,
        };
        let hashed = (kept || heading) && header.checksum.is_some();
        Self {
            header,
            bytes: Vec::new(),
            filled: 0,
            arrived: 0,
            fate,
            kept_limit,
            head: Vec::new(),
            hasher: hashed.then(Sha256::new),
        }
    }

    pub(super) fn missing(&self) -> u64 {
        self.header.len - self.arrived
    }

    pub(super) fn is_kept(&self) -> bool {
        self.fate == Fate::Kept
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.fate == Fate::Streamed
    }

    /// The header of a block whose fate is to be decided now.
    pub(super) fn heading(&self) -> Option<BlockHeader> {
        let header = self.bytes.get(..self.filled)?.first_chunk()?;
        (self.fate == Fate::Heading).then(|| BlockHeader::from_bytes(header))
    }

    /// The header of a block that has been read past.
    pub(super) fn passed_over(&self) -> Option<BlockHeader> {
        self.head.first_chunk().map(BlockHeader::from_bytes)
    }

    /// Lets a block whose header has come be handed on in pieces, the first in `chunk`.
    pub(super) fn stream(&mut self, chunk: Vec<u8>) {
        if self.fate == Fate::Heading {
            self.fate = Fate::Streamed;
            let head = std::mem::replace(&mut self.bytes, chunk);
            self.ready_chunk();
            self.bytes[..self.filled].copy_from_slice(&head[..self.filled]);
        }
    }

    /// Lets a block whose header has come be treated like other payloads.
    pub(super) fn treat_as_usual(&mut self) {
        if self.fate == Fate::Heading {
            self.fate = if self.header.len <= self.kept_limit {
                Fate::Kept
            } else {
                self.head = std::mem::take(&mut self.bytes);
                self.filled = 0;
                Fate::Discarded
            };
        }
    }

    /// Takes a piece of a streamed payload out, if it is full or the last.
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

    /// Gives room for the next piece of a streamed payload.
    pub(super) fn refill(&mut self, chunk: Vec<u8>) {
        if self.is_streamed() && self.bytes.is_empty() {
            self.bytes = chunk;
        }
    }

    /// Whether reads go straight into this payload's own buffer.
    pub(super) fn reads_directly(&self) -> bool {
        match self.fate {
            Fate::Kept => self.header.len >= COPY_THRESHOLD,
            Fate::Streamed => true,
            Fate::Heading | Fate::Discarded => false,
        }
    }

    /// How many bytes the next read may add to those that are kept.
    pub(super) fn may_keep(&self) -> usize {
        let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
        if self.is_kept() {
            missing.min(MAX_STEP)
        } else {
            0
        }
    }

    /// How many bytes are kept.
    pub(super) fn kept(&self) -> usize {
        if self.is_kept() { self.filled } else { 0 }
    }

    /// Takes what belongs to this payload from the front of `arrived`, and tells how much that was.
    pub(super) fn take_from(&mut self, arrived: &[u8]) -> usize {
        let len = usize::try_from(self.missing())
            .unwrap_or(usize::MAX)
            .min(arrived.len());
        if len == 0 {
            // What `read_from` has initialised stays so: it must not be written again for each read.
            return 0;
        }
        match self.fate {
            Fate::Kept => {
                if len as u64 == self.header.len {
                    // The whole payload is there: its buffer has just its size.
                    self.bytes.reserve_exact(len);
                } else {
                    self.make_room(len);
                }
                self.bytes.truncate(self.filled);
                self.bytes.extend_from_slice(&arrived[..len]);
                self.count(len);
                len
            }
            Fate::Heading => {
                let len = len.min(BlockHeader::LEN - self.filled);
                self.bytes.extend_from_slice(&arrived[..len]);
                self.count(len);
                len
            }
            Fate::Streamed => {
                self.ready_chunk();
                let len = len.min(BLOCK_CHUNK - self.filled);
                self.bytes[self.filled..self.filled + len].copy_from_slice(&arrived[..len]);
                self.count(len);
                len
            }
            Fate::Discarded => {
                if is_block(&self.header) && self.head.len() < BlockHeader::LEN {
                    let more = len.min(BlockHeader::LEN - self.head.len());
                    self.head.extend_from_slice(&arrived[..more]);
                }
                self.arrived += len as u64;
                len
            }
        }
    }

    /// Reads once from `source` into this payload's own buffer.
    pub(super) fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.is_streamed() {
            self.ready_chunk();
            let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
            // Bytes of the next frame stay where they are.
            let end = BLOCK_CHUNK.min(self.filled.saturating_add(missing));
            let read = source.read(&mut self.bytes[self.filled..end])?;
            self.count(read);
            return Ok(read);
        }
        if self.filled == self.bytes.len() {
            let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
            let step = self.filled.clamp(MIN_STEP, MAX_STEP).min(missing);
            self.make_room(step);
            self.bytes.resize(self.filled + step, 0);
        }
        let read = source.read(&mut self.bytes[self.filled..])?;
        self.count(read);
        Ok(read)
    }

    /// The payload, once nothing is missing: `Err` with the checksum that it has if the header says another.
    pub(super) fn finish(self) -> Result<Bytes, [u8; 4]> {
        let bytes = self.bytes;
        check(self.hasher, self.header.checksum)?;
        Ok(bytes.into())
    }

    /// Room for a piece of a streamed payload. A buffer that comes back has had its size before, and is not written again.
    fn ready_chunk(&mut self) {
        self.bytes.resize(BLOCK_CHUNK, 0);
    }

    /// Lets the buffer grow to twice what has arrived, but not beyond the whole payload.
    fn make_room(&mut self, more: usize) {
        let needed = self.filled + more;
        if needed > self.bytes.capacity() {
            let whole = usize::try_from(self.header.len).unwrap_or(usize::MAX);
            let capacity = needed.max(self.filled.saturating_mul(2)).min(whole);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

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
    fn what_is_initialised_is_not_written_again_for_each_read() {
        let mut header = [0; EXTENDED_HEADER_LEN];
        header[4..10].copy_from_slice(b"extmsg");
        header[38] = 1; // 65,536 bytes
        let header = FrameHeader::parse(&header).unwrap();
        let mut payload = ArrivingPayload::new(header, u64::MAX, false);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.read_from(&mut &[7; 1][..]).unwrap(), 1);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.filled, 1);
    }
}
