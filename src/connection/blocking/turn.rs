//! Reading and writing: what a connection does while the program waits in a call.

use std::io::{self, IoSlice};
use std::time::Instant;

use super::{Connection, WRITE_WAIT};
use crate::connection::inlet::{LockSession, Next};
use crate::connection::lanes::{Lane, Written};
use crate::connection::progress::write_deadline;
use crate::connection::stream::Stream;
use crate::error::WithSources;
use crate::session::{DisconnectReason, Output, Session, SessionEvent, TransportClose};
use crate::sockets::is_peer_close;
use crate::wire::{EncodedFrame, Message, StreamType};

impl Connection {
    /// One turn: replies go out, bytes come in, until about `deadline` and a second at most.
    pub(super) fn turn(&mut self, deadline: Option<Instant>) -> Result<(), DisconnectReason> {
        self.write_what_goes()?;
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.read_what_is_there()?;
        } else {
            // What the system did not take is tried again soon.
            let again = (!self.unsent.is_empty()).then(|| now + WRITE_WAIT);
            let deadlines = [deadline, self.session.next_deadline(), again];
            let deadline = deadlines.into_iter().flatten().min();
            if self
                .inlet
                .read(&self.stream, &mut self.session, deadline, now)
            {
                self.take_arrivals()?;
            }
        }
        self.session.on_timeout(Instant::now());
        // The program may stay away for long: answers leave now.
        self.write_what_goes()
    }

    /// Looks at what has come, and keeps what is for the program.
    fn take_arrivals(&mut self) -> Result<(), DisconnectReason> {
        self.inlet
            .announce_blocks(self.requests.block_readers() > 0);
        loop {
            match self.inlet.next(&mut self.session) {
                Next::Received(received) => {
                    if let Some(ordinary) = self.requests.on_received(received, StreamType::General)
                    {
                        self.kept.push(ordinary);
                    }
                }
                Next::Handled => {}
                Next::Block(part) => {
                    if let Err(reason) = self.on_block_part(part) {
                        self.session.close(reason);
                    }
                }
                Next::NeedsMore => return self.drain(),
            }
            self.drain()?;
        }
    }

    /// Does what the session wants; what it sends waits until the next flush.
    fn drain(&mut self) -> Result<(), DisconnectReason> {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(message) => {
                    let frame = EncodedFrame::new(self.config.magic(), &message);
                    let len = frame.len();
                    if self.unsent.push_reply(frame) {
                        self.counters.add_message_out(message.command(), len);
                    } else {
                        let waiting = self.unsent.bytes() as u64;
                        self.session.close(DisconnectReason::SlowReader { waiting });
                    }
                }
                Output::Event(SessionEvent::HandshakeComplete(_)) => {}
                // It offers no streams: one caller has one connection.
                Output::RegisterAssociation(_)
                | Output::OpenStream(_)
                | Output::AttachStream(_)
                | Output::Event(SessionEvent::StreamSetupFailed(_)) => {}
                Output::Event(SessionEvent::Pong {
                    nonce,
                    round_trip,
                    stream,
                }) => {
                    self.requests.on_pong(nonce, round_trip, stream);
                }
                Output::Event(SessionEvent::Misbehavior { misbehavior, .. }) => {
                    log::debug!("{}: misbehavior: {}", self.name, WithSources(&misbehavior));
                }
                Output::Close(reason) => {
                    // The last words, a reject for instance, go out if the system takes them at once.
                    let _ = self.write(Stream::write_now);
                    self.stream.shut_down();
                    return Err(reason);
                }
            }
        }
        self.ended()
    }

    pub(super) fn write_out(&mut self, message: &Message) -> Result<(), DisconnectReason> {
        let frame = EncodedFrame::new(self.config.magic(), message);
        self.counters.add_message_out(frame.command(), frame.len());
        self.unsent.push_back(Lane::Bulk, frame);
        self.flush()
    }

    /// Writes all that is unsent, and reads meanwhile.
    fn flush(&mut self) -> Result<(), DisconnectReason> {
        while !self.unsent.is_empty() {
            self.write_available()?;
        }
        Ok(())
    }

    /// Writes some of what is unsent, or reads if the peer takes nothing.
    pub(super) fn write_available(&mut self) -> Result<(), DisconnectReason> {
        // A peer that takes nothing perhaps waits until we read.
        if !self.write_step(Stream::write_now)? && !self.read_what_is_there()? {
            self.write_step(Stream::write_soon)?;
        }
        Ok(())
    }

    /// Writes what the system takes without waiting.
    fn write_what_goes(&mut self) -> Result<(), DisconnectReason> {
        self.drain()?;
        while !self.unsent.is_empty() && self.write_step(Stream::write_now)? {}
        Ok(())
    }

    /// Tries once to write, and looks at the clock; returns whether anything went.
    fn write_step(
        &mut self,
        write: fn(&Stream, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<bool, DisconnectReason> {
        let written = match self.write(write) {
            Ok(written) => written,
            Err(error) => {
                if is_peer_close(&error) {
                    self.read_what_is_left()?;
                }
                let failed = TransportClose::Failed(error.kind());
                self.session.on_transport_end(failed);
                Written::default()
            }
        };
        let now = Instant::now();
        if written.large {
            self.session.on_partial_frame(now);
        }
        if self.unsent.is_late(now) {
            let waiting = self.unsent.bytes() as u64;
            self.session.close(DisconnectReason::SlowReader { waiting });
        }
        self.drain()?;
        Ok(written.bytes > 0)
    }

    /// The peer has gone: hears what it said before.
    fn read_what_is_left(&mut self) -> Result<(), DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        self.stream.set_nonblocking(true).map_err(failed)?;
        while self
            .inlet
            .read_once(&self.stream, &mut AfterReset(&mut self.session))
        {
            self.take_arrivals()?;
        }
        Ok(())
    }

    /// Tries once to write what is first in line.
    fn write(
        &mut self,
        write: fn(&Stream, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Written> {
        let base = self.config.write_timeout;
        let deadline = |len| write_deadline(base, len, Instant::now());
        let written = self
            .unsent
            .write(deadline, |parts| write(&self.stream, parts))?;
        self.counters.add_bytes_out(written.bytes);
        Ok(written)
    }

    /// Reads without waiting, until nothing more is there; returns whether anything came.
    fn read_what_is_there(&mut self) -> Result<bool, DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        self.stream.set_nonblocking(true).map_err(failed)?;
        let came = self.inlet.read_once(&self.stream, &mut self.session);
        self.stream.set_nonblocking(false).map_err(failed)?;
        if came {
            self.take_arrivals()?;
        }
        self.drain()?;
        Ok(came)
    }
}

/// The session of a connection whose peer is known to have gone: the end of what it sent is no orderly one.
struct AfterReset<'a>(&'a mut Session);

impl LockSession for AfterReset<'_> {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        call(self.0)
    }

    fn on_transport_end(&mut self, _end: TransportClose) {
        let reset = TransportClose::Failed(io::ErrorKind::ConnectionReset);
        self.0.on_transport_end(reset);
    }
}
