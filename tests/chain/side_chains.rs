//! Side chains: limits, fairness between sources, checkpoints.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, ChainRuleError, ChainRules, ExtendOutcome, HeaderChain,
    HeaderChainError, Work,
};
use proptest::prelude::*;

use crate::miner::*;

fn is_new_tip(outcome: &Result<ExtendOutcome, HeaderChainError>) -> bool {
    matches!(outcome, Ok(ExtendOutcome::NewTip { .. }))
}

/// Findings: 10,000 headers on side chains left no space for a race of two blocks at the tip.
#[test]
fn flood_does_not_block_race_at_tip() {
    let honest = mine_easy(&genesis(), 1, 402);
    for flood_source in [1, 2] {
        let mut chain = HeaderChain::new(Network::Regtest).with_side_capacity(10_000);
        extend_from(&mut chain, 1, &honest[..400]).unwrap();
        for tag in 0..26 {
            let junk = mine_easy(&genesis(), 100 + tag, 399);
            // The last one does not fit, and has no more work than the others.
            let _ = extend_from(&mut chain, flood_source, &junk);
        }
        assert_eq!(side_headers(&chain), 25 * 399);
        let rival = mine_easy(&honest[398], 7, 2);
        let outcome = extend_from(&mut chain, 1, &rival[..1]);
        assert_eq!(outcome, Ok(ExtendOutcome::SideChain { headers: 1 }));
        assert!(is_new_tip(&extend_from(&mut chain, 1, &rival[1..])));
        assert_eq!(chain.tip(), (401, rival[1].hash()));
        assert!(is_new_tip(&extend_from(&mut chain, 1, &honest[400..])));
    }
}

fn side_headers(chain: &HeaderChain) -> usize {
    let shown = format!("{chain:?}");
    let (_, count) = shown.split_once("side_headers: ").unwrap();
    count.trim_end_matches([' ', '}']).parse().unwrap()
}

#[test]
fn branch_with_least_work_is_evicted() {
    let active = mine_easy(&genesis(), 1, 20);
    let mut chain = HeaderChain::new(Network::Regtest).with_side_capacity(10);
    chain.extend(&active, NOW).unwrap();
    let low = mine_easy(&genesis(), 2, 5);
    let high = mine_easy(&active[9], 3, 5);
    for branch in [&low, &high] {
        chain.extend(branch, NOW).unwrap();
    }
    // As much work as the branch at the bottom: rejected. More: one header of that branch goes.
    let equal = mine_easy(&genesis(), 4, 5);
    let error = chain.extend(&equal, NOW).unwrap_err();
    let expected = HeaderChainError::SideChainLimit {
        needed: 5,
        available: 0,
    };
    assert_eq!(error, expected);
    assert_eq!(error.score(), 0);
    let more = mine_easy(&active[4], 5, 1);
    chain.extend(&more, NOW).unwrap();
    assert!(chain.contains(&low[3].hash()) && !chain.contains(&low[4].hash()));
    assert!(high.iter().all(|header| chain.contains(&header.hash())));
    assert_eq!(side_headers(&chain), 10);
    // The branch that is extended is never evicted for its own extension.
    let next = mine_easy(&more[0], 5, 4);
    chain.extend(&next, NOW).unwrap();
    assert!(chain.contains(&more[0].hash()) && chain.contains(&next[3].hash()));
    assert_eq!(side_headers(&chain), 10);
    assert!(!chain.contains(&low[0].hash()));
}

/// Twenty sources have filled the side chains with branches of more work than the first part of a
/// deep branch of another source, which has more work in all.
#[test]
fn share_of_source_is_guaranteed() {
    let active = mine_easy(&genesis(), 1, 300);
    let mut chain = HeaderChain::new(Network::Regtest).with_side_capacity(4_200);
    chain.extend(&active, NOW).unwrap();
    for source in 2..22 {
        for round in 0..3 {
            let junk = mine_easy(&active[99], 10 * source + round, 199);
            let _ = extend_from(&mut chain, u64::from(source), &junk);
        }
    }
    assert!(side_headers(&chain) > 4_000);
    let deep = mine_easy(&genesis(), 3, 301);
    for piece in deep[..200].chunks(50) {
        let outcome = extend_from(&mut chain, 1, piece);
        assert_eq!(outcome, Ok(ExtendOutcome::SideChain { headers: 50 }));
    }
    assert!(is_new_tip(&extend_from(&mut chain, 1, &deep[200..])));
    assert_eq!(chain.tip(), (301, deep[300].hash()));
    assert!(side_headers(&chain) <= 4_200);
}

#[test]
fn disconnected_branch_obeys_capacity() {
    let old = mine_easy(&genesis(), 1, 30);
    let new = mine_easy(&genesis(), 2, 31);
    let mut chain = HeaderChain::new(Network::Regtest).with_side_capacity(10);
    chain.extend(&old, NOW).unwrap();
    assert!(is_new_tip(&chain.extend(&new, NOW)));
    assert_eq!(side_headers(&chain), 10);
    assert!(chain.contains(&old[9].hash()) && !chain.contains(&old[10].hash()));
    // The rest of the branch is accepted again.
    let more = mine_easy(&old[29], 1, 2);
    let whole = [&old[..], &more].concat();
    assert!(is_new_tip(&chain.extend(&whole, NOW)));
    assert_eq!(chain.tip(), (32, more[1].hash()));
}

/// A chain of another currency has the same headers up to the split, and more work after it.
#[test]
fn heavier_branch_below_checkpoint_cannot_win() {
    let common = mine_easy(&genesis(), 0, 20);
    let own = mine_easy(&common[19], 1, 30);
    let other = mine_easy(&common[19], 2, 200);
    let rules = ChainRules::new(Network::Regtest)
        .with_checkpoints([(10, common[9].hash()), (21, own[0].hash())])
        .unwrap();

    // The other chain comes first, up to its first own block.
    let mut chain = HeaderChain::new(rules.clone());
    let error = chain
        .extend(&[&common[..], &other].concat(), NOW)
        .unwrap_err();
    let mismatch = ChainRuleError::CheckpointMismatch {
        height: 21,
        expected: own[0].hash(),
        got: other[0].hash(),
    };
    assert_eq!((error.rule(), error.score()), (Some(&mismatch), 100));
    assert_eq!(error.position(), Some(20));
    chain.extend(&common, NOW).unwrap();
    assert_eq!(
        chain.extend(&other, NOW).unwrap_err().rule(),
        Some(&mismatch)
    );
    assert!(is_new_tip(&chain.extend(&own, NOW)));

    // Later it forks below the last checkpoint.
    for parent in [&genesis(), &common[8], &common[18], &common[19]] {
        let height = chain.height_of(&parent.hash()).unwrap() + 1;
        let branch = mine_easy(parent, 3, 60);
        let error = chain.extend(&branch, NOW).unwrap_err();
        assert_eq!(error.score(), 100);
        let rule = error.rule().unwrap();
        assert!(rule.is_other_chain() && rule.height() == height, "{rule}");
    }
    let branch = mine_easy(&own[0], 3, 60);
    assert!(is_new_tip(&chain.extend(&branch, NOW)));
}

#[test]
fn reaching_checkpoint_drops_lower_branches() {
    let headers = mine_easy(&genesis(), 1, 40);
    let rules = ChainRules::new(Network::Regtest)
        .with_checkpoints([(20, headers[19].hash())])
        .unwrap();
    let mut chain = HeaderChain::new(rules);
    chain.extend(&headers[..15], NOW).unwrap();
    let low = mine_easy(&headers[4], 2, 5);
    let lower = mine_easy(&low[2], 3, 5);
    chain.extend(&low, NOW).unwrap();
    chain.extend(&lower, NOW).unwrap();
    assert_eq!(side_headers(&chain), 10);
    chain.extend(&headers[15..], NOW).unwrap();
    assert_eq!(side_headers(&chain), 0);
    let error = chain.extend(&mine_easy(&lower[4], 3, 90), NOW).unwrap_err();
    assert!(matches!(error, HeaderChainError::UnknownParent { .. }));
    // A branch above the checkpoint stays when the chain grows.
    chain.extend(&mine_easy(&headers[25], 4, 3), NOW).unwrap();
    chain.extend(&mine_easy(&headers[39], 1, 5), NOW).unwrap();
    assert_eq!(side_headers(&chain), 3);
}

#[test]
fn branches_survive_reorganizations_below_them() {
    let old = mine_easy(&genesis(), 1, 10);
    let on_old = mine_easy(&old[5], 2, 4);
    let new = mine_easy(&old[2], 3, 9);
    let mut chain = HeaderChain::new(Network::Regtest);
    for headers in [&old, &on_old, &new] {
        chain.extend(headers, NOW).unwrap();
    }
    assert_eq!(chain.tip(), (12, new[8].hash()));
    // The branch now forks from a side chain, and can still win.
    let point = chain.fork_point(&on_old[3].hash(), &new[8].hash());
    assert_eq!(point, Some((3, old[2].hash())));
    let more = mine_easy(&on_old[3], 2, 3);
    assert!(is_new_tip(&chain.extend(&more, NOW)));
    assert_eq!(chain.tip(), (13, more[2].hash()));
    let more = mine_easy(&old[9], 1, 4);
    assert!(is_new_tip(&chain.extend(&more, NOW)));
    assert_eq!(chain.tip(), (14, more[3].hash()));
    assert_eq!(chain.tips().len(), 3);
}

/// A step of the property test: `count` headers on top of an earlier header.
#[derive(Clone, Debug)]
struct Step {
    parent: prop::sample::Index,
    count: usize,
    source: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (any::<prop::sample::Index>(), 1..8_usize, 0..4_u64).prop_map(|(parent, count, source)| Step {
        parent,
        count,
        source,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The chain agrees with a model that keeps every header and its work.
    #[test]
    fn most_work_wins_in_any_order(steps in prop::collection::vec(step(), 1..40)) {
        let mut chain = HeaderChain::new(Network::Regtest);
        let mut known: Vec<(BlockHeader, u32, BlockHash)> = vec![(genesis(), 0, BlockHash::ZERO)];
        let mut best = (0, genesis().hash());
        for (tag, step) in (0..).zip(steps) {
            let (parent, height, _) = *step.parent.get(&known);
            let headers = mine_easy(&parent, tag, step.count);
            let before = chain.tip();
            let outcome = extend_from(&mut chain, step.source, &headers).unwrap();
            for (height, header) in (height + 1..).zip(&headers) {
                known.push((*header, height, header.previous));
            }
            let (last, top) = (headers[step.count - 1].hash(), height + step.count as u32);
            if top > best.0 {
                best = (top, last);
            }
            prop_assert_eq!(chain.tip(), best);
            if let ExtendOutcome::NewTip { disconnected, connected } = outcome {
                let (fork, _) = chain.fork_point(&before.1, &last).unwrap();
                prop_assert_eq!(disconnected.len() as u32, before.0 - fork);
                prop_assert_eq!(connected.len() as u32, top - fork);
                for (height, hash) in (fork + 1..).zip(&connected) {
                    prop_assert_eq!(chain.hash_at(height), Some(*hash));
                }
                prop_assert_eq!(disconnected.first(), (before.0 > fork).then_some(&before.1));
            }
        }
        for (header, height, previous) in &known {
            let hash = header.hash();
            prop_assert_eq!(chain.height_of(&hash), Some(*height));
            prop_assert_eq!(chain.header(&hash), Some(header));
            let work = Work::from_u128(2 * (u128::from(*height) + 1));
            prop_assert_eq!(chain.work_of(&hash), Some(work));
            prop_assert!(*height == 0 || chain.contains(previous));
        }
        let leaves = known.iter().filter(|(header, _, _)| {
            !known.iter().any(|(_, _, previous)| *previous == header.hash())
        });
        let active_is_leaf = 1;
        prop_assert_eq!(chain.tips().len(), leaves.count().max(active_is_leaf));
    }

    /// With little space the chain still follows the most work among what sources complete, never
    /// exceeds the space, and stays consistent.
    #[test]
    fn capacity_is_never_exceeded(
        steps in prop::collection::vec(step(), 1..60),
        capacity in 0..20_usize,
    ) {
        let mut chain = HeaderChain::new(Network::Regtest).with_side_capacity(capacity);
        let mut known = vec![genesis()];
        for (tag, step) in (0..).zip(steps) {
            let parent = *step.parent.get(&known);
            let headers = mine_easy(&parent, tag, step.count);
            let before = chain.total_work();
            let outcome = extend_from(&mut chain, step.source, &headers);
            prop_assert!(chain.total_work() >= before);
            prop_assert!(side_headers(&chain) <= capacity);
            let is_known = outcome.is_ok();
            prop_assert_eq!(chain.contains(&headers[step.count - 1].hash()), is_known);
            known.extend(headers.iter().filter(|_| is_known));
        }
        for tip in chain.tips() {
            let mut hash = tip.hash;
            while !chain.is_active(&hash) {
                hash = chain.header(&hash).unwrap().previous;
                prop_assert!(chain.contains(&hash));
            }
        }
    }
}
