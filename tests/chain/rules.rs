//! Each rule of a header at its boundary.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Ancestors, BlockHash, BlockHeader, ChainRuleError, ChainRules, CompactTarget, HeaderSlice,
    MerkleRoot, ProofOfWorkError, Work,
};

use crate::branch::SparseBranch;

/// The limit of every public network but regtest.
const LIMIT: u32 = 0x1d00_ffff;

/// A target harder than the limit.
const BITS: u32 = 0x1c01_0000;

/// The time of the first header of a branch.
const START: u32 = 1_500_000_000;

fn header(time: u32, bits: u32) -> BlockHeader {
    BlockHeader {
        version: 4,
        previous: BlockHash::ZERO,
        merkle_root: MerkleRoot::ZERO,
        time,
        bits: CompactTarget(bits),
        nonce: 0,
    }
}

/// Returns headers with these times and the same target.
fn headers(times: impl IntoIterator<Item = u32>, bits: u32) -> Vec<BlockHeader> {
    let headers = times.into_iter().map(|time| header(time, bits));
    headers.collect()
}

/// Returns the times of `count` blocks, ten minutes apart.
fn regular(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|block| START + 600 * block)
}

/// Returns the target required at `height`, after `headers`.
#[track_caller]
fn required(rules: &ChainRules, height: u32, headers: &[BlockHeader], time: u32) -> u32 {
    let branch = branch_below(height, headers);
    rules.required_bits(&branch, time).unwrap().0
}

/// Returns the branch of the header at `height`.
fn branch_below(height: u32, headers: &[BlockHeader]) -> HeaderSlice<'_> {
    HeaderSlice::new(height - headers.len() as u32, headers).unwrap()
}

/// Returns the rules of a network without checkpoints and without changes of the target.
fn fixed_target(network: &Network) -> ChainRules {
    let rules = ChainRules::new(network.clone()).with_retargeting(false);
    rules.with_checkpoints([]).unwrap()
}

#[test]
fn median_time_must_be_exceeded() {
    let rules = fixed_target(&Network::Mainnet);
    let offsets = [50, 10, 30, 20, 90, 40, 60, 80, 70, 100, 110];
    let branch = headers(offsets.map(|offset| START + offset), BITS);
    let ancestors = branch_below(100, &branch);
    let median = START + 60;
    let check = |time| {
        let header = header(time, BITS);
        rules.check_header(&ancestors, &header, BlockHash::ZERO, START)
    };
    let too_old = |got| ChainRuleError::TimeTooOld {
        height: 100,
        median,
        got,
    };
    assert_eq!(check(0), Err(too_old(0)));
    assert_eq!(check(median - 1), Err(too_old(median - 1)));
    assert_eq!(check(median), Err(too_old(median)));
    assert_eq!(check(median + 1), Ok(()));
}

#[test]
fn first_headers_have_a_shorter_median() {
    let rules = fixed_target(&Network::Mainnet);
    let times = [START, START + 7, START + 3, START + 9];
    // The upper one of the two in the middle, if their number is even.
    for (count, median) in [(1, START), (2, START + 7), (3, START + 3), (4, START + 7)] {
        let branch = headers(times[..count].iter().copied(), BITS);
        let ancestors = HeaderSlice::new(0, &branch).unwrap();
        let check = |time| {
            let header = header(time, BITS);
            rules.check_header(&ancestors, &header, BlockHash::ZERO, START)
        };
        let too_old = ChainRuleError::TimeTooOld {
            height: count as u32,
            median,
            got: median,
        };
        assert_eq!(check(median), Err(too_old), "{count} headers");
        assert_eq!(check(median + 1), Ok(()), "{count} headers");
    }
}

#[test]
fn median_over_unknown_headers_is_an_error() {
    let rules = fixed_target(&Network::Mainnet);
    let branch = headers(regular(10), BITS);
    let next = header(START + 6_000, BITS);
    let check = |height| {
        let ancestors = branch_below(height, &branch);
        rules.check_header(&ancestors, &next, BlockHash::ZERO, START)
    };
    assert_eq!(check(10), Ok(()), "from genesis");
    let missing = ChainRuleError::MissingAncestor {
        height: 11,
        needed: 0,
    };
    assert_eq!(check(11), Err(missing));
}

#[test]
fn time_is_at_most_two_hours_ahead() {
    let rules = fixed_target(&Network::Mainnet);
    let branch = headers(regular(11), BITS);
    let ancestors = branch_below(100, &branch);
    let now = START + 10_000;
    let latest = now + 7_200;
    let check = |time, now| {
        let header = header(time, BITS);
        rules.check_header(&ancestors, &header, BlockHash::ZERO, now)
    };
    assert_eq!(check(latest, now), Ok(()));
    let too_new = ChainRuleError::TimeTooNew {
        height: 100,
        latest,
        got: latest + 1,
    };
    assert_eq!(check(latest + 1, now), Err(too_new));
    assert_eq!(check(latest + 1, now + 1), Ok(()), "accepted later");
    assert_eq!(check(u32::MAX, u32::MAX), Ok(()));
}

#[test]
fn versions_start_at_the_heights_of_each_network() {
    for (network, upgrades) in [
        (
            Network::Mainnet,
            &[(227_931, 2), (363_725, 3), (388_381, 4)][..],
        ),
        (Network::Testnet, &[(21_111, 2), (330_776, 3), (581_885, 4)]),
        (Network::Stn, &[(100_000_000, 2)]),
        (Network::Regtest, &[(1_251, 3), (1_351, 4)]),
    ] {
        let rules = fixed_target(&network);
        let branch = headers(regular(11), BITS);
        let check = |height, version| {
            let ancestors = branch_below(height, &branch);
            let header = BlockHeader {
                version,
                ..header(START + 6_600, BITS)
            };
            rules.check_header(&ancestors, &header, BlockHash::ZERO, START)
        };
        let first = upgrades[0].0;
        assert_eq!(check(first - 1, i32::MIN), Ok(()), "{network}");
        for &(height, minimum) in upgrades {
            let too_low = |height, got| ChainRuleError::VersionTooLow {
                height,
                minimum,
                got,
            };
            assert_eq!(check(height - 1, minimum - 1), Ok(()), "{network} {height}");
            for above in [0, 1, 10_000] {
                let height = height + above;
                if upgrades
                    .iter()
                    .any(|one| one.1 > minimum && one.0 <= height)
                {
                    continue;
                }
                assert_eq!(check(height, minimum), Ok(()), "{network} {height}");
                for got in [minimum - 1, -1, i32::MIN] {
                    assert_eq!(check(height, got), Err(too_low(height, got)), "{network}");
                }
            }
        }
        assert_eq!(check(200_000_000, 4), Ok(()), "{network}");
    }
}

#[test]
fn teranode_networks_require_version_4_from_genesis() {
    for network in [Network::Teratestnet, Network::Tstn] {
        let genesis = [BlockHeader::genesis(&network)];
        let rules = ChainRules::new(network);
        let ancestors = HeaderSlice::new(0, &genesis).unwrap();
        let time = genesis[0].time + 600;
        let check = |version| {
            let header = BlockHeader {
                version,
                ..header(time, LIMIT)
            };
            rules.check_header(&ancestors, &header, BlockHash::ZERO, time)
        };
        assert_eq!(check(4), Ok(()));
        let too_low = ChainRuleError::VersionTooLow {
            height: 1,
            minimum: 4,
            got: 3,
        };
        assert_eq!(check(3), Err(too_low));
    }
}

#[test]
fn header_at_a_checkpoint_height_is_the_checkpoint() {
    let checkpoints = [(50, BlockHash([5; 32])), (60, BlockHash([6; 32]))];
    let rules = fixed_target(&Network::Mainnet);
    let rules = rules.with_checkpoints(checkpoints).unwrap();
    assert_eq!(rules.checkpoints(), checkpoints);
    let branch = headers(regular(11), BITS);
    let check = |height, hash| {
        let ancestors = branch_below(height, &branch);
        let header = header(START + 6_600, BITS);
        rules.check_header(&ancestors, &header, BlockHash([hash; 32]), START)
    };
    for (height, expected) in checkpoints {
        assert_eq!(rules.checkpoint_at(height), Some(expected));
        assert_eq!(check(height, expected.0[0]), Ok(()));
        assert_eq!(
            check(height, 7),
            Err(ChainRuleError::CheckpointMismatch {
                height,
                expected,
                got: BlockHash([7; 32]),
            })
        );
        assert_eq!(check(height - 1, 7), Ok(()));
        assert_eq!(check(height + 1, 7), Ok(()));
        assert_eq!(rules.checkpoint_at(height + 1), None);
    }
}

#[test]
fn checkpoints_must_ascend() {
    let rules = ChainRules::new(Network::Regtest);
    for got in [49, 50] {
        let list = [(50, BlockHash::ZERO), (got, BlockHash::ZERO)];
        let invalid = rules.clone().with_checkpoints(list);
        let error = invalid.unwrap_err();
        assert_eq!((error.previous, error.got), (50, got));
        assert_eq!(
            error.to_string(),
            format!("checkpoints: expected a height above 50, got {got}")
        );
    }
}

#[test]
fn rules_are_checked_in_node_order() {
    let rules = fixed_target(&Network::Mainnet);
    let expected = BlockHash([1; 32]);
    let rules = rules.with_checkpoints([(400_000, expected)]).unwrap();
    let branch = headers(regular(11), BITS);
    let ancestors = branch_below(400_000, &branch);
    // Violates every rule: the time is before the median, and far ahead of the clock.
    let mut next = BlockHeader {
        version: 1,
        ..header(START, LIMIT)
    };
    let mut hash = BlockHash::ZERO;
    let mut now = 0;
    let mut scores = Vec::new();
    for step in 0..5 {
        let error = rules
            .check_header(&ancestors, &next, hash, now)
            .unwrap_err();
        assert_eq!(error.height(), 400_000);
        scores.push(error.score());
        match (step, error) {
            (0, ChainRuleError::CheckpointMismatch { .. }) => hash = expected,
            (1, ChainRuleError::BitsMismatch { .. }) => next.bits = CompactTarget(BITS),
            (2, ChainRuleError::TimeTooOld { .. }) => next.time = START + 6_600,
            (3, ChainRuleError::TimeTooNew { .. }) => now = START,
            (4, ChainRuleError::VersionTooLow { .. }) => next.version = 4,
            (step, error) => panic!("step {step}: {error}"),
        }
    }
    assert_eq!(scores, [100, 100, 0, 0, 0]);
    assert_eq!(rules.check_header(&ancestors, &next, hash, now), Ok(()));
}

#[test]
fn scores_are_those_of_the_node() {
    let height = 9;
    let hash = BlockHash::ZERO;
    let bits = CompactTarget(BITS);
    let fork = ChainRuleError::ForkBelowCheckpoint {
        height,
        checkpoint: 50,
    };
    let mismatch = ChainRuleError::CheckpointMismatch {
        height,
        expected: hash,
        got: hash,
    };
    let proof_of_work = ChainRuleError::ProofOfWork {
        height,
        error: ProofOfWorkError::HashAboveTarget { hash, bits },
    };
    let missing = ChainRuleError::MissingAncestor { height, needed: 1 };
    for (error, score, is_other_chain) in [
        (fork, 100, true),
        (mismatch, 100, true),
        (proof_of_work, 50, false),
        (missing, 0, false),
    ] {
        assert_eq!(error.score(), score, "{error}");
        assert_eq!(error.is_other_chain(), is_other_chain, "{error}");
        assert_eq!(error.height(), height, "{error}");
        assert!(error.to_string().contains("height 9"), "{error}");
    }
}

#[test]
fn proof_of_work_checks_hash_and_limit() {
    let rules = ChainRules::new(Network::Mainnet);
    let check = |bits, hash| rules.check_proof_of_work(7, &header(START, bits), hash);
    let error = |error| Err(ChainRuleError::ProofOfWork { height: 7, error });
    let target = BlockHash(CompactTarget(BITS).target().unwrap().0);
    assert_eq!(check(BITS, target), Ok(()));
    let mut above = target;
    above.0[0] += 1;
    let bits = CompactTarget(BITS);
    let hash = above;
    assert_eq!(
        check(BITS, above),
        error(ProofOfWorkError::HashAboveTarget { hash, bits })
    );
    assert_eq!(check(LIMIT, BlockHash::ZERO), Ok(()));
    let (bits, limit) = (CompactTarget(LIMIT + 1), CompactTarget(LIMIT));
    assert_eq!(
        check(LIMIT + 1, BlockHash::ZERO),
        error(ProofOfWorkError::TargetTooEasy { bits, limit })
    );
    for invalid in [0, 0x1c80_0001, 0x2300_0100] {
        assert_eq!(
            check(invalid, BlockHash::ZERO),
            error(ProofOfWorkError::InvalidTarget(CompactTarget(invalid)))
        );
    }
}

#[test]
fn limit_is_compared_in_its_normal_form() {
    let rules = ChainRules::new(Network::Testnet);
    let rules = rules.with_proof_of_work_limit(CompactTarget(0x1e00_00ff));
    assert_eq!(rules.proof_of_work_limit(), CompactTarget(0x1d00_ff00));
    let branch = headers(regular(17), BITS);
    assert_eq!(required(&rules, 20, &branch, u32::MAX), 0x1d00_ff00);
}

#[test]
fn networks_without_retargeting_keep_the_target() {
    let rules = ChainRules::new(Network::Regtest);
    for height in [1, 100, 148, 2_016, 600_000] {
        let branch = headers([START], BITS);
        assert_eq!(required(&rules, height, &branch, START + 1), BITS);
        assert_eq!(required(&rules, height, &branch, u32::MAX), BITS);
    }
}

#[test]
fn retarget_clamps_the_time_of_a_period() {
    let rules = ChainRules::new(Network::Mainnet);
    for (span, bits) in [
        (-5, 0x1b40_0000),
        (302_399, 0x1b40_0000),
        (302_400, 0x1b40_0000),
        (302_401, 0x1b40_000d),
        (1_209_600, 0x1c01_0000),
        (4_838_399, 0x1c03_ffff),
        (4_838_400, 0x1c04_0000),
        (4_838_401, 0x1c04_0000),
    ] {
        let last = START.checked_add_signed(span).unwrap();
        let mut branch = SparseBranch::default();
        branch.headers.insert(2_016, (START, CompactTarget(LIMIT)));
        branch.headers.insert(4_031, (last, CompactTarget(BITS)));
        let required = rules.required_bits(&branch.up_to(4_031), 0);
        assert_eq!(required, Ok(CompactTarget(bits)), "{span} s");
    }
}

#[test]
fn retarget_of_easy_targets_does_not_overflow() {
    let rules = ChainRules::new(Network::Mainnet);
    let rules = rules.with_proof_of_work_limit(CompactTarget(0x207f_ffff));
    for (span, parent, bits) in [
        (4_838_400, 0x2070_0000, 0x207f_ffff),
        (4_838_400, 0x207f_ffff, 0x207f_ffff),
        (907_200, 0x207f_ffff, 0x205f_ffff),
        (302_400, 0x207f_ffff, 0x201f_ffff),
    ] {
        let mut branch = SparseBranch::default();
        let parent = CompactTarget(parent);
        branch.headers.insert(0, (START, parent));
        branch.headers.insert(2_015, (START + span, parent));
        let required = rules.required_bits(&branch.up_to(2_015), 0);
        assert_eq!(required, Ok(CompactTarget(bits)), "{span} s, {parent}");
    }
}

#[test]
fn twelve_hours_for_six_blocks_ease_the_target() {
    let rules = ChainRules::new(Network::Mainnet);
    // The medians after blocks 16 and 10 are the times of blocks 11 and 5.
    let branch = |span, bits| {
        let times = (0..17).map(|block| match block {
            0..=10 => START + 10 * block,
            _ => START + 50 + span + 10 * (block - 11),
        });
        headers(times, bits)
    };
    for (span, parent, bits) in [
        (43_199, BITS, BITS),
        (43_200, BITS, 0x1c01_4000),
        (43_200, 0x1d00_cccb, 0x1d00_fffd),
        (43_200, 0x1d00_fffe, LIMIT),
        (43_200, LIMIT, LIMIT),
        (43_199, LIMIT, LIMIT),
    ] {
        let branch = branch(span, parent);
        for height in [17, 100_000, 504_031] {
            let required = required(&rules, height, &branch, u32::MAX);
            assert_eq!(required, bits, "{span} s, {parent:08x} at {height}");
        }
    }
    // The first headers have no ancestor that far below.
    let few = headers(regular(6).map(|time| time + 43_200), BITS);
    assert_eq!(required(&rules, 6, &few, u32::MAX), BITS);
}

#[test]
fn late_block_may_have_the_minimum_difficulty() {
    let rules = ChainRules::new(Network::Testnet);
    let mut branch = headers(regular(160), BITS);
    let last = branch[159].time;
    // Before the first block with the 144-block rule, and at it.
    for height in [1_000_000, 1_188_697, 1_188_698] {
        assert_eq!(required(&rules, height, &branch, last + 1_200), BITS);
        assert_eq!(required(&rules, height, &branch, last + 1_201), LIMIT);
    }
    // A retarget has no exception.
    let start = headers(regular(2_016), BITS);
    assert_eq!(required(&rules, 4_032, &start, u32::MAX), 0x1c00_ffdf);
    // Only earlier targets count for blocks in time, up to the first of the period.
    for header in &mut branch[100..] {
        header.bits = CompactTarget(LIMIT);
    }
    assert_eq!(required(&rules, 1_000_000, &branch, last + 1_200), BITS);
    let first_of_period = 2_016 * 400;
    let height = first_of_period + 30;
    assert_eq!(required(&rules, height, &branch, last + 1_200), LIMIT);
    let height = first_of_period + 60;
    assert_eq!(required(&rules, height, &branch, last + 1_200), LIMIT);
    let height = first_of_period + 61;
    assert_eq!(required(&rules, height, &branch, last + 1_200), BITS);
}

#[test]
fn late_block_has_no_exception_on_other_networks() {
    let branch = headers(regular(160), BITS);
    for (network, height) in [
        (Network::Mainnet, 100_000),
        (Network::Mainnet, 600_000),
        (Network::Stn, 2_000),
        (Network::Stn, 2_201),
    ] {
        let rules = ChainRules::new(network);
        assert_eq!(required(&rules, height, &branch, u32::MAX), BITS);
    }
}

#[test]
fn daa_clamps_the_time_of_144_blocks() {
    let rules = ChainRules::new(Network::Mainnet);
    for (parent, spans) in [
        (
            0x1b04_04cb,
            [
                (0, 0x1b02_0265),
                (43_199, 0x1b02_0265),
                (43_200, 0x1b02_0265),
                (43_201, 0x1b02_0268),
                (86_400, 0x1b04_04cb),
                (172_799, 0x1b08_0992),
                (172_800, 0x1b08_0996),
                (172_801, 0x1b08_0996),
            ],
        ),
        (
            LIMIT,
            [
                (0, 0x1c7f_ff80),
                (43_199, 0x1c7f_ff80),
                (43_200, 0x1c7f_ff80),
                (43_201, 0x1d00_8000),
                (86_400, LIMIT),
                (172_799, LIMIT),
                (172_800, LIMIT),
                (172_801, LIMIT),
            ],
        ),
    ] {
        for (span, bits) in spans {
            // The middle ones of the first and of the last three headers.
            let times = (0..147).map(|block| match block {
                0..=2 => START + block,
                3..=143 => START + 10,
                _ => START + 1 + span + block - 145,
            });
            let branch = headers(times, parent);
            let required = required(&rules, 600_000, &branch, u32::MAX);
            assert_eq!(required, bits, "{span} s, {parent:08x}");
        }
    }
}

#[test]
fn daa_starts_after_the_block_at_its_height() {
    for (network, daa_height) in [
        (Network::Mainnet, 504_031),
        (Network::Testnet, 1_188_697),
        (Network::Stn, 2_200),
    ] {
        let rules = ChainRules::new(network.clone());
        // Twice as fast as intended: only the 144-block rule reacts.
        let times = (0..160).map(|block| START + 300 * block);
        let branch = headers(times, BITS);
        let time = START + 160 * 300;
        assert_eq!(required(&rules, daa_height, &branch, time), BITS);
        let eased = required(&rules, daa_height + 1, &branch, time);
        assert_ne!(eased, BITS, "{network}");
    }
}

#[test]
fn daa_chooses_the_block_with_the_median_time() {
    let rules = ChainRules::new(Network::Mainnet);
    // The last three blocks differ in work, so that the target shows which of them was chosen.
    for (times, bits) in [
        ([0, 1, 2], 0x1c2a_3290),
        ([0, 2, 1], 0x1c13_daeb),
        ([1, 0, 2], 0x1c60_7b1e),
        ([1, 2, 0], 0x1c60_7b1e),
        ([2, 0, 1], 0x1c13_daeb),
        ([2, 1, 0], 0x1c2a_3290),
        ([0, 0, 0], 0x1c29_ea8c),
        ([0, 0, 1], 0x1c29_ea8c),
        ([0, 1, 0], 0x1c13_b908),
        ([1, 0, 0], 0x1c29_ea8c),
        ([0, 1, 1], 0x1c2a_3290),
        ([1, 0, 1], 0x1c60_7b1e),
        ([1, 1, 0], 0x1c2a_3290),
    ] {
        let mut branch = headers(regular(147), LIMIT);
        let targets = [0x1c00_ffff, 0x1c00_8000, 0x1c00_4000];
        for ((block, time), bits) in branch[144..].iter_mut().zip(times).zip(targets) {
            block.time = START + 90_000 + 600 * time;
            block.bits = CompactTarget(bits);
        }
        let required = required(&rules, 600_000, &branch, START);
        assert_eq!(required, bits, "{times:?}");
    }
}

#[test]
fn daa_of_hard_targets_is_exact() {
    let rules = ChainRules::new(Network::Mainnet);
    // Targets so small that their compact form has all digits.
    for (parent, spacing, bits) in [
        (0x0312_3456, 600, 0x0312_3456),
        (0x0312_3456, 300, 0x0309_1a2a),
        (0x037f_ffff, 600, 0x037f_ffff),
    ] {
        let branch = headers((0..147).map(|block| START + spacing * block), parent);
        assert_eq!(required(&rules, 600_000, &branch, START), bits);
    }
}

#[test]
fn daa_without_work_requires_the_limit() {
    // The work of 144 such blocks is lost in the division by their time.
    let limit = CompactTarget(0x2100_ffff);
    let rules = ChainRules::new(Network::Mainnet).with_proof_of_work_limit(limit);
    let branch = headers((0..147).map(|block| START + 2_000 * block), limit.0);
    assert_eq!(required(&rules, 600_000, &branch, START), limit.0);
}

#[test]
fn daa_from_genesis_starts_at_height_148() {
    for network in [Network::Teratestnet, Network::Tstn] {
        let rules = ChainRules::new(network);
        let branch = headers(regular(148), BITS);
        for height in [1, 2, 146, 147] {
            let branch = &branch[..height as usize];
            let time = START + 600 * height;
            assert_eq!(required(&rules, height, branch, time), LIMIT, "{height}");
        }
        let last = branch[147].time;
        assert_eq!(required(&rules, 148, &branch, last + 1_200), BITS);
        assert_eq!(required(&rules, 148, &branch, last + 1_201), LIMIT);
        // A later height, far from genesis, has the same rule.
        assert_eq!(required(&rules, 30_000, &branch, last + 1_200), BITS);
    }
}

#[test]
fn needed_ancestors_suffice_for_later_headers() {
    let rules = ChainRules::new(Network::Mainnet);
    // With the number of headers that need the first one.
    for (tip, first, dependents) in [
        (100, 0, 1),
        (2_015, 0, 1),
        (2_016, 1_870, 0),
        (100_000, 98_784, 1),
        (504_030, 503_884, 0),
        (504_031, 503_885, 1),
        (600_000, 599_854, 1),
    ] {
        assert_eq!(rules.first_needed_ancestor(tip), first, "{tip}");
        let mut branch = SparseBranch::default();
        for height in first..tip + 2_016 {
            let header = (START + 600 * (height - first), CompactTarget(BITS));
            branch.headers.insert(height, header);
        }
        let failed = |branch: &SparseBranch| {
            let parents = tip..tip + 2_016;
            let required = parents.map(|parent| rules.required_bits(&branch.up_to(parent), 0));
            required.filter(Result::is_err).count()
        };
        assert_eq!(failed(&branch), 0, "{tip}");
        branch.headers.remove(&first);
        assert_eq!(failed(&branch), dependents, "{tip}");
    }
}

#[test]
fn slice_sums_the_work_of_its_headers() {
    let mut branch = headers(regular(5), LIMIT);
    branch[3].bits = CompactTarget(BITS);
    let slice = HeaderSlice::new(10, &branch).unwrap();
    assert_eq!(slice.height(), 14);
    let (easy, hard) = (CompactTarget(LIMIT).work(), CompactTarget(BITS).work());
    assert_eq!(
        slice.work_between(11, 14),
        Some([easy, hard, easy].into_iter().sum())
    );
    assert_eq!(slice.work_between(12, 13), Some(hard));
    assert_eq!(slice.work_between(12, 12), Some(Work::ZERO));
    assert_eq!(slice.work_between(8, 10), None);
    assert_eq!(slice.work_between(12, 15), None);
    assert_eq!((slice.time(9), slice.time(15)), (None, None));
    assert!(HeaderSlice::new(0, &[]).is_none());
    assert!(HeaderSlice::new(u32::MAX - 3, &branch).is_none());
    assert!(HeaderSlice::new(u32::MAX - 4, &branch).is_some());
}
