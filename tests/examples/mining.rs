//! Chains of regtest headers without blocks.

use bsv_p2p::Network;
use bsv_p2p::wire::{BlockHeader, MerkleRoot};

/// The time of the header above genesis, in Unix seconds.
const FIRST_TIME: u32 = 1_700_000_000;

/// Returns the genesis header.
pub(crate) fn genesis() -> BlockHeader {
    BlockHeader::genesis(&Network::Regtest)
}

/// Returns a chain with `count` headers more, one per minute. Different `branch` numbers make
/// different headers.
pub(crate) fn extended(chain: &[BlockHeader], count: usize, branch: u8) -> Vec<BlockHeader> {
    let mut chain = chain.to_vec();
    for _ in 0..count {
        let parent = chain[chain.len() - 1];
        chain.push(mined_on(&parent, branch));
    }
    chain
}

/// Returns a valid header above a parent.
pub(crate) fn mined_on(parent: &BlockHeader, branch: u8) -> BlockHeader {
    mined_with(parent, |header| {
        header.merkle_root = MerkleRoot([branch; 32])
    })
}

/// Returns a header above a parent with changed fields and proof of work.
pub(crate) fn mined_with(
    parent: &BlockHeader,
    change: impl FnOnce(&mut BlockHeader),
) -> BlockHeader {
    let mut header = BlockHeader {
        version: 0x2000_0000,
        previous: parent.hash(),
        merkle_root: MerkleRoot::ZERO,
        time: FIRST_TIME.max(parent.time + 60),
        bits: Network::Regtest.proof_of_work_limit(),
        nonce: 0,
    };
    change(&mut header);
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}

/// Returns the content of a file of these headers.
pub(crate) fn bytes_of(headers: &[BlockHeader]) -> Vec<u8> {
    headers.iter().flat_map(BlockHeader::to_bytes).collect()
}
