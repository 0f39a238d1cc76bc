//! Two managers connected through a relay: one sends a block while both announce, request and send
//! transactions.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bsv_p2p::connection::{EncodedMessage, EventReceiver, PeerConnectionHandle};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::wire::{
    BlockHash, Encode, GetData, Inv, Inventory, Message, NotFound, OutPoint, Transaction,
    TransactionInput, TransactionOutput, Tx, Txid,
};
use bsv_p2p::{Error, Manager, ManagerConfig, Network};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::limited_relay::LimitedRelay;
use crate::mining::mined_block;

/// The approximate length of a transaction of a block.
const TRANSACTION_LEN: usize = 50_000;

/// Two programs, each with a manager, and one connection between them.
pub struct ManagerPair {
    /// Has the block, and was dialed.
    pub holder: PairedManager,
    /// Requests the block.
    pub asker: PairedManager,
    _relay: LimitedRelay,
}

/// A program that serves requests of its peer, and requests announced objects.
pub struct PairedManager {
    pub manager: Manager,
    pub peer: Arc<PeerConnectionHandle>,
    /// The last announced transaction.
    offered: Arc<Mutex<Option<Tx>>>,
    /// Received transactions, and their arrival times.
    arrived: Receiver<(Txid, Instant)>,
    serving: Option<JoinHandle<()>>,
}

impl ManagerPair {
    /// Starts both, with two streams or with one. Anything that takes longer than `patience`
    /// panics.
    pub fn start(
        multistreams: bool,
        bytes_per_second: u64,
        block: &EncodedMessage,
        patience: Duration,
    ) -> Self {
        let mut config = ManagerConfig::new(Network::Regtest);
        config.connection.session.multistreams = multistreams;
        // Messages after a block wait in the queue without blocking the program.
        config.connection.max_send_queue_bytes = 2 * block_len(block);
        let mut listening = config.clone();
        listening.target_connections = 0;
        listening.listener.enabled = true;
        listening.listener.address = Some(([127, 0, 0, 1], 0).into());
        let holder = Manager::new(listening).expect("a configuration");
        let events = holder.subscribe_control();
        holder.start().expect("threads");
        let address = loop {
            match events.recv_timeout(patience).expect("an address") {
                ControlEvent::ListenerStarted { address } => break address,
                _ => continue,
            }
        };
        let relay = LimitedRelay::start(address, bytes_per_second).expect("a relay");
        let asker = Manager::new(config).expect("a configuration");
        asker.start_fixed([relay.address()]).expect("threads");
        let [holder, asker] = [(holder, Some(block)), (asker, None)].map(|(manager, block)| {
            manager.wait_for_peers(1, patience).expect("a handshake");
            let deadline = Instant::now() + patience;
            while multistreams && manager.connections()[0].stream_policy.is_none() {
                assert!(Instant::now() < deadline, "no second stream");
                thread::yield_now();
            }
            PairedManager::new(manager, block.cloned(), patience)
        });
        Self {
            holder,
            asker,
            _relay: relay,
        }
    }
}

impl PairedManager {
    fn new(manager: Manager, block: Option<EncodedMessage>, patience: Duration) -> Self {
        let peer = manager.connection(manager.connections()[0].peer_id);
        let peer = peer.expect("a peer");
        let messages = manager.subscribe_messages();
        let offered = Arc::default();
        let (arrivals, arrived) = unbounded();
        let serving = {
            let server = Server {
                peer: peer.clone(),
                offered: Arc::clone(&offered),
                arrivals,
                block,
                patience,
            };
            // The peer may be gone.
            thread::spawn(move || drop(server.serve(&messages)))
        };
        Self {
            manager,
            peer,
            offered,
            arrived,
            serving: Some(serving),
        }
    }

    /// Announces the transaction of this number to the other program. Returns the time until it
    /// arrives there.
    pub fn offer_to(&self, other: &Self, number: u32, patience: Duration) -> Duration {
        let begin = Instant::now();
        let txid = self.announce(number, patience);
        let (came, at) = other.take(patience);
        assert_eq!(came, txid);
        at.saturating_duration_since(begin)
    }

    /// Announces a transaction of this number.
    pub fn announce(&self, number: u32, patience: Duration) -> Txid {
        let transaction = Tx::from(&transaction(number, 200));
        let txid = transaction.txid();
        *lock(&self.offered) = Some(transaction);
        let announcement = Inv::from(vec![Inventory::Tx(txid)]).into();
        let sent = self.peer.send(&announcement, patience);
        sent.expect("a connection");
        txid
    }

    /// Returns the next transaction from the peer, and its arrival time.
    pub fn take(&self, patience: Duration) -> (Txid, Instant) {
        let arrived = self.arrived.recv_timeout(patience);
        arrived.expect("a transaction")
    }

    /// Returns whether a complete block has arrived.
    pub fn has_block(&self) -> bool {
        let commands = self.peer.statistics().commands;
        let mut commands = commands.iter();
        commands.any(|one| one.command.name() == "block" && one.traffic.messages_received > 0)
    }
}

impl Drop for PairedManager {
    fn drop(&mut self) {
        // Failures here are not under test.
        let _ = self.manager.shutdown();
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

struct Server {
    peer: Arc<PeerConnectionHandle>,
    offered: Arc<Mutex<Option<Tx>>>,
    arrivals: Sender<(Txid, Instant)>,
    block: Option<EncodedMessage>,
    patience: Duration,
}

impl Server {
    fn serve(&self, messages: &EventReceiver<BitcoinMessageEvent>) -> Result<(), Error> {
        for event in messages.iter().map(Result::unwrap) {
            match &*event.message {
                Message::Inv(inv) => {
                    let question = GetData::from(inv.inventory.clone());
                    self.peer.send(question, self.patience)?;
                }
                Message::GetData(question) => {
                    for entry in &question.inventory {
                        self.answer(entry)?;
                    }
                }
                Message::Tx(transaction) => {
                    // The receiver may be gone.
                    let _ = self.arrivals.send((transaction.txid(), Instant::now()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn answer(&self, entry: &Inventory) -> Result<(), Error> {
        match (entry, &self.block) {
            (Inventory::Block(_), Some(block)) => self.peer.send_encoded(block, self.patience),
            (Inventory::Tx(txid), _) => self.peer.send(self.transaction(txid), self.patience),
            _ => Ok(()),
        }
    }

    /// Returns the answer to a request for a transaction. A block request ends with an unknown one.
    fn transaction(&self, txid: &Txid) -> Message {
        let offered = lock(&self.offered).clone();
        match offered.filter(|offered| offered.txid() == *txid) {
            Some(transaction) => transaction.into(),
            None => NotFound::from(vec![Inventory::Tx(*txid)]).into(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a prepared block of about `len` bytes, and its hash.
pub fn prepared_block(len: usize) -> (BlockHash, EncodedMessage) {
    let count = len.div_ceil(TRANSACTION_LEN) as u32;
    let transactions = (0..count).map(|number| transaction(number, TRANSACTION_LEN));
    let transactions = Vec::from_iter(transactions);
    let block = mined_block(&transactions);
    let hash = block.hash();
    let prepared = EncodedMessage::new(Network::Regtest.magic(), block);
    (hash, prepared)
}

fn block_len(block: &EncodedMessage) -> usize {
    block.message().encoded_len() as usize
}

/// Returns a transaction with a script of `len` bytes. Different numbers give different
/// transactions.
fn transaction(number: u32, len: usize) -> Transaction {
    Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([1; 32]),
                index: number,
            },
            script: vec![0x51],
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value: 1_000,
            script: vec![0x51; len],
        }],
        lock_time: 0,
    }
}
