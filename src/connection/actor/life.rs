//! The life of a connection's thread.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::ending;
use super::shared::{Link, Shared};
use crate::connection::inlet::{Inlet, LockSession, Next, Received};
use crate::connection::outbox::Outbox;
use crate::connection::stream::{ReadWait, Stream, is_timeout};
use crate::connection::{ConnectionConfig, SlotGuard, dial, random};
use crate::event::{BitcoinMessageEvent, ControlEvent};
use crate::memory::MemoryGuard;
use crate::session::{
    ConnectionState, DisconnectReason, Output, Session, SessionEvent, TransportEnd,
};

/// How long a peer that is sent away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs a life of a connection to its end and tells of it. A panic ends this connection and nothing else.
pub(super) fn run(shared: &Arc<Shared>, accepted: Option<TcpStream>, slot: Option<SlotGuard>) {
    let life = AssertUnwindSafe(|| live(shared, accepted));
    let reason = catch_unwind(life).unwrap_or(DisconnectReason::Bug);
    let reason = {
        let mut session = shared.session.lock();
        session.close(reason.clone());
        // The first reason counts, for events and senders alike.
        session.end().cloned().unwrap_or(reason)
    };
    shared.requests.close(&reason);
    if let Some(link) = shared.remove_link() {
        link.outbox.close(reason.clone());
        link.outbox.join();
    }
    // The place is free before anybody hears of the end.
    drop(slot);
    let (address, direction) = (shared.address, shared.direction);
    log::info!("{address}: {direction} connection ended: {reason}");
    ending::after_life(shared, reason);
}

/// Connects, then reads and answers until one side ends it. Returns why.
fn live(shared: &Shared, accepted: Option<TcpStream>) -> DisconnectReason {
    let mut config_version = shared.config_version();
    let config = shared.config();
    let link = match connect(shared, &config, accepted) {
        Ok(link) => link,
        Err(reason) => return shared.stop.reason().unwrap_or(reason),
    };
    let mut inlet = Inlet::new(&config, shared.counters.clone());
    inlet.count_memory(MemoryGuard::new(shared.memory.clone()));
    drop(config);
    let link = &*link;
    let mut session = Locked { shared, link };
    loop {
        if shared.config_version() != config_version {
            config_version = shared.config_version();
            let config = shared.config();
            inlet.update_config(&config);
            link.outbox.update_config(&config);
            shared.memory.set_max(config.max_payload_memory);
            // It has been checked when it was set.
            let _ = session.with(|session| session.update_config(config.session.clone()));
        }
        let now = Instant::now();
        let deadline = look_at_clock(shared, link, now);
        if let Some(reason) = drain(shared, link) {
            return reason;
        }
        if !inlet.has_memory() {
            match wait_for_memory(shared, &mut inlet) {
                Ok(pause) => {
                    session.with(|session| session.on_pause(pause));
                    inlet.on_pause(pause);
                }
                Err(reason) => return reason,
            }
        }
        if inlet.read(&link.stream, &mut session, deadline, now) {
            loop {
                let next = inlet.next(&mut session);
                if (inlet.has_output() || shared.stop.is_set() || link.outbox.is_closed())
                    && let Some(reason) = drain(shared, link)
                {
                    return reason;
                }
                match next {
                    Next::NeedsMore => break,
                    Next::Handled => {}
                    Next::Received(received) => {
                        let Some(ordinary) = shared.requests.on_received(received) else {
                            continue;
                        };
                        let pause = deliver(shared, ordinary);
                        if !pause.is_zero() {
                            session.with(|session| session.on_pause(pause));
                            inlet.on_pause(pause);
                        }
                    }
                }
            }
        }
    }
}

/// Waits until there is memory for what the peer sends. Returns how long that took.
fn wait_for_memory(shared: &Shared, inlet: &mut Inlet) -> Result<Duration, DisconnectReason> {
    let began = Instant::now();
    loop {
        let waited = began.elapsed();
        if inlet.has_memory() {
            return Ok(waited);
        }
        let timeout = shared.config().memory_timeout;
        if waited >= timeout {
            return Err(DisconnectReason::MemoryBudget);
        }
        // Whoever holds the memory gives it back without a word: soon, or not for long.
        let step = (waited / 8).clamp(Duration::from_millis(1), Duration::from_millis(100));
        if shared.stop.wait(step) {
            return Err(shared.stop.reason().unwrap_or(DisconnectReason::Command));
        }
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
) -> Result<Arc<Link>, DisconnectReason> {
    let bug = |_| DisconnectReason::Bug;
    let failed = |error: std::io::Error| DisconnectReason::Io(error.kind());
    let tcp = match accepted {
        Some(tcp) => tcp,
        None => {
            shared.session.lock().on_dialling().map_err(bug)?;
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
    shared.events.send_control(established, &shared.stop);
    let now = Instant::now();
    shared
        .session
        .lock()
        .on_connected(address, random::unix_time(), now)
        .map_err(bug)?;
    Ok(link)
}

/// Does what the session wants. Returns the reason once the connection is at its end.
fn drain(shared: &Shared, link: &Link) -> Option<DisconnectReason> {
    let mut session = Locked { shared, link };
    // Told behind what is sent: a program that answers an event at once shall not overtake that.
    let (mut replies, mut events, mut end) = (Vec::new(), Vec::new(), None);
    session.with(|session| {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Send(message) => replies.push(message),
                Output::Event(event) => events.push(event),
                Output::Close(reason) => end = Some(reason),
            }
        }
    });
    let last_words = !replies.is_empty();
    if last_words {
        // If they are not taken, the outbox is closed, and says below why.
        let _ = link.outbox.reply(&replies);
    }
    for event in events {
        tell(shared, event);
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

fn tell(shared: &Shared, event: SessionEvent) {
    let (peer_id, address) = (shared.peer_id, shared.address);
    let event = match event {
        SessionEvent::HandshakeComplete(info) => {
            log::info!("{address}: handshake complete with {}", info.user_agent);
            shared.history.lock().connected = Some((Instant::now(), SystemTime::now()));
            ControlEvent::HandshakeComplete {
                peer_id,
                address,
                info,
            }
        }
        SessionEvent::Misbehavior { misbehavior, score } => {
            log::debug!("{address}: {misbehavior}");
            ControlEvent::PeerMisbehavior {
                peer_id,
                address,
                misbehavior,
                score,
            }
        }
        SessionEvent::Pong { nonce, round_trip } => {
            return shared.requests.on_pong(nonce, round_trip);
        }
    };
    shared.events.send_control(event, &shared.stop);
}

/// Hands something to the program. Returns how long reading stood still for it.
fn deliver(shared: &Shared, received: Received) -> Duration {
    let (peer_id, address) = (shared.peer_id, shared.address);
    match received {
        Received::Message(message) => shared
            .events
            .send_message(BitcoinMessageEvent { peer_id, message }, &shared.stop),
        Received::PassedOver { command, len } => {
            let event = ControlEvent::PayloadPassedOver {
                peer_id,
                address,
                command,
                len,
            };
            shared.events.send_control(event, &shared.stop)
        }
    }
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
