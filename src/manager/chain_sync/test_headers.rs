//! Headers of regtest for tests.

use crate::Network;
use crate::wire::{BlockHash, BlockHeader, HeaderChain, MerkleRoot};

/// Returns the genesis header and `count` headers after it.
pub(super) fn mined(count: usize, salt: u8) -> Vec<BlockHeader> {
    mined_after(&[BlockHeader::genesis(&Network::Regtest)], count, salt)
}

/// Returns `headers` and `count` headers after them. Each `salt` results in another branch.
pub(super) fn mined_after(headers: &[BlockHeader], count: usize, salt: u8) -> Vec<BlockHeader> {
    let mut headers = headers.to_vec();
    for _ in 0..count {
        let parent = headers[headers.len() - 1];
        let header = BlockHeader {
            version: 4,
            previous: parent.hash(),
            merkle_root: MerkleRoot([salt; 32]),
            time: parent.time + 600,
            bits: parent.bits,
            nonce: 0,
        };
        headers.push(with_work(header));
    }
    headers
}

/// Searches the nonce of a header.
pub(super) fn with_work(mut header: BlockHeader) -> BlockHeader {
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}

/// Returns the chain of headers of which the first is the genesis header.
pub(super) fn chain_of(headers: &[BlockHeader]) -> HeaderChain {
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&headers[1..], u32::MAX).unwrap();
    chain
}

pub(super) fn hashes(headers: &[BlockHeader]) -> Vec<BlockHash> {
    headers.iter().map(BlockHeader::hash).collect()
}
