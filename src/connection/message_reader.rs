//! Reads frames from the socket and decodes them into messages.
//!
//! Used by blocking connections and by actors.

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
use crate::memory::{MemoryGuard, StreamMemory};
use crate::session::{ConnectionState, DisconnectReason, Disposition, Session, TransportClose};
use crate::sockets::is_timeout;
use crate::wire::{
    BlockHash, BlockHeader, COPY_THRESHOLD, Command, DecodeError, ExpectedPayloads, Found,
    FrameDropReason, FrameReader, Incoming, Message, MessageKind, PayloadLimits, Reader,
};

const BLOCK: Command = Command::new("block");
/// The maximum number of pongs that are collected before they are sent.
const MAX_COALESCED_PONGS: usize = 32;

/// Reads frames from a socket, decodes their messages and passes them to the session.
#[derive(Debug)]
pub(super) struct MessageReader {
    frames: FrameReader,
    progress: ReadProgress,
    wait: ReadWait,
    counters: Arc<TrafficCounters>,
    /// The memory of the large payload that is being received. `None` if it is not limited.
    memory: Option<StreamMemory>,
    /// A large payload that was received completely before its memory was available.
    pending: Option<Found>,
    /// The time of the last read or pause. Frames received together are processed with this time.
    now: Instant,
    /// Whether the session has output that must be handled now.
    has_output: bool,
    /// The number of consecutive answered pings, up to the last message.
    answered_pings: usize,
}

/// A received message, or a discarded payload.
#[derive(Debug)]
pub(super) enum Received {
    /// A message. Shared from here on, because it is large to move.
    Message(SharedMessage),
    /// A payload that was too long to be kept.
    Discarded {
        command: Command,
        len: u64,
        /// The maximum length of a payload that would have been kept.
        limit: u64,
        /// The hash of the block, if the payload is one.
        block: Option<BlockHash>,
    },
}

/// A part of a streamed block.
#[derive(Debug)]
pub(super) enum BlockPart {
    /// The start of a block. The block is streamed if [`MessageReader::stream_block`] is called
    /// immediately. It is handled like any other payload otherwise.
    Start { header: BlockHeader, len: u64 },
    /// The next bytes of the block.
    Chunk(Vec<u8>),
    /// The end of the block.
    End {
        checksum: Result<(), FrameDropReason>,
    },
}

impl MessageReader {
    pub(super) fn new(config: &ConnectionConfig, counters: Arc<TrafficCounters>) -> Self {
        let limits = config.session.limits.before_handshake();
        Self {
            frames: FrameReader::new(config.magic(), limits),
            progress: ReadProgress::new(config.read_stall_timeout),
            wait: ReadWait::default(),
            counters,
            memory: None,
            pending: None,
            now: Instant::now(),
            has_output: false,
            answered_pings: 0,
        }
    }

    /// Adds bytes that were received before, at most 4 KiB.
    pub(super) fn push_received(&mut self, bytes: &[u8]) {
        self.counters.add_bytes_in(bytes.len());
        self.frames.push_received(bytes);
    }

    /// Creates a reader that continues with `frames`, for a session with the given limits and
    /// expected payloads.
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

    /// Returns whether the output of the session must be handled before the next message is
    /// decoded.
    ///
    /// Pongs for consecutive pings may be collected until another message arrives or the input is
    /// exhausted.
    pub(super) fn has_output(&self) -> bool {
        self.has_output
    }

    /// Limits the memory of large payloads by `memory`.
    pub(super) fn track_memory(&mut self, memory: StreamMemory) {
        self.frames.set_buffer_pool(memory.buffers());
        self.memory = Some(memory);
    }

    /// Returns whether the memory that the next read needs is reserved.
    ///
    /// Memory is needed in the middle of a large payload only. If this returns `false`, the stream
    /// waits for memory and must not be read. The callback of the memory is called when this may
    /// return `true`.
    pub(super) fn has_memory(&mut self) -> bool {
        let needed = match &self.pending {
            Some(found) => large_payload_len(found).unwrap_or(0),
            None => self.frames.memory_for_next_read(),
        };
        let memory = self.memory.as_mut().filter(|_| needed > 0);
        memory.is_none_or(|memory| memory.try_reserve(needed))
    }

    /// Handles a wait for memory that has reached its timeout. Returns whether this connection must
    /// be closed. Another connection may be closed instead.
    pub(super) fn on_memory_timeout(&self, timeout: Duration, now: Instant) -> bool {
        let memory = self.memory.as_ref();
        memory.is_some_and(|memory| memory.on_timeout(timeout, now))
    }

    /// Applies a new configuration. It affects the current payload from its next bytes on.
    pub(super) fn update_config(&mut self, config: &ConnectionConfig) {
        self.progress.set_stall_timeout(config.read_stall_timeout);
    }

    pub(super) fn on_reads_paused(&mut self, pause: Duration) {
        self.progress.on_reads_paused(pause);
        self.now = Instant::now();
    }

    /// Sets whether the start of a block is reported before the rest has arrived.
    pub(super) fn stream_blocks(&mut self, enabled: bool) {
        self.frames.stream_blocks(enabled);
    }

    /// Streams the block that has just started. `buffer` receives its first chunk.
    pub(super) fn stream_block(&mut self, buffer: Vec<u8>) {
        self.frames.stream_block(buffer);
    }

    /// Provides a buffer for the next chunk of a block.
    pub(super) fn provide_buffer(&mut self, buffer: Vec<u8>) {
        self.frames.refill(buffer);
    }

    /// Reads once, until about `deadline` and for at most 1 s, and updates the session.
    ///
    /// Returns whether bytes were received. EOF or an error closes the session.
    pub(super) fn read(
        &mut self,
        stream: &Stream,
        session: &mut impl SessionAccess,
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

    /// Waits until the next frame arrives, for at most 30 s. Returns immediately inside a frame.
    pub(super) fn wait_for_frame(&mut self, stream: &Stream) {
        if !self.frames.is_inside_frame() {
            stream.wait_for_data(&mut self.wait);
        }
    }

    /// Reads once, with the current timeout of the socket.
    pub(super) fn read_once(
        &mut self,
        mut stream: &Stream,
        session: &mut impl SessionAccess,
    ) -> bool {
        let read = self.frames.read_from(&mut stream);
        let now = Instant::now();
        let last_read = std::mem::replace(&mut self.now, now);
        match read {
            Ok(0) => {
                session.on_transport_end(TransportClose::ConnectionClosed);
                false
            }
            Ok(len) => {
                self.counters.add_bytes_in(len);
                // A pong cannot overtake a large frame that is still arriving.
                let large = self
                    .frames
                    .arriving()
                    .is_some_and(|(len, _)| len >= COPY_THRESHOLD);
                if large {
                    self.counters.add_large_frame_bytes(len);
                }
                let (limits, expected) = session.with(|session| {
                    session.on_received(now);
                    if large {
                        session.on_partial_frame(now);
                    }
                    (session.limits(), session.expected_payloads())
                });
                self.frames.set_limits(limits);
                // Another thread may have sent a request during the read.
                self.frames.set_expected(expected);
                true
            }
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {
                // Data that arrived before this read would have been found, even if the process was
                // stopped.
                self.check_progress(session, last_read);
                false
            }
            Err(error) => {
                session.on_transport_end(TransportClose::Failed(error.kind()));
                false
            }
        }
    }

    /// Returns the next item. Earlier frames were passed to the session.
    ///
    /// The output of the session must be handled after each call. After
    /// [`ReadOutcome::NeedsMemory`], [`has_memory`](Self::has_memory) must be awaited.
    pub(super) fn next(&mut self, session: &mut impl SessionAccess) -> ReadOutcome {
        let found = match self.pending.take() {
            Some(found) => Ok(Some(found)),
            None => self.frames.find_next(),
        };
        let found = match found {
            Ok(Some(found)) if large_payload_len(&found).is_some() => {
                self.pending = Some(found);
                if !self.has_memory() {
                    self.progress.on_frame();
                    return ReadOutcome::NeedsMemory;
                }
                self.pending.take()
            }
            Ok(found) => found,
            Err(error) => {
                session.with(|session| session.on_frame_error(error));
                return ReadOutcome::NeedsMore;
            }
        };
        let found = match found {
            Some(Found::InPlace {
                command, kind, at, ..
            }) => {
                self.progress.on_frame();
                return self.decode_in_place(command, kind, at, session);
            }
            Some(Found::Block {
                payload, parser, ..
            }) => {
                self.progress.on_frame();
                let kind = Some(MessageKind::Block);
                let decode = |payload| parser.finish(&payload).map(Message::Block);
                return self.on_payload(BLOCK, kind, payload, session, decode);
            }
            Some(Found::Owned(incoming)) => incoming,
            None => {
                self.progress.on_bytes(self.frames.arriving(), self.now);
                self.check_progress(session, self.now);
                return ReadOutcome::NeedsMore;
            }
        };
        if let Incoming::BlockStart { .. } | Incoming::BlockChunk(_) = &found {
            // The frame continues.
        } else {
            self.progress.on_frame();
        }
        match found {
            Incoming::Frame(frame) => {
                let number = MessageKind::from_command(frame.command);
                let decode = |payload| Message::decode(frame.command, payload);
                self.on_payload(frame.command, number, frame.payload, session, decode)
            }
            Incoming::Dropped(cause) => {
                if let Some(memory) = &mut self.memory {
                    memory.reset();
                }
                // Counted without its length, which is not reliable in a dropped frame.
                let number = cause.command().and_then(MessageKind::from_command);
                self.counters.add_message_in(number, 0);
                let now = self.now;
                self.with_session(session, false, |session| session.on_dropped(cause, now));
                ReadOutcome::Handled
            }
            Incoming::Discarded {
                command,
                len,
                limit,
                block,
            } => {
                self.counters
                    .add_message_in(MessageKind::from_command(command), len);
                self.with_session(session, false, |session| {
                    session.on_discarded(command, len);
                });
                ReadOutcome::Received(Received::Discarded {
                    command,
                    len,
                    limit,
                    block,
                })
            }
            Incoming::BlockStart { header, len } => {
                ReadOutcome::Block(BlockPart::Start { header, len })
            }
            Incoming::BlockChunk(chunk) => ReadOutcome::Block(BlockPart::Chunk(chunk)),
            Incoming::BlockEnd { len, checksum } => {
                self.counters.add_message_in(Some(MessageKind::Block), len);
                let now = self.now;
                let failure = checksum.clone().err();
                // The request left the table when the block started, so the limits change even if the
                // session has nothing to do.
                self.with_session(session, false, |session| {
                    if let Some(cause) = failure {
                        session.on_dropped(cause, now);
                    }
                });
                ReadOutcome::Block(BlockPart::End { checksum })
            }
        }
    }

    /// Decodes a payload in the receive buffer. It is copied only if the message shares it.
    fn decode_in_place(
        &mut self,
        command: Command,
        number: Option<MessageKind>,
        at: Range<usize>,
        session: &mut impl SessionAccess,
    ) -> ReadOutcome {
        let Some(number) = number.filter(|number| !number.shares_payload()) else {
            let payload = Bytes::copy_from_slice(self.frames.in_place(at));
            let decode = |payload| Message::decode(command, payload);
            return self.on_payload(command, number, payload, session, decode);
        };
        let len = at.len() as u64;
        self.counters.add_message_in(Some(number), len);
        match Message::decode_known(number, &mut Reader::new(self.frames.in_place(at))) {
            Ok(mut message) => {
                let delivery = self.on_message(&mut message, session);
                self.deliver(delivery, message, len, Self::take_memory)
            }
            Err(error) => self.on_malformed(command, &error, session),
        }
    }

    fn on_payload(
        &mut self,
        command: Command,
        number: Option<MessageKind>,
        payload: Bytes,
        session: &mut impl SessionAccess,
        decode: impl FnOnce(Bytes) -> Result<Message, DecodeError>,
    ) -> ReadOutcome {
        let len = payload.len() as u64;
        self.counters.add_message_in(number, len);
        let memory = self.take_memory(len);
        let shares = number.is_none_or(MessageKind::shares_payload);
        let (payload, memory) = match memory {
            Some(memory) if shares => (memory.guard(payload), None),
            memory => (payload, memory),
        };
        match decode(payload) {
            Ok(mut message) => {
                let delivery = self.on_message(&mut message, session);
                self.deliver(delivery, message, len, |_, _| memory)
            }
            Err(error) => self.on_malformed(command, &error, session),
        }
    }

    /// Passes a message to the session. Returns whether the rest of it is delivered to the caller.
    fn on_message(
        &mut self,
        message: &mut Message,
        session: &mut impl SessionAccess,
    ) -> Disposition {
        // A peer sends more announcements than anything else, so they take no lock. Collected pongs
        // must be sent before the next message.
        if Session::is_only_delivered(message)
            && self.answered_pings == 0
            && session.is_known_connected()
        {
            self.has_output = false;
            return Disposition::Deliver;
        }
        let now = self.now;
        let is_ping = matches!(message, Message::Ping(_));
        self.with_session(session, is_ping, |session| {
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
        session: &mut impl SessionAccess,
    ) -> ReadOutcome {
        let now = self.now;
        self.with_session(session, false, |session| {
            session.on_malformed(command, error, now);
        });
        ReadOutcome::Handled
    }

    /// Passes a frame to the session and updates the limits for the next one, under a single lock.
    fn with_session<T>(
        &mut self,
        session: &mut impl SessionAccess,
        is_ping: bool,
        call: impl FnOnce(&mut Session) -> T,
    ) -> T {
        let (result, limits, expected, has_output, answered) = session.with(|session| {
            (
                call(session),
                session.limits(),
                session.expected_payloads(),
                session.has_output(),
                is_ping && session.state() == ConnectionState::Connected,
            )
        });
        self.frames.set_limits(limits);
        self.frames.set_expected(expected);
        self.answered_pings = if answered { self.answered_pings + 1 } else { 0 };
        self.has_output = has_output && self.answered_pings.is_multiple_of(MAX_COALESCED_PONGS);
        result
    }

    /// Returns a message together with its memory, unless the message itself holds that memory.
    fn deliver(
        &mut self,
        delivery: Disposition,
        message: Message,
        len: u64,
        memory: impl FnOnce(&mut Self, u64) -> Option<MemoryGuard>,
    ) -> ReadOutcome {
        match delivery {
            Disposition::Deliver => {
                let memory = memory(self, len);
                let message = SharedMessage::with_memory(message, len, memory);
                ReadOutcome::Received(Received::Message(message))
            }
            Disposition::Handled => ReadOutcome::Handled,
        }
    }

    /// Returns the memory of the payload that was received. A small payload has none.
    fn take_memory(&mut self, len: u64) -> Option<MemoryGuard> {
        let memory = self.memory.as_mut().filter(|_| len >= COPY_THRESHOLD)?;
        Some(memory.take(len))
    }

    fn check_progress(&self, session: &mut impl SessionAccess, now: Instant) {
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

/// Returns the length of a received payload whose memory is limited.
fn large_payload_len(found: &Found) -> Option<u64> {
    let len = match found {
        Found::InPlace { at, .. } => at.len(),
        Found::Block { payload, .. } => payload.len(),
        Found::Owned(Incoming::Frame(frame)) => frame.payload.len(),
        Found::Owned(_) => 0,
    } as u64;
    (len >= COPY_THRESHOLD).then_some(len)
}

/// The result of [`MessageReader::next`].
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// An item for the caller.
    Received(Received),
    /// A part of a block, if blocks are [announced](MessageReader::announce_blocks).
    Block(BlockPart),
    /// A frame that the session handled.
    Handled,
    /// A large payload was received, for which no memory is available yet.
    NeedsMemory,
    /// All received frames were handled, and more bytes are needed.
    NeedsMore,
}

/// Access to a session that is owned or protected by a lock.
///
/// A lock is held for one call only, never during a read, decoding or delivery.
pub(super) trait SessionAccess {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T;

    /// Returns whether the session is known to be connected without a lock.
    fn is_known_connected(&self) -> bool {
        false
    }

    /// Handles the end of the read side. An implementation may replace `end` by a more precise
    /// cause.
    fn on_transport_end(&mut self, end: TransportClose) {
        self.with(|session| session.on_transport_end(end));
    }
}

impl SessionAccess for Session {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        call(self)
    }
}
