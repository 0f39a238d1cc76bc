//! Files of other networks and rules are refused and unchanged.

use std::error::Error;
use std::fs;

use bsv_p2p::wire::{BlockHeader, ChainRuleError, ChainRules, HeaderChain};
use bsv_p2p::{HeaderStore, HeaderStoreError, Network};
use test_support::private_network::private_params;

use crate::chains::*;

/// The first 2,017 headers of mainnet.
const MAINNET: &[u8] = include_bytes!("../vectors/headers/mainnet-0-2016.bin");

/// Rules of a network with the proof-of-work limit of regtest, under which headers can be mined.
fn easy(network: Network) -> ChainRules {
    ChainRules::new(network)
        .with_proof_of_work_limit(EASY)
        .with_daa_height(u32::MAX)
}

/// Mines headers more than 20 minutes apart, which testnet allows to have the minimum difficulty.
fn testnet_headers(count: usize) -> Vec<BlockHeader> {
    let genesis = BlockHeader::genesis(&Network::Testnet);
    let mut headers = vec![genesis];
    headers.extend(mine_spaced(&genesis, count - 1, 1, 1_300));
    headers
}

#[test]
fn file_of_mainnet_loads() {
    let folder = Folder::with_file(MAINNET);
    let (mut store, chain, report) = HeaderStore::open(folder.file(), Network::Mainnet).unwrap();
    assert_eq!((report.headers, report.damaged), (2_017, None));
    assert_eq!(chain.tip().0, 2_016);
    store.update(&chain).unwrap();
    assert!(folder.content() == MAINNET);
}

#[test]
fn other_genesis_block_is_refused() {
    for network in Network::ALL {
        let genesis = BlockHeader::genesis(&network);
        let folder = Folder::with_file(&genesis.to_bytes());
        for expected in Network::ALL {
            if BlockHeader::genesis(&expected) == genesis {
                continue;
            }
            let error = folder.open_error(expected.clone());
            let named = match network.clone() {
                Network::Stn => Network::Testnet,
                other => other,
            };
            let mismatch = HeaderStoreError::StartMismatch {
                path: fs::canonicalize(folder.file()).unwrap(),
                expected: BlockHeader::genesis(&expected).hash(),
                network: expected,
                got: genesis.hash(),
                got_network: Some(named.clone()),
            };
            assert_eq!(error, mismatch);
            assert!(error.to_string().contains(named.name()), "{error}");
        }
    }
    let folder = Folder::with_file(MAINNET);
    folder.open_error(Network::Regtest);
    assert!(HeaderStore::import(folder.file(), Network::Regtest).is_err());
}

#[test]
fn file_without_headers_is_refused() {
    let image = [vec![0; 4_096], b"content after zeros".to_vec()].concat();
    let short = "short text";
    let long = "A longer text. ".repeat(20);
    for content in [
        &image[..],
        short.as_bytes(),
        long.as_bytes(),
        &[1; 79],
        &[0xff; 80],
    ] {
        let folder = Folder::with_file(content);
        for network in Network::ALL {
            let error = folder.open_error(network);
            let is_expected = match content.len() {
                ..80 => matches!(error, HeaderStoreError::NotHeaders { .. }),
                _ => matches!(error, HeaderStoreError::StartMismatch { .. }),
            };
            assert!(is_expected, "{error}");
        }
    }
}

#[test]
fn file_of_custom_network_is_distinguished() {
    let network = |tag| Network::custom(private_params("lab", tag)).unwrap();
    let folder = Folder::new();
    let (mut store, mut chain, _) = HeaderStore::open(folder.file(), network(1)).unwrap();
    let headers = mine_after(&network(1).genesis_header(), 20, 1);
    chain.extend(&headers, u32::MAX).unwrap();
    store.update(&chain).unwrap();
    let other = HeaderChain::new(network(2));
    let error = store.update(&other).unwrap_err();
    assert!(
        matches!(error, HeaderStoreError::NetworkMismatch { .. }),
        "{error}"
    );
    drop(store);
    for other in [network(2), Network::Regtest] {
        let mismatch = HeaderStoreError::StartMismatch {
            path: fs::canonicalize(folder.file()).unwrap(),
            expected: other.genesis_header().hash(),
            network: other.clone(),
            got: network(1).genesis_header().hash(),
            got_network: None,
        };
        assert_eq!(folder.open_error(other), mismatch);
    }
    let (_, chain, report) = HeaderStore::open(folder.file(), network(1)).unwrap();
    assert_eq!((chain.tip().0, report.damaged), (20, None));
}

#[test]
fn file_of_testnet_is_refused_on_stn() {
    let headers = testnet_headers(600);
    let folder = Folder::with_file(&bytes_of(&headers));
    let (store, ..) = HeaderStore::open(folder.file(), without_checkpoints(Network::Testnet))
        .expect("the file is of testnet");
    drop(store);
    let error = folder.open_error(easy(Network::Stn));
    let HeaderStoreError::InvalidHeader { hash, error, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(hash, headers[1].hash());
    assert!(
        matches!(*error, ChainRuleError::BitsMismatch { height: 1, .. }),
        "{error}"
    );
}

#[test]
fn file_of_stn_is_refused_on_testnet() {
    let headers = testnet_headers(600);
    let folder = Folder::with_file(&bytes_of(&headers));
    // Only the checkpoint of testnet excludes these headers.
    let error = folder.open_error(easy(Network::Testnet));
    let HeaderStoreError::InvalidHeader { hash, error, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(hash, headers[546].hash());
    let is_expected = matches!(
        *error,
        ChainRuleError::CheckpointMismatch { height: 546, .. }
    );
    assert!(is_expected, "{error}");
}

fn without_checkpoints(network: Network) -> ChainRules {
    easy(network).with_checkpoints([]).unwrap()
}

#[test]
fn each_violated_rule_is_refused() {
    let good = regtest_headers(1_500);
    let rules = ChainRules::new(Network::Regtest);
    let last = good[1_499];
    let mut old = mine_after(&last, 3, 1);
    let remine = |headers: &mut Vec<BlockHeader>| {
        for at in 0..headers.len() {
            if at > 0 {
                headers[at].previous = headers[at - 1].hash();
            }
            while EASY.check(headers[at].hash(), EASY).is_err() {
                headers[at].nonce += 1;
            }
        }
    };
    old[0].time = good[1_400].time;
    remine(&mut old);
    let mut outdated = mine_after(&last, 3, 1);
    outdated[1].version = 3;
    remine(&mut outdated);
    let mut harder = mine_after(&last, 3, 1);
    harder[2].bits.0 = 0x207f_fffe;
    remine(&mut harder);
    // The last one has no successor, which would show that it was mined.
    harder.extend(mine_after(&harder[2], 1, 1));
    for (tail, position) in [(old, 0), (outdated, 1), (harder, 2)] {
        let folder = Folder::with_file(&bytes_of(good.iter().chain(&tail)));
        let error = folder.open_error(rules.clone());
        let HeaderStoreError::InvalidHeader { hash, error, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(
            (hash, error.height()),
            (tail[position].hash(), 1_500 + position as u32)
        );
    }
    let checkpoint = (700, good[701].hash());
    let rules = rules.with_checkpoints([checkpoint]).unwrap();
    let error = Folder::with_file(&bytes_of(&good)).open_error(rules);
    let text = error.source().unwrap().to_string();
    assert!(
        text.contains("height 700") && text.contains("checkpoint"),
        "{text}"
    );
}

#[test]
fn mined_header_needs_no_successor_as_evidence() {
    // The last header of a mainnet file has 32 leading zero bits, so it is no damage.
    let headers: Vec<_> = MAINNET
        .chunks(80)
        .map(|one| one.try_into().unwrap())
        .collect();
    let last = BlockHeader::from_bytes(headers[20]);
    let rules = ChainRules::new(Network::Mainnet);
    let rules = rules.with_checkpoints([(20, last.previous)]).unwrap();
    let error = Folder::with_file(&MAINNET[..21 * 80]).open_error(rules);
    assert!(
        matches!(error, HeaderStoreError::InvalidHeader { .. }),
        "{error}"
    );
}

/// Returns a chain of regtest with checkpoints at 99 and 250.
fn with_checkpoints(headers: &[BlockHeader]) -> ChainRules {
    let checkpoints = [(99, headers[99].hash()), (250, headers[250].hash())];
    let rules = ChainRules::new(Network::Regtest);
    rules.with_checkpoints(checkpoints).unwrap()
}

#[test]
fn file_after_last_checkpoint_is_refused() {
    let headers = regtest_headers(600);
    let rules = with_checkpoints(&headers);
    let folder = Folder::with_file(&bytes_of(&headers[251..]));
    let error = folder.open_error(rules.clone());
    assert!(
        matches!(
            error,
            HeaderStoreError::UnconfirmedStart { height: 251, .. }
        ),
        "{error}"
    );
    let trusted = &headers[251..500];
    let start = HeaderChain::from_trusted(rules, trusted, 251, None).unwrap();
    let (_, chain, report) = HeaderStore::open_with(folder.file(), start).unwrap();
    assert_eq!((report.headers, chain.tip().0), (349, 599));
}

#[test]
fn unconfirmed_headers_after_checkpoint_are_not_loaded() {
    let headers = regtest_headers(600);
    let rules = with_checkpoints(&headers);
    // Headers that the next checkpoint does not confirm.
    let others = mine_after(&headers[99], 300, 5);
    let folder = Folder::with_file(&bytes_of(&others));
    let error = folder.open_error(rules.clone());
    let HeaderStoreError::InvalidHeader { error, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(
        *error,
        ChainRuleError::CheckpointMismatch { height: 250, .. }
    ));

    // Too few headers to reach the checkpoint.
    let folder = Folder::with_file(&bytes_of(&headers[100..250]));
    let (store, chain, report) = HeaderStore::open(folder.file(), rules).unwrap();
    assert_eq!((store.tip(), chain.tip().0, report.headers), (None, 0, 0));
    let damaged = report.damaged.unwrap();
    assert_eq!((damaged.height, damaged.bytes), (100, 150 * 80));
    assert!(
        damaged.reason.contains("checkpoint at height 250"),
        "{damaged}"
    );
    assert!(folder.content().is_empty());
}
