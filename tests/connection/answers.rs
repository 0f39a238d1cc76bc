//! Requests to scripted peers, and their responses.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bsv_p2p::Network;
use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::wire::{
    Addr, Block, BlockHash, BlockHeader, GetData, Headers, Inventory, Message, NetworkAddress,
    NotFound, Services, TimestampedAddress, Tx,
};
use test_support::payment::payment;
use test_support::raw_peer::RawPeer;

/// Returns a block on top of the first; different heights make different ones.
pub(crate) fn mined(height: u32) -> Block {
    let previous = Block::genesis(&Network::Regtest).hash();
    BlockTemplate::new(previous, height, 1_700_000_000, 0).mine()
}

/// Returns a header on top of `previous`.
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

/// Waits for the request for a block. Returns the transaction at its end, which marks it.
#[track_caller]
pub(crate) fn block_question(peer: &mut RawPeer, hash: BlockHash) -> Inventory {
    let Message::GetData(question) = peer.expect("getdata") else {
        panic!("another message");
    };
    assert_eq!(question.inventory[0], Inventory::Block(hash));
    assert!(matches!(question.inventory[1..], [Inventory::Tx(_)]));
    question.inventory[1]
}

/// Returns a transaction; different numbers make different ones.
pub(crate) fn tx(number: u32) -> Tx {
    Tx::from(&payment(number))
}

/// Returns addresses of nodes, derived from these numbers, as in the table of a node.
pub(crate) fn addr(numbers: &[u8]) -> Addr {
    addr_at(1_700_000_000, numbers)
}

/// Returns addresses of nodes that a node relays: they were advertised recently.
pub(crate) fn recent_addr(numbers: &[u8]) -> Addr {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    addr_at(since.as_secs() as u32 - 600, numbers)
}

fn addr_at(time: u32, numbers: &[u8]) -> Addr {
    let entry = |number: &u8| TimestampedAddress {
        time,
        address: NetworkAddress::new(
            Services::NETWORK,
            SocketAddr::from(([10, 0, 0, *number], 8333)),
        ),
    };
    Addr {
        addresses: numbers.iter().map(entry).collect(),
    }
}

/// Waits for a request for objects, and returns its entries.
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
