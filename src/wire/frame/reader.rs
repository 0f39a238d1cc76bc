//! Reads frames from a stream of bytes.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::buffer_pool::BufferPool;
use super::encoder::checksum;
use super::payload::{COPY_THRESHOLD, PayloadBuffer};
use super::{EXTENDED_HEADER_LEN, FrameHeader, MagicMismatch};
use crate::network::Magic;
use crate::wire::hex_debug::hex;
use crate::wire::{
    BlockHash, BlockHeader, BlockParser, Command, ExpectedPayloads, InvalidCommand, MessageKind,
    PayloadLimits, WireString,
};

const BLOCK: Command = Command::new("block");
/// The size in bytes of the receive buffer of a quiet peer.
///
/// It holds the usual messages of a quiet peer. A peer that sends more gets the larger buffer with
/// its first read.
const QUIET_BUFFER: usize = 1024;
/// The size in bytes of the receive buffer of a peer that fills the smaller one.
const BUSY_BUFFER: usize = 64 * 1024;

/// A frame with a valid command and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Frame {
    /// The command of the message.
    pub command: Command,
    /// The encoded message.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub payload: Bytes,
    /// Whether the frame has the extended header, which has no checksum.
    pub extended: bool,
}

/// The result of [`FrameReader::next_frame`].
///
/// A caller must handle every result. The enum is therefore exhaustive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A complete frame to be decoded.
    Frame(Frame),
    /// A frame that was read completely and dropped for this reason, as in the node.
    Dropped(FrameDropReason),
    /// A payload that was read and discarded, because it is longer than
    /// [`PayloadLimits::kept_limit`].
    ///
    /// This includes a payload above the limit of its command that may answer a request: see
    /// [`ExpectedPayloads`].
    Discarded {
        /// The command of the message.
        command: Command,
        /// The length of the payload in bytes.
        len: u64,
        /// The maximum length of a payload that would have been kept, in bytes.
        limit: u64,
        /// The hash of the block, if the payload is one.
        block: Option<BlockHash>,
    },
    /// The header of a block has been received. Returned only if [`FrameReader::stream_blocks`]
    /// is enabled.
    ///
    /// Call [`FrameReader::stream_block`] before the next [`FrameReader::next_frame`] to receive
    /// the block in chunks. Otherwise the block is handled like any other payload.
    BlockStart {
        /// The header of the block.
        header: BlockHeader,
        /// The length of the payload in bytes.
        len: u64,
    },
    /// The next chunk of a streamed block: 256 KiB, or less if it is the last one.
    ///
    /// The first chunk starts with the block header. Return a used buffer with
    /// [`FrameReader::refill`].
    BlockChunk(Vec<u8>),
    /// The end of a streamed block.
    BlockEnd {
        /// The length of the payload in bytes.
        len: u64,
        /// Whether the payload has the checksum of its header. `Ok` in an extended frame, which has
        /// none.
        checksum: Result<(), FrameDropReason>,
    },
}

/// Like [`Incoming`], but a payload can remain in the receive buffer.
#[derive(Debug)]
pub(crate) enum Found {
    /// A frame to be decoded. Its payload stays in the receive buffer until the next read: see
    /// [`FrameReader::in_place`].
    InPlace {
        /// The command of the message.
        command: Command,
        /// The message, or `None` if the command is unknown.
        kind: Option<MessageKind>,
        extended: bool,
        at: Range<usize>,
    },
    /// A block that was parsed while it arrived, unless it is complete in the receive buffer.
    Block {
        payload: Bytes,
        extended: bool,
        parser: BlockParser,
    },
    /// Any other result.
    Owned(Incoming),
}

/// The reason why a frame was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameDropReason {
    /// The command is not printable text padded with NUL.
    #[error(transparent)]
    InvalidCommand(#[from] InvalidCommand),
    /// The checksum of the payload differs from that of the header.
    #[error("{command}: expected checksum {:?}, got {:?}", hex(expected), hex(got))]
    ChecksumMismatch {
        /// The command of the message.
        command: Command,
        /// The checksum in the header.
        expected: [u8; 4],
        /// The checksum of the payload.
        got: [u8; 4],
    },
}

impl FrameDropReason {
    /// Returns the command of the message, or `None` if it is invalid.
    pub fn command(&self) -> Option<Command> {
        match self {
            FrameDropReason::InvalidCommand(_) => None,
            FrameDropReason::ChecksumMismatch { command, .. } => Some(*command),
        }
    }
}

/// The error of a stream of frames in which the next frame cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame starts with bytes other than the magic of the network.
    #[error("{0}")]
    MagicMismatch(MagicMismatch),
    /// The header claims a payload above the limit. The payload has not been processed.
    #[error("{command}: expected a payload of at most {limit} bytes, got {len}")]
    TooLong {
        /// The command as received, up to its first NUL.
        command: WireString,
        /// The claimed length in bytes.
        len: u64,
        /// The limit of the command in bytes.
        limit: u64,
    },
}

/// Decodes frames from bytes as they arrive.
///
/// Call [`FrameReader::next_frame`] until it returns `None`, then [`FrameReader::read_from`] once,
/// and repeat. A reader belongs to one thread. Only `read_from` can block.
///
/// The magic is checked as soon as four bytes have been received, and the length as soon as the
/// header has. The checksum is computed while the payload arrives.
///
/// # Memory
///
/// The receive buffer has 1 KiB, or 64 KiB if the peer fills it. A payload has its own buffer,
/// which grows with the received bytes and not with the length that the header claims.
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::wire::{FrameReader, Incoming, Message, PayloadLimits, encode_frame};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let magic = Network::Mainnet.magic();
/// let mut stream = Vec::new();
/// encode_frame(magic, &Message::Verack, &mut stream);
///
/// let mut source = &stream[..]; // usually a `TcpStream`
/// let mut frames = FrameReader::new(magic, PayloadLimits::default());
/// let incoming = loop {
///     if let Some(incoming) = frames.next_frame()? {
///         break incoming;
///     }
///     assert_ne!(frames.read_from(&mut source)?, 0, "the stream ended");
/// };
/// let Incoming::Frame(frame) = incoming else {
///     panic!("expected a frame");
/// };
/// assert_eq!(Message::decode(frame.command, frame.payload)?, Message::Verack);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReader {
    magic: Magic,
    limits: PayloadLimits,
    /// The requested payloads. While it is `None`, all payloads within the limits are kept, and
    /// none above them is accepted.
    expected: Option<ExpectedPayloads>,
    streams_blocks: bool,
    /// The receive buffer, of which `buffer[start..end]` is unread.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// In memory of its own, because most streams wait between frames.
    pub(super) arriving: Option<Box<PayloadBuffer>>,
    /// Lends buffers for large payloads.
    pool: Option<Arc<BufferPool>>,
    failed: Option<FrameError>,
}

impl FrameReader {
    /// Creates a reader of frames that start with `magic`.
    pub fn new(magic: Magic, limits: PayloadLimits) -> Self {
        Self {
            magic,
            limits,
            expected: None,
            streams_blocks: false,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            arriving: None,
            pool: None,
            failed: None,
        }
    }

    /// Sets the limits for frames whose headers have not been read yet.
    pub fn set_limits(&mut self, limits: PayloadLimits) {
        self.limits = limits;
    }

    /// Sets the requested payloads, for frames whose headers have not been read yet.
    ///
    /// Before the first call, every payload of up to [`PayloadLimits::buffered`] bytes is kept, and
    /// a payload above the limit of its command is a [`FrameError::TooLong`].
    pub fn set_expected(&mut self, expected: ExpectedPayloads) {
        self.expected = Some(expected);
    }

    /// Sets whether [`Incoming::BlockStart`] is returned for each block that has not started yet.
    /// Defaults to `false`.
    pub fn stream_blocks(&mut self, enabled: bool) {
        self.streams_blocks = enabled;
    }

    /// Uses buffers of `pool` for large payloads.
    pub(crate) fn set_buffer_pool(&mut self, pool: Arc<BufferPool>) {
        self.pool = Some(pool);
    }

    /// Streams the block of the last [`Incoming::BlockStart`] in chunks.
    ///
    /// `chunk` becomes the buffer of the first chunk; its content is ignored. The length of a
    /// streamed block is not limited by [`PayloadLimits::buffered`].
    pub fn stream_block(&mut self, chunk: Vec<u8>) {
        if let Some(payload) = &mut self.arriving {
            payload.stream(chunk);
        }
    }

    /// Provides a buffer for the next chunk of a streamed block. Its content is ignored.
    ///
    /// If no buffer is provided, the reader allocates one.
    pub fn refill(&mut self, chunk: Vec<u8>) {
        if let Some(payload) = &mut self.arriving {
            payload.refill(chunk);
        }
    }

    /// Returns the maximum number of bytes that the next read can add to the current payload.
    ///
    /// At most 256 KiB, and 0 if the payload is not kept.
    pub fn reservable(&self) -> usize {
        self.arriving
            .as_ref()
            .map_or(0, |payload| payload.reservable())
    }

    /// Returns the number of bytes that are kept of the current payload.
    pub fn kept(&self) -> usize {
        self.arriving.as_ref().map_or(0, |payload| payload.kept())
    }

    /// Reads once from `source` and returns the number of bytes, or 0 at the end of the stream.
    ///
    /// Blocks as long as `source` does. If a read is interrupted or times out, no bytes are lost:
    /// call this method again.
    ///
    /// # Errors
    ///
    /// - The errors of `source`.
    /// - [`io::ErrorKind::InvalidInput`] if the receive buffer is full. Call
    ///   [`FrameReader::next_frame`] until it returns `None` first.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        // A complete payload has no capacity left: a read into it would look like the end of the
        // stream.
        if let Some(payload) = &mut self.arriving
            && payload.reads_directly()
            && payload.missing() > 0
            && self.start == self.end
        {
            return payload.read_from(source, self.pool.as_ref());
        }
        self.compact()?;
        match source.read(&mut self.buffer[self.end..]) {
            Ok(read) => {
                self.end += read;
                if self.end == self.buffer.len() && self.buffer.len() < BUSY_BUFFER {
                    self.buffer.resize(BUSY_BUFFER, 0);
                }
                Ok(read)
            }
            Err(error) => {
                self.shrink();
                Err(error)
            }
        }
    }

    /// Adds bytes that were received before. Must be called before the first frame is complete, with
    /// at most 64 KiB in total.
    pub(crate) fn push_received(&mut self, mut bytes: &[u8]) {
        // A read from memory fails only if the buffer is full. It is larger than these bytes.
        while !bytes.is_empty() && self.read_from(&mut bytes).is_ok() {}
    }

    /// Returns the next complete frame or other result, or `None` if more bytes are needed.
    ///
    /// Does not block.
    ///
    /// # Errors
    ///
    /// Reading cannot continue after an error. Every later call returns the same error.
    ///
    /// - [`FrameError::MagicMismatch`] if a frame starts with another magic.
    /// - [`FrameError::TooLong`] if the payload is above the limit of its command and cannot be the
    ///   answer to a request.
    pub fn next_frame(&mut self) -> Result<Option<Incoming>, FrameError> {
        let found = self.find_next()?;
        Ok(found.map(|found| match found {
            Found::InPlace {
                command,
                extended,
                at,
                ..
            } => Incoming::Frame(Frame {
                command,
                payload: Bytes::copy_from_slice(self.in_place(at)),
                extended,
            }),
            Found::Block {
                payload, extended, ..
            } => Incoming::Frame(Frame {
                command: BLOCK,
                payload,
                extended,
            }),
            Found::Owned(incoming) => incoming,
        }))
    }

    /// Like [`next_frame`](Self::next_frame), but leaves a payload in the receive buffer where
    /// possible.
    pub(crate) fn find_next(&mut self) -> Result<Option<Found>, FrameError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.advance(),
        }
    }

    /// Returns the payload of the frame that [`FrameReader::find_next`] has just returned.
    pub(crate) fn in_place(&self, at: Range<usize>) -> &[u8] {
        &self.buffer[at]
    }

    /// Returns the maximum number of bytes of the current payload that are kept after the next
    /// read, or 0 if it is below [`COPY_THRESHOLD`].
    pub(crate) fn memory_for_next_read(&self) -> u64 {
        let payload = self.arriving.as_ref();
        let payload = payload.filter(|payload| payload.header.len >= COPY_THRESHOLD);
        payload.map_or(0, |payload| (payload.kept() + payload.reservable()) as u64)
    }

    /// Returns the length of the current payload and the number of its missing bytes.
    ///
    /// `None` between frames.
    pub fn arriving(&self) -> Option<(u64, u64)> {
        self.arriving
            .as_ref()
            .map(|payload| (payload.header.len, payload.missing()))
    }

    /// Returns whether a frame is incomplete. If the stream ends here, it was truncated.
    pub fn is_inside_frame(&self) -> bool {
        self.arriving.is_some() || self.start != self.end
    }

    fn advance(&mut self) -> Result<Option<Found>, FrameError> {
        if self.arriving.is_none() {
            let Some((header, kept_limit)) = self.next_header()? else {
                return Ok(None);
            };
            let there = self.end - self.start;
            let kept = header.len <= kept_limit;
            match usize::try_from(header.len) {
                Ok(len) if kept && len <= there && !self.is_streamable(&header) => {
                    let at = self.start..self.start + len;
                    self.start = at.end;
                    return Ok(Some(self.in_place_frame(header, at)));
                }
                _ => {
                    let pause_at_header = self.is_streamable(&header);
                    let payload = PayloadBuffer::new(header, kept_limit, pause_at_header);
                    self.arriving = Some(Box::new(payload));
                }
            }
        }
        if let Some(payload) = &mut self.arriving {
            // The caller has received `BlockStart` and has not called `stream_block`.
            if payload.pending_header().is_some() {
                payload.buffer_block();
            }
            self.start += payload.take_from(&self.buffer[self.start..self.end]);
            if let Some(header) = payload.pending_header() {
                let len = payload.header.len;
                return Ok(Some(Found::Owned(Incoming::BlockStart { header, len })));
            }
            if let Some(chunk) = payload.take_chunk() {
                return Ok(Some(Found::Owned(Incoming::BlockChunk(chunk))));
            }
        }
        let complete = self.arriving.take_if(|payload| payload.missing() == 0);
        Ok(complete.map(|payload| self.complete(payload)))
    }

    /// Returns the frame whose payload is in the receive buffer.
    fn in_place_frame(&self, header: FrameHeader, at: Range<usize>) -> Found {
        let command = match header.command {
            Ok(command) => command,
            Err(bytes) => {
                return Found::Owned(Incoming::Dropped(InvalidCommand::new(bytes).into()));
            }
        };
        if let Some(expected) = header.checksum {
            let got = checksum(&self.buffer[at.clone()]);
            if got != expected {
                return Found::Owned(Incoming::Dropped(FrameDropReason::ChecksumMismatch {
                    command,
                    expected,
                    got,
                }));
            }
        }
        Found::InPlace {
            command,
            kind: header.kind,
            extended: header.checksum.is_none(),
            at,
        }
    }

    /// Returns whether `BlockStart` is due for this header.
    fn is_streamable(&self, header: &FrameHeader) -> bool {
        self.streams_blocks && header.command == Ok(BLOCK) && header.len >= BlockHeader::LEN as u64
    }

    /// Returns the next header, and the maximum length of a payload of its kind that is kept.
    fn next_header(&mut self) -> Result<Option<(FrameHeader, u64)>, FrameError> {
        let bytes = &self.buffer[self.start..self.end];
        let Some(magic) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        if *magic != self.magic.0 {
            let mismatch = MagicMismatch {
                expected: self.magic,
                got: Magic(*magic),
            };
            return Err(self.fail(FrameError::MagicMismatch(mismatch)));
        }
        let Some(header) = FrameHeader::parse(bytes) else {
            return Ok(None);
        };
        let limit = self.limits.limit_of(header.kind);
        let answer_limit = |expected: ExpectedPayloads| expected.answer_limit(header.kind);
        if header.len > limit && header.len > self.expected.map_or(0, answer_limit) {
            return Err(self.fail(FrameError::TooLong {
                command: WireString::from(header.name()),
                len: header.len,
                limit,
            }));
        }
        self.start += header.header_len();
        let useful = match (header.command, self.expected) {
            (Err(_), _) => 0,
            (Ok(_), None) => u64::MAX,
            (Ok(_), Some(expected)) => self.limits.useful_limit(header.kind, expected),
        };
        let kept_limit = limit.min(self.limits.buffered).min(useful);
        Ok(Some((header, kept_limit)))
    }

    fn fail(&mut self, error: FrameError) -> FrameError {
        self.failed = Some(error.clone());
        error
    }

    /// Moves the unread bytes to the front, so that a header always fits after them.
    fn compact(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.buffer.resize(QUIET_BUFFER, 0);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "receive buffer is full: call next_frame until it returns None",
            ));
        }
        Ok(())
    }

    /// Shrinks a large buffer that holds at most a part of a header. Called if a read fails.
    fn shrink(&mut self) {
        if self.buffer.len() > QUIET_BUFFER && self.end - self.start < EXTENDED_HEADER_LEN {
            let rest = self.buffer[self.start..self.end].to_vec();
            self.buffer = vec![0; QUIET_BUFFER];
            self.buffer[..rest.len()].copy_from_slice(&rest);
            self.start = 0;
            self.end = rest.len();
        }
    }

    /// Returns the result of a payload whose bytes have all been received.
    fn complete(&self, payload: Box<PayloadBuffer>) -> Found {
        let (len, extended) = (payload.header.len, payload.header.checksum.is_none());
        let command = match payload.header.command {
            Ok(command) => command,
            Err(bytes) => {
                return Found::Owned(Incoming::Dropped(InvalidCommand::new(bytes).into()));
            }
        };
        if !payload.is_kept() && !payload.is_streamed() {
            let block = payload.discarded_header().map(|header| header.hash());
            return Found::Owned(Incoming::Discarded {
                command,
                len,
                limit: payload.kept_limit,
                block,
            });
        }
        let streamed = payload.is_streamed();
        let expected = payload.header.checksum.unwrap_or_default();
        let bad_checksum = |got| FrameDropReason::ChecksumMismatch {
            command,
            expected,
            got,
        };
        Found::Owned(match payload.finish(self.pool.as_ref()) {
            checked if streamed => Incoming::BlockEnd {
                len,
                checksum: checked.map(drop).map_err(bad_checksum),
            },
            Ok((payload, Some(parser))) => {
                return Found::Block {
                    payload,
                    extended,
                    parser,
                };
            }
            Ok((payload, None)) => Incoming::Frame(Frame {
                command,
                payload,
                extended,
            }),
            Err(got) => Incoming::Dropped(bad_checksum(got)),
        })
    }
}
