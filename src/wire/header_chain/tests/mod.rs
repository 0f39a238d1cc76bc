//! Chains of headers mined on the spot, and real ones.

mod branches;

use super::*;
use crate::wire::{CompactTarget, MerkleRoot, ProofOfWorkError};

const NETWORK: Network = Network::Regtest;
const EASY: u32 = 0x207f_ffff;
/// Eight times the work of an easy block.
const HARD: u32 = 0x200f_ffff;

fn genesis() -> BlockHash {
    BlockHeader::genesis(NETWORK).hash()
}

fn mine(previous: BlockHash, branch: u8, bits: u32) -> BlockHeader {
    let mut header = BlockHeader {
        previous,
        merkle_root: MerkleRoot([branch; 32]),
        bits: CompactTarget(bits),
        ..BlockHeader::genesis(NETWORK)
    };
    while header.check_proof_of_work(NETWORK).is_err() {
        header.nonce += 1;
    }
    header
}

/// So many headers one after the other. Those of different branches differ.
fn mine_chain(previous: BlockHash, branch: u8, len: usize) -> Vec<BlockHeader> {
    let first = mine(previous, branch, EASY);
    let next = |header: &BlockHeader| Some(mine(header.hash(), branch, EASY));
    std::iter::successors(Some(first), next).take(len).collect()
}

fn hashes(headers: &[BlockHeader]) -> Vec<BlockHash> {
    headers.iter().map(BlockHeader::hash).collect()
}

fn connected(headers: &[BlockHeader]) -> Extended {
    Extended::NewTip {
        disconnected: vec![],
        connected: hashes(headers),
    }
}

/// The chain as it must be: these headers behind genesis, found in every way.
fn assert_active(chain: &HeaderChain, headers: &[BlockHeader]) {
    let len = headers.len() as u32;
    let tip = headers.last().map_or(genesis(), BlockHeader::hash);
    assert_eq!(chain.tip(), (len, tip));
    assert_eq!(chain.header_at(0).map(BlockHeader::hash), Some(genesis()));
    for (height, header) in (1..).zip(headers) {
        let hash = header.hash();
        assert_eq!(chain.header_at(height), Some(header));
        assert_eq!(chain.hash_at(height), Some(hash));
        assert_eq!(chain.height_of(&hash), Some(height));
        assert!(chain.is_active(&hash));
    }
    assert_eq!(chain.hash_at(len + 1), None);
    let work = headers.iter().map(|header| header.bits.work());
    let work = work.chain([CompactTarget(EASY).work()]).sum();
    assert_eq!(chain.total_work(), work);
}

/// Asserts that headers are refused without a trace.
#[track_caller]
fn assert_refused(chain: &mut HeaderChain, headers: &[BlockHeader], error: HeaderChainError) {
    let before = format!("{chain:?}");
    assert_eq!(chain.extend(headers), Err(error));
    assert_eq!(format!("{chain:?}"), before);
}

#[test]
fn a_chain_starts_with_the_first_header_of_its_network() {
    for network in Network::ALL {
        let chain = HeaderChain::new(network);
        let genesis = BlockHeader::genesis(network);
        assert_eq!(chain.tip(), (0, genesis.hash()));
        assert_eq!(chain.total_work(), genesis.bits.work());
        assert_eq!(chain.locator(), [genesis.hash()]);
        assert_eq!(chain.network(), network);
    }
}

#[test]
fn the_first_blocks_of_mainnet_have_their_known_hashes_and_work() {
    let mut chain = HeaderChain::new(Network::Mainnet);
    let merkle_root = "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098";
    let header = BlockHeader {
        previous: chain.tip().1,
        merkle_root: merkle_root.parse().unwrap(),
        time: 1_231_469_665,
        nonce: 2_573_394_689,
        ..BlockHeader::genesis(Network::Mainnet)
    };
    chain.extend(&[header]).unwrap();
    let hash = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048";
    assert_eq!(chain.tip(), (1, hash.parse().unwrap()));
    assert_eq!(
        chain.total_work().to_string(),
        format!("{:064x}", 0x2_0002_0002_u64)
    );
}

#[test]
fn headers_extend_the_tip_and_known_ones_are_passed_over() {
    let mut chain = HeaderChain::new(NETWORK);
    let headers = mine_chain(genesis(), 0, 30);
    assert_eq!(chain.extend(&headers[..10]), Ok(connected(&headers[..10])));
    assert_eq!(
        chain.extend(&headers[4..20]),
        Ok(connected(&headers[10..20]))
    );
    assert_active(&chain, &headers[..20]);
    for known in [&headers[..20], &headers[5..6], &[]] {
        assert_eq!(chain.extend(known), Ok(Extended::Known));
    }
    let first = BlockHeader::genesis(NETWORK);
    assert_eq!(chain.extend(&[first]), Ok(Extended::Known));
    assert_eq!(chain.extend(&headers[20..]), Ok(connected(&headers[20..])));
    assert_active(&chain, &headers);
}

#[test]
fn a_locator_names_the_active_chain_down_to_the_first_block_of_the_network() {
    let mut chain = HeaderChain::new(NETWORK);
    let headers = mine_chain(genesis(), 0, 30);
    chain.extend(&headers).unwrap();
    let at = |height| chain.hash_at(height).unwrap();
    let expected: Vec<BlockHash> = locator_heights(30).map(at).collect();
    assert_eq!(chain.locator(), expected);

    let mut chain = HeaderChain::from_checkpoint(NETWORK, headers[4], 5).unwrap();
    chain.extend(&headers[5..]).unwrap();
    let at = |above| chain.hash_at(5 + above).unwrap();
    let expected: Vec<BlockHash> = locator_heights(25).map(at).collect();
    assert_eq!(chain.locator(), [expected, vec![genesis()]].concat());
}

#[test]
fn a_chain_may_start_from_a_checkpoint() {
    let headers = mine_chain(genesis(), 0, 10);
    let mut chain = HeaderChain::from_checkpoint(NETWORK, headers[4], 500).unwrap();
    assert_eq!(chain.tip(), (500, headers[4].hash()));
    assert_eq!(chain.extend(&headers[5..]), Ok(connected(&headers[5..])));
    assert_eq!(chain.tip(), (505, headers[9].hash()));
    assert_eq!(chain.header_at(500), Some(&headers[4]));
    assert_eq!(chain.header_at(499), None);
    // What leaves the chain before it has no place.
    let branch = mine_chain(headers[3].hash(), 1, 9);
    let error = HeaderChainError::UnknownParent {
        header: branch[0].hash(),
        parent: headers[3].hash(),
    };
    assert_refused(&mut chain, &branch, error);

    let mut wrong = headers[4];
    while wrong.check_proof_of_work(NETWORK).is_ok() {
        wrong.nonce += 1;
    }
    let refused = HeaderChain::from_checkpoint(NETWORK, wrong, 5).unwrap_err();
    assert!(matches!(
        refused,
        HeaderChainError::ProofOfWork { position: 0, .. }
    ));
    assert!(HeaderChain::from_checkpoint(NETWORK, headers[4], MAX_HEIGHT).is_ok());
    let refused = HeaderChain::from_checkpoint(NETWORK, headers[4], MAX_HEIGHT + 1).unwrap_err();
    assert_eq!(refused, HeaderChainError::BadHeight(MAX_HEIGHT + 1));
}

#[test]
fn headers_that_are_no_chain_or_follow_nothing_known_are_refused_whole() {
    let mut chain = HeaderChain::new(NETWORK);
    let headers = mine_chain(genesis(), 0, 5);
    let error = HeaderChainError::NotLinked {
        position: 2,
        expected: headers[1].hash(),
        got: headers[2].hash(),
    };
    assert_refused(&mut chain, &[headers[0], headers[1], headers[3]], error);
    let error = HeaderChainError::UnknownParent {
        header: headers[1].hash(),
        parent: headers[0].hash(),
    };
    assert_refused(&mut chain, &headers[1..], error);
    assert_active(&chain, &[]);
}

#[test]
fn a_header_without_proof_of_work_is_refused_with_all_that_came_with_it() {
    let mut chain = HeaderChain::new(NETWORK);
    let headers = mine_chain(genesis(), 0, 2);
    let mut unworked = headers[1];
    while unworked.check_proof_of_work(NETWORK).is_ok() {
        unworked.nonce += 1;
    }
    let error = ProofOfWorkError::HashAboveTarget {
        hash: unworked.hash(),
        bits: CompactTarget(EASY),
    };
    let position = 1;
    let refused = [headers[0], unworked];
    assert_refused(
        &mut chain,
        &refused,
        HeaderChainError::ProofOfWork { position, error },
    );

    // A target that is good on regtest is too easy elsewhere.
    let mut mainnet = HeaderChain::new(Network::Mainnet);
    let easy = mine(mainnet.tip().1, 0, EASY);
    let error = ProofOfWorkError::TargetTooEasy {
        bits: CompactTarget(EASY),
        limit: CompactTarget(0x1d00_ffff),
    };
    let position = 0;
    assert_refused(
        &mut mainnet,
        &[easy],
        HeaderChainError::ProofOfWork { position, error },
    );
}
