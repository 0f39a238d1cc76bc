//! The thread of a connection: connects, runs the read loop and cleans up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use super::accepted_socket::AcceptedSocket;
use super::active_connection::ActiveConnection;
use super::block_transfer::BlockTransfer;
use super::event_emitter::EventEmitter;
use super::lifecycle::{CloseOnPanic, call_foreign};
use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use super::read_loop::{ReadLoop, StreamRole};
use crate::connection::logging::Logged;
use crate::connection::message_reader::MessageReader;
use crate::connection::stream::Stream;
use crate::connection::{
    ConnectionConfig, ConnectionObserver, PendingRestart, SlotGuard, dial, random,
};
use crate::event::ControlEvent;
use crate::session::{Direction, DisconnectReason};
use crate::wire::StreamType;

/// Runs a connection until it closes, then schedules a restart or emits the final event.
///
/// A panic ends this connection only.
pub(super) fn run(
    peer: &Arc<PeerConnection>,
    connection: &Arc<ActiveConnection>,
    accepted: Option<AcceptedSocket>,
    slot: Option<SlotGuard>,
) {
    let _own = peer.lifecycle.enter_thread();
    let _closes = CloseOnPanic(&peer.lifecycle);
    let mut block_transfer = BlockTransfer::default();
    let reason = call_foreign(|| run_connection(peer, connection, accepted, &mut block_transfer));
    let reason = connection.close(reason.unwrap_or(DisconnectReason::InternalError));
    connection.session().close(reason.clone());
    peer.lifecycle.notify();
    // The data stream must end before the final event is emitted.
    connection.data_stream.join();
    block_transfer.abort(&reason);
    let streams = connection.remove_streams();
    streams.all().for_each(|stream| stream.outbox.join());
    drop(streams);
    // The slot must be free when the final event is emitted.
    drop(slot);
    finish(peer, reason);
}

/// Schedules a restart or emits the final event.
///
/// Code of the application that panics changes nothing else.
fn finish(peer: &Arc<PeerConnection>, reason: DisconnectReason) {
    let level = match reason {
        DisconnectReason::InternalError => Level::Error,
        _ => Level::Info,
    };
    let text = format_args!("{} connection closed", peer.direction);
    call_foreign(|| peer.log(level).error(&reason).write(text));
    let connected_at = {
        let mut history = peer.history.lock();
        history.last_error = Some(reason.clone());
        history.connected.take().map(|(at, _)| at)
    };
    call_foreign(|| peer.publish_misbehavior(peer.misbehavior.flush()));
    let Some((observer, after)) = next_restart(peer, &reason, connected_at) else {
        return end(peer, reason, connected_at.is_some());
    };
    let due = Instant::now() + after;
    call_foreign(|| {
        let record = peer.log(Level::Info).error(&reason);
        if after.is_zero() {
            record.write(format_args!("reconnecting immediately"));
        } else {
            record.write(format_args!("reconnecting in {after:.1?}"));
        }
    });
    peer.emit(&ControlEvent::ConnectionRestarting {
        peer_id: peer.peer_id,
        address: peer.address,
        reason: reason.clone(),
        after,
    });
    if peer.lifecycle.schedule_restart(|| peer.is_stopped()) {
        // A panic drops the restart, which closes the connection.
        let restart = PendingRestart::new(peer.clone());
        call_foreign(|| observer.on_restart_scheduled(due, reason, restart));
    } else {
        fail(peer, reason);
    }
}

/// Returns the observer and the delay before the restart, or `None` for no restart.
fn next_restart<'a>(
    peer: &'a PeerConnection,
    reason: &DisconnectReason,
    connected_at: Option<Instant>,
) -> Option<(&'a dyn ConnectionObserver, Duration)> {
    let observer = peer.observer.as_deref()?;
    let delay = call_foreign(|| observer.restart_delay(reason, connected_at)).flatten();
    Some((observer, delay.filter(|_| !peer.is_stopped())?))
}

/// Cancels a scheduled restart, if there is one, and emits the final event.
pub(in crate::connection) fn cancel_restart(peer: &PeerConnection, reason: DisconnectReason) {
    if peer.lifecycle.claim_restart() {
        peer.stop(reason.clone());
        fail(peer, reason);
    }
}

/// Emits the final event of a connection whose announced restart does not happen.
///
/// Exactly one thread must call this: that of the last run, or the one that claimed the restart.
pub(in crate::connection) fn fail(peer: &PeerConnection, reason: DisconnectReason) {
    let reason = peer.stop_reason().cloned().unwrap_or(reason);
    end(peer, reason, false);
}

/// Emits the final event and closes the connection permanently.
fn end(peer: &PeerConnection, reason: DisconnectReason, was_connected: bool) {
    let (peer_id, address) = (peer.peer_id, peer.address);
    let event = match reason.clone() {
        reason if was_connected => ControlEvent::ConnectionLost {
            peer_id,
            address,
            reason,
        },
        DisconnectReason::AtCapacity if peer.direction == Direction::Inbound => {
            ControlEvent::ConnectionRejectedCapacity { peer_id, address }
        }
        reason => ControlEvent::ConnectionFailed {
            peer_id,
            address,
            reason,
        },
    };
    peer.emit(&event);
    call_foreign(|| peer.events.report_lag(true));
    close(peer, reason);
}

fn close(peer: &PeerConnection, reason: DisconnectReason) {
    peer.lifecycle.close();
    if let Some(observer) = &peer.observer {
        call_foreign(|| observer.on_closed(reason));
    }
}

/// Connects, then reads and replies until one side closes the connection. Returns the reason.
fn run_connection(
    peer: &Arc<PeerConnection>,
    connection: &Arc<ActiveConnection>,
    accepted: Option<AcceptedSocket>,
    block_transfer: &mut BlockTransfer,
) -> DisconnectReason {
    let (config, config_version) = peer.config();
    let mut events = EventEmitter {
        peer,
        connection,
        publisher: peer.publisher(connection, StreamType::General),
    };
    let connected = connect(peer, connection, &config, accepted, &mut events);
    let (stream, AcceptedSocket { received, end, .. }) = match connected {
        Ok(connected) => connected,
        Err(reason) => return reason,
    };
    let has_come = !received.is_empty() || end.is_some();
    // The limits may have changed since the last run.
    peer.set_memory_limits(&config);
    events.publisher.set_limits((&*config).into());
    let mut read_loop = ReadLoop {
        peer,
        connection,
        stream: &stream,
        reader: MessageReader::new(&config, peer.counters()),
        events,
        block_transfer,
        role: StreamRole::Primary {
            association: None,
            stream_action: None,
        },
        read_until: Instant::now(),
        config_version,
        transport_end: end,
    };
    drop(config);
    let reader = &mut read_loop.reader;
    reader.push_received(&received);
    drop(received);
    reader.track_memory(peer.stream_memory(connection, StreamType::General));
    read_loop.run(has_come)
}

/// Connects. Returns the stream and its socket, with the bytes that were read from it.
///
/// Not inlined, because its variables would take stack memory until the connection ends.
#[inline(never)]
fn connect(
    peer: &PeerConnection,
    connection: &ActiveConnection,
    config: &ConnectionConfig,
    accepted: Option<AcceptedSocket>,
    events: &mut EventEmitter<'_>,
) -> Result<(Arc<PeerStream>, AcceptedSocket), DisconnectReason> {
    let bug = |_| DisconnectReason::InternalError;
    let accepted = match accepted {
        Some(accepted) => accepted,
        None => {
            connection.session().on_connect_started().map_err(bug)?;
            peer.log(Level::Debug).write(format_args!("dialing"));
            let tcp = dial::dial(peer.address, config.connect_timeout, &connection.close)?;
            let (keepalive, timeout) = (config.tcp_keepalive, config.write_timeout);
            let socket = Stream::new(tcp, peer.address, keepalive, timeout);
            let socket = socket.map_err(|error| DisconnectReason::Io(error.kind()))?;
            AcceptedSocket::new(Arc::new(socket))
        }
    };
    let socket = accepted.socket.clone();
    let stream = peer.new_stream(connection, StreamType::General, socket, config);
    // The end of the connection shuts the socket down from now on.
    connection.close.add(&stream)?;
    connection.set_primary_stream(stream.clone());
    let (peer_id, address, direction) = (peer.peer_id, peer.address, peer.direction);
    events.control(ControlEvent::ConnectionEstablished {
        peer_id,
        address,
        direction,
    });
    let connected = {
        let mut session = connection.session();
        session.on_connected(address, random::unix_time(), accepted.since)
    };
    connected.map_err(bug)?;
    let text = format_args!("{direction} connection established");
    peer.log(Level::Info).write(text);
    Ok((stream, accepted))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;
    use crate::Network;
    use crate::connection::actor::PeerConnectionActor;
    use crate::connection::{Connection, PeerConnectionOptions};
    use crate::session::{NonceRegistry, PeerInfo};
    use crate::wire::Message;

    const LIMIT: Duration = Duration::from_secs(10);

    /// An observer that panics in one of its methods.
    struct Panicking {
        at: &'static str,
        /// Whether [`ConnectionObserver::on_closed`] was called.
        is_closed: Arc<AtomicBool>,
    }

    impl Panicking {
        fn reach(&self, name: &str) {
            assert!(self.at != name, "the observer panics in {name}");
        }
    }

    impl ConnectionObserver for Panicking {
        fn on_connected(&self, _: &PeerInfo) {
            self.reach("on_connected");
        }

        fn on_message(&self, _: &Message) {
            self.reach("on_message");
        }

        fn restart_delay(&self, _: &DisconnectReason, _: Option<Instant>) -> Option<Duration> {
            self.reach("restart_delay");
            Some(Duration::ZERO)
        }

        fn on_restart_scheduled(&self, _: Instant, _: DisconnectReason, restart: PendingRestart) {
            self.reach("on_restart_scheduled");
            restart.cancel(DisconnectReason::Shutdown);
        }

        fn on_closed(&self, _: DisconnectReason) {
            self.is_closed.store(true, SeqCst);
            self.reach("on_closed");
        }
    }

    #[test]
    fn panic_of_observer_emits_one_final_event() {
        for at in [
            "on_connected",
            "on_message",
            "restart_delay",
            "on_restart_scheduled",
            "on_closed",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let config = ConnectionConfig::new(Network::Regtest);
            let options = PeerConnectionOptions::new(config.clone());
            let control = options.events.subscribe_control();
            let is_closed = Arc::<AtomicBool>::default();
            let observer = Box::new(Panicking {
                at,
                is_closed: is_closed.clone(),
            });
            let address = listener.local_addr().unwrap();
            let handle = PeerConnectionActor::spawn_observed(address, options, observer).unwrap();
            let (tcp, _) = listener.accept().unwrap();
            if let Ok(mut peer) = Connection::accept(tcp, &config, &NonceRegistry::default()) {
                // Fails if the connection has ended already.
                let _ = peer.send(Message::GetAddr);
                handle.wait_connected(LIMIT).unwrap_or_default();
            }
            handle.join();
            assert!(is_closed.load(SeqCst), "{at}");
            drop(handle);
            let events = control.iter().map(Result::unwrap);
            let is_final = |event: &ControlEvent| {
                let name = event.name();
                matches!(name, "ConnectionLost" | "ConnectionFailed")
            };
            assert_eq!(events.filter(is_final).count(), 1, "{at}");
        }
    }
}
