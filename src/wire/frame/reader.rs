//! Frames out of bytes, however they arrive.

use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;

use super::encoder::checksum;
use super::payload::ArrivingPayload;
use super::{EXTENDED_HEADER_LEN, FrameHeader, MagicMismatch};
use crate::network::Magic;
use crate::wire::{
    BlockHash, BlockHeader, Command, ExpectedPayloads, InvalidCommand, PayloadLimits, WireString,
};

/// The arrival buffer of a quiet peer.
const QUIET_BUFFER: usize = 4 * 1024;
/// The arrival buffer of a peer that fills it.
const BUSY_BUFFER: usize = 64 * 1024;

/// A frame whose command is well formed and whose checksum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Frame {
    /// The message's name.
    pub command: Command,
    /// The message's content.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::hex"))]
    pub payload: Bytes,
    /// Whether it came in an extended frame, which no checksum protects.
    pub extended: bool,
}

/// What came out of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A frame to be decoded.
    Frame(Frame),
    /// A frame that is read to its end and dropped without a word, as the node does.
    Dropped(FrameDropReason),
    /// A payload above [`PayloadLimits::buffered`], or above its command's limit where it is [expected](ExpectedPayloads): read past
    /// and not kept.
    Discarded {
        /// The message's name.
        command: Command,
        /// The payload's length in bytes.
        len: u64,
        /// The maximum length of a payload that would have been kept, in bytes.
        limit: u64,
        /// Which block it is, if it is one.
        block: Option<BlockHash>,
    },
    /// The header of a block is there, where somebody [wants to know](FrameReader::announce_blocks). Unless
    /// [`FrameReader::stream_block`] follows, the block is treated like other payloads.
    BlockStart {
        /// The block's header.
        header: BlockHeader,
        /// The payload's length in bytes.
        len: u64,
    },
    /// The next piece of a block that is streamed, 256 KiB long unless it is the last; the first begins with the header.
    /// [`FrameReader::refill`] takes back a piece that is done with.
    BlockChunk(Vec<u8>),
    /// A block has been streamed to its end.
    BlockEnd {
        /// The payload's length in bytes.
        len: u64,
        /// Whether it had the checksum that its frame says; an extended frame says none.
        checksum: Result<(), FrameDropReason>,
    },
}

/// What came out of the bytes, as it lies there.
#[derive(Debug)]
pub(crate) enum Found {
    /// A frame to be decoded. Its payload lies in the arrival buffer until the next read: see [`FrameReader::lying`].
    Lying {
        command: Command,
        extended: bool,
        at: Range<usize>,
    },
    /// Anything else.
    Taken(Incoming),
}

/// Why a frame was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameDropReason {
    /// The command is not printable text padded with NUL.
    #[error(transparent)]
    InvalidCommand(#[from] InvalidCommand),
    /// The payload does not have the checksum that the header says.
    #[error("{command}: checksum {got:02x?}, the header says {expected:02x?}")]
    BadChecksum {
        /// The message's name.
        command: Command,
        /// What the header says.
        expected: [u8; 4],
        /// What the payload has.
        got: [u8; 4],
    },
}

impl FrameDropReason {
    /// The message's name, if it is one.
    pub fn command(&self) -> Option<Command> {
        match self {
            FrameDropReason::InvalidCommand(_) => None,
            FrameDropReason::BadChecksum { command, .. } => Some(*command),
        }
    }
}

/// What a stream of frames cannot recover from: there is no way to find the next frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame starts with other bytes than the network's magic.
    #[error("{0}")]
    WrongMagic(MagicMismatch),
    /// The header claims more than the command may have. Nothing of the payload has been read.
    #[error("{command}: the header claims {len} bytes, at most {limit} are allowed")]
    TooLong {
        /// The command as it came, up to its first NUL.
        command: WireString,
        /// The claimed length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

/// Takes bytes as they arrive and gives frames.
///
/// Use: call [`FrameReader::next_frame`] until it gives `None`, then [`FrameReader::read_from`] once, and so on. One thread owns a
/// reader; it never blocks by itself.
///
/// The magic is judged when four bytes are there, the length as soon as the header is, and the checksum is
/// computed while the payload arrives. Memory: an arrival buffer of 4 KiB for a quiet peer (64 KiB for a busy
/// one), and a payload's own buffer, which grows with what has arrived and never by the length that a header claims.
#[derive(Debug)]
pub struct FrameReader {
    magic: Magic,
    limits: PayloadLimits,
    /// `None` until it is set: all payloads within the limits are kept, and none above them is accepted.
    expected: Option<ExpectedPayloads>,
    announces_blocks: bool,
    /// What has arrived and has not been looked at: `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    arriving: Option<ArrivingPayload>,
    failed: Option<FrameError>,
}

impl FrameReader {
    /// A reader of frames that start with `magic`.
    pub fn new(magic: Magic, limits: PayloadLimits) -> Self {
        Self {
            magic,
            limits,
            expected: None,
            announces_blocks: false,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            arriving: None,
            failed: None,
        }
    }

    /// Sets the limits for the headers that have not been read yet.
    pub fn set_limits(&mut self, limits: PayloadLimits) {
        self.limits = limits;
    }

    /// Sets what was requested, for the frames whose headers have not been read yet.
    ///
    /// Before the first call, all payloads within the limits are kept, and each frame above the limit of its command ends
    /// the stream.
    pub fn set_expected(&mut self, expected: ExpectedPayloads) {
        self.expected = Some(expected);
    }

    /// Whether the header of a block is told as soon as it is there, for the blocks that have not begun yet; at first it is not.
    pub fn announce_blocks(&mut self, announce: bool) {
        self.announces_blocks = announce;
    }

    /// Lets the block that has just [begun](Incoming::BlockStart) come in pieces, the first of them in `chunk`, a buffer with whatever
    /// in it. Its length is not limited by [`PayloadLimits::buffered`].
    pub fn stream_block(&mut self, chunk: Vec<u8>) {
        if let Some(payload) = &mut self.arriving {
            payload.stream(chunk);
        }
    }

    /// Gives a buffer, with whatever in it, for the next piece of a block that is streamed. Without it the reader makes one.
    pub fn refill(&mut self, chunk: Vec<u8>) {
        if let Some(payload) = &mut self.arriving {
            payload.refill(chunk);
        }
    }

    /// How many bytes the next read may add to the payload that is arriving, where it is kept: at most 256 KiB.
    pub fn may_keep(&self) -> usize {
        self.arriving.as_ref().map_or(0, ArrivingPayload::may_keep)
    }

    /// How many bytes are kept of the payload that is arriving.
    pub fn kept(&self) -> usize {
        self.arriving.as_ref().map_or(0, ArrivingPayload::kept)
    }

    /// Reads once from `source`, and returns how many bytes came: 0 at the end of the stream.
    ///
    /// Blocks as long as `source` does. An interrupted or timed-out read loses nothing: call again.
    ///
    /// # Errors
    ///
    /// Those of `source`; and [`io::ErrorKind::InvalidInput`] if frames are waiting, so that there is no room:
    /// call [`FrameReader::next_frame`] until it gives `None` first.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        // A payload that is complete has no room: a read into it would look like the end of the stream.
        if let Some(payload) = &mut self.arriving
            && payload.reads_directly()
            && payload.missing() > 0
            && self.start == self.end
        {
            return payload.read_from(source);
        }
        self.make_room()?;
        match source.read(&mut self.buffer[self.end..]) {
            Ok(read) => {
                self.end += read;
                if self.end == self.buffer.len() && self.buffer.len() < BUSY_BUFFER {
                    self.buffer.resize(BUSY_BUFFER, 0);
                }
                Ok(read)
            }
            Err(error) => {
                self.release_room();
                Err(error)
            }
        }
    }

    /// The next frame that is complete, or `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// A [`FrameError`] ends the stream for good: every later call gives the same.
    pub fn next_frame(&mut self) -> Result<Option<Incoming>, FrameError> {
        let found = self.find_next()?;
        Ok(found.map(|found| match found {
            Found::Lying {
                command,
                extended,
                at,
            } => Incoming::Frame(Frame {
                command,
                payload: Bytes::copy_from_slice(self.lying(at)),
                extended,
            }),
            Found::Taken(incoming) => incoming,
        }))
    }

    /// The same, without a copy of what lies in the arrival buffer.
    pub(crate) fn find_next(&mut self) -> Result<Option<Found>, FrameError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.advance(),
        }
    }

    /// The payload of a frame that [`FrameReader::find_next`] has just found.
    pub(crate) fn lying(&self, at: Range<usize>) -> &[u8] {
        &self.buffer[at]
    }

    /// How many bytes have arrived and have not been given: kept payload and what has not been looked at.
    pub(crate) fn held(&self) -> usize {
        self.kept() + self.end - self.start
    }

    /// The payload that is arriving: its length and how many bytes are missing. `None` between frames.
    pub fn arriving(&self) -> Option<(u64, u64)> {
        self.arriving
            .as_ref()
            .map(|payload| (payload.header.len, payload.missing()))
    }

    /// Whether a frame has begun and is not complete: a stream that ends here was cut.
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
                Ok(len) if kept && len <= there && !self.announces(&header) => {
                    let at = self.start..self.start + len;
                    self.start = at.end;
                    return Ok(Some(self.lying_frame(header, at)));
                }
                _ => {
                    let heading = self.announces(&header);
                    self.arriving = Some(ArrivingPayload::new(header, kept_limit, heading));
                }
            }
        }
        if let Some(payload) = &mut self.arriving {
            // Whoever was told of the block has not asked for it.
            if payload.heading().is_some() {
                payload.treat_as_usual();
            }
            self.start += payload.take_from(&self.buffer[self.start..self.end]);
            if let Some(header) = payload.heading() {
                let len = payload.header.len;
                return Ok(Some(Found::Taken(Incoming::BlockStart { header, len })));
            }
            if let Some(chunk) = payload.take_chunk() {
                return Ok(Some(Found::Taken(Incoming::BlockChunk(chunk))));
            }
        }
        Ok(self
            .arriving
            .take_if(|payload| payload.missing() == 0)
            .map(|payload| Found::Taken(complete(payload))))
    }

    /// A frame of which the whole payload lies in the arrival buffer.
    fn lying_frame(&self, header: FrameHeader, at: Range<usize>) -> Found {
        let command = match header.command {
            Ok(command) => command,
            Err(bytes) => return Found::Taken(Incoming::Dropped(InvalidCommand::of(bytes).into())),
        };
        if let Some(expected) = header.checksum {
            let got = checksum(&self.buffer[at.clone()]);
            if got != expected {
                return Found::Taken(Incoming::Dropped(FrameDropReason::BadChecksum {
                    command,
                    expected,
                    got,
                }));
            }
        }
        Found::Lying {
            command,
            extended: header.checksum.is_none(),
            at,
        }
    }

    /// Whether this is a block of which the header is to be told.
    fn announces(&self, header: &FrameHeader) -> bool {
        const BLOCK: Command = Command::new("block");
        self.announces_blocks
            && header.command == Ok(BLOCK)
            && header.len >= BlockHeader::LEN as u64
    }

    /// Returns the next header, and the maximum length of a payload of its kind that is kept.
    fn next_header(&mut self) -> Result<Option<(FrameHeader, u64)>, FrameError> {
        let bytes = &self.buffer[self.start..self.end];
        let Some(magic) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        if *magic != self.magic.0 {
            let foreign = MagicMismatch {
                expected: self.magic,
                got: Magic(*magic),
            };
            return Err(self.fail(FrameError::WrongMagic(foreign)));
        }
        let Some(header) = FrameHeader::parse(bytes) else {
            return Ok(None);
        };
        let limit = self.limits.limit_by_name(header.name());
        let answer_limit = |expected: ExpectedPayloads| expected.answer_limit(header.name());
        if header.len > limit.max(self.expected.map_or(0, answer_limit)) {
            return Err(self.fail(FrameError::TooLong {
                command: WireString::from(header.name()),
                len: header.len,
                limit,
            }));
        }
        self.start += header.header_len();
        let expected = self.expected.unwrap_or(ExpectedPayloads::ALL);
        let kept_limit = header.command.map_or(0, |command| {
            limit.min(self.limits.kept_limit(command, expected))
        });
        Ok(Some((header, kept_limit)))
    }

    fn fail(&mut self, error: FrameError) -> FrameError {
        self.failed = Some(error.clone());
        error
    }

    /// Moves what is left to the front, so that a header always fits behind it.
    fn make_room(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.buffer.resize(QUIET_BUFFER, 0);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "frames are waiting: call next_frame until it gives None",
            ));
        }
        Ok(())
    }

    /// Nothing came: a large buffer goes back if it is empty but for a part of a header.
    fn release_room(&mut self) {
        if self.buffer.len() > QUIET_BUFFER && self.end - self.start < EXTENDED_HEADER_LEN {
            let rest = self.buffer[self.start..self.end].to_vec();
            self.buffer = vec![0; QUIET_BUFFER];
            self.buffer[..rest.len()].copy_from_slice(&rest);
            self.start = 0;
            self.end = rest.len();
        }
    }
}

fn complete(payload: ArrivingPayload) -> Incoming {
    let (len, extended) = (payload.header.len, payload.header.checksum.is_none());
    let command = match payload.header.command {
        Ok(command) => command,
        Err(bytes) => return Incoming::Dropped(InvalidCommand::of(bytes).into()),
    };
    if !payload.is_kept() && !payload.is_streamed() {
        let block = payload.passed_over().map(|header| header.hash());
        return Incoming::Discarded {
            command,
            len,
            limit: payload.kept_limit,
            block,
        };
    }
    let streamed = payload.is_streamed();
    let expected = payload.header.checksum.unwrap_or_default();
    let bad_checksum = |got| FrameDropReason::BadChecksum {
        command,
        expected,
        got,
    };
    match payload.finish() {
        checked if streamed => Incoming::BlockEnd {
            len,
            checksum: checked.map(drop).map_err(bad_checksum),
        },
        Ok(payload) => Incoming::Frame(Frame {
            command,
            payload,
            extended,
        }),
        Err(got) => Incoming::Dropped(bad_checksum(got)),
    }
}
