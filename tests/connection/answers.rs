//! What scripted peers are asked, and what they answer.

use std::net::SocketAddr;

use bsv_p2p::Network;
use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::wire::{
    Addr, Block, BlockHash, BlockHeader, GetData, Headers, Inventory, Message, NetworkAddress,
    NotFound, Services, TimestampedAddress, Tx,
};

use crate::payment::payment;
use crate::raw_peer::RawPeer;

/// A block on top of the first; different heights make different ones.
pub(crate) fn mined(height: u32) -> Block {
    let previous = Block::genesis(&Network::Regtest).hash();
    BlockTemplate::new(previous, height, 1_700_000_000, 0).mine()
}

/// A header on top of `previous`.
pub(crate) fn header_on(previous: BlockHash) -> BlockHeader {
    BlockHeader {
        previous,
        ..mined(1).header()
    }
}

pub(crate) fn headers(found: &[BlockHeader]) -> Message {
    let headers = found.to_vec();
    Headers { headers }.into()
}

/// Waits for the question for a block: the transaction that it ends with.
#[track_caller]
pub(crate) fn block_question(peer: &mut RawPeer, hash: BlockHash) -> Inventory {
    let Message::GetData(question) = peer.expect("getdata") else {
        panic!("another message");
    };
    assert_eq!(question.inventory[0], Inventory::Block(hash));
    assert!(matches!(question.inventory[1..], [Inventory::Tx(_)]));
    question.inventory[1]
}

/// A transaction; different numbers make different ones.
pub(crate) fn tx(number: u32) -> Tx {
    Tx::from(&payment(number))
}

/// Addresses of nodes, told from these numbers.
pub(crate) fn addr(numbers: &[u8]) -> Addr {
    let entry = |number: &u8| TimestampedAddress {
        time: 1_700_000_000,
        address: NetworkAddress::new(
            Services::NETWORK,
            SocketAddr::from(([10, 0, 0, *number], 8333)),
        ),
    };
    Addr {
        addresses: numbers.iter().map(entry).collect(),
    }
}

/// Waits for a question for objects, and gives what it lists.
#[track_caller]
pub(crate) fn getdata(peer: &mut RawPeer) -> Vec<Inventory> {
    match peer.expect("getdata") {
        Message::GetData(GetData { inventory }) => inventory,
        other => panic!("another message: {other:?}"),
    }
}

pub(crate) fn not_found(entries: &[Inventory]) -> NotFound {
    NotFound::from(entries.to_vec())
}
