//! Header chains for the benchmarks, identical in every run.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, ChainRules, CompactTarget, HeaderBatch, HeaderChain, SourceId,
};
use test_support::SeededRandom;

/// A time after the last header of every sample.
pub(crate) const NOW: u32 = 3_000_000_000;

/// The easiest target of regtest.
pub(crate) const EASY: CompactTarget = CompactTarget(0x207f_ffff);

/// Returns the rules of a test network with regtest's limit and the 144-block rule.
pub(crate) fn daa_rules() -> ChainRules {
    ChainRules::new(Network::Regtest)
        .with_retargeting(true)
        .with_min_difficulty_blocks(false)
        .with_daa_height(0)
}

/// Mines `count` headers after genesis. Block intervals vary, so that the 144-block rule changes
/// the target of every block.
pub(crate) fn mine(rules: &ChainRules, count: usize) -> Vec<BlockHeader> {
    let mut chain = HeaderChain::new(rules.clone());
    let mut headers = Vec::with_capacity(count);
    let mut random = SeededRandom::new(1);
    let mut time = rules.genesis().time;
    for _ in 0..count {
        time += 300 + random.below(600) as u32;
        let header = next(&chain, time, 0);
        let batch = HeaderBatch::verify(rules, std::slice::from_ref(&header));
        chain
            .extend_from(SourceId::LOCAL, &batch.expect("proof of work"), NOW)
            .expect("a valid header");
        headers.push(header);
    }
    headers
}

/// Mines the header after the tip of `chain`.
fn next(chain: &HeaderChain, time: u32, tag: u8) -> BlockHeader {
    let (_, tip) = chain.tip();
    let bits = chain.next_bits(time).expect("all ancestors");
    mined(tip, bits, time, tag)
}

/// Mines a header with these fields; `tag` makes branches differ.
pub(crate) fn mined(previous: BlockHash, bits: CompactTarget, time: u32, tag: u8) -> BlockHeader {
    let mut header = BlockHeader {
        version: 0x2000_0000,
        previous,
        time,
        bits,
        nonce: 0,
        ..BlockHeader::genesis(&Network::Regtest)
    };
    header.merkle_root.0[0] = tag;
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}
