//! Reads and writes during the calls of a blocking connection.

use std::io::{self, IoSlice};
use std::time::Instant;

use log::Level;

use super::{Connection, WRITE_WAIT};
use crate::connection::logging::{self, Logged};
use crate::connection::message_reader::{ReadOutcome, SessionAccess};
use crate::connection::send_queue::{Priority, WriteProgress};
use crate::connection::stream::Stream;
use crate::session::{DisconnectReason, Output, Session, SessionEvent, TransportClose};
use crate::sockets::is_peer_close;
use crate::wire::{EncodedFrame, Message, StreamType};

impl Connection {
    /// Writes queued data and reads once, until about `deadline` and for at most 1 s.
    pub(super) fn poll_io(&mut self, deadline: Option<Instant>) -> Result<(), DisconnectReason> {
        self.update_expected();
        self.flush_nonblocking()?;
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.read_available()?;
        } else {
            // Unsent data is retried soon, because the read does not end when the socket is
            // writable.
            let again = (!self.unsent.is_empty()).then(|| now + WRITE_WAIT);
            let deadlines = [deadline, self.session.next_deadline(), again];
            let deadline = deadlines.into_iter().flatten().min();
            if self
                .reader
                .read(&self.stream, &mut self.session, deadline, now)
            {
                self.process_input()?;
            }
        }
        self.session.on_timeout(Instant::now());
        // The next call may be far away, so responses are written now.
        self.flush_nonblocking()
    }

    /// Decodes received frames and queues the messages for the caller.
    fn process_input(&mut self) -> Result<(), DisconnectReason> {
        self.reader.stream_blocks(self.requests.block_readers() > 0);
        let is_recorded = self.logs(Level::Debug);
        loop {
            let next = self.reader.next(&mut self.session);
            if is_recorded {
                logging::log_received(self, &next);
            }
            match next {
                ReadOutcome::Received(received) => {
                    if let Some(ordinary) = self.requests.on_received(received, StreamType::General)
                    {
                        self.received.push(ordinary);
                    }
                    self.update_expected();
                }
                // The memory of a blocking connection is limited by its receive queue.
                ReadOutcome::Handled | ReadOutcome::NeedsMemory => {}
                ReadOutcome::Block(part) => {
                    if let Err(reason) = self.on_block_part(part) {
                        self.session.close(reason);
                    }
                }
                ReadOutcome::NeedsMore => return self.process_outputs(),
            }
            self.process_outputs()?;
        }
    }

    /// Handles the outputs of the session, and queues its messages. Must follow each frame.
    fn process_outputs(&mut self) -> Result<(), DisconnectReason> {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(message) => {
                    logging::log_sent(self, &message);
                    let frame = EncodedFrame::new(self.config.magic(), &message);
                    let len = frame.len();
                    if self.unsent.push_reply(Priority::Protocol, frame, 0) {
                        self.counters.add_message_out(message.command(), len);
                    } else {
                        let waiting = self.unsent.bytes() as u64;
                        self.session.close(DisconnectReason::SlowReader { waiting });
                    }
                }
                Output::Event(SessionEvent::HandshakeComplete(info)) => {
                    let text = format_args!("handshake complete with {}", info.user_agent);
                    self.log(Level::Info).write(text);
                }
                // A blocking connection has a single stream.
                Output::RegisterAssociation(_)
                | Output::OpenStream(_)
                | Output::Event(SessionEvent::StreamSetupFailed(_)) => {}
                Output::Event(SessionEvent::Pong {
                    nonce,
                    round_trip,
                    stream,
                }) => {
                    self.requests.on_pong(nonce, round_trip, stream);
                }
                Output::Event(SessionEvent::Misbehavior { misbehavior, score }) => {
                    let record = self.log(Level::Debug).error(&misbehavior);
                    record.write(format_args!("misbehavior (score {score})"));
                }
                Output::Close(reason) => {
                    // The final messages, such as a `reject`, are sent only if the socket accepts
                    // them now.
                    let _ = self.write(Stream::write_now);
                    self.stream.shut_down();
                    let text = format_args!("{} connection closed", self.session.direction());
                    self.log(Level::Info).error(&reason).write(text);
                    return Err(reason);
                }
            }
        }
        self.check_open()
    }

    pub(super) fn write_out(&mut self, message: &Message) -> Result<(), DisconnectReason> {
        let frame = EncodedFrame::new(self.config.magic(), message);
        self.counters.add_message_out(frame.command(), frame.len());
        self.unsent.push_back(Priority::Bulk, frame);
        logging::log_sent(self, message);
        self.flush()
    }

    /// Writes all queued data, and reads in between.
    fn flush(&mut self) -> Result<(), DisconnectReason> {
        while !self.unsent.is_empty() {
            self.write_available()?;
        }
        Ok(())
    }

    /// Writes some queued data. If the peer accepts none, reads instead, or blocks for a short
    /// write.
    pub(super) fn write_available(&mut self) -> Result<(), DisconnectReason> {
        // The peer may not read until its own data is read.
        if !self.write_step(Stream::write_now)? && !self.read_available()? {
            self.write_step(Stream::write_soon)?;
        }
        Ok(())
    }

    /// Writes queued data until the socket would block.
    fn flush_nonblocking(&mut self) -> Result<(), DisconnectReason> {
        self.process_outputs()?;
        while !self.unsent.is_empty() && self.write_step(Stream::write_now)? {}
        Ok(())
    }

    /// Writes once and checks the write timeout. Returns whether data was written.
    fn write_step(
        &mut self,
        write: fn(&Stream, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<bool, DisconnectReason> {
        let written = match self.write(write) {
            Ok(written) => written,
            Err(error) => {
                if is_peer_close(&error) {
                    self.drain_after_reset()?;
                }
                let failed = TransportClose::Failed(error.kind());
                self.session.on_transport_end(failed);
                WriteProgress::default()
            }
        };
        let now = Instant::now();
        if written.large {
            self.session.on_partial_frame(now);
        }
        if self.unsent.is_overdue(now) {
            let waiting = self.unsent.bytes() as u64;
            self.session.close(DisconnectReason::SlowReader { waiting });
        }
        self.process_outputs()?;
        Ok(written.bytes > 0)
    }

    /// Handles the messages that a peer sent before it reset the connection.
    fn drain_after_reset(&mut self) -> Result<(), DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        self.stream.set_nonblocking(true).map_err(failed)?;
        while self
            .reader
            .read_once(&self.stream, &mut AfterReset(&mut self.session))
        {
            self.process_input()?;
        }
        Ok(())
    }

    /// Writes the head of the queue once.
    fn write(
        &mut self,
        write: fn(&Stream, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<WriteProgress> {
        let written = self.unsent.write(|parts| write(&self.stream, parts))?;
        self.counters.add_bytes_out(written.bytes);
        Ok(written)
    }

    /// Reads once without blocking. Returns whether data was received.
    fn read_available(&mut self) -> Result<bool, DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        self.stream.set_nonblocking(true).map_err(failed)?;
        let came = self.reader.read_once(&self.stream, &mut self.session);
        self.stream.set_nonblocking(false).map_err(failed)?;
        if came {
            self.process_input()?;
        }
        self.process_outputs()?;
        Ok(came)
    }
}

/// The session of a connection that the peer reset. EOF counts as a reset.
struct AfterReset<'a>(&'a mut Session);

impl SessionAccess for AfterReset<'_> {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        call(self.0)
    }

    fn on_transport_end(&mut self, _end: TransportClose) {
        let reset = TransportClose::Failed(io::ErrorKind::ConnectionReset);
        self.0.on_transport_end(reset);
    }
}
