//! What both drivers of a session share: bytes into messages.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ConnectionConfig;
use super::progress::ReadProgress;
use super::stream::{ReadWait, Stream};
use super::traffic::TrafficCounters;
use crate::event::SharedMessage;
use crate::memory::MemoryGuard;
use crate::session::{ConnectionState, DisconnectReason, Disposition, Session, TransportClose};
use crate::sockets::is_timeout;
use crate::wire::{
    BlockHash, BlockHeader, COPY_THRESHOLD, Command, DecodeError, ExpectedPayloads, Found,
    FrameDropReason, FrameReader, Incoming, Message, MessageKind, PayloadLimits, Reader,
};

/// How many answers to pings may wait for each other.
const GATHERED_PONGS: usize = 32;

/// The way in: socket, frames, messages.
#[derive(Debug)]
pub(super) struct Inlet {
    frames: FrameReader,
    progress: ReadProgress,
    wait: ReadWait,
    counters: Arc<TrafficCounters>,
    /// What the payload that arrives may hold, and what has arrived behind it; `None` where nobody counts.
    memory: Option<MemoryGuard>,
    /// When the thread last had to wait: what came together is looked at within no time.
    now: Instant,
    /// Whether the session wants something done now.
    has_output: bool,
    /// How many pings came one behind the other, up to the last message.
    answered_pings: usize,
}

/// What the program gets.
#[derive(Debug)]
pub(super) enum Received {
    /// A message, from here on at one place in memory: it is large compared with what refers to it.
    Message(SharedMessage),
    /// A payload too long to be kept.
    Discarded {
        command: Command,
        len: u64,
        /// The maximum length of a payload that would have been kept.
        limit: u64,
        /// Which block it is, if it is one.
        block: Option<BlockHash>,
    },
}

/// A part of a block that is told while it arrives.
#[derive(Debug)]
pub(super) enum BlockPart {
    /// Its header. [`Inlet::stream_block`] is to follow at once, or the block is treated as usual.
    Begins { header: BlockHeader, len: u64 },
    /// Its next bytes.
    Chunk(Vec<u8>),
    /// All of it has come.
    Ends {
        checksum: Result<(), FrameDropReason>,
    },
}

impl Inlet {
    pub(super) fn new(config: &ConnectionConfig, counters: Arc<TrafficCounters>) -> Self {
        let limits = config.session.limits.before_handshake();
        Self {
            frames: FrameReader::new(config.magic(), limits),
            progress: ReadProgress::new(config.read_stall_timeout),
            wait: ReadWait::default(),
            counters,
            memory: None,
            now: Instant::now(),
            has_output: false,
            answered_pings: 0,
        }
    }

    /// Goes on with frames that have begun to come elsewhere, for a session with these limits and expectations.
    pub(super) fn resume(
        mut frames: FrameReader,
        (limits, expected): (PayloadLimits, ExpectedPayloads),
        config: &ConnectionConfig,
        counters: Arc<TrafficCounters>,
    ) -> Self {
        frames.set_limits(limits);
        frames.set_expected(expected);
        Self {
            frames,
            ..Self::new(config, counters)
        }
    }

    /// The frames, and what has come of them.
    pub(super) fn into_frames(self) -> FrameReader {
        self.frames
    }

    /// Whether the session wants something done before the next message is looked at. Answers to pings that came together may be gathered
    /// until something else comes, or nothing.
    pub(super) fn has_output(&self) -> bool {
        self.has_output
    }

    /// Counts the memory of payloads as that of `memory`.
    pub(super) fn count_memory(&mut self, mut memory: MemoryGuard) {
        memory.reserve_exact(self.frames.held() as u64);
        self.memory = Some(memory);
    }

    /// Whether there is memory for what the next read may bring.
    pub(super) fn has_memory(&mut self) -> bool {
        match (&mut self.memory, self.frames.reservable()) {
            (None, _) => true,
            (Some(memory), 0) => memory.has_capacity(),
            (Some(memory), more) => memory.try_resize((self.frames.kept() + more) as u64),
        }
    }

    /// Other rules hold from now on, for a payload that is arriving from its next bytes.
    pub(super) fn update_config(&mut self, config: &ConnectionConfig) {
        self.progress.set_stall_timeout(config.read_stall_timeout);
    }

    pub(super) fn on_reads_paused(&mut self, pause: Duration) {
        self.progress.on_reads_paused(pause);
        self.now = Instant::now();
    }

    /// Whether the header of a block is told while the rest is still on its way.
    pub(super) fn announce_blocks(&mut self, announce: bool) {
        self.frames.stream_blocks(announce);
    }

    /// Lets the block that has just begun come in parts, the first in this buffer.
    pub(super) fn stream_block(&mut self, buffer: Vec<u8>) {
        self.frames.stream_block(buffer);
    }

    /// Gives a buffer for the next part of a block.
    pub(super) fn refill(&mut self, buffer: Vec<u8>) {
        self.frames.refill(buffer);
    }

    /// Reads once, from `now` until about `deadline` and a second at most, and tells the session what it sees.
    ///
    /// Returns whether bytes came. An end of the stream or a failure has closed the session.
    pub(super) fn read(
        &mut self,
        stream: &Stream,
        session: &mut impl LockSession,
        deadline: Option<Instant>,
        now: Instant,
    ) -> bool {
        let now = now.max(self.now);
        let deadlines = [deadline, self.progress.deadline()];
        let earliest = deadlines.into_iter().flatten().min();
        if let Err(error) = self.wait.until(stream, earliest, now) {
            session.on_transport_end(TransportClose::Failed(error.kind()));
            return false;
        }
        self.read_once(stream, session)
    }

    /// Reads once, as long as the socket waits.
    pub(super) fn read_once(
        &mut self,
        mut stream: &Stream,
        session: &mut impl LockSession,
    ) -> bool {
        let read = self.frames.read_from(&mut stream);
        let now = Instant::now();
        self.now = now;
        match read {
            Ok(0) => {
                session.on_transport_end(TransportClose::ConnectionClosed);
                false
            }
            Ok(len) => {
                self.counters.add_bytes_in(len);
                if let Some(memory) = &mut self.memory {
                    // Once for all that has come: the budgets are shared with whoever drops messages.
                    memory.reserve_exact(self.frames.held() as u64);
                }
                // A frame of some size in the middle of its way: a pong cannot overtake it.
                let large = self
                    .frames
                    .arriving()
                    .is_some_and(|(len, _)| len >= COPY_THRESHOLD);
                let (limits, expected) = session.with(|session| {
                    session.on_received(now);
                    if large {
                        session.on_partial_frame(now);
                    }
                    (session.limits(), session.expected_payloads())
                });
                self.frames.set_limits(limits);
                // Something may have been asked for while we waited.
                self.frames.set_expected(expected);
                true
            }
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {
                self.check_progress(session, now);
                false
            }
            Err(error) => {
                session.on_transport_end(TransportClose::Failed(error.kind()));
                false
            }
        }
    }

    /// The next message for the program; the session has seen everything up to it. `None` if more bytes are needed.
    ///
    /// After each message the session's outputs are to be drained.
    pub(super) fn next(&mut self, session: &mut impl LockSession) -> Next {
        let found = match self.frames.find_next() {
            Ok(Some(Found::InPlace { command, at, .. })) => {
                self.progress.on_frame();
                return self.on_lying(command, at, session);
            }
            Ok(Some(Found::Owned(incoming))) => incoming,
            Ok(None) => {
                if let Some(memory) = &mut self.memory {
                    // Never more than was covered.
                    memory.try_resize(self.frames.kept() as u64);
                }
                self.progress.on_bytes(self.frames.arriving(), self.now);
                self.check_progress(session, self.now);
                return Next::NeedsMore;
            }
            Err(error) => {
                session.with(|session| session.on_frame_error(error));
                return Next::NeedsMore;
            }
        };
        if let Incoming::BlockStart { .. } | Incoming::BlockChunk(_) = &found {
            // Its frame goes on.
        } else {
            self.progress.on_frame();
        }
        match found {
            Incoming::Frame(frame) => {
                let number = MessageKind::from_command(frame.command);
                self.on_payload(frame.command, number, frame.payload, session)
            }
            Incoming::Dropped(cause) => {
                // How long it was is not told: nobody is to rely on it.
                let number = cause.command().and_then(MessageKind::from_command);
                self.counters.add_message_in(number, 0);
                let now = self.now;
                self.tell(session, false, |session| session.on_dropped(cause, now));
                Next::Handled
            }
            Incoming::Discarded {
                command,
                len,
                limit,
                block,
            } => {
                self.counters
                    .add_message_in(MessageKind::from_command(command), len);
                self.tell(session, false, |session| {
                    session.on_discarded(command, len);
                });
                Next::Received(Received::Discarded {
                    command,
                    len,
                    limit,
                    block,
                })
            }
            Incoming::BlockStart { header, len } => Next::Block(BlockPart::Begins { header, len }),
            Incoming::BlockChunk(chunk) => Next::Block(BlockPart::Chunk(chunk)),
            Incoming::BlockEnd { len, checksum } => {
                self.counters.add_message_in(Some(MessageKind::Block), len);
                let now = self.now;
                let told = checksum.clone();
                self.tell(session, false, |session| match told {
                    Ok(()) => session.on_streamed_block(),
                    Err(cause) => session.on_dropped(cause, now),
                });
                Next::Block(BlockPart::Ends { checksum })
            }
        }
    }

    /// Decodes a payload in the arrival buffer, which is copied only if the message keeps it.
    fn on_lying(
        &mut self,
        command: Command,
        at: Range<usize>,
        session: &mut impl LockSession,
    ) -> Next {
        let number = MessageKind::from_command(command);
        let Some(number) = number.filter(|number| !number.shares_payload()) else {
            let payload = Bytes::copy_from_slice(self.frames.in_place(at));
            return self.on_payload(command, number, payload, session);
        };
        let len = at.len() as u64;
        self.counters.add_message_in(Some(number), len);
        match Message::decode_known(number, &mut Reader::new(self.frames.in_place(at))) {
            Ok(mut message) => {
                let delivery = self.on_message(&mut message, session);
                self.deliver(delivery, message, len, Self::split_off)
            }
            Err(error) => self.on_malformed(command, &error, session),
        }
    }

    fn on_payload(
        &mut self,
        command: Command,
        number: Option<MessageKind>,
        payload: Bytes,
        session: &mut impl LockSession,
    ) -> Next {
        let len = payload.len() as u64;
        self.counters.add_message_in(number, len);
        let memory = self.split_off(len);
        let shares = number.is_none_or(MessageKind::shares_payload);
        let (payload, memory) = match memory {
            Some(memory) if shares => (memory.guard(payload), None),
            memory => (payload, memory),
        };
        match Message::decode(command, payload) {
            Ok(mut message) => {
                let delivery = self.on_message(&mut message, session);
                self.deliver(delivery, message, len, |_, _| memory)
            }
            Err(error) => self.on_malformed(command, &error, session),
        }
    }

    /// Passes a message to the session. What is left of it is for the program if the result says
    /// so.
    fn on_message(&mut self, message: &mut Message, session: &mut impl LockSession) -> Disposition {
        let now = self.now;
        let is_ping = matches!(message, Message::Ping(_));
        self.tell(session, is_ping, |session| {
            let delivery = session.on_message(message, now);
            if let Message::NotFound(missing) = message {
                session.remove_end_marker(missing);
            }
            delivery
        })
    }

    fn on_malformed(
        &mut self,
        command: Command,
        error: &DecodeError,
        session: &mut impl LockSession,
    ) -> Next {
        let now = self.now;
        self.tell(session, false, |session| {
            session.on_malformed(command, error, now);
        });
        Next::Handled
    }

    /// Tells the session of a frame, and asks what holds for the next one: all under one lock.
    fn tell<T>(
        &mut self,
        session: &mut impl LockSession,
        is_ping: bool,
        tell: impl FnOnce(&mut Session) -> T,
    ) -> T {
        let (told, limits, expected, has_output, answered) = session.with(|session| {
            (
                tell(session),
                session.limits(),
                session.expected_payloads(),
                session.has_output(),
                is_ping && session.state() == ConnectionState::Connected,
            )
        });
        self.frames.set_limits(limits);
        self.frames.set_expected(expected);
        self.answered_pings = if answered { self.answered_pings + 1 } else { 0 };
        self.has_output = has_output && self.answered_pings.is_multiple_of(GATHERED_PONGS);
        told
    }

    /// Hands out a message together with its memory, unless the message itself holds that.
    fn deliver(
        &mut self,
        delivery: Disposition,
        message: Message,
        len: u64,
        memory: impl FnOnce(&mut Self, u64) -> Option<MemoryGuard>,
    ) -> Next {
        match delivery {
            Disposition::Deliver => {
                let memory = memory(self, len);
                let message = SharedMessage::with_memory(message, len, memory);
                Next::Received(Received::Message(message))
            }
            Disposition::Handled => Next::Handled,
        }
    }

    fn split_off(&mut self, len: u64) -> Option<MemoryGuard> {
        self.memory.as_mut().map(|memory| memory.split_off(len))
    }

    fn check_progress(&self, session: &mut impl LockSession, now: Instant) {
        if self
            .progress
            .deadline()
            .is_some_and(|deadline| now >= deadline)
            && let Some((len, missing)) = self.frames.arriving()
        {
            session.with(|session| session.close(DisconnectReason::ReadStall { len, missing }));
        }
    }
}

/// What [`Inlet::next`] came upon.
#[derive(Debug)]
pub(super) enum Next {
    /// Something for the program.
    Received(Received),
    /// A part of a block, where blocks are [announced](Inlet::announce_blocks).
    Block(BlockPart),
    /// The session's own business.
    Handled,
    /// The frames that have come are done.
    NeedsMore,
}

/// A session, owned or behind a lock: held for one call, never across reading, decoding or delivery.
pub(super) trait LockSession {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T;

    /// The reading side has ended. Who knows better why tells the session that.
    fn on_transport_end(&mut self, end: TransportClose) {
        self.with(|session| session.on_transport_end(end));
    }
}

impl LockSession for Session {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        call(self)
    }
}
