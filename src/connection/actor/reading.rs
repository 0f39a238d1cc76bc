//! Reading one of a peer's streams: what comes is told to the session, answers go to those who asked, the rest to the subscribers.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use super::links::Link;
use super::shared::Shared;
use super::streaming::Streaming;
use super::telling::Events;
use super::{opening, records};
use crate::connection::associations::Association;
use crate::connection::inlet::{Inlet, LockSession, Next, Received};
use crate::connection::stop::Stop;
use crate::connection::stream::ReadWait;
use crate::session::{
    ConnectionState, DisconnectReason, Output, Session, SessionEvent, TransportEnd,
};
use crate::sockets::is_timeout;
use crate::wire::CreateStrm;

/// How long a peer that is sent away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a clock that stands still is not looked at.
const STANDSTILL: Duration = Duration::from_secs(1);

/// One stream that is read, in the thread that reads it.
pub(super) struct Reading<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) link: &'a Arc<Link>,
    pub(super) inlet: Inlet,
    pub(super) events: Events<'a>,
    pub(super) streaming: &'a mut Streaming,
    pub(super) role: Role<'a>,
    pub(super) config_version: u64,
    /// How the socket has ended, if it has.
    pub(super) transport_end: Option<TransportEnd>,
}

/// What else the thread has to do.
pub(super) enum Role<'a> {
    /// It owns the peer's life: looks at the clock, begins the second stream, ends both.
    First {
        /// Our entry among those who may open a second stream.
        association: Option<Association>,
        /// What is to be done about a second stream, once all that is told before it has been told.
        second: Option<Wish>,
    },
    /// Nothing; it ends when this is given.
    Second(&'a Stop),
}

impl Role<'_> {
    fn stop<'s>(&'s self, shared: &'s Shared) -> &'s Stop {
        match self {
            Role::First { .. } => &shared.stop,
            Role::Second(stop) => stop,
        }
    }
}

/// What is to be done about a second stream.
pub(super) enum Wish {
    /// We open it.
    Open(CreateStrm),
    /// The peer may.
    Await,
}

/// What has become of a connection that is read no more.
pub(super) enum End {
    Ended(DisconnectReason),
    /// The peer wants it to be a stream of one that is connected already.
    Becomes(CreateStrm),
}

impl Reading<'_> {
    /// Reads until the end; what has come already is looked at before.
    pub(super) fn run(&mut self, mut has_come: bool) -> End {
        loop {
            self.apply_config();
            let now = Instant::now();
            let deadline = self.look_at_clock(now);
            if let Some(end) = self.drain() {
                return end;
            }
            self.wait_for_subscribers();
            if !self.inlet.has_memory()
                && let Err(reason) = self.wait_for_memory()
            {
                return End::Ended(reason);
            }
            self.begin_second();
            let Events {
                delivery, signals, ..
            } = &mut self.events;
            delivery.lend_to_brisk(signals);
            let deadline = delivery.wake_by(deadline);
            if std::mem::take(&mut has_come) || self.read(deadline, now) {
                if let Some(end) = self.take_all() {
                    return end;
                }
            } else {
                self.events.delivery.lend(&self.events.signals);
            }
            if let Some(end) = self.transport_end.take()
                && let Some(end) = self.on_transport_end(end)
            {
                return end;
            }
            self.events.delivery.on_wake(&self.events.signals);
        }
    }

    fn read(&mut self, deadline: Option<Instant>, now: Instant) -> bool {
        let (mut session, inlet) = self.parts();
        let has_come = inlet.read(&session.link.stream, &mut session, deadline, now);
        self.transport_end = session.transport_end;
        has_come
    }

    /// Takes in all that has come.
    fn take_all(&mut self) -> Option<End> {
        let any_reader = self.shared.requests.any_block_reader();
        self.inlet.announce_blocks(any_reader);
        let is_recorded = records::wanted(self.shared, Level::Debug);
        loop {
            let (mut session, inlet) = self.parts();
            let next = inlet.next(&mut session);
            if (self.inlet.has_output() || self.stop().is_set() || self.link.outbox.is_closed())
                && let Some(end) = self.drain()
            {
                return Some(end);
            }
            if is_recorded {
                records::came(self.shared, &next);
            }
            match next {
                Next::NeedsMore => return None,
                Next::Handled => {}
                Next::Block(part) => {
                    self.set_pauses(true);
                    let link = Arc::downgrade(self.link);
                    let stop = self.role.stop(self.shared);
                    let taken =
                        self.streaming
                            .take(part, self.shared, (&link, stop), &mut self.inlet);
                    let ended = match taken {
                        Ok(Some((from, until))) => {
                            self.on_pause(from, until);
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
                Next::Received(Received::Message(message))
                    if !self.shared.requests.may_concern(&message) =>
                {
                    self.events.deliver_message(self.shared, message);
                }
                Next::Received(received) => self.answer(received),
            }
            self.wait_for_subscribers();
        }
    }

    /// Hands what has come to whoever asked for it, or else to the program.
    fn answer(&mut self, received: Received) {
        let requests = &self.shared.requests;
        let ordinary = requests.on_received(received, self.link.kind);
        self.shared.send_fence();
        if let Some(ordinary) = ordinary {
            self.events.deliver(self.shared, ordinary);
        }
    }

    /// Other rules hold from now on, if the program says so.
    fn apply_config(&mut self) {
        if self.shared.config_version() == self.config_version {
            return;
        }
        self.config_version = self.shared.config_version();
        let config = self.shared.config();
        self.inlet.update_config(&config);
        self.link.outbox.update_config(&config);
        self.events.delivery.set_limits((&*config).into());
        if let Role::First { .. } = self.role {
            self.shared.memory.set_max(config.max_payload_memory);
            // It has been checked when it was set.
            let _ = self
                .shared
                .session
                .lock()
                .update_config(config.session.clone());
        }
    }

    /// Returns when to look again. One thread looks at the peer's clock.
    fn look_at_clock(&self, now: Instant) -> Option<Instant> {
        let Role::First { .. } = self.role else {
            return None;
        };
        let mut session = self.shared.session.lock();
        let deadline = session.next_deadline()?;
        if now < deadline {
            return Some(deadline);
        }
        if self.shared.second.pauses() {
            // What is waited for may lie in the socket that is not read. When it is read again, the clock is put back.
            return Some(now + STANDSTILL);
        }
        // A large frame of ours that moves holds an answer back as well.
        if session.state() == ConnectionState::Connected
            && let Some(transfer) = self.shared.links().last_transfer()
        {
            session.on_transfer(transfer);
        }
        session.on_timeout(now);
        session.next_deadline()
    }

    /// Does what the session wants. Returns the end once the connection is at it.
    fn drain(&mut self) -> Option<End> {
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
                        Output::Associate(id) => wishes.push((id, Wish::Await)),
                        Output::OpenStream(request) => {
                            wishes.push((uuid::Uuid::nil(), Wish::Open(request)));
                        }
                        Output::BecomeStream(request) => becomes = Some(request),
                        Output::Close(reason) => end = Some(reason),
                    }
                }
                if !is_first {
                    end = session.end().cloned();
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
            self.shared.links().reply(replies);
        }
        for event in news {
            self.events.tell(self.shared, event);
        }
        match &self.role {
            Role::First { .. } => {
                if end.is_some() && last_words {
                    self.farewell();
                }
                let failed = || self.link.outbox.closed().filter(|reason| !reason.is_cut());
                // A peer that has gone may have said something before: the reads go on until they come to the end.
                end.or_else(|| self.shared.stop.reason()).or_else(failed)
            }
            Role::Second(stop) => {
                let stop = *stop;
                let failed = || self.link.outbox.closed().filter(|reason| !reason.is_cut());
                end.or_else(|| stop.reason()).or_else(failed)
            }
        }
        .map(End::Ended)
    }

    /// The socket has ended. One that we have shut down ourselves reads like one that the peer has closed.
    fn on_transport_end(&mut self, end: TransportEnd) -> Option<End> {
        let ours = self.stop().reason().or_else(|| self.link.outbox.closed());
        let cut = cut_of(end);
        let ours_is_cut = ours.as_ref().is_none_or(DisconnectReason::is_cut);
        match self.role {
            Role::First { .. } => {
                // What the peer said over the other stream before it cut both is still read.
                let left = match &cut {
                    Some(cut) if ours_is_cut => self.shared.second.cut(cut),
                    _ => None,
                };
                if let Some(left) = left {
                    self.events.delivery.absorb(left);
                }
                let mut session = self.shared.session.lock();
                match ours {
                    Some(DisconnectReason::ConnectionReset) => {
                        session.on_transport_end(TransportEnd::Failed(ErrorKind::ConnectionReset));
                    }
                    Some(DisconnectReason::EndOfStream) => {
                        session.on_transport_end(TransportEnd::EndOfStream);
                    }
                    Some(reason) => session.close(reason),
                    None => {
                        session.on_transport_end(end);
                    }
                }
                None
            }
            Role::Second(_) => Some(End::Ended(match (ours, cut, end) {
                (Some(reason), _, _) if !reason.is_cut() => reason,
                (_, Some(cut), _) => cut,
                (_, None, TransportEnd::Failed(kind)) => DisconnectReason::Io(kind),
                (_, None, TransportEnd::EndOfStream) => DisconnectReason::EndOfStream,
            })),
        }
    }

    fn take_wish(&mut self, id: uuid::Uuid, wish: Wish) {
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
    fn begin_second(&mut self) {
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
                    let refused = SessionEvent::StreamRefused(refusal);
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
        let mut unread = [0; 4096];
        let mut wait = ReadWait::default();
        loop {
            let now = Instant::now();
            if now >= deadline || self.shared.stop.reason().is_some() {
                return;
            }
            let waits = wait.until(&link.stream, Some(deadline), now);
            match waits.and_then(|()| (&*link.stream).read(&mut unread)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Stops reading while too much waits for subscribers. The peer's deadlines stand still meanwhile.
    fn wait_for_subscribers(&mut self) {
        if !self.events.delivery.is_full() {
            return;
        }
        self.set_pauses(true);
        let (shared, link) = (self.shared, self.link);
        let is_over = || {
            // What a peer said before it cut the connection is still read.
            let closed = link.outbox.closed();
            closed.is_some_and(|reason| !reason.is_cut()) || shared.session.lock().end().is_some()
        };
        let Events {
            delivery, signals, ..
        } = &mut self.events;
        if let Some((from, until)) = delivery.wait_for_room(signals, is_over) {
            self.on_pause(from, until);
        }
        self.set_pauses(false);
    }

    /// Stops reading until there is memory for what the peer sends. The peer's deadlines stand still meanwhile.
    fn wait_for_memory(&mut self) -> Result<(), DisconnectReason> {
        self.set_pauses(true);
        let from = Instant::now();
        let result = loop {
            let waited = from.elapsed();
            if self.inlet.has_memory() {
                self.on_pause(from, from + waited);
                break Ok(());
            }
            if waited >= self.shared.config().memory_timeout {
                break Err(DisconnectReason::MemoryBudget);
            }
            // Whoever holds the memory gives it back without a word: soon, or not for long.
            let step = (waited / 8).clamp(Duration::from_millis(1), Duration::from_millis(100));
            let stop = self.stop();
            if stop.wait(step) {
                break Err(stop.reason().unwrap_or(DisconnectReason::Command));
            }
            // What waits for subscribers holds memory as well.
            self.events.delivery.on_wake(&self.events.signals);
        };
        self.set_pauses(false);
        result
    }

    fn on_pause(&mut self, from: Instant, until: Instant) {
        self.shared.session.lock().on_pause(from, until);
        self.inlet.on_pause(until.saturating_duration_since(from));
    }

    /// Where another thread looks at the peer's clock, it has to know of a pause while it lasts.
    fn set_pauses(&self, pauses: bool) {
        if let Role::Second(_) = self.role {
            self.shared.second.set_pauses(pauses);
        }
    }

    /// What ends the thread's waits.
    fn stop(&self) -> &Stop {
        self.role.stop(self.shared)
    }

    fn parts(&mut self) -> (Locked<'_>, &mut Inlet) {
        let locked = Locked {
            shared: self.shared,
            link: self.link,
            transport_end: None,
        };
        (locked, &mut self.inlet)
    }
}

/// The actor's session, for the time of one call of one stream.
struct Locked<'a> {
    shared: &'a Shared,
    link: &'a Link,
    transport_end: Option<TransportEnd>,
}

impl LockSession for Locked<'_> {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        let mut session = self.shared.session.lock();
        session.set_stream(self.link.kind);
        call(&mut session)
    }

    /// What it means is seen where the other stream can be looked at.
    fn on_transport_end(&mut self, end: TransportEnd) {
        self.transport_end = Some(end);
    }
}

/// The reason for an end by which the peer has cut a connection.
fn cut_of(end: TransportEnd) -> Option<DisconnectReason> {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match end {
        TransportEnd::EndOfStream => Some(DisconnectReason::EndOfStream),
        TransportEnd::Failed(ConnectionReset | ConnectionAborted | BrokenPipe) => {
            Some(DisconnectReason::ConnectionReset)
        }
        TransportEnd::Failed(_) => None,
    }
}
