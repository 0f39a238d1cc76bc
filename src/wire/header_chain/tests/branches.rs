//! Branches: which of them is the chain, and how many are kept.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[test]
fn of_two_branches_with_the_same_work_the_first_seen_stays() {
    let mut chain = HeaderChain::new(NETWORK);
    let first = mine_chain(genesis(), 1, 3);
    let second = mine_chain(genesis(), 2, 3);
    chain.extend(&first).unwrap();
    assert_eq!(
        chain.extend(&second),
        Ok(Extended::SideChain { headers: 3 })
    );
    assert_eq!(chain.extend(&second), Ok(Extended::Known));
    assert_active(&chain, &first);
    let tip = second[2].hash();
    assert_eq!(chain.height_of(&tip), Some(3));
    assert!(chain.contains(&tip) && !chain.is_active(&tip));
}

#[test]
fn the_branch_with_more_work_takes_over_and_every_block_is_named_in_order() {
    let mut chain = HeaderChain::new(NETWORK);
    let common = mine_chain(genesis(), 0, 3);
    let fork = common[2].hash();
    let (old, new) = (mine_chain(fork, 1, 3), mine_chain(fork, 2, 5));
    chain.extend(&[&common[..], &old].concat()).unwrap();
    assert_eq!(
        chain.extend(&new[..2]),
        Ok(Extended::SideChain { headers: 2 })
    );
    // The rest comes with known ones before it, overtakes on the way and goes on.
    let mut disconnected = hashes(&old);
    disconnected.reverse();
    let expected = Extended::NewTip {
        disconnected,
        connected: hashes(&new),
    };
    assert_eq!(chain.extend(&new), Ok(expected));
    assert_active(&chain, &[&common[..], &new].concat());

    // And back: the old branch was kept and may grow again.
    let back = mine_chain(old[2].hash(), 1, 3);
    let mut disconnected = hashes(&new);
    disconnected.reverse();
    let expected = Extended::NewTip {
        disconnected,
        connected: hashes(&[&old[..], &back].concat()),
    };
    assert_eq!(chain.extend(&back), Ok(expected));
    assert_active(&chain, &[&common[..], &old, &back].concat());
}

#[test]
fn work_decides_and_not_length() {
    let mut chain = HeaderChain::new(NETWORK);
    let long = mine_chain(genesis(), 1, 7);
    chain.extend(&long).unwrap();
    let hard = mine(genesis(), 2, HARD);
    let mut disconnected = hashes(&long);
    disconnected.reverse();
    let expected = Extended::NewTip {
        disconnected,
        connected: vec![hard.hash()],
    };
    assert_eq!(chain.extend(&[hard]), Ok(expected));
    assert_active(&chain, &[hard]);
    // The long branch has to do 8 times the work of one of its blocks.
    let more = mine_chain(long[6].hash(), 1, 2);
    assert_eq!(
        chain.extend(&more[..1]),
        Ok(Extended::SideChain { headers: 1 })
    );
    assert!(matches!(
        chain.extend(&more[1..]),
        Ok(Extended::NewTip { .. })
    ));
    assert_active(&chain, &[&long[..], &more].concat());
}

#[test]
fn branches_of_branches_find_their_way_after_a_reorganisation() {
    let mut chain = HeaderChain::new(NETWORK);
    let trunk = mine_chain(genesis(), 0, 4);
    chain.extend(&trunk).unwrap();
    let branch = mine_chain(trunk[1].hash(), 1, 4);
    // Twigs on the trunk, below and above the fork, and on the branch.
    let low = mine_chain(trunk[0].hash(), 2, 2);
    let high = mine_chain(trunk[2].hash(), 3, 1);
    let twig = mine_chain(branch[1].hash(), 4, 1);
    chain.extend(&low).unwrap();
    chain.extend(&high).unwrap();
    chain.extend(&branch[..2]).unwrap();
    chain.extend(&twig).unwrap();
    chain.extend(&branch[2..]).unwrap();
    let active = [&trunk[..2], &branch].concat();
    assert_active(&chain, &active);
    let fork = |header: &BlockHeader| chain.place_of(&header.hash()).unwrap().fork;
    assert_eq!(fork(&low[1]), 1);
    assert_eq!(fork(&high[0]), 2, "its parent is beside the chain now");
    assert_eq!(fork(&trunk[3]), 2);
    assert_eq!(fork(&twig[0]), 4, "its parent is on the chain now");
    // Each can still take over.
    for tip in [&low[1], &high[0], &twig[0], &trunk[3]] {
        let mut chain = chain.clone();
        let more = mine_chain(tip.hash(), 5, 9);
        chain.extend(&more).unwrap();
        assert_eq!(chain.tip().1, more[8].hash());
        let mut work = Work::ZERO;
        for height in 0..=chain.tip().0 {
            let header = chain.header_at(height).unwrap();
            work = work.saturating_add(header.bits.work());
            assert_eq!(chain.height_of(&header.hash()), Some(height));
        }
        assert_eq!(chain.total_work(), work);
    }
}

#[test]
fn a_branch_that_leaves_the_chain_too_deep_is_refused_and_forgotten() {
    let mut chain = HeaderChain::new(NETWORK).with_fork_depth(5);
    let trunk = mine_chain(genesis(), 0, 7);
    chain.extend(&trunk[..5]).unwrap();
    let branch = mine_chain(genesis(), 1, 7);
    assert_eq!(
        chain.extend(&branch[..2]),
        Ok(Extended::SideChain { headers: 2 })
    );
    // As deep as allowed, it may take over.
    let mut other = chain.clone();
    assert!(matches!(other.extend(&branch), Ok(Extended::NewTip { .. })));
    assert_active(&other, &branch);

    chain.extend(&trunk[5..6]).unwrap();
    let (depth, limit) = (6, 5);
    let too_deep = HeaderChainError::ForkTooDeep { depth, limit };
    assert_refused(&mut chain, &branch, too_deep);
    assert!(!chain.contains(&branch[1].hash()));
    let error = HeaderChainError::UnknownParent {
        header: branch[2].hash(),
        parent: branch[1].hash(),
    };
    assert_refused(&mut chain, &branch[2..], error);
    assert_eq!(chain.branches.len(), 0);
}

#[test]
fn a_reorganisation_as_deep_as_allowed_keeps_nothing_that_cannot_come_back() {
    let mut chain = HeaderChain::new(NETWORK).with_fork_depth(3);
    let old = mine_chain(genesis(), 0, 3);
    let new = mine_chain(genesis(), 1, 5);
    chain.extend(&old).unwrap();
    assert!(matches!(chain.extend(&new), Ok(Extended::NewTip { .. })));
    assert_active(&chain, &new);
    assert!(!old.iter().any(|header| chain.contains(&header.hash())));
}

#[test]
fn headers_beside_the_chain_are_bounded() {
    let max = HeaderChain::MAX_SIDE_HEADERS;
    let mut chain = HeaderChain::new(NETWORK).with_fork_depth(u32::MAX);
    // A little more work than twice the limit's easy blocks.
    let trunk = mine(genesis(), 0, 0x1f02_ffff);
    chain.extend(&[trunk]).unwrap();
    let branch = mine_chain(genesis(), 1, max + 1);
    let (needed, left) = (max + 1, max);
    assert_refused(
        &mut chain,
        &branch,
        HeaderChainError::NoRoom { needed, left },
    );
    let expected = Extended::SideChain { headers: max };
    assert_eq!(chain.extend(&branch[..max]), Ok(expected));
    let (needed, left) = (1, 0);
    assert_refused(
        &mut chain,
        &branch[max..],
        HeaderChainError::NoRoom { needed, left },
    );
    // The tip has room all the same, and so has a branch that takes over at once.
    let next = mine(chain.tip().1, 0, EASY);
    assert_eq!(chain.extend(&[next]), Ok(connected(&[next])));
    let heavier = [mine(trunk.hash(), 2, HARD)];
    assert!(matches!(
        chain.extend(&heavier),
        Ok(Extended::NewTip { .. })
    ));
}

/// The hashes of the active chain, from the first one on.
fn line_of(chain: &HeaderChain) -> Vec<BlockHash> {
    let heights = 0..=chain.tip().0;
    heights.map(|at| chain.hash_at(at).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_grows_where_the_first_with_the_most_work_is_the_tip(
        blocks in proptest::collection::vec((any::<Index>(), any::<bool>(), 0..3_u8), 1..60),
    ) {
        let mut chain = HeaderChain::new(NETWORK);
        let first = BlockHeader::genesis(NETWORK);
        let mut all = vec![(first, 0_u32, first.bits.work())];
        let mut best = all[0];
        for (number, (parent, late, kind)) in (0_u8..).zip(blocks) {
            // Mostly near the newest, so that branches grow.
            let from = if late { all.len().saturating_sub(3) } else { 0 };
            let (parent, height, work) = all[from + parent.index(all.len() - from)];
            let header = mine(parent.hash(), number, if kind == 0 { HARD } else { EASY });
            let this = (header, height + 1, work.saturating_add(header.bits.work()));
            let mut line = line_of(&chain);
            let extended = chain.extend(&[header]).unwrap();
            all.push(this);
            if this.2 > best.2 {
                best = this;
                let Extended::NewTip { disconnected, connected } = extended else {
                    return Err(TestCaseError::fail("no new tip"));
                };
                // What was there, without what left, with what joined, is what is there.
                for hash in disconnected {
                    prop_assert_eq!(line.pop(), Some(hash));
                }
                line.extend(connected);
                prop_assert_eq!(line, line_of(&chain));
            } else {
                prop_assert_eq!(extended, Extended::SideChain { headers: 1 });
            }
            prop_assert_eq!(chain.tip(), (best.1, best.0.hash()));
            prop_assert_eq!(chain.total_work(), best.2);
            for (header, height, _) in &all {
                prop_assert_eq!(chain.height_of(&header.hash()), Some(*height));
            }
        }
    }
}
