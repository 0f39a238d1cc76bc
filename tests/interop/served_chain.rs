//! A regtest chain mined by bsv-p2p and served with chain-gang's types.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use bsv_p2p::local_node::{BlockTemplate, Chain};
use bsv_p2p::wire::{
    BlockHash, OutPoint, Transaction, TransactionInput, TransactionOutput, Tx, Txid,
};
use chain_gang::messages::{
    Addr, Block, BlockLocator, Headers, INV_VECT_BLOCK, INV_VECT_TX, Inv, InvVect, Message,
    NODE_NETWORK, NodeAddr, NodeAddrEx, Ping,
};
use chain_gang::util::{Hash256, Serializable};

/// Maximum number of headers in an answer.
const MAX_HEADERS: usize = 2_000;

/// Maximum number of block hashes in an answer to `getblocks`.
const MAX_BLOCK_HASHES: usize = 500;

/// The time of the first block, in seconds since 1970.
const START_TIME: u32 = 1_700_000_000;

/// Mines a chain of `height` blocks. Every tenth block spends the rewards of blocks before it.
pub(crate) fn mine_chain(height: u32) -> Chain {
    let mut chain = Chain::new();
    for number in 1..=height {
        let transactions = match number % 10 {
            0 => spends(&chain, number - 9..number - 4),
            _ => Vec::new(),
        };
        let template = BlockTemplate {
            transactions,
            ..chain.template(START_TIME, u64::from(number))
        };
        chain.accept(&template.mine(), START_TIME).unwrap();
    }
    chain
}

/// Returns one transaction per height, each of which spends the reward of the block at that height.
fn spends(chain: &Chain, heights: std::ops::Range<u32>) -> Vec<Tx> {
    let spend = |height| {
        let block = chain.block(&chain.hash_at(height).unwrap()).unwrap();
        let reward = block.transactions().next().unwrap();
        Tx::from(&spend_reward(reward.txid()))
    };
    heights.map(spend).collect()
}

/// Returns a transaction that spends the reward of a block, which needs no signature.
pub(crate) fn spend_reward(txid: Txid) -> Transaction {
    Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint { txid, index: 0 },
            script: Vec::new(),
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value: 1_000,
            script: vec![0x51],
        }],
        lock_time: 0,
    }
}

/// Converts our hash to chain-gang's.
pub(crate) fn their_hash(hash: BlockHash) -> Hash256 {
    Hash256(hash.0)
}

/// Decodes a block of this library with chain-gang.
pub(crate) fn their_block(block: &bsv_p2p::wire::Block) -> Block {
    Block::read(&mut &block.bytes()[..]).unwrap()
}

/// Decodes a transaction of this library with chain-gang.
pub(crate) fn their_tx(tx: &Tx) -> chain_gang::messages::Tx {
    chain_gang::messages::Tx::read(&mut &tx.bytes()[..]).unwrap()
}

/// Encodes an object with chain-gang.
pub(crate) fn their_bytes<T: Serializable<T>>(object: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.write(&mut bytes).unwrap();
    bytes
}

/// A chain with the answers that a node gives to requests about it.
pub(crate) struct ServedChain {
    /// The blocks by height.
    blocks: Vec<Block>,
    heights: HashMap<Hash256, usize>,
    /// Blocks of which only the headers are served.
    pruned: HashSet<Hash256>,
    transactions: Mutex<HashMap<Hash256, chain_gang::messages::Tx>>,
}

impl ServedChain {
    pub(crate) fn new(chain: &Chain) -> Self {
        let hashes = (0..=chain.tip().0).map(|height| chain.hash_at(height).unwrap());
        let blocks: Vec<Block> = hashes
            .map(|hash| their_block(chain.block(&hash).unwrap()))
            .collect();
        let hashes = blocks.iter().map(|block| block.header.hash());
        Self {
            heights: hashes.zip(0..).collect(),
            blocks,
            pruned: HashSet::new(),
            transactions: Mutex::default(),
        }
    }

    /// Returns the height of the last block.
    pub(crate) fn height(&self) -> i32 {
        self.blocks.len() as i32 - 1
    }

    /// Serves only the header of a block from now on.
    pub(crate) fn prune(&mut self, hash: BlockHash) {
        self.pruned.insert(their_hash(hash));
    }

    /// Makes a transaction available to `getdata`.
    pub(crate) fn add_transaction(&self, tx: &Tx) {
        let tx = their_tx(tx);
        self.transactions.lock().unwrap().insert(tx.hash(), tx);
    }

    /// Returns the two addresses that are sent to a peer that requests addresses.
    pub(crate) fn addresses() -> Vec<NodeAddrEx> {
        let entry = |last: u8| NodeAddrEx {
            last_connected_time: START_TIME,
            addr: NodeAddr {
                services: NODE_NETWORK,
                ..NodeAddr::new([203, 0, 114, last].into(), 8333)
            },
        };
        vec![entry(7), entry(8)]
    }

    /// Returns the answers to a message, in order.
    pub(crate) fn answers(&self, message: &Message) -> Vec<Message> {
        match message {
            Message::Ping(Ping { nonce }) => vec![Message::Pong(Ping { nonce: *nonce })],
            Message::GetHeaders(request) => vec![Message::Headers(Headers {
                headers: self
                    .hashes_for_locator(request, MAX_HEADERS)
                    .map(|block| block.header.clone())
                    .collect(),
            })],
            Message::GetBlocks(request) => vec![Message::Inv(Inv {
                objects: self
                    .hashes_for_locator(request, MAX_BLOCK_HASHES)
                    .take_while(|block| block.header.hash() != request.hash_stop)
                    .map(|block| entry(INV_VECT_BLOCK, block.header.hash()))
                    .collect(),
            })],
            Message::GetData(request) => self.objects(&request.objects),
            Message::GetAddr => vec![Message::Addr(Addr {
                addrs: Self::addresses(),
            })],
            Message::Inv(inv) => self.request_unknown(&inv.objects).into_iter().collect(),
            Message::Tx(tx) => {
                let mut transactions = self.transactions.lock().unwrap();
                transactions.insert(tx.hash(), tx.clone());
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn hashes_for_locator<'a>(
        &'a self,
        request: &'a BlockLocator,
        max: usize,
    ) -> impl Iterator<Item = &'a Block> {
        let height_of = |hash: &Hash256| self.heights.get(hash).copied();
        let common = request.block_locator_hashes.iter().find_map(height_of);
        let first = common.unwrap_or(0) + 1;
        let last = height_of(&request.hash_stop).unwrap_or(self.blocks.len());
        let blocks = self.blocks.iter().take(last.saturating_add(1));
        blocks.skip(first).take(max)
    }

    /// Returns the requested objects. Missing blocks are skipped, missing transactions are listed.
    fn objects(&self, requested: &[InvVect]) -> Vec<Message> {
        let transactions = self.transactions.lock().unwrap();
        let mut answers = Vec::new();
        let mut missing = Vec::new();
        for object in requested {
            match object.obj_type {
                INV_VECT_BLOCK if self.pruned.contains(&object.hash) => {}
                INV_VECT_BLOCK => {
                    let height = self.heights.get(&object.hash);
                    let block = height.map(|height| self.blocks[*height].clone());
                    answers.extend(block.map(Message::Block));
                }
                INV_VECT_TX => match transactions.get(&object.hash) {
                    Some(tx) => answers.push(Message::Tx(tx.clone())),
                    None => missing.push(object.clone()),
                },
                _ => {}
            }
        }
        if !missing.is_empty() {
            answers.push(Message::NotFound(Inv { objects: missing }));
        }
        answers
    }

    fn request_unknown(&self, announced: &[InvVect]) -> Option<Message> {
        let transactions = self.transactions.lock().unwrap();
        let unknown = announced.iter().filter(|object| {
            object.obj_type == INV_VECT_TX && !transactions.contains_key(&object.hash)
        });
        let objects: Vec<_> = unknown.cloned().collect();
        (!objects.is_empty()).then_some(Message::GetData(Inv { objects }))
    }
}

/// Returns an inventory entry of chain-gang.
pub(crate) fn entry(obj_type: u32, hash: Hash256) -> InvVect {
    InvVect { obj_type, hash }
}
