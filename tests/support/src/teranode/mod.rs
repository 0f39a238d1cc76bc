//! A scripted Teranode: its legacy peer service as a peer on the wire sees it.
//!
//! It follows Teranode's own rules, in the versions of [`TeranodeConfig`], and shares no code with
//! the library's session: only messages are encoded and decoded by the library. It listens and
//! dials on loopback sockets, with one thread for each connection. Every message that Teranode
//! punishes is recorded, also if the punishment does not end the connection, so that a test can
//! assert that the library sends none.
//!
//! Not covered: reorganizations, sync peers that are too slow, repeated dialing, and payloads above
//! 4 GiB.

mod chain;
mod config;
mod frames;
mod handshake;
mod messages;
mod node;
mod peer;
mod peer_stream;
mod rules;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bsv_p2p::wire::{Block, BlockHash, BlockHeader, StreamType, Tx, Txid};

pub use config::{HeaderOrder, JoinOrder, TeranodeConfig, TxVerdict, UserAgentRule};
pub use node::Received;
pub use rules::{Punished, Punishment};

use node::{Node, NodeState};

/// Maximum time of a wait for an event that usually takes less than a second.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running scripted Teranode. Dropping it closes its connections and joins its threads.
pub struct Teranode {
    node: Arc<Node>,
    accepting: Option<JoinHandle<()>>,
}

impl Teranode {
    /// Starts to listen at a loopback port.
    pub fn start(config: TeranodeConfig) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let node = Arc::new(Node::new(config, address));
        let accepting = thread::spawn({
            let node = node.clone();
            move || {
                while let Ok((tcp, _)) = listener.accept()
                    && !node.state().is_stopped
                {
                    spawn(&node, move |node| handshake::serve_inbound(node, tcp));
                }
            }
        });
        Self {
            node,
            accepting: Some(accepting),
        }
    }

    /// Dials a peer, in a thread.
    pub fn dial(&self, address: SocketAddr) {
        spawn(&self.node, move |node| {
            handshake::serve_outbound(node, address)
        });
    }

    pub fn address(&self) -> SocketAddr {
        self.node.address
    }

    pub fn has_streams(&self) -> bool {
        self.node.config.streams.is_some()
    }

    /// Returns the height and hash of the last block.
    pub fn tip(&self) -> (u32, BlockHash) {
        let (height, hash) = self.node.state().chain.tip();
        (height as u32, hash)
    }

    pub fn hash_at(&self, height: u32) -> BlockHash {
        let hash = self.node.state().chain.hash_at(height as usize);
        hash.expect("a block at this height")
    }

    /// Returns all headers, the first of which is genesis.
    pub fn headers(&self) -> Vec<BlockHeader> {
        let state = self.node.state();
        let header = |height| state.chain.header_at(height);
        (0..).map_while(header).collect()
    }

    pub fn block(&self, hash: BlockHash) -> Option<Block> {
        self.node.state().chain.block(&hash).cloned()
    }

    /// Mines a block above the tip and announces it.
    pub fn mine(&self, transactions: &[Tx]) -> BlockHash {
        let (hash, header) = self.node.update(|state| {
            let hash = state.chain.mine(transactions);
            (hash, state.chain.header_at(state.chain.tip().0))
        });
        self.node.announce_block(header.expect("a tip"), None);
        hash
    }

    /// Removes a block and keeps its header.
    pub fn prune(&self, hash: BlockHash) {
        self.node.update(|state| state.chain.prune(&hash));
    }

    /// Adds a transaction and announces it.
    pub fn relay(&self, tx: &Tx) {
        self.add_transaction(tx);
        self.announce_transactions(&[tx.txid()]);
    }

    pub fn add_transaction(&self, tx: &Tx) {
        self.node
            .update(|state| state.transactions.insert(tx.txid(), tx.clone()));
    }

    /// Announces transactions, including unknown ones.
    pub fn announce_transactions(&self, txids: &[Txid]) {
        self.node.announce_transactions(txids, None);
    }

    pub fn transaction(&self, txid: Txid) -> Option<Tx> {
        self.node.state().transactions.get(&txid).cloned()
    }

    /// Sets whether it downloads headers, and is not current.
    pub fn set_syncing(&self, is_syncing: bool) {
        self.node.update(|state| {
            state.is_headers_first = is_syncing;
            state.is_current = !is_syncing;
        });
    }

    /// Returns all messages that were punished.
    pub fn punished(&self) -> Vec<Punished> {
        self.node.state().punished.clone()
    }

    /// Asserts that no message was punished.
    #[track_caller]
    pub fn assert_no_punishment(&self) {
        let punished = self.punished();
        let texts: Vec<_> = punished.iter().map(ToString::to_string).collect();
        assert!(texts.is_empty(), "punished: {texts:#?}");
    }

    pub fn is_banned(&self, ip: IpAddr) -> bool {
        self.node.state().banned.contains(&ip)
    }

    /// Returns all messages that arrived.
    pub fn received(&self) -> Vec<Received> {
        self.node.state().received.clone()
    }

    /// Returns the number of messages with this command that arrived.
    pub fn count(&self, command: &str) -> usize {
        count(&self.node.state(), command)
    }

    /// Returns the longest time between a ping and its pong.
    pub fn slowest_pong(&self) -> Duration {
        self.node.state().slowest_pong
    }

    /// Waits until `count` peers have completed the handshake.
    #[track_caller]
    pub fn wait_for_peers(&self, count: usize) {
        self.wait_for("peers", |state| {
            let ready = state.peers.values().filter(|peer| peer.is_ready()).count();
            ready == count
        });
    }

    /// Waits until a peer has a second stream of this type.
    #[track_caller]
    pub fn wait_for_stream(&self, kind: StreamType) {
        self.wait_for("a second stream", |state| {
            let has = |peer: &Arc<peer::Peer>| {
                let facts = peer.facts.lock();
                facts.streams.iter().any(|(one, _)| *one == kind)
            };
            state.peers.values().any(has)
        });
    }

    /// Waits until `count` messages with this command have arrived.
    #[track_caller]
    pub fn wait_for_messages(&self, command: &str, expected: usize) {
        self.wait_for(command, |state| count(state, command) >= expected);
    }

    /// Waits for the tip of its chain.
    #[track_caller]
    pub fn wait_for_tip(&self, hash: BlockHash) {
        self.wait_for("the tip", |state| state.chain.tip().1 == hash);
    }

    /// Waits until its chain has this height.
    #[track_caller]
    pub fn wait_for_height(&self, height: u32) {
        self.wait_for("a block", |state| state.chain.tip().0 == height as usize);
    }

    /// Waits until a transaction has arrived.
    #[track_caller]
    pub fn wait_for_transaction(&self, txid: Txid) {
        self.wait_for("a transaction", |state| {
            state.transactions.contains_key(&txid)
        });
    }

    /// Waits until a message was punished.
    #[track_caller]
    pub fn wait_for_punishment(&self) -> Punished {
        self.wait_for("a punishment", |state| !state.punished.is_empty());
        self.punished().remove(0)
    }

    #[track_caller]
    fn wait_for(&self, what: &str, condition: impl Fn(&NodeState) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let found = self
            .node
            .wait(deadline, |state| condition(state).then_some(()));
        if found.is_none() {
            let state = self.node.state();
            let mut received = BTreeMap::<_, usize>::new();
            for one in &state.received {
                *received.entry(one.message.command()).or_default() += 1;
            }
            let punished = &state.punished;
            panic!("{what} did not arrive; received {received:?}; punished {punished:?}");
        }
    }
}

impl Drop for Teranode {
    fn drop(&mut self) {
        self.node.update(|state| {
            state.is_stopped = true;
            for tcp in state.sockets.values() {
                let _ = tcp.shutdown(Shutdown::Both);
            }
        });
        // Ends the wait for a connection.
        let _ = TcpStream::connect(self.node.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        loop {
            let threads = self.node.update(|state| std::mem::take(&mut state.threads));
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                let _ = thread.join();
            }
        }
    }
}

/// Runs a connection in a thread of the node.
fn spawn(node: &Arc<Node>, serve: impl FnOnce(&Arc<Node>) + Send + 'static) {
    let thread = thread::spawn({
        let node = node.clone();
        move || serve(&node)
    });
    node.update(|state| state.threads.push(thread));
}

fn count(state: &NodeState, command: &str) -> usize {
    let received = state.received.iter();
    let same = received.filter(|one| one.message.command().name() == command);
    same.count()
}
