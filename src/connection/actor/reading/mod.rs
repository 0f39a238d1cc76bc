//! Reads one stream of a peer.
//!
//! Messages are passed to the session, responses to the requesting callers, and other messages to
//! subscribers.

mod ends;
mod pauses;

use std::sync::Arc;
use std::time::Instant;

use log::Level;

use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use super::streaming::Streaming;
use super::telling::Events;
use crate::connection::associations::Association;
use crate::connection::message_reader::{MessageReader, ReadOutcome, Received, SessionAccess};
use crate::connection::records::{self, Logged};
use crate::connection::stop::Stop;
use crate::session::{DisconnectReason, Session, TransportClose};
use crate::wire::CreateStrm;

/// The read loop of one stream, on the thread of that stream.
pub(super) struct Reading<'a> {
    pub(super) peer: &'a Arc<PeerConnection>,
    pub(super) link: &'a Arc<PeerStream>,
    pub(super) reader: MessageReader,
    pub(super) events: Events<'a>,
    pub(super) streaming: &'a mut Streaming,
    pub(super) role: Role<'a>,
    pub(super) config_version: u64,
    /// The end of the socket, if it was reached.
    pub(super) transport_end: Option<TransportClose>,
}

/// The further duties of the thread.
pub(super) enum Role<'a> {
    /// The thread of the first stream. It checks timeouts, starts the second stream and ends both.
    First {
        /// The registry entry with which the peer may open a second stream.
        association: Option<Association>,
        /// The pending action for the second stream. It runs after all earlier events were emitted.
        second: Option<Wish>,
    },
    /// The thread of the second stream. It ends when the signal is set.
    Second(&'a Stop),
}

impl Role<'_> {
    fn stop<'s>(&'s self, peer: &'s PeerConnection) -> &'s Stop {
        match self {
            Role::First { .. } => &peer.stop,
            Role::Second(stop) => stop,
        }
    }
}

/// A pending action for the second stream.
pub(super) enum Wish {
    /// This side opens the stream.
    Open(CreateStrm),
    /// The peer may open the stream.
    Await,
}

/// The result of the read loop.
pub(super) enum End {
    Ended(DisconnectReason),
    /// The peer requested that the connection become a stream of a connected peer.
    Becomes(CreateStrm),
}

impl Reading<'_> {
    /// Reads until the connection ends. If `has_come` is set, buffered frames are handled before
    /// the first read.
    pub(super) fn run(&mut self, mut has_come: bool) -> End {
        loop {
            self.apply_config();
            let now = Instant::now();
            self.peer
                .publish_misbehavior(self.peer.misbehavior.poll(now));
            let deadline = self.look_at_clock(now);
            if let Some(end) = self.drain() {
                return end;
            }
            self.wait_for_subscribers();
            if !self.reader.has_memory()
                && let Err(reason) = self.wait_for_memory()
            {
                return End::Ended(reason);
            }
            self.begin_second();
            let misbehavior = self.peer.misbehavior.next_deadline();
            let deadline = deadline.into_iter().chain(misbehavior).min();
            if (std::mem::take(&mut has_come) || self.read(deadline, now))
                && let Some(end) = self.take_all()
            {
                return end;
            }
            if let Some(end) = self.transport_end.take()
                && let Some(end) = self.on_transport_end(end)
            {
                return end;
            }
            self.events.publisher.report_lag();
        }
    }

    fn read(&mut self, deadline: Option<Instant>, now: Instant) -> bool {
        let (mut session, reader) = self.parts();
        let has_come = reader.read(&session.link.stream, &mut session, deadline, now);
        self.transport_end = session.transport_end;
        has_come
    }

    /// Handles all buffered frames. Returns the end of the connection if it is due.
    fn take_all(&mut self) -> Option<End> {
        let any_reader = self.peer.requests.any_block_reader();
        self.reader.stream_blocks(any_reader);
        let is_recorded = self.peer.logs(Level::Debug);
        loop {
            let (mut session, reader) = self.parts();
            let next = reader.next(&mut session);
            if (self.reader.has_output() || self.stop().is_set() || self.link.outbox.is_closed())
                && let Some(end) = self.drain()
            {
                return Some(end);
            }
            if is_recorded {
                records::received(&**self.peer, &next);
            }
            match next {
                ReadOutcome::NeedsMore => return None,
                ReadOutcome::Handled => {}
                ReadOutcome::Block(part) => {
                    self.set_pauses(true);
                    let link = Arc::downgrade(self.link);
                    let stop = self.role.stop(self.peer);
                    let taken =
                        self.streaming
                            .take(part, self.peer, (&link, stop), &mut self.reader);
                    let ended = match taken {
                        Ok(Some((from, until))) => {
                            self.on_reads_paused(from, until);
                            None
                        }
                        Ok(None) => None,
                        Err(reason) => Some(End::Ended(reason)),
                    };
                    self.set_pauses(false);
                    if ended.is_some() {
                        return ended;
                    }
                }
                ReadOutcome::Received(Received::Message(message))
                    if !self.peer.requests.may_concern(&message) =>
                {
                    self.events.deliver_message(self.peer, message);
                }
                ReadOutcome::Received(received) => self.answer(received),
            }
            self.wait_for_subscribers();
        }
    }

    /// Routes a message to the pending request it answers, or else to subscribers.
    fn answer(&mut self, received: Received) {
        let requests = &self.peer.requests;
        let ordinary = requests.on_received(received, self.link.kind);
        self.peer.send_fence();
        if let Some(ordinary) = ordinary {
            self.events.deliver(self.peer, ordinary);
        }
    }

    /// Applies the configuration if it was replaced.
    fn apply_config(&mut self) {
        if self.peer.config_version() == self.config_version {
            return;
        }
        self.config_version = self.peer.config_version();
        let config = self.peer.config();
        self.reader.update_config(&config);
        self.link.outbox.update_config(&config);
        self.events.publisher.set_limits((&*config).into());
        if let Role::First { .. } = self.role {
            self.peer.memory.set_max(config.max_payload_memory);
            // The configuration was validated when it was set.
            let _ = self
                .peer
                .session
                .lock()
                .update_config(config.session.clone());
        }
    }

    /// Returns the signal that ends all waits of the thread.
    fn stop(&self) -> &Stop {
        self.role.stop(self.peer)
    }

    fn parts(&mut self) -> (Locked<'_>, &mut MessageReader) {
        let locked = Locked {
            peer: self.peer,
            link: self.link,
            transport_end: None,
        };
        (locked, &mut self.reader)
    }
}

/// The shared session on behalf of one stream, locked for one call at a time.
struct Locked<'a> {
    peer: &'a PeerConnection,
    link: &'a PeerStream,
    transport_end: Option<TransportClose>,
}

impl SessionAccess for Locked<'_> {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        let mut session = self.peer.session.lock();
        session.set_stream(self.link.kind);
        call(&mut session)
    }

    /// Records the end. [`Reading::on_transport_end`] interprets it, since that can check the other
    /// stream.
    fn on_transport_end(&mut self, end: TransportClose) {
        self.transport_end = Some(end);
    }
}
