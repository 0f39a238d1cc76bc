//! Tests of the chain: rules, reorganizations and eviction.

use super::*;
use crate::test_random::SeededRandom;
use crate::wire::{BlockError, ChainRuleError, ProofOfWorkError};

const NOW: u32 = 1_700_000_000;

/// The target of every regtest block.
const BITS: CompactTarget = CompactTarget(0x207f_ffff);

/// The memory that a block of these tests needs, rounded up.
const BLOCK_COST: u64 = 1_250;

/// The opcode of a script that anyone can spend.
const OP_TRUE: u8 = 0x51;

/// Mines a block after `parent` and adds it.
fn grow(chain: &mut Chain, parent: BlockHash, extra_nonce: u64) -> (BlockHash, AcceptOutcome) {
    let block = chain.template_on(&parent, NOW, extra_nonce).unwrap().mine();
    let accepted = chain.accept(&block, NOW).unwrap();
    (block.hash(), accepted)
}

/// Mines and adds `blocks` blocks after `parent`, and returns their hashes.
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
    Block::genesis(&Network::Regtest).hash()
}

/// Returns a block after genesis with a changed header, and a nonce that meets its bits or does
/// not.
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

fn proof_of_work(error: ProofOfWorkError) -> BlockRejectReason {
    BlockRejectReason::Header(ChainRuleError::ProofOfWork { height: 1, error })
}

fn too_old(height: u32, median: u32, got: u32) -> BlockRejectReason {
    BlockRejectReason::Header(ChainRuleError::TimeTooOld {
        height,
        median,
        got,
    })
}

fn refusal(block: &Block) -> BlockRejectReason {
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
        Some(&Block::genesis(&Network::Regtest))
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
            AcceptOutcome::NewTip {
                disconnected: vec![],
                connected: vec![block.hash()]
            }
        );
        assert_eq!(chain.tip(), (height, block.hash()));
        assert!(chain.is_active(&block.hash()));
    }
}

#[test]
fn known_block_is_not_an_error() {
    let mut chain = Chain::new();
    let block = chain.template(NOW, 0).mine();
    chain.accept(&block, NOW).unwrap();
    assert_eq!(chain.accept(&block, NOW), Ok(AcceptOutcome::Known));
    assert_eq!(
        chain.accept(&Block::genesis(&Network::Regtest), NOW),
        Ok(AcceptOutcome::Known)
    );
}

#[test]
fn first_of_equal_branches_stays_active() {
    let mut chain = Chain::new();
    let (first, _) = grow(&mut chain, genesis(), 1);
    let (second, accepted) = grow(&mut chain, genesis(), 2);
    assert_eq!(accepted, AcceptOutcome::SideChain);
    assert_eq!(chain.tip(), (1, first));
    assert_eq!(chain.height_of(&second), Some(1));
    assert!(chain.contains(&second) && !chain.is_active(&second));
}

#[test]
fn longer_branch_becomes_active_with_ordered_changes() {
    let mut chain = Chain::new();
    let common = grow_by(&mut chain, genesis(), 3, 0)[2];
    let old = grow_by(&mut chain, common, 3, 1);
    let new = grow_by(&mut chain, common, 3, 2);
    assert_eq!(chain.tip(), (6, old[2]));

    let (tip, accepted) = grow(&mut chain, new[2], 2);
    assert_eq!(
        accepted,
        AcceptOutcome::NewTip {
            disconnected: vec![old[2], old[1], old[0]],
            connected: vec![new[0], new[1], new[2], tip],
        }
    );
    assert_eq!(chain.tip(), (7, tip));
    assert_eq!(chain.hash_at(3), Some(common));
    assert_eq!(chain.hash_at(4), Some(new[0]));
    assert!(chain.contains(&old[2]) && !chain.is_active(&old[2]));

    // The old branch is still there and can grow again.
    let again = grow_by(&mut chain, old[2], 2, 1);
    assert_eq!(chain.tip(), (8, again[1]));
    assert!(chain.is_active(&old[0]) && !chain.is_active(&new[0]));
}

#[test]
fn unknown_parent_is_reported() {
    let parent = BlockHash([7; 32]);
    let block = changed(true, |header| header.previous = parent);
    assert_eq!(refusal(&block), BlockRejectReason::UnknownParent(parent));
}

#[test]
fn hash_above_the_target_is_rejected() {
    let block = changed(false, |_| {});
    let error = ProofOfWorkError::HashAboveTarget {
        hash: block.hash(),
        bits: BITS,
    };
    assert_eq!(refusal(&block), proof_of_work(error));
}

#[test]
fn easier_or_invalid_target_is_rejected() {
    let easier = changed(true, |header| header.bits = CompactTarget(0x2100_8000));
    let error = ProofOfWorkError::TargetTooEasy {
        bits: CompactTarget(0x2100_8000),
        limit: BITS,
    };
    assert_eq!(refusal(&easier), proof_of_work(error));
    let none = changed(false, |header| header.bits = CompactTarget(0));
    let error = ProofOfWorkError::InvalidTarget(CompactTarget(0));
    assert_eq!(refusal(&none), proof_of_work(error));
}

#[test]
fn harder_target_is_rejected() {
    let bits = CompactTarget(0x2010_0000);
    let block = changed(true, |header| header.bits = bits);
    assert_eq!(
        refusal(&block),
        BlockRejectReason::Header(ChainRuleError::BitsMismatch {
            height: 1,
            expected: BITS,
            got: bits
        })
    );
}

#[test]
fn time_must_be_after_the_median() {
    let median = 1_296_688_602;
    let block = changed(true, |header| header.time = median);
    assert_eq!(refusal(&block), too_old(1, median, median));

    let mut chain = Chain::new();
    for time in [10, 40, 20, 30, 50, 60, 70, 80, 90, 100, 110, 120] {
        let template = BlockTemplate {
            time: NOW - 1_000 + time,
            ..chain.template(NOW, 0)
        };
        chain.accept(&template.mine(), NOW).unwrap();
    }
    // The sixth of the last eleven, 20 to 120, is 70.
    let median = NOW - 1_000 + 70;
    assert_eq!(chain.median_time_past(), median);
    let mut template = chain.template(0, 0);
    assert_eq!(template.time, median + 1, "a template is never too old");
    template.time = median;
    assert_eq!(
        chain.accept(&template.mine(), NOW),
        Err(too_old(13, median, median))
    );
    template.time = median + 1;
    assert!(chain.accept(&template.mine(), NOW).is_ok());
}

#[test]
fn time_may_be_two_hours_ahead() {
    let mut chain = Chain::new();
    let latest = NOW + 7_200;
    let got = latest + 1;
    let template = chain.template(got, 0);
    assert_eq!(
        chain.accept(&template.mine(), NOW),
        Err(BlockRejectReason::Header(ChainRuleError::TimeTooNew {
            height: 1,
            latest,
            got
        }))
    );
    assert!(chain.accept(&chain.template(latest, 0).mine(), NOW).is_ok());
    assert!(
        chain
            .accept(&chain.template(u32::MAX, 0).mine(), u32::MAX)
            .is_ok()
    );
}

#[test]
fn merkle_root_mismatch_is_rejected() {
    let block = changed(true, |header| header.merkle_root.0[0] ^= 1);
    assert!(matches!(
        refusal(&block),
        BlockRejectReason::Content(BlockError::MerkleRootMismatch { .. })
    ));
}

#[test]
fn many_blocks_may_be_mined_within_one_second() {
    let mut chain = Chain::new();
    grow_by(&mut chain, genesis(), 200, 0);
    assert_eq!(chain.tip().0, 200);
}

#[test]
fn heavier_branch_of_any_depth_wins() {
    let mut chain = Chain::new();
    let old = grow_by(&mut chain, genesis(), 700, 1);
    let new = grow_by(&mut chain, genesis(), 700, 2);
    assert_eq!(chain.tip(), (700, old[699]));
    let (tip, accepted) = grow(&mut chain, new[699], 2);
    let AcceptOutcome::NewTip {
        disconnected,
        connected,
    } = accepted
    else {
        panic!("{accepted:?}");
    };
    assert!(disconnected.iter().eq(old.iter().rev()));
    assert!(connected.iter().eq(new.iter().chain([&tip])));
    assert!(old.iter().all(|hash| chain.block(hash).is_some()));
    assert_eq!(chain.side_tips, BTreeSet::from([(700, old[699])]));
}

/// Two side branches after block 1 of a chain of 6 blocks that is full.
struct FullChain {
    chain: Chain,
    /// The active chain after genesis.
    main: Vec<BlockHash>,
    /// Heights 2 and 3.
    low: Vec<BlockHash>,
    /// Heights 2, 3 and twice 4.
    high: Vec<BlockHash>,
}

impl FullChain {
    fn new() -> Self {
        let mut chain = Chain::new();
        let main = grow_by(&mut chain, genesis(), 6, 0);
        let low = grow_by(&mut chain, main[0], 2, 1);
        let mut high = grow_by(&mut chain, main[0], 3, 2);
        high.push(grow(&mut chain, high[1], 3).0);
        chain.max_bytes = chain.bytes;
        assert_consistent(&chain);
        Self {
            chain,
            main,
            low,
            high,
        }
    }

    /// The numbers of kept blocks of the lower and of the higher branch.
    fn kept(&self) -> [usize; 2] {
        let kept = |blocks: &[BlockHash]| {
            let kept = blocks.iter().filter(|hash| self.chain.contains(hash));
            kept.count()
        };
        [kept(&self.low), kept(&self.high)]
    }

    #[track_caller]
    fn assert_no_room(&mut self, block: &Block) {
        let before = (self.chain.side_tips.clone(), self.chain.bytes);
        let refused = self.chain.accept(block, NOW);
        assert!(
            matches!(refused, Err(BlockRejectReason::ChainFull { .. })),
            "{refused:?}"
        );
        assert_eq!((self.chain.side_tips.clone(), self.chain.bytes), before);
        assert_eq!(self.kept(), [2, 4]);
    }
}

/// Asserts the invariants of the tables of a chain.
fn assert_consistent(chain: &Chain) {
    let bytes: u64 = chain.blocks.values().map(|entry| cost(&entry.block)).sum();
    assert_eq!(chain.bytes, bytes);
    assert!(bytes <= chain.max_bytes);
    let mut children = HashMap::new();
    for entry in chain.blocks.values() {
        let header = entry.block.header();
        *children.entry(header.previous).or_insert(0) += 1;
        assert!(entry.height == 0 || chain.contains(&header.previous));
        assert!(entry.height <= chain.tip().0);
    }
    let mut side_tips = BTreeSet::new();
    for (hash, entry) in &chain.blocks {
        let children = children.get(hash).copied().unwrap_or(0);
        assert_eq!(entry.children, children);
        if children == 0 && !chain.is_active(hash) {
            side_tips.insert((entry.height, *hash));
        }
    }
    assert_eq!(chain.side_tips, side_tips);
    for (height, hash) in chain.active.iter().enumerate() {
        assert_eq!(chain.height_of(hash), Some(height as u32));
        let previous = chain.blocks[hash].block.header().previous;
        assert!(height == 0 || chain.active[height - 1] == previous);
    }
}

#[test]
fn full_chain_evicts_side_blocks_with_least_work() {
    let mut full = FullChain::new();
    assert_eq!(full.kept(), [2, 4]);
    let mut tip = full.main[5];
    for kept in [[1, 4], [0, 4], [0, 3], [0, 2], [0, 1], [0, 0]] {
        tip = grow(&mut full.chain, tip, 0).0;
        assert_eq!(full.kept(), kept);
        assert_consistent(&full.chain);
    }
    let next = full.chain.template(NOW, 0).mine();
    let refused = full.chain.accept(&next, NOW);
    assert!(
        matches!(refused, Err(BlockRejectReason::ChainFull { .. })),
        "{refused:?}"
    );
    assert_eq!(full.chain.tip(), (12, tip));
}

#[test]
fn block_evicts_no_branch_with_equal_work() {
    let mut full = FullChain::new();
    let block = full.chain.template_on(&full.main[1], NOW, 4).unwrap();
    full.assert_no_room(&block.mine());
}

#[test]
fn block_does_not_evict_its_parent() {
    let mut full = FullChain::new();
    let block = full.chain.template_on(&full.low[1], NOW, 4).unwrap();
    full.assert_no_room(&block.mine());
    grow(&mut full.chain, full.high[2], 4);
    assert_eq!(full.kept(), [1, 4]);
    assert_consistent(&full.chain);
}

#[test]
fn rejected_block_evicts_nothing() {
    let mut full = FullChain::new();
    let mut large = full.chain.template(NOW, 0);
    large.reward_script = vec![OP_TRUE; 10_000];
    full.assert_no_room(&large.mine());

    let template = full.chain.template(NOW, 0);
    let other = full.chain.template(NOW, 1);
    let block = Block::new(&template.mine().header(), &[other.coinbase()]);
    let refused = full.chain.accept(&block, NOW);
    assert!(
        matches!(refused, Err(BlockRejectReason::Content(_))),
        "{refused:?}"
    );
    assert_eq!(full.kept(), [2, 4]);
}

#[test]
fn large_block_evicts_as_many_as_needed() {
    let mut full = FullChain::new();
    let mut large = full.chain.template(NOW, 0);
    large.reward_script = vec![OP_TRUE; 3_000];
    assert!(full.chain.accept(&large.mine(), NOW).is_ok());
    assert_eq!(full.kept(), [0, 2]);
    assert_consistent(&full.chain);
}

#[test]
fn full_chain_switches_to_a_longer_branch() {
    let mut full = FullChain::new();
    full.chain.max_bytes += 3 * BLOCK_COST;
    let branch = grow_by(&mut full.chain, full.high[2], 2, 4);
    let (tip, accepted) = grow(&mut full.chain, branch[1], 4);
    let AcceptOutcome::NewTip { disconnected, .. } = accepted else {
        panic!("{accepted:?}");
    };
    assert!(disconnected.iter().eq(full.main[1..].iter().rev()));
    assert!(disconnected.iter().all(|hash| full.chain.contains(hash)));
    assert_eq!(full.chain.tip(), (7, tip));
    assert_consistent(&full.chain);
}

#[test]
fn tables_stay_consistent_in_random_growth() {
    let mut random = SeededRandom::new(1);
    let mut chain = Chain::with_max_bytes(40 * BLOCK_COST);
    let mut highest = 0;
    for extra_nonce in 0..400 {
        let known: Vec<(u32, BlockHash)> = {
            let blocks = chain.blocks.iter();
            let mut known: Vec<_> = blocks.map(|(hash, entry)| (entry.height, *hash)).collect();
            known.sort_unstable();
            known
        };
        // Low blocks are chosen as often as high ones, so that branches compete.
        let (_, parent) = known[random.below(known.len())];
        let block = chain.template_on(&parent, NOW, extra_nonce).unwrap().mine();
        match chain.accept(&block, NOW) {
            Ok(AcceptOutcome::NewTip { .. }) => highest += 1,
            Ok(_) | Err(BlockRejectReason::ChainFull { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(chain.tip().0, highest);
        assert_consistent(&chain);
    }
    assert!(chain.blocks.len() > 30, "{}", chain.blocks.len());
}

#[test]
fn versions_follow_the_rules_of_regtest() {
    let mut chain = Chain::new();
    grow_by(&mut chain, genesis(), 1_350, 0);
    let template = chain.template(NOW, 0);
    let mut header = template.mine().header();
    header.version = 3;
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    let block = Block::new(&header, &[template.coinbase()]);
    let too_low = ChainRuleError::VersionTooLow {
        height: 1_351,
        minimum: 4,
        got: 3,
    };
    assert_eq!(
        chain.accept(&block, NOW),
        Err(BlockRejectReason::Header(too_low))
    );
    assert!(chain.accept(&template.mine(), NOW).is_ok());
}

#[test]
fn full_chain_reports_missing_memory() {
    let mut chain = Chain::with_max_bytes(3_000);
    grow(&mut chain, genesis(), 0);
    let block = chain.template(NOW, 0).mine();
    let needed = block.bytes().len() as u64 + 1_024;
    let left = 3_000 - chain.bytes;
    assert_eq!(
        chain.accept(&block, NOW),
        Err(BlockRejectReason::ChainFull {
            needed,
            available: left
        })
    );
}

#[test]
fn stored_block_does_not_keep_its_payload() {
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
