//! The life of a connection's thread.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::Level;

use super::shared::{Link, Shared};
use super::streaming::Streaming;
use super::{ending, records};
use crate::connection::event_bus::{Delivery, Signals};
use crate::connection::inlet::{Inlet, LockSession, Next, Received};
use crate::connection::outbox::Outbox;
use crate::connection::stream::{ReadWait, Stream};
use crate::connection::{ConnectionConfig, SlotGuard, dial, random};
use crate::event::{BitcoinMessageEvent, ControlEvent, SharedMessage};
use crate::memory::MemoryGuard;
use crate::session::{
    ConnectionState, DisconnectReason, Output, Session, SessionEvent, TransportEnd,
};
use crate::sockets::is_timeout;

/// How long a peer that is sent away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs a life of a connection to its end and tells of it. A panic ends this connection and nothing else.
pub(super) fn run(shared: &Arc<Shared>, accepted: Option<TcpStream>, slot: Option<SlotGuard>) {
    let mut delivery = shared.delivery.lock();
    let mut streaming = Streaming::default();
    let life = AssertUnwindSafe(|| {
        let mut events = Events {
            delivery: &mut delivery,
            signals: shared.signals(),
        };
        live(shared, accepted, &mut events, &mut streaming)
    });
    let reason = catch_unwind(life).unwrap_or(DisconnectReason::Bug);
    let reason = {
        let mut session = shared.session.lock();
        session.close(reason.clone());
        // The first reason counts, for events and senders alike.
        session.end().cloned().unwrap_or(reason)
    };
    shared.requests.close(&reason);
    streaming.cut(&reason);
    if let Some(link) = shared.remove_link() {
        link.outbox.close(reason.clone());
        link.outbox.join();
    }
    // The place is free before anybody hears of the end.
    drop(slot);
    let is_bug = reason == DisconnectReason::Bug;
    records::write(
        shared,
        if is_bug { Level::Error } else { Level::Info },
        Some(&reason),
        format_args!("{} connection ended: {reason}", shared.direction),
    );
    ending::after_life(shared, delivery, reason);
}

/// The way of one life's events to the subscribers.
struct Events<'a> {
    delivery: &'a mut Delivery,
    signals: Signals<'a>,
}

impl Events<'_> {
    fn control(&mut self, event: ControlEvent) {
        self.delivery.control(event, &self.signals);
    }
}

/// Connects, then reads and answers until one side ends it. Returns why.
fn live(
    shared: &Shared,
    accepted: Option<TcpStream>,
    events: &mut Events<'_>,
    streaming: &mut Streaming,
) -> DisconnectReason {
    let mut config_version = shared.config_version();
    let config = shared.config();
    let link = match connect(shared, &config, accepted, events) {
        Ok(link) => link,
        Err(reason) => return shared.stop.reason().unwrap_or(reason),
    };
    let mut inlet = Inlet::new(&config, shared.counters.clone());
    inlet.count_memory(MemoryGuard::new(shared.memory.clone()));
    // It may have changed since the last life.
    bound(shared, events, &config);
    drop(config);
    let streams = Arc::downgrade(&link);
    let link = &*link;
    let mut session = Locked { shared, link };
    loop {
        if shared.config_version() != config_version {
            config_version = shared.config_version();
            let config = shared.config();
            inlet.update_config(&config);
            link.outbox.update_config(&config);
            bound(shared, events, &config);
            // It has been checked when it was set.
            let _ = session.with(|session| session.update_config(config.session.clone()));
        }
        let now = Instant::now();
        let deadline = look_at_clock(shared, link, now);
        if let Some(reason) = drain(shared, link, events) {
            return reason;
        }
        wait_for_subscribers(link, events, &mut session, &mut inlet);
        if !inlet.has_memory()
            && let Err(reason) = wait_for_memory(shared, events, &mut session, &mut inlet)
        {
            return reason;
        }
        events.delivery.lend_to_brisk(&events.signals);
        let deadline = events.delivery.wake_by(deadline);
        if inlet.read(&link.stream, &mut session, deadline, now) {
            inlet.announce_blocks(shared.requests.any_block_reader());
            let is_recorded = records::wanted(shared, Level::Debug);
            loop {
                let next = inlet.next(&mut session);
                if (inlet.has_output() || shared.stop.is_set() || link.outbox.is_closed())
                    && let Some(reason) = drain(shared, link, events)
                {
                    return reason;
                }
                if is_recorded {
                    records::came(shared, &next);
                }
                match next {
                    Next::NeedsMore => break,
                    Next::Handled => {}
                    Next::Block(part) => {
                        let streamed = streaming.take(part, shared, &streams, &mut inlet);
                        match streamed {
                            Ok(None) => {}
                            Ok(Some((from, until))) => {
                                session.with(|session| session.on_pause(from, until));
                                inlet.on_pause(until.saturating_duration_since(from));
                            }
                            Err(reason) => return reason,
                        }
                    }
                    Next::Received(Received::Message(message))
                        if !shared.requests.may_concern(&message) =>
                    {
                        deliver_message(shared, events, message);
                    }
                    Next::Received(received) => {
                        let Some(ordinary) = shared.requests.on_received(received) else {
                            continue;
                        };
                        deliver(shared, events, ordinary);
                    }
                }
                wait_for_subscribers(link, events, &mut session, &mut inlet);
            }
        } else {
            events.delivery.lend(&events.signals);
        }
        events.delivery.on_wake(&events.signals);
    }
}

/// Applies the bounds of what outlives a life.
fn bound(shared: &Shared, events: &mut Events<'_>, config: &ConnectionConfig) {
    shared.memory.set_max(config.max_payload_memory);
    events.delivery.set_limits(config.into());
}

/// Stops reading while too much waits for subscribers. The peer's deadlines stand still meanwhile.
fn wait_for_subscribers(
    link: &Link,
    events: &mut Events<'_>,
    session: &mut Locked<'_>,
    inlet: &mut Inlet,
) {
    if !events.delivery.is_full() {
        return;
    }
    // What a peer said before it cut the connection is still read.
    let cut = DisconnectReason::ConnectionReset;
    let is_over = || link.outbox.closed().is_some_and(|reason| reason != cut);
    let pause = events.delivery.wait_for_room(&events.signals, is_over);
    if let Some((from, until)) = pause {
        session.with(|session| session.on_pause(from, until));
        inlet.on_pause(until.saturating_duration_since(from));
    }
}

/// Stops reading until there is memory for what the peer sends. The peer's deadlines stand still meanwhile.
fn wait_for_memory(
    shared: &Shared,
    events: &mut Events<'_>,
    session: &mut Locked<'_>,
    inlet: &mut Inlet,
) -> Result<(), DisconnectReason> {
    let from = Instant::now();
    loop {
        let waited = from.elapsed();
        if inlet.has_memory() {
            session.with(|session| session.on_pause(from, from + waited));
            inlet.on_pause(waited);
            return Ok(());
        }
        if waited >= shared.config().memory_timeout {
            return Err(DisconnectReason::MemoryBudget);
        }
        // Whoever holds the memory gives it back without a word: soon, or not for long.
        let step = (waited / 8).clamp(Duration::from_millis(1), Duration::from_millis(100));
        if shared.stop.wait(step) {
            return Err(shared.stop.reason().unwrap_or(DisconnectReason::Command));
        }
        // What waits for subscribers holds memory as well.
        events.delivery.on_wake(&events.signals);
    }
}

/// The actor's session, for the time of one call.
struct Locked<'a> {
    shared: &'a Shared,
    link: &'a Link,
}

impl LockSession for Locked<'_> {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        call(&mut self.shared.session.lock())
    }

    /// A socket that we have shut down ourselves reads like one that the peer has closed.
    fn on_transport_end(&mut self, end: TransportEnd) {
        let ours = self.shared.stop.reason();
        self.with(|session| match ours.or_else(|| self.link.outbox.closed()) {
            Some(DisconnectReason::ConnectionReset) => {
                session.on_transport_end(TransportEnd::Failed(ErrorKind::ConnectionReset));
            }
            Some(reason) => session.close(reason),
            None => {
                session.on_transport_end(end);
            }
        });
    }
}

fn connect(
    shared: &Shared,
    config: &ConnectionConfig,
    accepted: Option<TcpStream>,
    events: &mut Events<'_>,
) -> Result<Arc<Link>, DisconnectReason> {
    let bug = |_| DisconnectReason::Bug;
    let failed = |error: std::io::Error| DisconnectReason::Io(error.kind());
    let tcp = match accepted {
        Some(tcp) => tcp,
        None => {
            shared.session.lock().on_dialling().map_err(bug)?;
            records::write(shared, Level::Debug, None, format_args!("dialling"));
            dial::dial(shared.address, config.connect_timeout, &shared.stop)?
        }
    };
    let stream = Stream::new(
        tcp,
        shared.address,
        config.tcp_keepalive,
        config.write_timeout,
    );
    let stream = Arc::new(stream.map_err(failed)?);
    let outbox = Outbox::new(stream.clone(), config, shared.counters.clone());
    let link = Arc::new(Link { stream, outbox });
    shared.set_link(link.clone());
    // From here on a stop shuts the socket down; one that came before is seen now.
    if let Some(reason) = shared.stop.reason() {
        return Err(reason);
    }
    let (peer_id, address, direction) = (shared.peer_id, shared.address, shared.direction);
    let established = ControlEvent::ConnectionEstablished {
        peer_id,
        address,
        direction,
    };
    if let Some(first) = shared.told_first.lock().take() {
        events.control(first);
    }
    events.control(established);
    let now = Instant::now();
    shared
        .session
        .lock()
        .on_connected(address, random::unix_time(), now)
        .map_err(bug)?;
    let text = format_args!("{direction} connection established");
    records::write(shared, Level::Info, None, text);
    Ok(link)
}

/// Does what the session wants. Returns the reason once the connection is at its end.
fn drain(shared: &Shared, link: &Link, events: &mut Events<'_>) -> Option<DisconnectReason> {
    let mut session = Locked { shared, link };
    // Told behind what is sent: a program that answers an event at once shall not overtake that.
    let (mut replies, mut news, mut end) = (Vec::new(), Vec::new(), None);
    session.with(|session| {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Send(message) => replies.push(message),
                Output::Event(event) => news.push(event),
                Output::Associate(_) | Output::OpenStream(_) | Output::BecomeStream(_) => {}
                Output::Close(reason) => end = Some(reason),
            }
        }
    });
    let last_words = !replies.is_empty();
    if last_words {
        // If they are not taken, the outbox is closed, and says below why.
        let taken = link.outbox.reply(&replies);
        if taken.is_ok() && records::wanted(shared, Level::Debug) {
            replies
                .iter()
                .for_each(|reply| records::sent(shared, reply));
        }
    }
    for event in news {
        tell(shared, events, event);
    }
    if end.is_some() {
        if last_words {
            farewell(shared, link);
        }
        return end;
    }
    // A peer that has gone may have said something before: the reads go on until they come to the end.
    let cut = |reason: &DisconnectReason| *reason == DisconnectReason::ConnectionReset;
    let failed = || link.outbox.closed().filter(|reason| !cut(reason));
    shared.stop.reason().or_else(failed)
}

/// Lets the peer read what we said last, a `reject` most often: a socket that is closed while bytes of the peer wait in it throws away what
/// the peer has not taken yet.
fn farewell(shared: &Shared, link: &Link) {
    let deadline = Instant::now() + FAREWELL;
    if link.outbox.flush(deadline).is_err() {
        return;
    }
    link.stream.finish_writing();
    let mut unread = [0; 4096];
    let mut wait = ReadWait::default();
    loop {
        let now = Instant::now();
        if now >= deadline || shared.stop.reason().is_some() {
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

fn tell(shared: &Shared, events: &mut Events<'_>, event: SessionEvent) {
    let (peer_id, address) = (shared.peer_id, shared.address);
    let event = match event {
        SessionEvent::HandshakeComplete(info) => {
            let text = format_args!("handshake complete with {}", info.user_agent);
            records::write(shared, Level::Info, None, text);
            shared.history.lock().connected = Some((Instant::now(), SystemTime::now()));
            if let Some(keeper) = &shared.keeper {
                keeper.on_connected(&info);
            }
            ControlEvent::HandshakeComplete {
                peer_id,
                address,
                info,
            }
        }
        SessionEvent::Misbehavior { misbehavior, score } => {
            let text = format_args!("{misbehavior} (score {score})");
            records::write(shared, Level::Debug, Some(&misbehavior), text);
            ControlEvent::PeerMisbehavior {
                peer_id,
                address,
                misbehavior,
                score,
            }
        }
        SessionEvent::StreamRefused(refusal) => ControlEvent::StreamRefused {
            peer_id,
            address,
            refusal,
        },
        SessionEvent::Pong { nonce, round_trip } => {
            return shared.requests.on_pong(nonce, round_trip);
        }
    };
    events.control(event);
}

/// Hands something to the program.
fn deliver(shared: &Shared, events: &mut Events<'_>, received: Received) {
    let (peer_id, address) = (shared.peer_id, shared.address);
    match received {
        Received::Message(message) => deliver_message(shared, events, message),
        Received::PassedOver { command, len, .. } => {
            events.control(ControlEvent::PayloadPassedOver {
                peer_id,
                address,
                command,
                len,
            })
        }
    }
}

fn deliver_message(shared: &Shared, events: &mut Events<'_>, message: SharedMessage) {
    if let Some(keeper) = &shared.keeper {
        keeper.on_message(&message);
    }
    let peer_id = shared.peer_id;
    let event = BitcoinMessageEvent { peer_id, message };
    events.delivery.message(event, &events.signals);
}

/// Returns when to look again.
fn look_at_clock(shared: &Shared, link: &Link, now: Instant) -> Option<Instant> {
    let mut session = shared.session.lock();
    let deadline = session.next_deadline()?;
    if now < deadline {
        return Some(deadline);
    }
    // A large frame of ours that moves holds an answer back as well.
    if session.state() == ConnectionState::Connected
        && let Some(transfer) = link.outbox.last_transfer()
    {
        session.on_transfer(transfer);
    }
    session.on_timeout(now);
    session.next_deadline()
}
