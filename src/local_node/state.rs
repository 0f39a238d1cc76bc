//! The state of a local node, and the handling of each event.

mod announcements;
mod answers;
mod block_requests;
mod blocks;
mod enriched_headers;
mod mined;
mod orphans;
mod peer;
mod rejects;
mod requested_objects;
mod teranode;
mod transactions;

use std::collections::{BTreeSet, HashMap};
use std::net::{SocketAddr, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;

use self::block_requests::BlockRequests;
use self::mined::MinedTransactions;
use self::orphans::OrphanPool;
use self::peer::NodePeer;
use super::{BlockRejectReason, BlockTemplate, Chain, LocalNodeConfig, TransactionPool};
use crate::connection::{
    AssociationRegistry, EventBus, InboundConnection, InboundOutcome, InboundSocket,
    PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use crate::error::Error;
use crate::event::{ControlEvent, Event};
use crate::log_level::LogLevel;
use crate::log_record::LogRecord;
use crate::memory::PayloadMemory;
use crate::peers::PeerId;
use crate::session::{Direction, DisconnectReason, Misbehavior, NonceRegistry, PeerInfo};
use crate::wire::{BlockHash, BloomFilter, MAX_ADDRESSES, Message, Tx, Txid};

/// Chain, transactions and peers of a node. Every method returns at once.
pub(super) struct NodeState {
    pub(super) chain: Chain,
    pub(super) pool: TransactionPool,
    /// The transactions of the active chain. A peer may send them late: they must not be mined again.
    mined: MinedTransactions,
    orphans: OrphanPool,
    config: LocalNodeConfig,
    /// Where connections emit their events. `None` once the node is closed.
    events: Option<EventBus>,
    nonces: NonceRegistry,
    associations: AssociationRegistry,
    memory: PayloadMemory,
    own_address: SocketAddr,
    peers: HashMap<PeerId, NodePeer>,
    /// The accepted sockets whose first message is awaited.
    sockets: Vec<InboundSocket>,
    /// Where other nodes listen, as far as known, and our own address.
    known_addresses: BTreeSet<SocketAddr>,
    requests: BlockRequests,
    /// The peers to which requested objects must be sent.
    busy: BTreeSet<PeerId>,
    /// Makes two nodes that mine on the same block in the same second mine different ones.
    extra_nonce: u64,
}

impl NodeState {
    pub(super) fn new(
        chain: Chain,
        config: LocalNodeConfig,
        own_address: SocketAddr,
        events: EventBus,
    ) -> Self {
        Self {
            mined: MinedTransactions::new(&chain),
            chain,
            pool: TransactionPool::new(config.max_pool_bytes, config.max_pool_transactions),
            orphans: OrphanPool::default(),
            config,
            events: Some(events),
            nonces: NonceRegistry::default(),
            associations: AssociationRegistry::default(),
            memory: PayloadMemory::default(),
            own_address,
            peers: HashMap::new(),
            sockets: Vec::new(),
            known_addresses: BTreeSet::from([own_address]),
            requests: BlockRequests::default(),
            busy: BTreeSet::new(),
            extra_nonce: crate::random::random_u64(),
        }
    }

    pub(super) fn dial(&mut self, address: SocketAddr) -> Result<(), Error> {
        let Some(setup) = self.setup() else {
            return Ok(());
        };
        self.add_peer(PeerConnectionActor::spawn_outbound(address, setup)?);
        Ok(())
    }

    /// Starts to read the first message of an accepted socket. `on_outcome` is called with what it
    /// becomes, on its own thread.
    pub(super) fn accept(
        &mut self,
        stream: TcpStream,
        on_outcome: impl FnOnce(InboundOutcome<'_>) + Send + 'static,
    ) -> Result<(), Error> {
        let Some(setup) = self.setup() else {
            return Ok(());
        };
        let socket = PeerConnectionActor::accept(stream, setup, on_outcome)?;
        self.sockets.retain(InboundSocket::is_pending);
        self.sockets.push(socket);
        Ok(())
    }

    /// Starts the connection of an accepted socket, unless the node is closed.
    pub(super) fn add_inbound(&mut self, connection: InboundConnection<'_>) -> Result<(), Error> {
        if self.events.is_some() {
            self.add_peer(connection.start()?);
        }
        Ok(())
    }

    /// Ends all connections and accepts no new ones. The handles must be dropped without the lock,
    /// because that waits for threads. When they are dropped, no sender of events is left.
    pub(super) fn close_all(&mut self) -> (Vec<InboundSocket>, Vec<PeerConnectionHandle>) {
        self.events = None;
        let peers: Vec<_> = self.peers.drain().map(|(_, peer)| peer.handle).collect();
        peers
            .iter()
            .for_each(|peer| peer.stop(DisconnectReason::Shutdown));
        (std::mem::take(&mut self.sockets), peers)
    }

    pub(super) fn ready_peers(&self) -> usize {
        self.peers.values().filter(|peer| peer.is_ready()).count()
    }

    pub(super) fn mine(&mut self) -> Result<BlockHash, BlockRejectReason> {
        self.extra_nonce = self.extra_nonce.wrapping_add(1);
        let now = unix_time();
        let template = BlockTemplate {
            transactions: self.pool.transactions().cloned().collect(),
            ..self.chain.template(now, self.extra_nonce)
        };
        let block = template.mine();
        self.accept_block(&block, &[])?;
        Ok(block.hash())
    }

    /// Handles an event. Returns the handles of connections that have ended, which must be dropped
    /// without the lock.
    pub(super) fn on_event(&mut self, event: Event) -> Vec<PeerConnectionHandle> {
        match event {
            Event::Control(ControlEvent::HandshakeComplete { peer_id, info, .. }) => {
                self.on_handshake(peer_id, info);
            }
            Event::Control(
                ControlEvent::ConnectionLost { peer_id, .. }
                | ControlEvent::ConnectionFailed { peer_id, .. },
            ) => return self.on_end(peer_id).into_iter().collect(),
            Event::Control(_) => {}
            Event::Message(event) => self.on_message_event(event),
        }
        Vec::new()
    }

    /// Requests the chain of every peer that serves blocks, also of inbound ones. A Teranode asks
    /// only peers whose chain is higher.
    fn on_handshake(&mut self, peer_id: PeerId, info: Box<PeerInfo>) {
        let is_higher = i64::from(info.start_height) > i64::from(self.chain.tip().0);
        let Some(peer) = self.peers.get_mut(&peer_id) else {
            return;
        };
        peer.relays_transactions = info.relay;
        peer.info = Some(info);
        if peer.serves_blocks() && (is_higher || !self.is_teranode()) {
            self.send(peer_id, &self.chain_request());
        }
    }

    /// Removes a peer. The blocks that it owes are requested from others.
    fn on_end(&mut self, peer_id: PeerId) -> Option<PeerConnectionHandle> {
        let peer = self.peers.remove(&peer_id)?;
        self.orphans.remove_peer(peer_id);
        if self.requests.remove_peer(peer_id) {
            let request = self.chain_request();
            let others = self.peers.values();
            others
                .filter(|peer| peer.serves_blocks())
                .for_each(|peer| peer.send(&request));
        }
        Some(peer.handle)
    }

    fn on_message(&mut self, from: PeerId, message: &Message) {
        if self.is_teranode() && self.handle_as_teranode(from, message) {
            return;
        }
        match message {
            Message::Inv(inv) => self.on_inv(from, &inv.inventory),
            Message::GetData(request) => self.on_getdata(from, request),
            Message::GetHeaders(request) => self.answer_getheaders(from, request),
            Message::GetBlocks(request) => self.answer_getblocks(from, request),
            Message::GetHdrsEn(request) => self.answer_gethdrsen(from, request),
            Message::GetBlockTxn(request) => self.answer_getblocktxn(from, request),
            Message::GetAddr => self.answer_getaddr(from),
            Message::Headers(headers) => self.on_headers(from, &headers.headers),
            // The block is requested in full.
            Message::CompactBlock(compact) => self.on_headers(from, &[compact.header()]),
            Message::Block(block) => self.on_block(from, block),
            Message::Tx(tx) => self.on_transaction(from, tx),
            Message::Addr(addr) => self.on_addr(addr),
            Message::Mempool(request) if request.age().is_none() => {
                self.close(from, "mempool request");
            }
            _ => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    let serves_filters = self.config.serves_filters();
                    on_preference(peer, message, serves_filters);
                }
            }
        }
    }

    /// Creates a log record of this node, with its network.
    pub(super) fn log(&self, level: Level) -> LogRecord<'static> {
        peer::log(level).network(&self.config.connection.network)
    }

    /// Creates a log record about a peer, with the fields of its connection.
    fn log_peer(&self, peer_id: PeerId, level: Level) -> LogRecord<'static> {
        match self.peers.get(&peer_id) {
            Some(peer) => peer.log(level),
            None => self.log(level).peer_id(peer_id),
        }
    }

    fn close(&mut self, peer: PeerId, why: &str) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.close(why);
        }
    }

    fn misbehaved(&mut self, peer: PeerId, misbehavior: Misbehavior) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.misbehaved(misbehavior);
        }
    }

    /// Returns the setup of a new connection. `None` once the node is closed.
    fn setup(&self) -> Option<PeerConnectionOptions> {
        let events = self.events.clone()?;
        let mut config = self.config.connection.clone();
        config.session.start_height = i32::try_from(self.chain.tip().0).unwrap_or(i32::MAX);
        Some(PeerConnectionOptions {
            peer_id: PeerId::random(),
            config,
            nonces: self.nonces.clone(),
            associations: self.associations.clone(),
            events,
            memory: self.memory.clone(),
            slot: None,
            log_level: LogLevel::default(),
        })
    }

    fn add_peer(&mut self, handle: PeerConnectionHandle) {
        if handle.direction() == Direction::Outbound && self.known_addresses.len() < MAX_ADDRESSES {
            self.known_addresses.insert(handle.peer_addr());
        }
        let network = self.config.connection.network.clone();
        let peer = NodePeer::new(handle, network);
        self.peers.insert(peer.handle.peer_id(), peer);
    }

    pub(super) fn transaction(&self, txid: &Txid) -> Option<Tx> {
        self.pool.get(txid).cloned()
    }

    pub(super) fn own_address(&self) -> SocketAddr {
        self.own_address
    }
}

/// Handles a message that sets the preferences of a peer. The session rejects `filterload` and
/// `filteradd` unless filters are served.
fn on_preference(peer: &mut NodePeer, message: &Message, serves_filters: bool) {
    match message {
        Message::SendHeaders => peer.wants_headers = true,
        Message::SendHdrsEn => peer.wants_enriched_headers = true,
        Message::SendCmpct(request) if request.is_valid() => {
            peer.wants_compact_blocks = request.announce;
        }
        Message::FilterLoad(filter) => {
            peer.filter = filter.clone();
            peer.relays_transactions = true;
        }
        Message::FilterAdd(element) => peer.filter.insert(&element.data),
        Message::FilterClear => {
            if serves_filters {
                peer.filter = BloomFilter::match_all();
            }
            peer.relays_transactions = true;
        }
        _ => {}
    }
}

fn unix_time() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
