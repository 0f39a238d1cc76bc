//! The messages that the peers exchange.

use std::sync::OnceLock;

use bsv_p2p::Network;
use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::wire::{
    Block, Command, Headers, Inv, Inventory, Message, OutPoint, Transaction, TransactionInput,
    TransactionOutput, Tx, Txid,
};
use bytes::Bytes;
use test_support::SeededRandom;

/// The command of the message that ends the script of a side.
const MARKER: Command = Command::new("marker");

/// Sent twice at the end of a script, because one may be lost to a fault.
pub(crate) fn marker(number: u8) -> Message {
    Message::Unknown {
        command: MARKER,
        payload: vec![number].into(),
    }
}

pub(crate) fn is_marker(message: &Message) -> bool {
    message.command() == MARKER
}

/// Returns the messages of one side, including markers: all lengths, all different, mostly some MB
/// in total.
pub(crate) fn script(seed: u64) -> Vec<Message> {
    let random = &mut SeededRandom::new(seed);
    let count = 5 + random.below(30);
    let mut messages: Vec<_> = (0..count).map(|_| any(random)).collect();
    messages.extend([marker(0), marker(1)]);
    messages
}

fn any(random: &mut SeededRandom) -> Message {
    match random.below(10) {
        0 | 1 => {
            let some = 1 + random.below(200);
            Message::Inv(Inv {
                inventory: (0..some)
                    .map(|_| Inventory::Tx(txid(random.next_u64())))
                    .collect(),
            })
        }
        2 => Message::Headers(Headers {
            headers: blocks().iter().map(|block| block.header()).collect(),
        }),
        3 | 4 => Message::Tx(transaction(random.next_u64(), random.below(2_000))),
        5 | 6 => {
            let len = random.of_any_size(18) as usize;
            Message::Unknown {
                command: const { Command::new("test") },
                payload: bytes(random, len),
            }
        }
        7 => Message::GetAddr,
        _ => Message::Block(blocks()[random.below(blocks().len())].clone()),
    }
}

fn txid(number: u64) -> Txid {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Txid(bytes)
}

fn bytes(random: &mut SeededRandom, len: usize) -> Bytes {
    let words = len / 8 + 1;
    let all: Vec<u8> = (0..words)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect();
    Bytes::from(all).slice(..len)
}

/// Returns a unique transaction. It spends nothing that exists.
pub(crate) fn transaction(number: u64, script: usize) -> Tx {
    let transaction = Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: txid(number),
                index: 0,
            },
            script: vec![0x51; script],
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value: 1,
            script: vec![0x51],
        }],
        lock_time: 0,
    };
    Tx::from(&transaction)
}

/// Returns blocks of 200 bytes to 2 MB, each on top of the previous one.
pub(crate) fn blocks() -> &'static [Block] {
    static BLOCKS: OnceLock<Vec<Block>> = OnceLock::new();
    BLOCKS.get_or_init(|| {
        let mut previous = Block::genesis(&Network::Regtest).hash();
        let sizes = [(0, 0), (3, 100), (100, 1_500), (40, 50_000)];
        let made = sizes.iter().zip(1..).map(|((count, script), height)| {
            let mut template = BlockTemplate::new(previous, height, 1_700_000_000, 1);
            template.transactions = (0..*count).map(|n| transaction(n, *script)).collect();
            let block = template.mine();
            previous = block.hash();
            block
        });
        made.collect()
    })
}
