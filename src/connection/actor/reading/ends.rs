//! What the session wants done, and how a stream ends.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use log::Level;
use uuid::Uuid;

use super::{End, Reading, Role, Wish};
use crate::connection::actor::{opening, records};
use crate::connection::inlet::LockSession;
use crate::session::{ConnectionState, DisconnectReason, Output, SessionEvent, TransportClose};

/// How long a peer that is sent away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

impl Reading<'_> {
    /// Does what the session wants. Returns the end once the connection is at it.
    pub(super) fn drain(&mut self) -> Option<End> {
        // Told behind what is sent: a program that answers an event at once shall not overtake that.
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
            // If they are not taken, the outbox is closed, and says below why.
            if records::wanted(self.shared, Level::Debug) {
                replies
                    .iter()
                    .for_each(|reply| records::sent(self.shared, reply));
            }
            self.shared.links().reply(&replies);
        }
        for event in news {
            self.events.tell(self.shared, event);
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
                // A peer that has gone may have said something before: the reads go on until they come to the end.
                end.or_else(|| self.shared.stop.reason()).or_else(failed)
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

    /// The socket has ended. One that we have shut down ourselves reads like one that the peer has closed.
    pub(super) fn on_transport_end(&mut self, end: TransportClose) -> Option<End> {
        let ours = self.stop().reason().or_else(|| self.link.outbox.closed());
        let cut = cut_of(end);
        let ours_is_cut = ours.as_ref().is_none_or(DisconnectReason::is_peer_close);
        match self.role {
            Role::First { .. } => {
                let is_cut = cut.is_some() && ours_is_cut;
                let ours = ours.or(cut).map(|reason| self.shared.agree_on(reason));
                // What the peer said over the other stream before it cut both is still read.
                let left = match &ours {
                    Some(reason) if is_cut => self.shared.second.cut(reason),
                    _ => None,
                };
                if let Some(left) = left {
                    self.events.delivery.absorb(left);
                }
                let mut session = self.shared.session.lock();
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
                let reason = ours.or(cut).map(|reason| self.shared.agree_on(reason));
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
                // It may use the ID from now on, but not before all has been told of the handshake.
                Wish::Await => {
                    *association = self.shared.associations.enter(id, self.shared);
                    if association.is_some() {
                        self.shared.second.announce();
                    }
                }
                Wish::Open(_) => {}
            }
            *second = Some(wish);
        }
    }

    /// Sees to the second stream once everything that was told before has reached the subscribers: what it tells comes behind that.
    pub(super) fn begin_second(&mut self) {
        let Role::First {
            association,
            second,
        } = &mut self.role
        else {
            return;
        };
        if second.is_none()
            || !self.events.delivery.is_idle()
            || self.shared.session.lock().state() != ConnectionState::Connected
        {
            return;
        }
        let delivery = || self.events.delivery.another();
        match second.take() {
            Some(Wish::Await) if association.is_some() => self.shared.second.allow(delivery()),
            Some(Wish::Open(request)) => {
                self.shared.second.allow(delivery());
                if let Err(refusal) = opening::begin(self.shared, self.link, request) {
                    let refused = SessionEvent::StreamSetupFailed(refusal);
                    self.events.tell(self.shared, refused);
                }
            }
            Some(Wish::Await) | None => {}
        }
    }

    /// Lets the peer read what we said last, a `reject` most often: a socket that is closed while bytes of the peer wait in it throws away
    /// what the peer has not taken yet.
    fn farewell(&self) {
        let deadline = Instant::now() + FAREWELL;
        let link = self.link;
        if link.outbox.flush(deadline).is_err() {
            return;
        }
        link.stream.finish_writing();
        let is_stopped = || self.shared.stop.reason().is_some();
        link.stream.discard_until(deadline, is_stopped);
    }
}

/// The reason for an end by which the peer has cut a connection.
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
