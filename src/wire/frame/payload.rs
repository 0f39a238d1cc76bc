//! A payload while it arrives.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::FrameHeader;

/// A payload below this size is copied out of the arrival buffer into an allocation of its own, so that a small message
/// never pins a large buffer; a larger one is read straight into its own.
pub const SMALL_FRAME: u64 = 32 * 1024;

/// How far ahead of what has arrived the buffer of a payload may grow.
const MAX_STEP: usize = 256 * 1024;
const MIN_STEP: usize = 4 * 1024;

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
    /// Whether the bytes are kept, or only counted.
    kept: bool,
    hasher: Option<Sha256>,
}

impl ArrivingPayload {
    pub(super) fn new(header: FrameHeader, kept: bool) -> Self {
        let hasher = (kept && header.checksum.is_some()).then(Sha256::new);
        Self {
            header,
            bytes: Vec::new(),
            filled: 0,
            arrived: 0,
            kept,
            hasher,
        }
    }

    pub(super) fn missing(&self) -> u64 {
        self.header.len - self.arrived
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    /// How many bytes the next read may add to those that are kept.
    pub(super) fn may_keep(&self) -> usize {
        let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
        if self.kept { missing.min(MAX_STEP) } else { 0 }
    }

    /// How many bytes are kept.
    pub(super) fn kept(&self) -> usize {
        self.filled
    }

    /// Whether reads go straight into this payload's own buffer.
    pub(super) fn reads_directly(&self) -> bool {
        self.kept && self.header.len >= SMALL_FRAME
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
        if self.kept {
            if len as u64 == self.header.len {
                // The whole payload is there: its buffer has just its size.
                self.bytes.reserve_exact(len);
            } else {
                self.make_room(len);
            }
            self.bytes.truncate(self.filled);
            self.bytes.extend_from_slice(&arrived[..len]);
            self.count(len);
        } else {
            self.arrived += len as u64;
        }
        len
    }

    /// Reads once from `source` into this payload's own buffer.
    pub(super) fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
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
        debug_assert_eq!(self.missing(), 0);
        if let (Some(hasher), Some(expected)) = (self.hasher, self.header.checksum) {
            let hash = Sha256::digest(hasher.finalize());
            let got = [hash[0], hash[1], hash[2], hash[3]];
            if got != expected {
                return Err(got);
            }
        }
        Ok(self.bytes.into())
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
        let mut payload = ArrivingPayload::new(header, true);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.read_from(&mut &[7; 1][..]).unwrap(), 1);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.take_from(&[]), 0);
        assert_eq!(payload.bytes.len(), MIN_STEP);
        assert_eq!(payload.filled, 1);
    }
}
