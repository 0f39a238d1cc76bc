//! What a chain of a local node takes, refuses, switches to, and forgets.

use super::*;
use crate::wire::{BlockError, ProofOfWorkError};

const NOW: u32 = 1_700_000_000;

/// Mines on a block and offers the result.
fn grow(chain: &mut Chain, parent: BlockHash, extra_nonce: u64) -> (BlockHash, Accepted) {
    let block = chain.template_on(&parent, NOW, extra_nonce).unwrap().mine();
    let accepted = chain.accept(&block, NOW).unwrap();
    (block.hash(), accepted)
}

/// Mines this many blocks on a block and returns all of them.
fn grow_by(chain: &mut Chain, parent: BlockHash, blocks: u32, extra_nonce: u64) -> Vec<BlockHash> {
    let mut last = parent;
    (0..blocks)
        .map(|_| {
            last = grow(chain, last, extra_nonce).0;
            last
        })
        .collect()
}

fn genesis() -> BlockHash {
    Block::genesis(Network::Regtest).hash()
}

/// A block upon genesis whose header was changed, with a nonce that makes it meet its own bits or not.
fn changed(meets_bits: bool, change: impl FnOnce(&mut BlockHeader)) -> Block {
    let template = Chain::new().template(NOW, 0);
    let mut header = template.mine().header();
    change(&mut header);
    let limit = header.bits;
    while header.bits.check(header.hash(), limit).is_ok() != meets_bits {
        header.nonce += 1;
    }
    Block::new(&header, &[template.coinbase()])
}

fn refusal(block: &Block) -> Refused {
    let mut chain = Chain::new();
    let before = format!("{chain:?}");
    let refused = chain.accept(block, NOW).unwrap_err();
    assert_eq!(
        format!("{chain:?}"),
        before,
        "a refused block leaves no trace"
    );
    refused
}

#[test]
fn a_chain_starts_with_the_genesis_block() {
    let chain = Chain::new();
    assert_eq!(chain.tip(), (0, genesis()));
    assert_eq!(chain.height_of(&genesis()), Some(0));
    assert_eq!(chain.hash_at(0), Some(genesis()));
    assert_eq!(chain.hash_at(1), None);
    assert_eq!(
        chain.block(&genesis()),
        Some(&Block::genesis(Network::Regtest))
    );
    assert_eq!(chain.median_time_past(), 1_296_688_602);
}

#[test]
fn mined_blocks_extend_the_tip_one_by_one() {
    let mut chain = Chain::new();
    for height in 1..=20 {
        let block = chain.template(NOW, 0).mine();
        let accepted = chain.accept(&block, NOW).unwrap();
        assert_eq!(
            accepted,
            Accepted::NewTip {
                disconnected: vec![],
                connected: vec![block.hash()]
            }
        );
        assert_eq!(chain.tip(), (height, block.hash()));
        assert!(chain.is_active(&block.hash()));
    }
}

#[test]
fn a_known_block_is_an_outcome_and_not_an_error() {
    let mut chain = Chain::new();
    let block = chain.template(NOW, 0).mine();
    chain.accept(&block, NOW).unwrap();
    assert_eq!(chain.accept(&block, NOW), Ok(Accepted::Known));
    assert_eq!(
        chain.accept(&Block::genesis(Network::Regtest), NOW),
        Ok(Accepted::Known)
    );
}

#[test]
fn of_two_equal_branches_the_first_seen_stays() {
    let mut chain = Chain::new();
    let (first, _) = grow(&mut chain, genesis(), 1);
    let (second, accepted) = grow(&mut chain, genesis(), 2);
    assert_eq!(accepted, Accepted::SideChain);
    assert_eq!(chain.tip(), (1, first));
    assert_eq!(chain.height_of(&second), Some(1));
    assert!(chain.contains(&second) && !chain.is_active(&second));
}

#[test]
fn a_longer_branch_takes_over_and_every_block_is_named_in_order() {
    let mut chain = Chain::new();
    let common = grow_by(&mut chain, genesis(), 3, 0)[2];
    let old = grow_by(&mut chain, common, 3, 1);
    let new = grow_by(&mut chain, common, 3, 2);
    assert_eq!(chain.tip(), (6, old[2]));

    let (tip, accepted) = grow(&mut chain, new[2], 2);
    assert_eq!(
        accepted,
        Accepted::NewTip {
            disconnected: vec![old[2], old[1], old[0]],
            connected: vec![new[0], new[1], new[2], tip],
        }
    );
    assert_eq!(chain.tip(), (7, tip));
    assert_eq!(chain.hash_at(3), Some(common));
    assert_eq!(chain.hash_at(4), Some(new[0]));
    assert!(chain.contains(&old[2]) && !chain.is_active(&old[2]));

    // And back: the old branch was kept and may grow again.
    let again = grow_by(&mut chain, old[2], 2, 1);
    assert_eq!(chain.tip(), (8, again[1]));
    assert!(chain.is_active(&old[0]) && !chain.is_active(&new[0]));
}

#[test]
fn an_unknown_parent_is_named() {
    let parent = BlockHash([7; 32]);
    let block = changed(true, |header| header.previous = parent);
    assert_eq!(refusal(&block), Refused::UnknownParent(parent));
}

#[test]
fn a_hash_above_the_target_is_refused() {
    let block = changed(false, |_| {});
    assert_eq!(
        refusal(&block),
        Refused::ProofOfWork(ProofOfWorkError::HashAboveTarget {
            hash: block.hash(),
            bits: BITS
        })
    );
}

#[test]
fn a_target_that_is_easier_than_regtests_or_none_at_all_is_refused() {
    let easier = changed(true, |header| header.bits = CompactTarget(0x2100_8000));
    assert!(matches!(
        refusal(&easier),
        Refused::ProofOfWork(ProofOfWorkError::TargetTooEasy { .. })
    ));
    let none = changed(false, |header| header.bits = CompactTarget(0));
    assert!(matches!(
        refusal(&none),
        Refused::ProofOfWork(ProofOfWorkError::BadTarget(_))
    ));
}

#[test]
fn a_harder_target_than_regtests_is_refused() {
    let bits = CompactTarget(0x2010_0000);
    let block = changed(true, |header| header.bits = bits);
    assert_eq!(
        refusal(&block),
        Refused::WrongBits {
            expected: BITS,
            got: bits
        }
    );
}

#[test]
fn a_time_must_be_after_the_median_of_the_eleven_blocks_before() {
    let median = 1_296_688_602;
    let block = changed(true, |header| header.time = median);
    let got = median;
    assert_eq!(refusal(&block), Refused::TimeTooOld { median, got });

    let mut chain = Chain::new();
    for time in [10, 40, 20, 30, 50, 60, 70, 80, 90, 100, 110, 120] {
        let template = BlockTemplate {
            time: NOW - 1_000 + time,
            ..chain.template(NOW, 0)
        };
        chain.accept(&template.mine(), NOW).unwrap();
    }
    // Of the last eleven, 20 to 120, the sixth is 70.
    let median = NOW - 1_000 + 70;
    assert_eq!(chain.median_time_past(), median);
    let mut template = chain.template(0, 0);
    assert_eq!(template.time, median + 1, "a template is never too old");
    template.time = median;
    assert_eq!(
        chain.accept(&template.mine(), NOW),
        Err(Refused::TimeTooOld {
            median,
            got: median
        })
    );
    template.time = median + 1;
    assert!(chain.accept(&template.mine(), NOW).is_ok());
}

#[test]
fn a_time_may_be_two_hours_ahead_and_no_more() {
    let mut chain = Chain::new();
    let latest = NOW + 7_200;
    let got = latest + 1;
    let template = chain.template(got, 0);
    assert_eq!(
        chain.accept(&template.mine(), NOW),
        Err(Refused::TimeTooNew { latest, got })
    );
    assert!(chain.accept(&chain.template(latest, 0).mine(), NOW).is_ok());
    assert!(
        chain
            .accept(&chain.template(u32::MAX, 0).mine(), u32::MAX)
            .is_ok()
    );
}

#[test]
fn a_block_with_other_transactions_than_its_header_commits_to_is_refused() {
    let block = changed(true, |header| header.merkle_root.0[0] ^= 1);
    assert!(matches!(
        refusal(&block),
        Refused::Content(BlockError::MerkleRootMismatch { .. })
    ));
}

#[test]
fn many_blocks_may_be_mined_within_one_second() {
    let mut chain = Chain::new();
    grow_by(&mut chain, genesis(), 200, 0);
    assert_eq!(chain.tip().0, 200);
}

#[test]
fn a_fork_deeper_than_288_blocks_is_refused_and_its_branch_forgotten() {
    let mut chain = Chain::new();
    let branch = grow_by(&mut chain, genesis(), 2, 1);
    grow_by(&mut chain, genesis(), MAX_FORK_DEPTH, 2);
    assert!(!chain.is_active(&branch[0]));
    let late = chain.template_on(&branch[1], NOW, 3).unwrap();
    assert_eq!(
        chain.clone().accept(&late.mine(), NOW),
        Ok(Accepted::SideChain)
    );

    let tip = chain.tip().1;
    grow(&mut chain, tip, 2);
    assert_eq!(
        chain.accept(&late.mine(), NOW),
        Err(Refused::ForkTooDeep {
            depth: MAX_FORK_DEPTH + 1,
            limit: MAX_FORK_DEPTH
        })
    );
    assert!(chain.contains(&branch[1]), "kept until the next tip");

    let tip = chain.tip().1;
    grow(&mut chain, tip, 2);
    assert!(!chain.contains(&branch[0]) && !chain.contains(&branch[1]));
    assert_eq!(
        chain.accept(&late.mine(), NOW),
        Err(Refused::UnknownParent(branch[1]))
    );
    let total: u64 = chain.blocks.values().map(|entry| cost(&entry.block)).sum();
    assert_eq!(chain.bytes, total);
    assert_eq!(chain.blocks.len(), chain.active.len());
}

#[test]
fn a_reorganisation_as_deep_as_allowed_keeps_the_blocks_that_it_disconnects() {
    let mut chain = Chain::new();
    let old = grow_by(&mut chain, genesis(), MAX_FORK_DEPTH, 1);
    let new = grow_by(&mut chain, genesis(), MAX_FORK_DEPTH + 1, 2);
    assert_eq!(chain.tip(), (MAX_FORK_DEPTH + 1, new[new.len() - 1]));
    assert!(old.iter().all(|hash| chain.block(hash).is_some()));
    grow(&mut chain, new[new.len() - 1], 2);
    assert!(!old.iter().any(|hash| chain.contains(hash)));
}

#[test]
fn a_full_chain_refuses_blocks_and_says_how_much_room_is_missing() {
    let mut chain = Chain::with_max_bytes(3_000);
    grow(&mut chain, genesis(), 0);
    let block = chain.template(NOW, 0).mine();
    let needed = block.bytes().len() as u64 + 1_024;
    let left = 3_000 - chain.bytes;
    assert_eq!(
        chain.accept(&block, NOW),
        Err(Refused::NoRoom { needed, left })
    );
}

#[test]
fn a_stored_block_does_not_hold_on_to_the_payload_it_arrived_in() {
    let mut chain = Chain::new();
    let block = chain.template(NOW, 0).mine();
    chain.accept(&block, NOW).unwrap();
    let stored = chain.block(&block.hash()).unwrap();
    assert_eq!(stored, &block);
    assert_ne!(stored.bytes().as_ptr(), block.bytes().as_ptr());
    assert_eq!(
        stored.clone().bytes().as_ptr(),
        stored.bytes().as_ptr(),
        "clones share"
    );
}
