//! Reads one stream of a peer.
//!
//! Messages are passed to the session, responses to the requesting callers, and other messages to
//! subscribers.

mod backpressure;
mod outputs;

use std::sync::Arc;
use std::time::Instant;

use log::Level;

use super::active_connection::ActiveConnection;
use super::block_transfer::BlockTransfer;
use super::event_emitter::EventEmitter;
use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use crate::connection::association_registry::AssociationGuard;
use crate::connection::logging::{self, Logged};
use crate::connection::message_reader::{
    BlockPart, MessageReader, ReadOutcome, Received, SessionAccess,
};
use crate::connection::stream::Stream;
use crate::session::{DisconnectReason, Session, TransportClose};
use crate::wire::CreateStrm;

/// The read loop of one stream, on the thread of that stream.
pub(super) struct ReadLoop<'a> {
    pub(super) peer: &'a Arc<PeerConnection>,
    pub(super) connection: &'a Arc<ActiveConnection>,
    pub(super) stream: &'a Arc<PeerStream>,
    pub(super) reader: MessageReader,
    pub(super) events: EventEmitter<'a>,
    pub(super) block_transfer: &'a mut BlockTransfer,
    pub(super) role: StreamRole,
    /// The time up to which the data that arrived on this stream was read.
    pub(super) read_until: Instant,
    pub(super) config_version: u64,
    /// The end of the socket, if it was reached.
    pub(super) transport_end: Option<TransportClose>,
}

/// The further duties of the thread.
pub(super) enum StreamRole {
    /// The thread of the first stream. It checks timeouts, starts the second stream and ends both.
    Primary {
        /// The registry entry with which the peer may open a second stream.
        association: Option<AssociationGuard>,
        /// The pending action for the second stream. It runs after all earlier events were emitted.
        stream_action: Option<StreamAction>,
    },
    /// The thread of the second stream.
    Data,
}

/// A pending action for the second stream.
pub(super) enum StreamAction {
    /// This side opens the stream.
    Open(CreateStrm),
    /// The peer may open the stream.
    Await,
}

impl ReadLoop<'_> {
    /// Reads until the connection ends. If `has_come` is set, buffered frames are handled before
    /// the first read.
    pub(super) fn run(&mut self, mut has_come: bool) -> DisconnectReason {
        loop {
            self.apply_config();
            let now = Instant::now();
            self.peer
                .publish_misbehavior(self.peer.misbehavior.poll(now));
            let deadline = self.handle_timeouts(now);
            if let Some(end) = self.process_outputs() {
                return end;
            }
            self.wait_for_subscribers();
            if !self.reader.has_memory() {
                match self.wait_for_memory() {
                    Ok(()) => continue,
                    Err(reason) => return reason,
                }
            }
            let misbehavior = self.peer.misbehavior.next_deadline();
            let deadline = deadline.into_iter().chain(misbehavior).min();
            let has_data = std::mem::take(&mut has_come) || self.read(deadline, now);
            if has_data && let Some(end) = self.process_input() {
                return end;
            }
            if let Some(end) = self.transport_end.take()
                && let Some(end) = self.on_transport_end(end)
            {
                return end;
            }
            self.events.publisher.report_lag();
            self.set_read_until(now);
            if !has_data {
                self.wait_while_idle();
            }
        }
    }

    /// Waits for the next frame of a data stream on which nothing arrived for a while.
    ///
    /// The thread of the first stream does what is due each second. It checks the idle socket before
    /// a timeout expires.
    fn wait_while_idle(&mut self) {
        if let StreamRole::Data = self.role
            && Stream::SUPPORTS_NONBLOCKING_CALLS
        {
            self.connection.data_stream.set_idle(true);
            self.reader.wait_for_frame(&self.stream.socket);
            self.connection.data_stream.set_idle(false);
        }
    }

    fn read(&mut self, deadline: Option<Instant>, now: Instant) -> bool {
        let (mut session, reader) = self.parts();
        let has_come = reader.read(&session.stream.socket, &mut session, deadline, now);
        self.transport_end = session.transport_end;
        has_come
    }

    /// Handles all buffered frames. Returns the end of the connection if it is due.
    fn process_input(&mut self) -> Option<DisconnectReason> {
        let any_reader = self.connection.requests.any_block_reader();
        self.reader.stream_blocks(any_reader);
        let is_recorded = self.peer.logs(Level::Debug);
        loop {
            let (mut session, reader) = self.parts();
            let next = reader.next(&mut session);
            if (self.reader.has_output() || self.connection.close.is_closed())
                && let Some(end) = self.process_outputs()
            {
                return Some(end);
            }
            if is_recorded {
                logging::log_received(&**self.peer, &next);
            }
            match next {
                ReadOutcome::NeedsMore => return None,
                ReadOutcome::Handled => {}
                ReadOutcome::NeedsMemory => {
                    if let Err(reason) = self.wait_for_memory() {
                        return Some(reason);
                    }
                    // The wait also ends if the connection is closing.
                    if let Some(end) = self.process_outputs() {
                        return Some(end);
                    }
                }
                ReadOutcome::Block(part) => {
                    if let Err(reason) = self.process_block_part(part) {
                        return Some(reason);
                    }
                }
                ReadOutcome::Received(Received::Message(message))
                    if !self.connection.requests.may_answer(&message) =>
                {
                    self.events.deliver_message(message);
                }
                ReadOutcome::Received(received) => self.route(received),
            }
            self.wait_for_subscribers();
        }
    }

    /// Passes a part of a block to its reader.
    fn process_block_part(&mut self, part: BlockPart) -> Result<(), DisconnectReason> {
        let (peer, connection) = (self.peer, self.connection);
        let kind = self.stream.kind;
        let paused = self
            .block_transfer
            .take(part, peer, (connection, kind), &mut self.reader);
        if let Ok(Some((from, until))) = paused {
            self.on_reads_paused(from, until);
        }
        paused.map(drop)
    }

    /// Routes a message to the pending request it answers, or else to subscribers.
    fn route(&mut self, received: Received) {
        let requests = &self.connection.requests;
        let ordinary = requests.on_received(received, self.stream.kind);
        self.connection.send_fence();
        if let Some(ordinary) = ordinary {
            self.events.deliver(ordinary);
        }
    }

    /// Applies the configuration if it was replaced. Returns whether it was.
    fn apply_config(&mut self) -> bool {
        if self.peer.config_version() == self.config_version {
            return false;
        }
        let (config, version) = self.peer.config();
        self.config_version = version;
        self.reader.update_config(&config);
        // The thread of an idle data stream does not check for a new configuration.
        for stream in self.connection.streams().all() {
            stream.outbox.update_config(&config);
        }
        self.events.publisher.set_limits((&*config).into());
        true
    }

    fn parts(&mut self) -> (Locked<'_>, &mut MessageReader) {
        let locked = Locked {
            connection: self.connection,
            stream: self.stream,
            transport_end: None,
        };
        (locked, &mut self.reader)
    }
}

/// The shared session on behalf of one stream, locked for one call at a time.
struct Locked<'a> {
    connection: &'a ActiveConnection,
    stream: &'a PeerStream,
    transport_end: Option<TransportClose>,
}

impl SessionAccess for Locked<'_> {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        let mut session = self.connection.session();
        session.set_stream(self.stream.kind);
        call(&mut session)
    }

    fn is_known_connected(&self) -> bool {
        self.connection.is_established() && !self.connection.close.is_closed()
    }

    /// Records the end. [`ReadLoop::on_transport_end`] interprets it, since that can check the other
    /// stream.
    fn on_transport_end(&mut self, end: TransportClose) {
        self.transport_end = Some(end);
    }
}
