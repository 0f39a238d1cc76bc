//! Chains of networks that a caller defines.

use bsv_p2p::wire::{
    BlockHash, BlockHeader, ChainRuleError, ChainRules, CheckpointStart, HeaderChain, Work,
};
use bsv_p2p::{Network, NetworkParams};
use test_support::private_network::private_params;

use crate::miner::*;

/// Returns a chain of a network with the 144-block rule, and `count` valid headers.
fn retargeting_network(count: usize) -> (NetworkParams, Vec<BlockHeader>) {
    let mut params = private_params("lab", 1);
    params.retargeting = true;
    params.min_difficulty_blocks = false;
    let network = Network::custom(params.clone()).unwrap();
    (
        params,
        mine_valid(&HeaderChain::new(network), 1, count, 400),
    )
}

#[test]
fn custom_network_has_its_own_genesis_and_rules() {
    let params = private_params("lab", 1);
    let mut chain = HeaderChain::new(Network::custom(params.clone()).unwrap());
    assert_eq!(chain.tip(), (0, params.genesis_header.hash()));
    assert_ne!(params.genesis_header, genesis());
    let headers = mine_easy(&params.genesis_header, 1, 3);
    // Version 4 is required from the first block on.
    let mut old = BlockHeader {
        version: 3,
        ..headers[0]
    };
    while old.check_proof_of_work(&Network::Regtest).is_err() {
        old.nonce += 1;
    }
    let error = chain.extend(&[old], NOW).unwrap_err();
    let too_low = ChainRuleError::VersionTooLow {
        height: 1,
        minimum: 4,
        got: 3,
    };
    assert_eq!(error.rule(), Some(&too_low));
    chain.extend(&headers[..2], NOW).unwrap();
    assert!(chain.total_work() < chain.rules().minimum_work());
    chain.extend(&headers[2..], NOW).unwrap();
    assert_eq!(chain.total_work(), chain.rules().minimum_work());
    assert!(chain.extend(&mine_easy(&genesis(), 2, 1), NOW).is_err());
}

#[test]
fn checkpoints_of_custom_network_exclude_other_chains() {
    let (mut params, headers) = retargeting_network(400);
    let other = HeaderChain::new(Network::custom(params.clone()).unwrap());
    let other = mine_valid(&other, 2, 200, 400);
    params.checkpoints = vec![(200, headers[199].hash()), (350, headers[349].hash())];
    let network = Network::custom(params).unwrap();
    let mut chain = HeaderChain::new(&network);
    let error = chain.extend(&other, NOW).unwrap_err();
    let mismatch = ChainRuleError::CheckpointMismatch {
        height: 200,
        expected: headers[199].hash(),
        got: other[199].hash(),
    };
    assert_eq!(error.rule(), Some(&mismatch));
    chain.extend(&headers, NOW).unwrap();
    assert_eq!(chain.tip(), (400, headers[399].hash()));
    // A chain can start at the last checkpoint.
    assert!(CheckpointStart::new(&network, 350).is_ok());
    assert!(CheckpointStart::new(&network, 250).is_err());
}

#[test]
fn custom_network_follows_the_difficulty_rules() {
    let (params, headers) = retargeting_network(300);
    let limit = params.proof_of_work_limit;
    // Blocks are 400 s apart, so the 144-block rule raises the difficulty.
    assert!(headers[..147].iter().all(|header| header.bits == limit));
    assert_ne!(headers[299].bits, limit);
    let network = Network::custom(params.clone()).unwrap();
    let mut chain = HeaderChain::new(&network);
    chain.extend(&headers[..299], NOW).unwrap();
    let easy = mine_easy(&headers[298], 3, 1);
    let error = chain.extend(&easy, NOW).unwrap_err();
    assert!(matches!(
        error.rule(),
        Some(ChainRuleError::BitsMismatch { height: 300, .. })
    ));
    // Without retargeting the same network accepts no other target than the limit.
    let fixed = NetworkParams {
        retargeting: false,
        ..params
    };
    let error = HeaderChain::new(Network::custom(fixed).unwrap())
        .extend(&headers, NOW)
        .unwrap_err();
    assert!(matches!(
        error.rule(),
        Some(ChainRuleError::BitsMismatch { .. })
    ));
}

#[test]
fn builtin_networks_have_their_checkpoints_and_work() {
    for (network, checkpoints, last, work) in [
        (
            Network::Mainnet,
            38,
            945_000,
            Work::from_u128(0x00a0_f306_4330_647e_2f6c_4828),
        ),
        (
            Network::Testnet,
            21,
            1_730_000,
            Work::from_u128(0x2a_650f_6ff7_6494_85da),
        ),
        (Network::Stn, 0, 0, Work::ZERO),
        (Network::Regtest, 0, 0, Work::ZERO),
        (Network::Teratestnet, 3, 18_000, Work::ZERO),
        (Network::Tstn, 0, 0, Work::ZERO),
    ] {
        let rules = ChainRules::new(network);
        assert_eq!(rules.checkpoints().len(), checkpoints);
        assert_eq!(rules.checkpoints().last().map_or(0, |one| one.0), last);
        assert_eq!(rules.minimum_work(), work);
    }
    let rules = ChainRules::new(Network::Teratestnet);
    let expected = "00000000038392cdae17df19464dfcccadb754b24441d11f3294cc04a90749b8";
    assert_eq!(
        rules.checkpoint_at(5_000),
        expected.parse::<BlockHash>().ok()
    );
}
