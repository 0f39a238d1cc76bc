//! The thread that follows the chain.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select};
use log::Level;

use super::chain_state::ChainState;
use super::header_requests::{HeaderAnswer, HeaderRequests};
use super::header_writer::HeaderWriter;
use super::sync_core::{SendResult, SyncCore, SyncPort};
use crate::connection::{
    EventBus, EventReceiver, OverflowPolicy, PeerConnectionHandle, StartHeadersError,
    SubscriptionOptions, TryRecvError,
};
use crate::error::Error;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};
use crate::header_store::HeaderStoreError;
use crate::manager::clock::Now;
use crate::manager::shared::Shared;
use crate::peers::PeerId;
use crate::session::{ConnectionState, DisconnectReason, Misbehavior};
use crate::wire::{BlockHash, Command, Inventory, Message};

/// The name of the subscription.
const NAME: &str = "chain";
/// Capacity of the subscription. Lost announcements are replaced by requests.
const CAPACITY: usize = 1024;

/// Indexes in the selection of the thread.
const STOP: usize = 0;
const WOKEN: usize = 1;
const EVENT: usize = 2;
const ANSWERS: usize = 3;

/// The state of the thread. It waits in [`SyncThread::wait`] only, and holds no lock there.
pub(super) struct SyncThread {
    core: SyncCore,
    state: Arc<ChainState>,
    writer: Option<HeaderWriter>,
    port: ConnectionPort,
    events: EventReceiver<Event>,
    woken: Receiver<()>,
}

/// Connects the logic with the connections and subscribers of the manager.
struct ConnectionPort {
    shared: Arc<Shared>,
    requests: HeaderRequests,
}

impl SyncThread {
    /// Subscribes to events. No event after this call is lost.
    pub(super) fn new(shared: Arc<Shared>, state: Arc<ChainState>, woken: Receiver<()>) -> Self {
        Self {
            events: subscribe(&shared.bus),
            core: SyncCore::new(state.clone(), Now::read()),
            state,
            writer: None,
            port: ConnectionPort {
                requests: HeaderRequests::default(),
                shared,
            },
            woken,
        }
    }

    /// Follows the chain until `stop` or the end of the bus.
    ///
    /// Returns the error of the last write, if headers are missing in the file.
    pub(super) fn run<T>(mut self, stop: &Receiver<T>) -> Result<(), HeaderStoreError> {
        self.compare_peers();
        loop {
            let deadline = self.poll();
            match self.wait(stop, deadline) {
                None => {}
                Some(STOP) => break,
                Some(WOKEN) => drop(self.woken.try_recv()),
                Some(EVENT) => match self.events.try_recv() {
                    Err(TryRecvError::Ended(reason)) if !reason.is_failure() => break,
                    received => self.on_event(received),
                },
                Some(ready) => self.on_answer(ready - ANSWERS),
            }
        }
        self.update_writer();
        let written = match &mut self.writer {
            Some(writer) => writer.finish(&self.state),
            None => Ok(()),
        };
        if let Err(error) = &written {
            self.port.emit_store_failure(error.clone());
        }
        written
    }

    /// Sends due requests and events, and writes the file. Returns when to call it again.
    fn poll(&mut self) -> Instant {
        let now = Now::read();
        for peer_id in self.port.requests.progressing() {
            self.core.on_progress(peer_id, now.instant);
        }
        let timeout = self.port.shared.config().stale_tip_timeout;
        self.core.set_stale_timeout(timeout);
        self.core.poll(now, &mut self.port);
        self.write(now.instant);
        let deadline = self.core.next_deadline(now);
        let write = self.writer.as_ref().and_then(HeaderWriter::next_deadline);
        write.into_iter().fold(deadline, Instant::min)
    }

    /// Writes the changes of the chain to its file, once the manager is started.
    fn write(&mut self, now: Instant) {
        self.update_writer();
        if let Some(writer) = &mut self.writer
            && self.port.shared.is_started.load(Ordering::Acquire)
        {
            let port = &mut self.port;
            writer.poll(&self.state, now, |error| port.emit_store_failure(error));
        }
    }

    /// Writes to another file if one was set.
    fn update_writer(&mut self) {
        let Some(writer) = self.state.take_writer() else {
            return;
        };
        if let Some(mut before) = self.writer.replace(writer)
            && let Err(error) = before.finish(&self.state)
        {
            self.port.emit_store_failure(error);
        }
    }

    /// Waits for an event. Returns its index in the selection, or `None` at the deadline.
    fn wait<T>(&self, stop: &Receiver<T>, deadline: Instant) -> Option<usize> {
        let mut select = Select::new();
        assert_eq!(select.recv(stop), STOP);
        assert_eq!(select.recv(&self.woken), WOKEN);
        assert_eq!(select.recv(self.events.as_receiver()), EVENT);
        self.port.requests.add_to(&mut select);
        select.ready_deadline(deadline).ok()
    }

    fn on_event(&mut self, received: Result<Event, TryRecvError>) {
        match received {
            Ok(Event::Message(event)) => self.on_message(&event),
            Ok(Event::Control(event)) => self.on_control(&event),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Ended(_)) => {
                // The thread was too slow, for example because writing the file was.
                self.events = subscribe(&self.port.shared.bus);
                self.on_lost_events();
            }
        }
    }

    fn on_answer(&mut self, position: usize) {
        let Some(answer) = self.port.requests.take(position) else {
            return;
        };
        let HeaderAnswer {
            id,
            peer_id,
            headers,
        } = answer;
        let now = Now::read();
        match headers {
            Ok(headers) => {
                self.core
                    .on_answer(peer_id, id, &headers, now, &mut self.port);
            }
            Err(_) => self.core.on_no_reply(peer_id, id, now),
        }
    }

    fn on_message(&mut self, event: &BitcoinMessageEvent) {
        let (peer_id, now) = (event.peer_id, Now::read());
        match &*event.message {
            Message::Inv(inv) => {
                let blocks = inv.inventory.iter().filter_map(|entry| match entry {
                    Inventory::Block(hash) => Some(*hash),
                    _ => None,
                });
                self.core.on_inv(peer_id, blocks);
            }
            Message::Headers(headers) => {
                let headers = &headers.headers;
                self.core.on_headers(peer_id, headers, now, &mut self.port);
            }
            Message::CompactBlock(block) => {
                let header = [block.header()];
                self.core.on_headers(peer_id, &header, now, &mut self.port);
            }
            _ => {}
        }
    }

    fn on_control(&mut self, event: &ControlEvent) {
        match event {
            ControlEvent::HandshakeComplete { peer_id, .. } => {
                if let Some(handle) = self.port.shared.connections.get(*peer_id) {
                    self.on_connected(&handle);
                }
            }
            ControlEvent::ConnectionLost { peer_id, .. }
            | ControlEvent::ConnectionRestarting { peer_id, .. }
            | ControlEvent::ConnectionFailed { peer_id, .. } => {
                self.core.on_disconnected(*peer_id, Now::read());
            }
            ControlEvent::Lagged { subscription, .. } if &**subscription == NAME => {
                self.on_lost_events();
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, handle: &PeerConnectionHandle) {
        let (peer_id, address) = (handle.peer_id(), handle.peer_addr());
        let class = self.port.shared.peer_class(handle);
        self.core
            .on_connected(peer_id, class, handle.direction(), address);
    }

    /// Replaces lost events by a comparison of the peers and by requests for headers.
    fn on_lost_events(&mut self) {
        self.compare_peers();
        self.core.refresh(Now::read());
    }

    /// Reconciles the known peers with the connections, at the start and after lost events.
    fn compare_peers(&mut self) {
        let now = Now::read();
        for peer_id in self.core.peers() {
            if connected(&self.port.shared, peer_id).is_none() {
                self.core.on_disconnected(peer_id, now);
            }
        }
        for handle in self.port.shared.connections.all() {
            if handle.state() == ConnectionState::Connected {
                self.on_connected(&handle);
            }
        }
    }
}

fn subscribe(bus: &EventBus) -> EventReceiver<Event> {
    let commands = ["inv", "headers", "cmpctblock"].map(Command::new);
    bus.subscribe_with(SubscriptionOptions {
        capacity: CAPACITY,
        overflow: OverflowPolicy::DropNewest,
        ..SubscriptionOptions::with_name(NAME).with_commands(commands)
    })
}

impl ConnectionPort {
    fn emit_store_failure(&mut self, error: HeaderStoreError) {
        self.emit(ControlEvent::HeaderStoreFailed { error });
    }
}

impl SyncPort for ConnectionPort {
    fn request(&mut self, id: u64, peer_id: PeerId, locator: Vec<BlockHash>) -> SendResult {
        let Some(peer) = connected(&self.shared, peer_id) else {
            return SendResult::Disconnected;
        };
        match self.requests.start(id, &peer, locator) {
            Ok(()) => SendResult::Sent,
            Err(StartHeadersError::Failed(Error::Disconnected { .. })) => SendResult::Disconnected,
            Err(_) => SendResult::Busy,
        }
    }

    fn cancel(&mut self, id: u64) {
        self.requests.cancel(id);
    }

    fn round_trip(&self, peer_id: PeerId) -> Duration {
        let handle = self.shared.connections.get(peer_id);
        let measured = handle.and_then(|handle| handle.round_trip().smoothed);
        measured.unwrap_or(Duration::MAX)
    }

    fn report(&mut self, peer_id: PeerId, misbehavior: Misbehavior) {
        let Some(peer) = self.shared.connections.get(peer_id) else {
            return;
        };
        let record = self.shared.log(Level::Debug).peer_id(peer_id);
        let record = record
            .peer_address(peer.peer_addr())
            .direction(peer.direction());
        let text = format_args!("headers rejected");
        record.error(&misbehavior).write(text);
        peer.misbehaved(misbehavior);
    }

    fn disconnect(&mut self, peer_id: PeerId, reason: DisconnectReason) {
        if let Some(peer) = self.shared.connections.get(peer_id) {
            peer.stop(reason);
        }
    }

    fn emit(&mut self, event: ControlEvent) {
        self.shared.log_event(&event);
        self.shared.bus.publish_control(&event);
    }
}

fn connected(shared: &Shared, peer_id: PeerId) -> Option<Arc<PeerConnectionHandle>> {
    let handle = shared.connections.get(peer_id);
    handle.filter(|handle| handle.state() == ConnectionState::Connected)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::connection::{PeerConnectionActor, PeerConnectionOptions};
    use crate::manager::ManagerConfig;
    use crate::network::Network;
    use crate::wire::HeaderChain;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn start() -> (Arc<Shared>, SyncThread) {
        let shared = Arc::new(Shared::new(ManagerConfig::new(Network::Regtest)));
        let chain = HeaderChain::new(Network::Regtest);
        let (state, woken) = ChainState::new(chain.into(), shared.log_level.clone());
        let thread = SyncThread::new(shared.clone(), Arc::new(state), woken);
        (shared, thread)
    }

    /// The other side of a connection.
    struct RemoteSide {
        _handle: PeerConnectionHandle,
        messages: EventReceiver<BitcoinMessageEvent>,
    }

    /// Connects `shared` to a peer. Returns the id of the peer after the handshake.
    fn connect(shared: &Shared) -> (PeerId, RemoteSide) {
        let config = shared.config().connection.clone();
        let options = |events: &EventBus| PeerConnectionOptions {
            events: events.clone(),
            ..PeerConnectionOptions::new(config.clone())
        };
        let (control, bus) = (shared.bus.subscribe_control(), EventBus::new());
        let messages = bus.subscribe_messages();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dial = || PeerConnectionActor::spawn_outbound(address, options(&shared.bus));
        shared.connections.spawn(dial).unwrap();
        let (tcp, _) = listener.accept().unwrap();
        let _handle = PeerConnectionActor::spawn_inbound(tcp, options(&bus)).unwrap();
        loop {
            let event = control.recv_timeout(DEADLINE).unwrap();
            if let ControlEvent::HandshakeComplete { peer_id, .. } = event {
                return (peer_id, RemoteSide { _handle, messages });
            }
        }
    }

    /// Publishes life-cycle events until the subscription ends.
    fn end_by_flood(shared: &Shared, subscription: &EventReceiver<Event>) {
        let event = ControlEvent::ConnectionFailed {
            peer_id: PeerId::random(),
            address: ([127, 0, 0, 1], 1).into(),
            reason: DisconnectReason::InternalError,
        };
        while subscription.end_reason().is_none() {
            shared.bus.publish_control(&event);
        }
    }

    #[test]
    fn overflow_replaces_subscription_and_compares_peers() {
        let (shared, mut thread) = start();
        let (lost, _remote) = connect(&shared);
        thread.compare_peers();
        assert_eq!(thread.core.peers(), [lost]);

        // The events of both changes are in the queue that is discarded.
        drop(shared.connections.remove(lost));
        let (connected, remote) = connect(&shared);
        end_by_flood(&shared, &thread.events);
        let received = thread.events.try_recv();
        assert!(matches!(received, Err(TryRecvError::Ended(_))));
        thread.on_event(received);
        assert_eq!(thread.core.peers(), [connected]);

        // The new subscription receives the end of the connection.
        drop(remote);
        let deadline = Instant::now() + DEADLINE;
        while !thread.core.peers().is_empty() {
            let event = thread.events.recv_deadline(deadline).unwrap();
            thread.on_event(Ok(event));
        }
    }

    #[test]
    fn thread_follows_after_overflow_until_bus_closes() {
        let (shared, thread) = start();
        end_by_flood(&shared, &thread.events);
        let (_until_stopped, stop) = bounded::<()>(0);
        let running = std::thread::spawn(move || thread.run(&stop));
        let (_, remote) = connect(&shared);
        let deadline = Instant::now() + DEADLINE;
        loop {
            let event = remote.messages.recv_deadline(deadline).unwrap();
            if let Message::GetHeaders(_) = &*event.message {
                break;
            }
        }
        shared.bus.close();
        assert!(running.join().unwrap().is_ok());
    }
}
