//! Executes the outputs of the session and handles the end of a stream.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use log::Level;
use uuid::Uuid;

use super::{ReadLoop, StreamAction, StreamRole};
use crate::connection::actor::data_stream;
use crate::connection::logging::{self, Logged};
use crate::connection::message_reader::SessionAccess;
use crate::session::{ConnectionState, DisconnectReason, Output, SessionEvent, TransportClose};

/// The maximum time for a rejected peer to read the reason.
const LINGER: Duration = Duration::from_secs(1);

impl ReadLoop<'_> {
    /// Executes the outputs of the session. Returns the end of the connection once it is due.
    pub(super) fn process_outputs(&mut self) -> Option<DisconnectReason> {
        // Events are emitted after replies are queued, so that a send triggered by an event cannot
        // overtake them.
        let (mut replies, mut events) = (Vec::new(), Vec::new());
        let (mut actions, mut end) = (Vec::new(), None);
        let is_primary = matches!(self.role, StreamRole::Primary { .. });
        {
            let (mut session, _) = self.parts();
            session.with(|session| {
                while let Some(output) = session.poll_output_of(is_primary) {
                    match output {
                        Output::Send(message) => replies.push(message),
                        Output::Event(event) => events.push(event),
                        Output::RegisterAssociation(id) => actions.push((id, StreamAction::Await)),
                        Output::OpenStream(request) => {
                            actions.push((Uuid::nil(), StreamAction::Open(request)));
                        }
                        Output::Close(reason) => end = Some(reason),
                    }
                }
                if !is_primary {
                    end = session.close_reason().cloned();
                }
            });
        }
        for (id, action) in actions {
            self.queue_stream_action(id, action);
        }
        let last_words = !replies.is_empty();
        if last_words {
            // If queuing fails, the outbox is closed, and its reason is returned below.
            if self.peer.logs(Level::Debug) {
                replies
                    .iter()
                    .for_each(|reply| logging::log_sent(&**self.peer, reply));
            }
            self.connection.streams().reply(&replies);
        }
        for event in events {
            self.events.emit(event);
        }
        self.start_data_stream();
        if let Some(reason) = end {
            // Callers get the reason even while the peer reads the last replies.
            let reason = self.connection.close.final_reason().unwrap_or(reason);
            self.connection.requests.close(&reason);
            if is_primary && last_words {
                self.linger();
            }
        }
        // Data received before the peer closed the connection is still read, so its close does not
        // end the loop here.
        self.connection.close.final_reason()
    }

    /// Handles EOF or a socket error. A local shutdown also surfaces as EOF.
    pub(super) fn on_transport_end(&mut self, end: TransportClose) -> Option<DisconnectReason> {
        let close = &self.connection.close;
        if close.is_closed() {
            // This side shut the socket down.
            return None;
        }
        let Some(reason) = peer_close_of(end) else {
            self.connection.session().on_transport_end(end);
            return None;
        };
        let reason = close.close_by_peer(reason);
        if let StreamRole::Data = self.role {
            return Some(reason);
        }
        // Data that arrived on the data stream before the peer closed both is still read.
        self.connection.data_stream.join();
        // The session may have a better reason, for example a `reject` that it received before.
        let end = match reason {
            DisconnectReason::ConnectionReset => TransportClose::Failed(ErrorKind::ConnectionReset),
            _ => TransportClose::ConnectionClosed,
        };
        self.connection.session().on_transport_end(end);
        None
    }

    fn queue_stream_action(&mut self, id: Uuid, action: StreamAction) {
        if let StreamRole::Primary {
            association,
            stream_action,
        } = &mut self.role
        {
            match action {
                // The peer may use the id from now on, but the stream starts only after the events
                // of the handshake.
                StreamAction::Await => {
                    *association = self
                        .peer
                        .associations
                        .register(id, self.peer, self.connection);
                    if association.is_some() {
                        self.connection.data_stream.set_offered();
                    }
                }
                StreamAction::Open(_) => {}
            }
            *stream_action = Some(action);
        }
    }

    /// Opens or allows the second stream once the events of the handshake were emitted. Its own
    /// events follow them.
    fn start_data_stream(&mut self) {
        let StreamRole::Primary {
            association,
            stream_action,
        } = &mut self.role
        else {
            return;
        };
        if stream_action.is_none()
            || self.connection.session().state() != ConnectionState::Connected
        {
            return;
        }
        match stream_action.take() {
            Some(StreamAction::Await) if association.is_some() => {
                self.connection.data_stream.set_ready()
            }
            Some(StreamAction::Open(request)) => {
                self.connection.data_stream.set_ready();
                let started = data_stream::start(self.peer, self.connection, self.stream, request);
                if let Err(error) = started {
                    self.events.emit(SessionEvent::StreamSetupFailed(error));
                }
            }
            Some(StreamAction::Await) | None => {}
        }
    }

    /// Gives the peer up to 1 s to read the last reply, usually a `reject`.
    ///
    /// Closing a socket with unread received data discards sent data that the peer has not read
    /// yet.
    fn linger(&self) {
        let deadline = Instant::now() + LINGER;
        let stream = self.stream;
        if stream.outbox.flush(deadline).is_err() {
            return;
        }
        stream.socket.finish_writing();
        // A stop shuts the socket down, which ends this wait.
        stream.socket.discard_until(deadline, || false);
    }
}

/// Returns the disconnect reason if the peer or the network closed the connection.
fn peer_close_of(end: TransportClose) -> Option<DisconnectReason> {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match end {
        TransportClose::ConnectionClosed => Some(DisconnectReason::ConnectionClosed),
        TransportClose::Failed(ConnectionReset | ConnectionAborted | BrokenPipe) => {
            Some(DisconnectReason::ConnectionReset)
        }
        TransportClose::Failed(_) => None,
    }
}
