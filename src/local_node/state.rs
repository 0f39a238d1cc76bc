//! What a local node has and what it does about each event.

mod messages;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{SocketAddr, TcpStream};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::{
    Accepted, BlockTemplate, Chain, Inserted, InvalidTransaction, Refused, TransactionPool,
};
use crate::connection::{
    Associations, ConnectionConfig, EventBus, PeerConnectionActor, PeerConnectionHandle,
    PeerConnectionSetup,
};
use crate::error::Error;
use crate::event::{ControlEvent, Event};
use crate::log_level::LogLevel;
use crate::memory::PayloadMemory;
use crate::session::{Direction, DisconnectReason, NonceRegistry, PROTOCOL_VERSION};
use crate::wire::{
    Block, BlockHash, BlockHeader, GetHeaders, Headers, Inv, Inventory, MAX_ADDRESSES, Message,
    Services, Tx, Txid,
};

/// Chain, transactions and peers of a node. Every method returns at once.
pub(super) struct State {
    pub(super) chain: Chain,
    pub(super) pool: TransactionPool,
    /// The transactions of the active chain: one that a peer sends late must not be mined once more.
    mined: HashSet<Txid>,
    config: ConnectionConfig,
    /// Where connections tell what happens; `None` once the node is closed.
    events: Option<EventBus>,
    nonces: NonceRegistry,
    associations: Associations,
    memory: PayloadMemory,
    own_address: SocketAddr,
    peers: HashMap<Uuid, Peer>,
    /// Where other nodes listen, as far as we know.
    known_addresses: BTreeSet<SocketAddr>,
    /// Which blocks have been asked for, and when.
    requested: HashMap<BlockHash, (Uuid, Instant)>,
    /// Makes two nodes that mine on the same block in the same second mine different ones.
    extra_nonce: u64,
}

struct Peer {
    handle: PeerConnectionHandle,
    /// Whether the handshake is complete.
    ready: bool,
    /// Whether the handshake is complete with one who has blocks.
    serves_blocks: bool,
    /// What it said in its `version` of transactions.
    wants_transactions: bool,
    /// Whether its one `getaddr` has been answered.
    told_addresses: bool,
}

impl State {
    pub(super) fn new(
        chain: Chain,
        config: ConnectionConfig,
        own_address: SocketAddr,
        events: EventBus,
    ) -> Self {
        let mined = chain.active_blocks().flat_map(Block::transactions);
        Self {
            mined: mined.map(|transaction| transaction.txid()).collect(),
            chain,
            pool: TransactionPool::default(),
            config,
            events: Some(events),
            nonces: NonceRegistry::default(),
            associations: Associations::default(),
            memory: PayloadMemory::default(),
            own_address,
            peers: HashMap::new(),
            known_addresses: BTreeSet::from([own_address]),
            requested: HashMap::new(),
            extra_nonce: Uuid::new_v4().as_u64_pair().0,
        }
    }

    pub(super) fn dial(&mut self, address: SocketAddr) -> Result<(), Error> {
        let Some(setup) = self.setup() else {
            return Ok(());
        };
        self.add_peer(PeerConnectionActor::spawn_outbound(address, setup)?);
        Ok(())
    }

    pub(super) fn accept(&mut self, stream: TcpStream) -> Result<(), Error> {
        let Some(setup) = self.setup() else {
            return Ok(());
        };
        self.add_peer(PeerConnectionActor::spawn_inbound(stream, setup)?);
        Ok(())
    }

    /// Ends all connections and lets no new ones in. The handles are to be dropped without the lock: that waits for
    /// threads. When they are gone, nobody is left to send events.
    pub(super) fn close(&mut self) -> Vec<PeerConnectionHandle> {
        self.events = None;
        let peers: Vec<_> = self.peers.drain().map(|(_, peer)| peer.handle).collect();
        peers
            .iter()
            .for_each(|peer| peer.stop(DisconnectReason::Shutdown));
        peers
    }

    pub(super) fn ready_peers(&self) -> usize {
        self.peers.values().filter(|peer| peer.ready).count()
    }

    pub(super) fn mine(&mut self) -> Result<BlockHash, Refused> {
        self.extra_nonce = self.extra_nonce.wrapping_add(1);
        let now = unix_time();
        let template = BlockTemplate {
            transactions: self.pool.transactions().cloned().collect(),
            ..self.chain.template(now, self.extra_nonce)
        };
        let block = template.mine();
        self.take_block(&block, None)?;
        Ok(block.hash())
    }

    pub(super) fn add_transaction(
        &mut self,
        tx: &Tx,
        from: Option<Uuid>,
    ) -> Result<Inserted, InvalidTransaction> {
        let txid = tx.txid();
        if self.mined.contains(&txid) {
            return Ok(Inserted::Known);
        }
        let inserted = self.pool.insert(tx)?;
        if inserted == Inserted::New {
            let announcement = Inv::from(vec![Inventory::Tx(txid)]).into();
            for (id, peer) in &self.peers {
                if peer.ready && peer.wants_transactions && Some(*id) != from {
                    tell(peer, &announcement);
                }
            }
        }
        Ok(inserted)
    }

    /// Does what an event asks for. Gives back the handles of peers that are gone, to be dropped without the
    /// lock.
    pub(super) fn on_event(&mut self, event: Event) -> Vec<PeerConnectionHandle> {
        match event {
            Event::Control(ControlEvent::HandshakeComplete { peer_id, info, .. }) => {
                if let Some(peer) = self.peers.get_mut(&peer_id) {
                    peer.ready = true;
                    peer.wants_transactions = info.relay;
                    peer.serves_blocks = info.services.contains(Services::NETWORK);
                }
                // Whoever has blocks is asked for them, also who dialled us.
                if info.services.contains(Services::NETWORK) {
                    self.send(peer_id, &self.question_for_headers());
                }
            }
            Event::Control(
                ControlEvent::ConnectionLost { peer_id, .. }
                | ControlEvent::ConnectionFailed { peer_id, .. },
            ) => {
                let gone = self.peers.remove(&peer_id).map(|peer| peer.handle);
                let gone = gone.into_iter().collect();
                let asked = self.requested.len();
                self.requested.retain(|_, (asked, _)| *asked != peer_id);
                if self.requested.len() < asked {
                    // What it owed has to come from others.
                    let question = self.question_for_headers();
                    let others = self.peers.values();
                    others
                        .filter(|peer| peer.serves_blocks)
                        .for_each(|peer| tell(peer, &question));
                }
                return gone;
            }
            Event::Control(ControlEvent::StreamOpened { .. }) => return self.take_streams(),
            Event::Control(_) => {}
            Event::Message(event) => self.on_message(event.peer_id, &event.message),
        }
        Vec::new()
    }

    /// Takes out the connections that have become streams of others. Nobody tells of their ends; the latest may still be about to end, and is
    /// taken with the next.
    fn take_streams(&mut self) -> Vec<PeerConnectionHandle> {
        let streams = self.peers.extract_if(|_, peer| peer.handle.became_stream());
        streams.map(|(_, peer)| peer.handle).collect()
    }

    fn take_block(&mut self, block: &Block, from: Option<Uuid>) -> Result<(), Refused> {
        let Accepted::NewTip {
            disconnected,
            connected,
        } = self.chain.accept(block, unix_time())?
        else {
            return Ok(());
        };
        for hash in &disconnected {
            if let Some(block) = self.chain.block(hash) {
                self.pool.restore_disconnected(block);
                for transaction in block.transactions() {
                    self.mined.remove(&transaction.txid());
                }
            }
        }
        let mut headers = Vec::new();
        for hash in &connected {
            if let Some(block) = self.chain.block(hash) {
                self.pool.remove_included(block);
                self.mined.extend(block.transactions().map(|tx| tx.txid()));
                headers.push(block.header());
            }
        }
        self.announce(headers, block.hash(), from);
        Ok(())
    }

    /// Tells every peer but `from` of a new tip, in the way that it wants.
    fn announce(&self, headers: Vec<BlockHeader>, tip: BlockHash, from: Option<Uuid>) {
        let by_inv = Inv::from(vec![Inventory::Block(tip)]).into();
        // The node announces at most eight blocks by their headers.
        let by_headers = (headers.len() <= 8).then(|| Headers { headers }.into());
        for (id, peer) in &self.peers {
            if peer.ready && Some(*id) != from {
                match &by_headers {
                    Some(headers) if peer.handle.wants_headers() => tell(peer, headers),
                    _ => tell(peer, &by_inv),
                }
            }
        }
    }

    fn question_for_headers(&self) -> Message {
        let locator = self.chain.locator();
        GetHeaders {
            version: PROTOCOL_VERSION,
            locator,
            stop: BlockHash::ZERO,
        }
        .into()
    }

    fn send(&self, to: Uuid, message: &Message) {
        if let Some(peer) = self.peers.get(&to) {
            tell(peer, message);
        }
    }

    /// What a new connection is spawned with; `None` once the node is closed.
    fn setup(&self) -> Option<PeerConnectionSetup> {
        let events = self.events.clone()?;
        let mut config = self.config.clone();
        config.session.start_height = i32::try_from(self.chain.tip().0).unwrap_or(i32::MAX);
        Some(PeerConnectionSetup {
            peer_id: Uuid::new_v4(),
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
            self.known_addresses.insert(handle.address());
        }
        let peer = Peer {
            handle,
            ready: false,
            serves_blocks: false,
            wants_transactions: true,
            told_addresses: false,
        };
        self.peers.insert(peer.handle.peer_id(), peer);
    }

    fn knows_transaction(&self, txid: &Txid) -> bool {
        self.pool.contains(txid) || self.mined.contains(txid)
    }

    pub(super) fn transaction(&self, txid: &Txid) -> Option<Tx> {
        self.pool.get(txid).cloned()
    }

    pub(super) fn own_address(&self) -> SocketAddr {
        self.own_address
    }
}

/// Sends without waiting. A peer that has left so much unread that there is no room is dropped, alone.
fn tell(peer: &Peer, message: &Message) {
    if let Err(Error::TimedOut { .. }) = peer.handle.try_send(message) {
        let waiting = peer.handle.queued().1 as u64;
        peer.handle.stop(DisconnectReason::SlowReader { waiting });
    }
}

fn unix_time() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
