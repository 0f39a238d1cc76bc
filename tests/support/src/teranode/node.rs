//! The state that all connections of a scripted Teranode share.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bsv_p2p::wire::{
    AssociationId, Block, BlockHash, BlockHeader, Headers, Inv, Inventory, Message, StreamType, Tx,
    Txid,
};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::chain::ServedChain;
use super::config::TeranodeConfig;
use super::peer::Peer;
use super::rules::{Punished, Punishment};

/// Number of own nonces that are remembered.
const NONCES: usize = 50;

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Number of the connection that the peer started with.
    pub peer: u64,
    pub stream: StreamType,
    pub message: Message,
}

pub(super) struct Node {
    pub(super) config: TeranodeConfig,
    /// Where it listens.
    pub(super) address: SocketAddr,
    state: Mutex<NodeState>,
    changed: Condvar,
}

pub(super) struct NodeState {
    pub(super) chain: ServedChain,
    pub(super) transactions: HashMap<Txid, Tx>,
    pub(super) rejected: HashSet<Txid>,
    pub(super) banned: HashSet<IpAddr>,
    pub(super) peers: BTreeMap<u64, Arc<Peer>>,
    /// The associations of all peers, also of those that have left.
    pub(super) associations: HashSet<AssociationId>,
    /// All open sockets by the number of their connection.
    pub(super) sockets: BTreeMap<u64, TcpStream>,
    pub(super) nonces: VecDeque<u64>,
    pub(super) received: Vec<Received>,
    pub(super) punished: Vec<Punished>,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) is_stopped: bool,
    /// Whether it takes its chain for complete.
    pub(super) is_current: bool,
    /// Whether it downloads headers up to its last checkpoint.
    pub(super) is_headers_first: bool,
    /// The last header received in headers-first mode.
    pub(super) last_header: Option<BlockHash>,
    /// Requested blocks, each with the peer.
    pub(super) requested: HashMap<BlockHash, u64>,
    /// Blocks whose parent is unknown, by the parent.
    pub(super) orphans: HashMap<BlockHash, Block>,
    pub(super) sync_peer: Option<u64>,
    pub(super) slowest_pong: Duration,
    next_id: u64,
}

impl Node {
    pub(super) fn new(config: TeranodeConfig, address: SocketAddr) -> Self {
        let chain = ServedChain::new(&config);
        Self {
            address,
            config,
            state: Mutex::new(NodeState {
                chain,
                transactions: HashMap::new(),
                rejected: HashSet::new(),
                banned: HashSet::new(),
                peers: BTreeMap::new(),
                associations: HashSet::new(),
                sockets: BTreeMap::new(),
                nonces: VecDeque::new(),
                received: Vec::new(),
                punished: Vec::new(),
                threads: Vec::new(),
                is_stopped: false,
                is_current: true,
                is_headers_first: false,
                last_header: None,
                requested: HashMap::new(),
                orphans: HashMap::new(),
                sync_peer: None,
                slowest_pong: Duration::ZERO,
                next_id: 1,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock()
    }

    /// Changes the state and wakes waiting callers.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut NodeState) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Blocks until `condition` returns a value. Returns `None` at the deadline.
    pub(super) fn wait<T>(
        &self,
        deadline: Instant,
        mut condition: impl FnMut(&mut NodeState) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(value) = condition(&mut state) {
                return Some(value);
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return condition(&mut state);
            }
        }
    }

    /// Registers a socket. Returns the number of its connection, or `None` after the stop.
    pub(super) fn register(&self, tcp: &TcpStream) -> Option<u64> {
        let tcp = tcp.try_clone().ok()?;
        self.update(|state| {
            let id = state.next_id;
            state.next_id += 1;
            if state.is_stopped {
                return None;
            }
            state.sockets.insert(id, tcp);
            Some(id)
        })
    }

    pub(super) fn unregister(&self, id: u64) {
        self.update(|state| {
            state.sockets.remove(&id);
            if state.peers.remove(&id).is_some() {
                state.requested.retain(|_, peer| *peer != id);
                state.sync_peer.take_if(|peer| *peer == id);
            }
        });
    }

    /// Records a message that is punished.
    pub(super) fn punish(
        &self,
        peer: u64,
        ip: IpAddr,
        command: &str,
        rule: &'static str,
        punishment: Punishment,
    ) {
        self.update(|state| {
            if punishment == Punishment::Banned {
                state.banned.insert(ip);
            }
            state.punished.push(Punished {
                peer,
                command: command.to_owned(),
                rule,
                punishment,
            });
        });
    }

    /// Returns a nonce for a `version`, and remembers it.
    pub(super) fn new_nonce(&self) -> u64 {
        let nonce = uuid::Uuid::new_v4().as_u64_pair().0;
        self.update(|state| {
            state.nonces.push_back(nonce);
            if state.nonces.len() > NONCES {
                state.nonces.pop_front();
            }
        });
        nonce
    }

    /// Announces a header to the peers that sent `sendheaders`, except one.
    pub(super) fn announce_block(&self, header: BlockHeader, except: Option<u64>) {
        for peer in self.peers_except(except) {
            if peer.facts.lock().wants_headers {
                let headers = vec![header];
                // The peer may have closed the connection.
                let _ = peer.general.send(self, Headers { headers });
            }
        }
    }

    /// Announces transactions to the peers that want them, except one.
    pub(super) fn announce_transactions(&self, txids: &[Txid], except: Option<u64>) {
        if self.config.listen_only {
            return;
        }
        let inventory: Vec<_> = txids.iter().copied().map(Inventory::Tx).collect();
        for peer in self.peers_except(except) {
            let wants = {
                let facts = peer.facts.lock();
                let relay = facts
                    .version
                    .as_ref()
                    .is_some_and(|one| one.relay_or_default());
                relay && self.config.fee_rate >= facts.fee_filter
            };
            if wants {
                // The peer may have closed the connection.
                let _ = peer.general.send(self, Inv::from(inventory.clone()));
            }
        }
    }

    fn peers_except(&self, except: Option<u64>) -> Vec<Arc<Peer>> {
        let state = self.state.lock();
        let peers = state.peers.values();
        peers
            .filter(|peer| Some(peer.id) != except && peer.is_ready())
            .cloned()
            .collect()
    }
}
