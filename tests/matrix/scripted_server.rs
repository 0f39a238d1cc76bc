//! Scripted servers that respond in parts, in another order than a node, or not at all.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use bsv_p2p::wire::{
    Addr, Block, BlockHash, GetHeaders, Headers, Inv, Inventory, Message, NetworkAddress, NotFound,
    Pong, Services, TimestampedAddress, Tx, Txid,
};
use parking_lot::Mutex;
use test_support::raw_peer::{RawPeer, protoconf, version};

/// Maximum number of headers in an answer of [`Script::Splits`].
pub(crate) const MAX_HEADERS: usize = 5;

/// The behavior of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Pongs only.
    PongsOnly,
    /// Everything, in many messages: few headers at a time, each missing object and each address by
    /// itself, transactions in reverse order and missing ones first. Other messages are in between.
    Splits,
}

/// The content of a server.
pub(crate) struct Content {
    /// The blocks of the chain, the first of which is genesis.
    pub(crate) blocks: Vec<Block>,
    /// A block of the chain that is not served.
    pub(crate) pruned: BlockHash,
    pub(crate) transaction: Tx,
}

/// A server at a loopback port. It ends when it is dropped.
pub(crate) struct ScriptedServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    content: Content,
    is_stopped: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl ScriptedServer {
    pub(crate) fn start(script: Script, content: Content) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            content,
            is_stopped: AtomicBool::new(false),
            sockets: Mutex::default(),
        });
        let thread = thread::spawn({
            let shared = shared.clone();
            move || shared.accept_all(&listener)
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        for socket in self.shared.sockets.lock().iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        // Ends the wait for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn accept_all(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            while let Ok((tcp, _)) = listener.accept() {
                self.sockets.lock().push(tcp.try_clone().unwrap());
                if self.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                scope.spawn(|| self.answer_all(RawPeer::new(tcp)));
            }
        });
    }

    fn answer_all(&self, mut peer: RawPeer) {
        peer.tcp().set_read_timeout(None).unwrap();
        let mut is_open = peer.try_send(version());
        while is_open && let Some(message) = peer.next() {
            let answers = match (&message, self.script) {
                (Message::Version(_), _) => vec![Message::Verack, protoconf().into()],
                (Message::Ping(ping), _) => vec![Pong { nonce: ping.nonce }.into()],
                (_, Script::PongsOnly) => Vec::new(),
                (other, Script::Splits) => self.answers(other),
            };
            is_open = answers.into_iter().all(|answer| peer.try_send(answer));
        }
    }

    fn answers(&self, message: &Message) -> Vec<Message> {
        match message {
            Message::GetHeaders(request) => self.headers(request),
            Message::GetData(request) => self.objects(&request.inventory),
            Message::GetAddr => {
                let entry = |host: u8| {
                    let address = SocketAddr::from(([203, 0, 113, host], 8333));
                    TimestampedAddress {
                        time: 1_700_000_000,
                        address: NetworkAddress::new(Services::NETWORK, address),
                    }
                };
                // A list of one is an announcement; a longer one follows.
                let lists = [vec![entry(1)], vec![entry(2), entry(3)]];
                lists.map(|addresses| Addr { addresses }.into()).into()
            }
            _ => Vec::new(),
        }
    }

    fn headers(&self, request: &GetHeaders) -> Vec<Message> {
        let blocks = &self.content.blocks;
        let height = |hash: &BlockHash| blocks.iter().position(|block| block.hash() == *hash);
        let known = request.locator.iter().find_map(height).unwrap_or(0);
        let found = blocks[known + 1..].iter().take(MAX_HEADERS);
        let headers = found.map(Block::header).collect();
        // An announcement of a block that is not connected to anything precedes them.
        let mut other = blocks[0].header();
        other.previous = BlockHash([9; 32]);
        let announced = Headers {
            headers: vec![other],
        };
        vec![announced.into(), Headers { headers }.into()]
    }

    fn objects(&self, inventory: &[Inventory]) -> Vec<Message> {
        let mut answers = Vec::new();
        let mut missing = Vec::new();
        for entry in inventory.iter().rev() {
            let block = |hash: &BlockHash| {
                let mut blocks = self.content.blocks.iter();
                blocks.find(|block| block.hash() == *hash && *hash != self.content.pruned)
            };
            match entry {
                Inventory::Block(hash) => answers.extend(block(hash).cloned().map(Message::from)),
                Inventory::Tx(txid) if *txid == self.content.transaction.txid() => {
                    answers.push(self.content.transaction.clone().into());
                }
                _ => missing.push(NotFound::from(vec![*entry]).into()),
            }
        }
        let unrelated = Inv::from(vec![Inventory::Tx(Txid([5; 32]))]);
        // The end of a request for a block is recognized by a missing transaction after it.
        let has_block = inventory
            .iter()
            .any(|entry| matches!(entry, Inventory::Block(_)));
        let parts = if has_block {
            [answers, missing]
        } else {
            [missing, answers]
        };
        let [first, second] = parts;
        first
            .into_iter()
            .chain([unrelated.into()])
            .chain(second)
            .collect()
    }
}
