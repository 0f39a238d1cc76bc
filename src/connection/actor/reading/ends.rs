//! Executes the outputs of the session and handles the end of a stream.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use log::Level;
use uuid::Uuid;

use super::{End, Reading, Role, Wish};
use crate::connection::actor::opening;
use crate::connection::message_reader::SessionAccess;
use crate::connection::records::{self, Logged};
use crate::session::{ConnectionState, DisconnectReason, Output, SessionEvent, TransportClose};

/// The maximum time for a rejected peer to read the reason.
const FAREWELL: Duration = Duration::from_secs(1);

impl Reading<'_> {
    /// Executes the outputs of the session. Returns the end of the connection once it is due.
    pub(super) fn drain(&mut self) -> Option<End> {
        // Events are emitted after replies are queued, so that a send triggered by an event cannot
        // overtake them.
        let (mut replies, mut news, mut becomes) = (Vec::new(), Vec::new(), None);
        let (mut wishes, mut end) = (Vec::new(), None);
        let is_first = matches!(self.role, Role::First { .. });
        {
            let (mut session, _) = self.parts();
            session.with(|session| {
                while let Some(output) = session.poll_output_of(is_first) {
                    match output {
                        Output::Send(message) => replies.push(message),
                        Output::Event(event) => news.push(event),
                        Output::RegisterAssociation(id) => wishes.push((id, Wish::Await)),
                        Output::OpenStream(request) => {
                            wishes.push((Uuid::nil(), Wish::Open(request)));
                        }
                        Output::AttachStream(request) => becomes = Some(request),
                        Output::Close(reason) => end = Some(reason),
                    }
                }
                if !is_first {
                    end = session.close_reason().cloned();
                }
            });
        }
        if let Some(request) = becomes {
            return Some(End::Becomes(request));
        }
        for (id, wish) in wishes {
            self.take_wish(id, wish);
        }
        let last_words = !replies.is_empty();
        if last_words {
            // If queuing fails, the outbox is closed, and its reason is returned below.
            if self.peer.logs(Level::Debug) {
                replies
                    .iter()
                    .for_each(|reply| records::sent(&**self.peer, reply));
            }
            self.peer.links().reply(&replies);
        }
        for event in news {
            self.events.tell(self.peer, event);
        }
        match &self.role {
            Role::First { .. } => {
                if end.is_some() && last_words {
                    self.farewell();
                }
                let failed = || {
                    self.link
                        .outbox
                        .closed()
                        .filter(|reason| !reason.is_peer_close())
                };
                // Data received before the peer closed the connection is still read, so its close
                // does not end the loop here.
                end.or_else(|| self.peer.stop.reason()).or_else(failed)
            }
            Role::Second(stop) => {
                let stop = *stop;
                let failed = || {
                    self.link
                        .outbox
                        .closed()
                        .filter(|reason| !reason.is_peer_close())
                };
                end.or_else(|| stop.reason()).or_else(failed)
            }
        }
        .map(End::Ended)
    }

    /// Handles EOF or a socket error. A local shutdown also surfaces as EOF.
    pub(super) fn on_transport_end(&mut self, end: TransportClose) -> Option<End> {
        let ours = self.stop().reason().or_else(|| self.link.outbox.closed());
        let cut = cut_of(end);
        let ours_is_cut = ours.as_ref().is_none_or(DisconnectReason::is_peer_close);
        match self.role {
            Role::First { .. } => {
                let is_cut = cut.is_some() && ours_is_cut;
                let ours = ours.or(cut).map(|reason| self.peer.agree_on(reason));
                // Data that arrived on the other stream before the peer closed both is still read.
                if let Some(reason) = &ours
                    && is_cut
                {
                    self.peer.second.cut(reason);
                }
                let mut session = self.peer.session.lock();
                match ours {
                    Some(DisconnectReason::ConnectionReset) => {
                        session
                            .on_transport_end(TransportClose::Failed(ErrorKind::ConnectionReset));
                    }
                    Some(DisconnectReason::ConnectionClosed) => {
                        session.on_transport_end(TransportClose::ConnectionClosed);
                    }
                    Some(reason) => session.close(reason),
                    None => {
                        session.on_transport_end(end);
                    }
                }
                None
            }
            Role::Second(_) => {
                let reason = ours.or(cut).map(|reason| self.peer.agree_on(reason));
                Some(End::Ended(reason.unwrap_or(match end {
                    TransportClose::Failed(kind) => DisconnectReason::Io(kind),
                    TransportClose::ConnectionClosed => DisconnectReason::ConnectionClosed,
                })))
            }
        }
    }

    fn take_wish(&mut self, id: Uuid, wish: Wish) {
        if let Role::First {
            association,
            second,
        } = &mut self.role
        {
            match wish {
                // The peer may use the id from now on, but the stream starts only after the events
                // of the handshake.
                Wish::Await => {
                    *association = self.peer.associations.enter(id, self.peer);
                    if association.is_some() {
                        self.peer.second.announce();
                    }
                }
                Wish::Open(_) => {}
            }
            *second = Some(wish);
        }
    }

    /// Opens or allows the second stream once the events of the handshake were emitted. Its own
    /// events follow them.
    pub(super) fn begin_second(&mut self) {
        let Role::First {
            association,
            second,
        } = &mut self.role
        else {
            return;
        };
        if second.is_none() || self.peer.session.lock().state() != ConnectionState::Connected {
            return;
        }
        match second.take() {
            Some(Wish::Await) if association.is_some() => self.peer.second.allow(),
            Some(Wish::Open(request)) => {
                self.peer.second.allow();
                if let Err(refusal) = opening::begin(self.peer, self.link, request) {
                    let refused = SessionEvent::StreamSetupFailed(refusal);
                    self.events.tell(self.peer, refused);
                }
            }
            Some(Wish::Await) | None => {}
        }
    }

    /// Gives the peer up to 1 s to read the last reply, usually a `reject`.
    ///
    /// Closing a socket with unread received data discards sent data that the peer has not read
    /// yet.
    fn farewell(&self) {
        let deadline = Instant::now() + FAREWELL;
        let link = self.link;
        if link.outbox.flush(deadline).is_err() {
            return;
        }
        link.stream.finish_writing();
        let is_stopped = || self.peer.stop.reason().is_some();
        link.stream.discard_until(deadline, is_stopped);
    }
}

/// Returns the disconnect reason if the peer or the network closed the connection.
fn cut_of(end: TransportClose) -> Option<DisconnectReason> {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match end {
        TransportClose::ConnectionClosed => Some(DisconnectReason::ConnectionClosed),
        TransportClose::Failed(ConnectionReset | ConnectionAborted | BrokenPipe) => {
            Some(DisconnectReason::ConnectionReset)
        }
        TransportClose::Failed(_) => None,
    }
}
