//! The header chain: verification, reorganizations, access.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, ChainRuleError, CompactTarget, ExtendOutcome, HeaderChain,
    HeaderChainError, MerkleRoot, ProofOfWorkError, Work,
};

use crate::miner::*;

fn mainnet_headers() -> Vec<BlockHeader> {
    let bytes = include_bytes!("../vectors/headers/mainnet-0-2016.bin");
    let (headers, _) = bytes.as_chunks::<80>();
    headers.iter().map(BlockHeader::from_bytes).collect()
}

#[track_caller]
fn connected(outcome: Result<ExtendOutcome, HeaderChainError>, headers: &[BlockHeader]) {
    let expected = ExtendOutcome::NewTip {
        disconnected: Vec::new(),
        connected: hashes(headers),
    };
    assert_eq!(outcome, Ok(expected));
}

#[track_caller]
fn reorganized(
    outcome: Result<ExtendOutcome, HeaderChainError>,
    old: &[BlockHeader],
    new: &[BlockHeader],
) {
    let mut disconnected = hashes(old);
    disconnected.reverse();
    let expected = ExtendOutcome::NewTip {
        disconnected,
        connected: hashes(new),
    };
    assert_eq!(outcome, Ok(expected));
}

/// Checks every kind of access to an active chain of these headers after genesis.
#[track_caller]
fn assert_active(chain: &HeaderChain, headers: &[BlockHeader]) {
    let tip = headers.last().map_or(genesis().hash(), BlockHeader::hash);
    assert_eq!(chain.tip(), (headers.len() as u32, tip));
    let mut work = genesis().bits.work();
    for (height, header) in (1..).zip(headers) {
        let hash = header.hash();
        work = work.saturating_add(header.bits.work());
        assert_eq!(chain.header_at(height), Some(header));
        assert_eq!(chain.hash_at(height), Some(hash));
        assert_eq!(chain.height_of(&hash), Some(height));
        assert_eq!(chain.header(&hash), Some(header));
        assert_eq!(chain.work_at(height), Some(work));
        assert_eq!(chain.work_of(&hash), Some(work));
        let confirmations = headers.len() as u32 - height + 1;
        assert_eq!(chain.confirmations(&hash), Some(confirmations));
        assert!(chain.is_active(&hash) && chain.contains(&hash));
    }
    assert_eq!(chain.total_work(), work);
    assert!(chain.headers(1..).eq(headers));
}

#[test]
fn mainnet_headers_extend_chain() {
    let headers = mainnet_headers();
    let mut chain = HeaderChain::new(Network::Mainnet);
    connected(chain.extend(&headers[1..], NOW), &headers[1..]);
    assert_eq!(chain.tip(), (2_016, headers[2_016].hash()));
    assert_eq!(chain.extend(&headers[1..], NOW), Ok(ExtendOutcome::Known));
    assert!(!chain.has_minimum_work());
}

#[test]
fn mainnet_headers_extend_chain_in_pieces() {
    let headers = mainnet_headers();
    let mut chain = HeaderChain::new(Network::Mainnet);
    for piece in headers[1..].chunks(7) {
        connected(chain.extend(piece, NOW), piece);
    }
    assert_eq!(chain.tip().0, 2_016);
}

/// Each field of real headers, at the start, in the middle and at a retarget.
#[test]
fn changed_field_is_rejected_without_effect() {
    let headers = mainnet_headers();
    type Change = fn(&mut BlockHeader);
    let changes: [(&str, Change); 6] = [
        ("version", |header| header.version += 1),
        ("previous", |header| header.previous.0[0] ^= 1),
        ("merkle_root", |header| header.merkle_root.0[0] ^= 1),
        ("time", |header| header.time += 1),
        ("bits", |header| header.bits.0 -= 1),
        ("nonce", |header| header.nonce += 1),
    ];
    for height in [1, 2, 1_000, 2_015, 2_016] {
        for (field, change) in changes {
            let mut chain = HeaderChain::new(Network::Mainnet);
            chain.extend(&headers[1..height], NOW).unwrap();
            let before = chain.clone();
            let mut changed = headers[height..].to_vec();
            change(&mut changed[0]);
            let error = chain.extend(&changed[..1], NOW).unwrap_err();
            let hash = changed[0].hash();
            match &error {
                // Without a known parent the height is unknown.
                HeaderChainError::ProofOfWork { position: 0, .. } if field == "previous" => {
                    assert_eq!(error.score(), 50);
                }
                HeaderChainError::InvalidHeader {
                    position: 0,
                    hash: got,
                    error:
                        ChainRuleError::ProofOfWork {
                            height: at,
                            error: cause,
                        },
                } if field != "previous" => {
                    assert_eq!((*got, *at as usize), (hash, height), "{field}");
                    let above = matches!(cause, ProofOfWorkError::HashAboveTarget { .. });
                    assert!(above, "{field}: {cause}");
                    assert_eq!(error.score(), 50);
                }
                other => panic!("{field} at {height}: {other}"),
            }
            assert_eq!(chain.tip(), before.tip());
            connected(chain.extend(&headers[height..], NOW), &headers[height..]);
        }
    }
}

#[test]
fn unlinked_list_is_rejected_whole() {
    let headers = mine_easy(&genesis(), 1, 5);
    let mut list = headers.clone();
    list.remove(2);
    let mut chain = HeaderChain::new(Network::Regtest);
    let error = HeaderChainError::NotLinked {
        position: 2,
        expected: headers[1].hash(),
        got: headers[2].hash(),
    };
    assert_eq!(error.score(), 20);
    assert_eq!(error.position(), None);
    assert_eq!(chain.extend(&list, NOW), Err(error));
    assert_active(&chain, &[]);
}

/// An invalid header in the middle of a list leaves the chain unchanged, and the valid part can be
/// added as a node does.
#[test]
fn valid_prefix_can_be_added_after_error() {
    let mut headers = mine_easy(&genesis(), 1, 6);
    let bits = CompactTarget(0x207f_fffe);
    headers[4] = mine(headers[3].hash(), headers[3].time + 600, bits, 1);
    headers[5] = mine(headers[4].hash(), headers[4].time + 600, EASY, 1);
    let mut chain = HeaderChain::new(Network::Regtest);
    let error = chain.extend(&headers, NOW).unwrap_err();
    assert_eq!(
        error,
        HeaderChainError::InvalidHeader {
            position: 4,
            hash: headers[4].hash(),
            error: ChainRuleError::BitsMismatch {
                height: 5,
                expected: EASY,
                got: bits
            },
        }
    );
    assert_eq!((error.score(), error.position()), (100, Some(4)));
    assert_active(&chain, &[]);
    connected(chain.extend(&headers[..4], NOW), &headers[..4]);
    let next = mine_easy(&headers[3], 2, 3);
    connected(chain.extend(&next, NOW), &next);
}

#[test]
fn rules_apply_after_known_headers() {
    let headers = mine_easy(&genesis(), 1, 20);
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&headers, NOW).unwrap();
    // Not later than the median of the 11 headers up to the parent, on the tip and on a side chain.
    for parent in [19, 14] {
        let median = headers[parent - 5].time;
        let old = mine(headers[parent].hash(), median, EASY, 9);
        let mut list = headers[..=parent].to_vec();
        list.push(old);
        let error = chain.extend(&list, NOW).unwrap_err();
        assert_eq!(
            error,
            HeaderChainError::InvalidHeader {
                position: parent + 1,
                hash: old.hash(),
                error: ChainRuleError::TimeTooOld {
                    height: parent as u32 + 2,
                    median,
                    got: median
                },
            }
        );
        let valid = mine(headers[parent].hash(), median + 1, EASY, 9);
        chain.clone().extend(&[valid], NOW).unwrap();
    }
    let latest = NOW + 7_200;
    let early = mine(headers[19].hash(), latest + 1, EASY, 9);
    let error = chain.extend(&[early], NOW).unwrap_err();
    let expected = ChainRuleError::TimeTooNew {
        height: 21,
        latest,
        got: latest + 1,
    };
    assert_eq!(error.rule(), Some(&expected));
    // The rejection is not remembered.
    connected(chain.extend(&[early], NOW + 1), &[early]);
}

#[test]
fn outdated_version_is_rejected() {
    let headers = mine_easy(&genesis(), 1, 1_250);
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&headers, NOW).unwrap();
    let mut outdated = mine_easy(&headers[1_249], 1, 1)[0];
    outdated.version = 2;
    while outdated.check_proof_of_work(&Network::Regtest).is_err() {
        outdated.nonce += 1;
    }
    let error = chain.extend(&[outdated], NOW).unwrap_err();
    let expected = ChainRuleError::VersionTooLow {
        height: 1_251,
        minimum: 3,
        got: 2,
    };
    assert_eq!((error.rule(), error.score()), (Some(&expected), 0));
}

#[test]
fn first_of_equal_branches_stays_active() {
    let common = mine_easy(&genesis(), 0, 3);
    let one = mine_easy(&common[2], 1, 4);
    let other = mine_easy(&common[2], 2, 4);
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&common, NOW).unwrap();
    chain.extend(&one, NOW).unwrap();
    let side = ExtendOutcome::SideChain { headers: 4 };
    assert_eq!(chain.extend(&other, NOW), Ok(side));
    assert_active(&chain, &[&common[..], &one].concat());
    // One more block decides, back and forth.
    let more = mine_easy(&other[3], 2, 1);
    let new = [&other[..], &more].concat();
    reorganized(chain.extend(&more, NOW), &one, &new);
    assert_active(&chain, &[&common[..], &new].concat());
    let back = mine_easy(&one[3], 1, 2);
    let old = [&one[..], &back].concat();
    reorganized(chain.extend(&back, NOW), &new, &old);
    assert_active(&chain, &[&common[..], &old].concat());
}

/// Checks that the depth of a branch is not limited: a limit of 288 blocks made chains with more
/// work unreachable.
#[test]
fn heavier_branch_wins_at_any_depth() {
    for depth in [288, 289, 300, 5_000] {
        let short = mine_easy(&genesis(), 1, depth);
        let long = mine_easy(&genesis(), 2, depth + 1);
        let mut chain = HeaderChain::new(Network::Regtest);
        for piece in short.chunks(2_000) {
            extend_from(&mut chain, 1, piece).unwrap();
        }
        let mut outcome = None;
        for piece in long.chunks(2_000) {
            outcome = Some(extend_from(&mut chain, 2, piece));
        }
        reorganized(outcome.unwrap(), &short, &long);
        assert_active(&chain, &long);
        let back = mine_easy(&short[depth - 1], 1, 2);
        let short = [&short[..], &back].concat();
        reorganized(extend_from(&mut chain, 1, &back), &long, &short);
    }
}

/// Easy headers of any source once became the tip, and 289 of them locked out the chain with more
/// work.
#[test]
fn easy_headers_do_not_extend_harder_chain() {
    let rules = retargeting();
    let mut chain = HeaderChain::new(rules.clone());
    // Blocks twice as fast as intended raise the difficulty.
    let honest = mine_valid(&chain, 1, 600, 300);
    let required = honest[599].bits;
    assert!(required.work() > Work::from_u128(8), "{required}");
    chain.extend(&honest[..500], NOW).unwrap();
    let easy = mine_easy(&honest[499], 2, 289);
    for count in [1, 6, 289] {
        let error = extend_from(&mut chain, 2, &easy[..count]).unwrap_err();
        let expected = ChainRuleError::BitsMismatch {
            height: 501,
            expected: chain.next_bits(easy[0].time).unwrap(),
            got: EASY,
        };
        assert_eq!((error.rule(), error.score()), (Some(&expected), 100));
    }
    connected(chain.extend(&honest[500..], NOW), &honest[500..]);

    // The easy headers may also come before the first honest header. They are valid at the limit,
    // and replaced by more work.
    let mut chain = HeaderChain::new(rules);
    let easy = mine_valid(&chain, 3, 289, 600);
    extend_from(&mut chain, 2, &easy).unwrap();
    assert_eq!(chain.tip().0, 289);
    reorganized(extend_from(&mut chain, 1, &honest), &easy, &honest);
    assert_active(&chain, &honest);
}

/// Findings: one header with the easiest target, mined in two minutes, was reported as a mainnet
/// tip.
#[test]
fn cheap_mainnet_header_is_rejected() {
    const PARENT: &str = "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000\
        e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695";
    let mut bytes = [0; 80];
    hex::decode_to_slice(PARENT.replace(' ', ""), &mut bytes).unwrap();
    let parent = BlockHeader::from_bytes(&bytes);
    let cheap = cheap_header();
    assert_eq!(cheap.previous, parent.hash());
    assert_eq!(cheap.check_proof_of_work(&Network::Mainnet), Ok(()));
    let rules = bsv_p2p::wire::ChainRules::new(Network::Mainnet);
    // The bits are those of the parent inside a period of 2,016 blocks.
    let ancestors = vec![parent; 20];
    let branch = bsv_p2p::wire::HeaderSlice::new(125_533, &ancestors).unwrap();
    let error = rules.check_header(&branch, &cheap, cheap.hash(), NOW);
    let expected = ChainRuleError::BitsMismatch {
        height: 125_553,
        expected: CompactTarget(0x1a44_b9f2),
        got: CompactTarget(0x1d00_ffff),
    };
    assert_eq!(error, Err(expected));
}

#[test]
fn headers_iterate_over_ranges() {
    let headers = mine_easy(&genesis(), 1, 10);
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&headers, NOW).unwrap();
    let collect = |range: std::ops::Range<u32>| -> Vec<BlockHeader> {
        chain.headers(range).copied().collect()
    };
    assert_eq!(collect(1..4), headers[..3]);
    assert_eq!(collect(9..99), headers[8..]);
    assert_eq!(collect(11..99), []);
    #[allow(clippy::reversed_empty_ranges, reason = "an empty range is no error")]
    let reversed = collect(5..2);
    assert_eq!(reversed, []);
    assert_eq!(chain.headers(..).len(), 11);
    assert_eq!(chain.headers(..=3).next_back(), Some(&headers[2]));
    assert_eq!(
        chain.headers(8..=u32::MAX).rev().next_back(),
        Some(&headers[7])
    );
}

#[test]
fn tips_list_every_branch() {
    let common = mine_easy(&genesis(), 0, 3);
    let active = mine_easy(&common[2], 1, 4);
    let side = mine_easy(&common[0], 2, 3);
    let upper = mine_easy(&side[1], 3, 1);
    let mut chain = HeaderChain::new(Network::Regtest);
    for headers in [&common, &active, &side, &upper] {
        chain.extend(headers, NOW).unwrap();
    }
    let tips = chain.tips();
    let shape = |at: usize| (tips[at].height, tips[at].hash, tips[at].branch_len);
    assert_eq!(tips.len(), 3);
    assert_eq!(shape(0), (7, active[3].hash(), 0));
    let others = [(4, side[2].hash(), 3), (4, upper[0].hash(), 3)];
    assert!(others.contains(&shape(1)) && others.contains(&shape(2)));
    assert!(shape(1) != shape(2) && tips[0].is_active && !tips[1].is_active);
    assert_eq!(tips[1].work, chain.work_of(&side[2].hash()).unwrap());

    let point = |one: &BlockHeader, other: &BlockHeader| {
        chain.fork_point(&one.hash(), &other.hash()).unwrap()
    };
    assert_eq!(point(&upper[0], &side[2]), (3, side[1].hash()));
    assert_eq!(point(&side[2], &active[3]), (1, common[0].hash()));
    assert_eq!(point(&active[3], &upper[0]), (1, common[0].hash()));
    assert_eq!(point(&common[0], &side[0]), (1, common[0].hash()));
    assert_eq!(point(&active[1], &active[3]), (5, active[1].hash()));
    assert_eq!(
        chain.fork_point(&BlockHash([9; 32]), &genesis().hash()),
        None
    );
    assert_eq!(chain.confirmations(&side[2].hash()), None);
}

#[test]
fn locator_starts_on_requested_branch() {
    let active = mine_easy(&genesis(), 1, 40);
    let side = mine_easy(&active[9], 2, 20);
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&active, NOW).unwrap();
    chain.extend(&side, NOW).unwrap();
    let locator = chain.locator();
    assert_eq!(locator[..2], [active[39].hash(), active[38].hash()]);
    assert_eq!(locator.last(), Some(&genesis().hash()));
    let locator = chain.locator_from(&side[19].hash()).unwrap();
    assert_eq!(locator[..2], [side[19].hash(), side[18].hash()]);
    let fork = locator.iter().position(|hash| *hash == active[9].hash());
    assert!(fork.is_some_and(|at| locator[at + 1] == active[8].hash()));
    assert_eq!(locator.last(), Some(&genesis().hash()));
    assert_eq!(chain.locator_from(&BlockHash([9; 32])), None);
}

#[test]
fn median_time_uses_existing_headers() {
    let headers = mine_easy(&genesis(), 1, 12);
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&headers, NOW).unwrap();
    assert_eq!(chain.median_time_at(0), Some(genesis().time));
    assert_eq!(chain.median_time_at(1), Some(headers[0].time));
    assert_eq!(chain.median_time_at(12), Some(headers[6].time));
    assert_eq!(chain.median_time_at(13), None);
}

fn cheap_header() -> BlockHeader {
    const CHEAP: &str = include_str!("../vectors/headers/mainnet-cheap-125553.hex");
    let mut bytes = [0; 80];
    hex::decode_to_slice(CHEAP.trim(), &mut bytes).unwrap();
    BlockHeader::from_bytes(&bytes)
}

#[test]
fn side_headers_keep_their_merkle_root() {
    let headers = mine_easy(&genesis(), 7, 2);
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&mine_easy(&genesis(), 1, 3), NOW).unwrap();
    chain.extend(&headers, NOW).unwrap();
    let found = chain.header(&headers[1].hash()).unwrap();
    let mut root = [0; 32];
    root[0] = 7;
    assert_eq!(found.merkle_root, MerkleRoot(root));
    assert_eq!(chain.height_of(&headers[1].hash()), Some(2));
}
