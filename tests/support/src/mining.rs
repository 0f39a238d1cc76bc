//! Headers and blocks of regtest with a valid proof of work.

use bsv_p2p::Network;
use bsv_p2p::wire::{Block, BlockHeader, Transaction, merkle_root};

/// Returns `header` with a nonce that satisfies its target.
pub fn mine(mut header: BlockHeader) -> BlockHeader {
    while header.bits.check(header.hash(), header.bits).is_err() {
        header.nonce = header.nonce.wrapping_add(1);
    }
    header
}

/// Returns genesis and the headers after it, `count` in total.
pub fn mined_headers(count: usize) -> Vec<BlockHeader> {
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let child = |parent: &BlockHeader| {
        Some(mine(BlockHeader {
            previous: parent.hash(),
            time: parent.time + 600,
            ..genesis
        }))
    };
    std::iter::successors(Some(genesis), child)
        .take(count)
        .collect()
}

/// Returns a block with these transactions.
pub fn mined_block(transactions: &[Transaction]) -> Block {
    let (merkle_root, _) = merkle_root(transactions.iter().map(Transaction::txid));
    let header = mine(BlockHeader {
        merkle_root,
        ..BlockHeader::genesis(&Network::Regtest)
    });
    Block::new(&header, transactions)
}
