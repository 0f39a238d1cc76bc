//! The thread of a connection: connects, runs the read loop and cleans up.

use std::io;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use log::Level;

use super::becoming::{self, NotBecome};
use super::ending;
use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use super::reading::{End, Reading, Role};
use super::streaming::Streaming;
use super::telling::Events;
use crate::connection::message_reader::MessageReader;
use crate::connection::outbox::Outbox;
use crate::connection::records::Logged;
use crate::connection::stream::Stream;
use crate::connection::{ConnectionConfig, SlotGuard, dial, random};
use crate::event::ControlEvent;
use crate::memory::MemoryGuard;
use crate::session::{Direction, DisconnectReason};
use crate::wire::StreamType;

/// An accepted socket.
pub(in crate::connection) struct Accepted {
    pub(super) tcp: TcpStream,
    /// The event to emit before all others.
    pub(super) told_first: Option<ControlEvent>,
}

/// Runs a connection until it closes, then schedules a restart or emits the final event.
///
/// A panic closes this connection only.
pub(super) fn run(peer: &Arc<PeerConnection>, accepted: Option<Accepted>, slot: Option<SlotGuard>) {
    let (mut streaming, mut held) = (Streaming::default(), Vec::new());
    let life = AssertUnwindSafe(|| {
        let events = Events {
            publisher: peer.publisher(StreamType::General),
            held: &mut held,
        };
        live(peer, accepted, events, &mut streaming)
    });
    let reason = catch_unwind(life).unwrap_or(DisconnectReason::InternalError);
    let reason = {
        let mut session = peer.session.lock();
        session.close(reason.clone());
        // Events and senders report the first reason.
        session.close_reason().cloned().unwrap_or(reason)
    };
    peer.notify_progress();
    // The second stream must end before the final event is emitted.
    peer.second.end(&reason);
    peer.requests.close(&reason);
    streaming.cut(&reason);
    let links = peer.remove_links();
    links.close(&reason);
    links.all().for_each(|link| link.outbox.join());
    drop(links);
    // The slot must be free when the final event is emitted.
    drop(slot);
    let level = match reason {
        DisconnectReason::InternalError => Level::Error,
        DisconnectReason::AttachedAsStream => Level::Debug,
        _ => Level::Info,
    };
    let text = format_args!("{} connection closed", peer.direction);
    peer.log(level).error(&reason).write(text);
    if reason == DisconnectReason::AttachedAsStream && !held.is_empty() {
        // No event was emitted for this connection, so no final event is due.
        return ending::after_unseen_life(peer, reason);
    }
    for event in held {
        peer.events.publish_control(&event);
    }
    peer.publish_misbehavior(peer.misbehavior.flush());
    ending::after_life(peer, reason);
}

/// Connects, then reads and replies until one side closes the connection. Returns the reason.
fn live(
    peer: &Arc<PeerConnection>,
    accepted: Option<Accepted>,
    mut events: Events<'_>,
    streaming: &mut Streaming,
) -> DisconnectReason {
    let config_version = peer.config_version();
    let config = peer.config();
    let link = match connect(peer, &config, accepted, &mut events) {
        Ok(link) => link,
        Err(reason) => return peer.stop.reason().unwrap_or(reason),
    };
    let mut reader = MessageReader::new(&config, peer.counters.clone());
    reader.track_memory(MemoryGuard::new(peer.memory.clone()));
    // The limit may have changed since the last run.
    peer.memory.set_max(config.max_payload_memory);
    drop(config);
    let mut reading = Reading {
        peer,
        link: &link,
        reader,
        events,
        streaming,
        role: Role::First {
            association: None,
            second: None,
        },
        config_version,
        transport_end: None,
    };
    loop {
        let request = match reading.run(false) {
            End::Ended(reason) => return reason,
            End::Becomes(request) => request,
        };
        match becoming::hand_over(peer, &link, &mut reading.reader, &request) {
            Ok(()) => return DisconnectReason::AttachedAsStream,
            Err(NotBecome::Ended(reason)) => return peer.stop.reason().unwrap_or(reason),
            // The session queues a `reject` and closes. The read loop then returns that end.
            Err(NotBecome::Fault(fault)) => peer.session.lock().reject_stream(fault),
        }
    }
}

fn connect(
    peer: &PeerConnection,
    config: &ConnectionConfig,
    accepted: Option<Accepted>,
    events: &mut Events<'_>,
) -> Result<Arc<PeerStream>, DisconnectReason> {
    let bug = |_| DisconnectReason::InternalError;
    let failed = |error: io::Error| DisconnectReason::Io(error.kind());
    let (tcp, told_first) = match accepted {
        Some(Accepted { tcp, told_first }) => (tcp, told_first),
        None => {
            peer.session.lock().on_connect_started().map_err(bug)?;
            peer.log(Level::Debug).write(format_args!("dialing"));
            let tcp = dial::dial(peer.address, config.connect_timeout, &peer.stop)?;
            (tcp, None)
        }
    };
    events.held.extend(told_first);
    let stream = Stream::new(
        tcp,
        peer.address,
        config.tcp_keepalive,
        config.write_timeout,
    );
    let stream = Arc::new(stream.map_err(failed)?);
    let outbox = Outbox::new(stream.clone(), config, peer.counters.clone());
    let link = Arc::new(PeerStream {
        kind: StreamType::General,
        stream,
        outbox,
    });
    peer.set_first_link(link.clone());
    let (peer_id, address, direction) = (peer.peer_id, peer.address, peer.direction);
    let established = ControlEvent::ConnectionEstablished {
        peer_id,
        address,
        direction,
    };
    // A stop shuts the socket down from now on. This check covers an earlier one.
    if let Some(reason) = peer.stop.reason() {
        return Err(reason);
    }
    events.held.push(established);
    // A peer at this IP address may be about to open its second stream. Events are then held until
    // the first message shows whether this connection is that stream.
    let may_become = direction == Direction::Inbound
        && peer.associations.awaited_from(address.ip().to_canonical()) > 0;
    if !may_become {
        events.release();
    }
    let now = Instant::now();
    peer.session
        .lock()
        .on_connected(address, random::unix_time(), now)
        .map_err(bug)?;
    let text = format_args!("{direction} connection established");
    peer.log(Level::Info).write(text);
    Ok(link)
}
