//! What both drivers of a session share: bytes into messages.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ConnectionConfig;
use super::progress::ReadProgress;
use super::stream::{ReadWait, Stream, is_timeout};
use super::traffic::TrafficCounters;
use crate::event::SharedMessage;
use crate::memory::MemoryGuard;
use crate::session::{Delivery, DisconnectReason, Session, TransportEnd};
use crate::wire::{
    Command, DecodeError, DropCause, Found, Frame, FrameError, FrameReader, Incoming, Message,
    MessageNumber, Reader, SMALL_FRAME,
};

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
    /// Whether the session wants something done.
    has_output: bool,
}

/// What has arrived.
#[derive(Debug)]
enum Arrival {
    Message(Message, Weight),
    Malformed(Command, DecodeError),
    Dropped(DropCause),
    PassedOver { command: Command, len: u64 },
}

/// What a payload costs.
#[derive(Debug)]
struct Weight {
    /// Its length in bytes.
    len: u64,
    /// Its memory, unless the message itself holds that.
    memory: Option<MemoryGuard>,
}

/// What the program gets.
#[derive(Debug)]
pub(super) enum Received {
    /// A message, from here on at one place in memory: it is large compared with what refers to it.
    Message(SharedMessage),
    /// A payload too long to be kept.
    PassedOver { command: Command, len: u64 },
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
        }
    }

    /// Whether the session wants something done since the last message, as far as this has seen.
    pub(super) fn has_output(&self) -> bool {
        self.has_output
    }

    /// Counts the memory of payloads as that of `memory`.
    pub(super) fn count_memory(&mut self, memory: MemoryGuard) {
        self.memory = Some(memory);
    }

    /// Whether there is memory for what the next read may bring.
    pub(super) fn has_memory(&mut self) -> bool {
        match (&mut self.memory, self.frames.may_keep()) {
            (None, _) => true,
            (Some(memory), 0) => memory.has_room(),
            (Some(memory), more) => memory.try_resize((self.frames.kept() + more) as u64),
        }
    }

    /// Other rules hold from now on, for a payload that is arriving from its next bytes.
    pub(super) fn update_config(&mut self, config: &ConnectionConfig) {
        self.progress.set_stall_timeout(config.read_stall_timeout);
    }

    pub(super) fn on_pause(&mut self, pause: Duration) {
        self.progress.on_pause(pause);
        self.now = Instant::now();
    }

    /// Reads once, until about `deadline` and a second at most, and tells the session what it sees.
    ///
    /// Returns whether bytes came. An end of the stream or a failure has closed the session.
    pub(super) fn read(
        &mut self,
        stream: &Stream,
        session: &mut impl LockSession,
        deadline: Option<Instant>,
    ) -> bool {
        let now = Instant::now();
        let deadlines = [deadline, self.progress.deadline()];
        let earliest = deadlines.into_iter().flatten().min();
        if let Err(error) = self.wait.until(stream, earliest, now) {
            session.on_transport_end(TransportEnd::Failed(error.kind()));
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
                session.on_transport_end(TransportEnd::EndOfStream);
                false
            }
            Ok(len) => {
                self.counters.add_bytes_in(len);
                if let Some(memory) = &mut self.memory {
                    // Once for all that has come: the budgets are shared with whoever drops messages.
                    memory.cover(self.frames.held() as u64);
                }
                // A frame of some size in the middle of its way: a pong cannot overtake it.
                let large = self
                    .frames
                    .arriving()
                    .is_some_and(|(len, _)| len >= SMALL_FRAME);
                let (limits, expected) = session.with(|session| {
                    session.on_received(now);
                    if large {
                        session.on_transfer(now);
                    }
                    (session.limits(), session.expected())
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
                session.on_transport_end(TransportEnd::Failed(error.kind()));
                false
            }
        }
    }

    /// The next message for the program; the session has seen everything up to it. `None` if more bytes are needed.
    ///
    /// After each message the session's outputs are to be drained.
    pub(super) fn next(&mut self, session: &mut impl LockSession) -> Next {
        let arrival = match self.next_arrival() {
            Ok(Some(arrival)) => arrival,
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
        let now = self.now;
        let (delivery, limits, expected, has_output) = session.with(|session| {
            let delivery = match &arrival {
                Arrival::Message(message, _) => session.on_message(message, now),
                Arrival::Malformed(command, error) => {
                    session.on_malformed(*command, error, now);
                    Delivery::Consumed
                }
                Arrival::Dropped(cause) => {
                    session.on_dropped(cause.clone(), now);
                    Delivery::Consumed
                }
                Arrival::PassedOver { .. } => Delivery::Deliver,
            };
            (
                delivery,
                session.limits(),
                session.expected(),
                session.has_output(),
            )
        });
        self.frames.set_limits(limits);
        self.frames.set_expected(expected);
        self.has_output = has_output;
        match (delivery, arrival) {
            (Delivery::Deliver, Arrival::Message(message, weight)) => {
                let message = SharedMessage::holding(message, weight.len, weight.memory);
                Next::Received(Received::Message(message))
            }
            (Delivery::Deliver, Arrival::PassedOver { command, len }) => {
                Next::Received(Received::PassedOver { command, len })
            }
            _ => Next::Handled,
        }
    }

    fn next_arrival(&mut self) -> Result<Option<Arrival>, FrameError> {
        let Some(found) = self.frames.find_next()? else {
            return Ok(None);
        };
        self.progress.on_frame();
        Ok(Some(match found {
            Found::Lying { command, at, .. } => self.decode_lying(command, at),
            Found::Taken(Incoming::Frame(frame)) => self.decode(frame),
            Found::Taken(Incoming::Dropped(cause)) => {
                // How long it was is not told: nobody is to rely on it.
                let number = cause.command().and_then(MessageNumber::of);
                self.counters.add_message_in(number, 0);
                Arrival::Dropped(cause)
            }
            Found::Taken(Incoming::PassedOver { command, len }) => {
                let number = MessageNumber::of(command);
                self.counters.add_message_in(number, len);
                Arrival::PassedOver { command, len }
            }
        }))
    }

    /// Decodes a payload in the arrival buffer, which is copied only if the message keeps it.
    fn decode_lying(&mut self, command: Command, at: Range<usize>) -> Arrival {
        let number = MessageNumber::of(command);
        let Some(number) = number.filter(|number| !number.shares_payload()) else {
            let payload = Bytes::copy_from_slice(self.frames.lying(at));
            return self.decode_shared(command, number, payload);
        };
        let len = at.len() as u64;
        self.counters.add_message_in(Some(number), len);
        match Message::decode_known(number, &mut Reader::new(self.frames.lying(at))) {
            Ok(message) => {
                let memory = self.memory.as_mut().map(|memory| memory.split_off(len));
                Arrival::Message(message, Weight { len, memory })
            }
            Err(error) => Arrival::Malformed(command, error),
        }
    }

    fn decode(&mut self, frame: Frame) -> Arrival {
        let (command, payload) = (frame.command, frame.payload);
        self.decode_shared(command, MessageNumber::of(command), payload)
    }

    fn decode_shared(
        &mut self,
        command: Command,
        number: Option<MessageNumber>,
        payload: Bytes,
    ) -> Arrival {
        let len = payload.len() as u64;
        self.counters.add_message_in(number, len);
        let memory = self.memory.as_mut().map(|memory| memory.split_off(len));
        let shares = number.is_none_or(MessageNumber::shares_payload);
        let (payload, memory) = match memory {
            Some(memory) if shares => (memory.guard(payload), None),
            memory => (payload, memory),
        };
        match Message::decode(command, payload) {
            Ok(message) => Arrival::Message(message, Weight { len, memory }),
            Err(error) => Arrival::Malformed(command, error),
        }
    }

    fn check_progress(&self, session: &mut impl LockSession, now: Instant) {
        if self
            .progress
            .deadline()
            .is_some_and(|deadline| now >= deadline)
            && let Some((len, missing)) = self.frames.arriving()
        {
            session.with(|session| session.close(DisconnectReason::ReadStalled { len, missing }));
        }
    }
}

/// What [`Inlet::next`] came upon.
#[derive(Debug)]
pub(super) enum Next {
    /// Something for the program.
    Received(Received),
    /// The session's own business.
    Handled,
    /// The frames that have come are done.
    NeedsMore,
}

/// A session, owned or behind a lock: held for one call, never across reading, decoding or delivery.
pub(super) trait LockSession {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T;

    /// The reading side has ended. Who knows better why tells the session that.
    fn on_transport_end(&mut self, end: TransportEnd) {
        self.with(|session| session.on_transport_end(end));
    }
}

impl LockSession for Session {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        call(self)
    }
}
