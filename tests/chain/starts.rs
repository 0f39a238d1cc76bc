//! Chains that start with trusted headers or at a checkpoint.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHeader, ChainRuleError, ChainRules, CheckpointStart, ExtendOutcome, HeaderChain,
    HeaderChainError, Work,
};

use crate::miner::*;

/// Returns 600 valid headers after genesis under the 144-block rule, with rising difficulty.
fn valid_headers() -> Vec<BlockHeader> {
    mine_valid(&HeaderChain::new(retargeting()), 1, 600, 400)
}

#[test]
fn trusted_start_verifies_every_later_rule() {
    let headers = valid_headers();
    let mut whole = HeaderChain::new(retargeting());
    whole.extend(&headers, NOW).unwrap();
    let trusted = &headers[300 - 147..300];
    let work = whole.work_at(300).unwrap();
    let mut chain = HeaderChain::from_trusted(retargeting(), trusted, 154, work).unwrap();
    assert_eq!((chain.first_height(), chain.tip().0), (154, 300));
    assert_eq!(chain.total_work(), work);
    assert_eq!(chain.header_at(153), None);
    let easy = mine_easy(&headers[299], 2, 1);
    let error = chain.extend(&easy, NOW).unwrap_err();
    assert!(matches!(
        error.rule(),
        Some(ChainRuleError::BitsMismatch { height: 301, .. })
    ));
    chain.extend(&headers[300..], NOW).unwrap();
    assert_eq!(chain.tip(), whole.tip());
    assert_eq!(chain.total_work(), whole.total_work());
    for height in 154..=600 {
        assert_eq!(chain.work_at(height), whole.work_at(height));
    }
    assert_eq!(chain.locator().last(), Some(&genesis().hash()));
}

#[test]
fn too_few_trusted_headers_are_rejected() {
    let headers = valid_headers();
    let error = HeaderChain::from_trusted(retargeting(), &headers[200..346], 201, None);
    let (needed, got) = (147, 146);
    let expected = HeaderChainError::TooFewTrusted { needed, got };
    assert_eq!(error.unwrap_err(), expected);
    let error = HeaderChain::from_trusted(retargeting(), &[], 0, None);
    let (needed, got) = (1, 0);
    let expected = HeaderChainError::TooFewTrusted { needed, got };
    assert_eq!(error.unwrap_err(), expected);
    // Before the 144-block rule the headers since the last retarget are needed.
    let rules = retargeting().with_daa_height(1_000_000);
    let error = HeaderChain::from_trusted(rules, &headers[200..400], 2_016 + 200, None);
    let (needed, got) = (400, 200);
    let expected = HeaderChainError::TooFewTrusted { needed, got };
    assert_eq!(error.unwrap_err(), expected);
}

#[test]
fn invalid_trusted_headers_are_rejected() {
    let headers = valid_headers();
    let start = |headers: &[BlockHeader], height, work: Option<Work>| {
        HeaderChain::from_trusted(retargeting(), headers, height, work).unwrap_err()
    };
    let mut unlinked = headers[..200].to_vec();
    unlinked.remove(50);
    let error = start(&unlinked, 1, None);
    assert!(matches!(
        error,
        HeaderChainError::NotLinked { position: 50, .. }
    ));
    let error = start(&headers[..200], 0, None);
    let (expected, got) = (genesis().hash(), headers[0].hash());
    assert_eq!(error, HeaderChainError::GenesisMismatch { expected, got });
    let error = start(&headers[..200], 1, Some(Work::from_u128(3)));
    assert!(matches!(error, HeaderChainError::InvalidTotalWork { .. }));
    let error = start(&headers[..200], u32::MAX - 10, None);
    assert_eq!(error, HeaderChainError::InvalidHeight(u32::MAX));
    let checkpoint = [(100, headers[100].hash())];
    let rules = retargeting().with_checkpoints(checkpoint).unwrap();
    let error = HeaderChain::from_trusted(rules, &headers[..200], 1, None).unwrap_err();
    assert!(matches!(
        error.rule(),
        Some(ChainRuleError::CheckpointMismatch { height: 100, .. })
    ));
}

#[test]
fn unknown_work_needs_last_checkpoint() {
    let headers = valid_headers();
    let minimum = Work::from_u128(1 << 100);
    let rules = |height: usize| {
        let checkpoint = [(height as u32, headers[height - 1].hash())];
        let rules = retargeting().with_checkpoints(checkpoint).unwrap();
        rules.with_minimum_work(minimum)
    };
    let start = |rules, work| {
        let trusted = &headers[99..299];
        HeaderChain::from_trusted(rules, trusted, 100, work).unwrap()
    };
    assert!(start(rules(200), None).has_minimum_work());
    let mut chain = start(rules(300), None);
    assert!(!chain.has_minimum_work());
    chain.extend(&headers[299..300], NOW).unwrap();
    assert!(chain.has_minimum_work());
    // With known work only the work counts.
    assert!(!start(rules(200), Some(Work::from_u128(1 << 99))).has_minimum_work());
    assert!(start(rules(200), Some(minimum)).has_minimum_work());
}

fn checkpoint_rules(headers: &[BlockHeader]) -> ChainRules {
    let checkpoints =
        [50, 100, 250, 300].map(|height: usize| (height as u32, headers[height - 1].hash()));
    retargeting().with_checkpoints(checkpoints).unwrap()
}

#[test]
fn checkpoint_start_collects_headers() {
    let headers = valid_headers();
    let rules = checkpoint_rules(&headers);
    let mut start = CheckpointStart::new(rules.clone(), 300).unwrap();
    assert_eq!(start.first_height(), 101);
    assert_eq!(start.locator(), [headers[99].hash()]);
    assert!(start.add(&headers[100..200], NOW).unwrap().is_none());
    assert!(start.add(&[], NOW).unwrap().is_none());
    assert_eq!(start.locator(), [headers[199].hash()]);
    let chain = start.add(&headers[200..450], NOW).unwrap().unwrap();
    assert_eq!(chain.first_height(), 101);
    assert_eq!(chain.tip(), (450, headers[449].hash()));
    assert!(chain.has_minimum_work());
    // The checkpoint between is verified as well.
    let mut start = CheckpointStart::new(rules, 250).unwrap();
    assert_eq!(start.first_height(), 101);
    let chain = start.add(&headers[100..250], NOW).unwrap().unwrap();
    assert_eq!(chain.tip().0, 250);
}

#[test]
fn checkpoint_start_rejects_other_chain() {
    let headers = valid_headers();
    let other = mine_easy(&headers[99], 5, 250);
    let mut start = CheckpointStart::new(checkpoint_rules(&headers), 300).unwrap();
    assert!(start.add(&other[..150], NOW).unwrap().is_none());
    let error = start.add(&other[150..], NOW).unwrap_err();
    assert_eq!(error.score(), 100);
    let (expected, got) = (headers[299].hash(), other[199].hash());
    let rule = ChainRuleError::CheckpointMismatch {
        height: 300,
        expected,
        got,
    };
    assert_eq!(error.rule(), Some(&rule));
    // Everything is dropped, and the next source starts again.
    assert_eq!(start.locator(), [headers[99].hash()]);
    assert!(start.add(&headers[100..], NOW).unwrap().is_some());
}

#[test]
fn checkpoint_start_rejects_unlinked_headers() {
    let headers = valid_headers();
    let mut start = CheckpointStart::new(checkpoint_rules(&headers), 300).unwrap();
    let error = start.add(&headers[101..150], NOW).unwrap_err();
    assert!(matches!(error, HeaderChainError::UnknownParent { .. }));
    assert_eq!(start.locator(), [headers[99].hash()]);
}

#[test]
fn checkpoint_start_lists_possible_heights() {
    let rules = checkpoint_rules(&valid_headers());
    let error = CheckpointStart::new(rules, 100).unwrap_err();
    let expected = HeaderChainError::InvalidStartHeight {
        height: 100,
        possible: vec![250, 300],
    };
    assert_eq!(error, expected);
    for network in [Network::Mainnet, Network::Testnet] {
        let rules = ChainRules::new(network);
        let last = rules.checkpoints().last().unwrap().0;
        let start = CheckpointStart::new(rules, last).unwrap();
        assert!(last - start.first_height() >= 146);
    }
    assert!(CheckpointStart::new(Network::Regtest, 0).is_err());
}

#[test]
fn chain_from_genesis_trusts_given_headers() {
    let headers = [&[genesis()], &valid_headers()[..]].concat();
    let mut chain = HeaderChain::from_trusted(retargeting(), &headers[..200], 0, None).unwrap();
    let outcome = chain.extend(&headers[200..], NOW).unwrap();
    assert!(matches!(outcome, ExtendOutcome::NewTip { .. }));
    let mut whole = HeaderChain::new(retargeting());
    whole.extend(&headers[1..], NOW).unwrap();
    assert_eq!(chain.total_work(), whole.total_work());
}
