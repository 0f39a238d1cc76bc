//! Mines headers on test networks.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, ChainRules, CompactTarget, ExtendOutcome, HeaderBatch, HeaderChain,
    HeaderChainError, MerkleRoot, SourceId,
};

/// A time after every header that the tests mine.
pub(crate) const NOW: u32 = 2_000_000_000;

/// The easiest target of regtest.
pub(crate) const EASY: CompactTarget = CompactTarget(0x207f_ffff);

/// Returns the rules of a network with regtest's limit and the 144-block rule.
pub(crate) fn retargeting() -> ChainRules {
    ChainRules::new(Network::Regtest)
        .with_retargeting(true)
        .with_min_difficulty_blocks(false)
        .with_daa_height(0)
}

/// Mines one header. Headers with different tags have different hashes.
pub(crate) fn mine(previous: BlockHash, time: u32, bits: CompactTarget, tag: u32) -> BlockHeader {
    let mut root = [0; 32];
    root[..4].copy_from_slice(&tag.to_le_bytes());
    let mut header = BlockHeader {
        version: 0x2000_0000,
        previous,
        merkle_root: MerkleRoot(root),
        time,
        bits,
        nonce: 0,
    };
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}

/// Mines linked headers after `parent`, all with the easiest target.
pub(crate) fn mine_easy(parent: &BlockHeader, tag: u32, count: usize) -> Vec<BlockHeader> {
    let next = |parent: &BlockHeader| Some(mine(parent.hash(), parent.time + 600, EASY, tag));
    std::iter::successors(next(parent), next)
        .take(count)
        .collect()
}

/// Mines valid headers on top of a copy of `chain`, `spacing` seconds apart.
pub(crate) fn mine_valid(
    chain: &HeaderChain,
    tag: u32,
    count: usize,
    spacing: u32,
) -> Vec<BlockHeader> {
    let mut chain = chain.clone();
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let (height, tip) = chain.tip();
        let time = chain.header_at(height).unwrap().time + spacing;
        let header = mine(tip, time, chain.next_bits(time).unwrap(), tag);
        chain.extend(&[header], NOW).unwrap();
        headers.push(header);
    }
    headers
}

pub(crate) fn genesis() -> BlockHeader {
    BlockHeader::genesis(&Network::Regtest)
}

pub(crate) fn hashes(headers: &[BlockHeader]) -> Vec<BlockHash> {
    headers.iter().map(BlockHeader::hash).collect()
}

/// Adds headers of a numbered source.
pub(crate) fn extend_from(
    chain: &mut HeaderChain,
    source: u64,
    headers: &[BlockHeader],
) -> Result<ExtendOutcome, HeaderChainError> {
    let batch = HeaderBatch::verify(chain.rules(), headers).unwrap();
    chain.extend_from(SourceId(source), &batch, NOW)
}
