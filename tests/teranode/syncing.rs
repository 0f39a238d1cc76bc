//! Header synchronization with a Teranode.

use std::time::Instant;

use bsv_p2p::Network;
use bsv_p2p::wire::{BlockHash, ChainRules, CheckpointStart, HeaderChain};
use test_support::client::ClientKind;
use test_support::teranode::{JoinOrder, Teranode, TeranodeConfig};

use crate::harness::*;

const HEADERS: usize = 5_000;

#[test]
fn client_receives_5000_headers() {
    let headers = mined_headers(HEADERS);
    for_each(
        |config| TeranodeConfig {
            headers: headers.clone(),
            ..config
        },
        |teranode, client| {
            assert_eq!(synced(client).tip(), teranode.tip());
            // 1,999 new headers in each full answer, and one request at the tip.
            assert_eq!(teranode.count("getheaders"), 4);
        },
    );
}

#[test]
fn manager_receives_5000_headers() {
    let headers = mined_headers(HEADERS);
    for config in versions() {
        for role in TeranodeRole::ALL {
            let teranode = Teranode::start(TeranodeConfig {
                headers: headers.clone(),
                ..config.clone()
            });
            let manager = connected_manager(&teranode, role);
            for _ in 0..2 {
                assert_eq!(manager.sync_headers(LIMIT), Ok(teranode.tip()));
            }
            assert_eq!(manager.with_chain(HeaderChain::tip), Some(teranode.tip()));
            manager.shutdown().unwrap();
            teranode.assert_no_punishment();
        }
    }
}

/// An answer that is missing does not mean that a Teranode misbehaves.
#[test]
fn syncing_teranode_has_no_headers() {
    for kind in ClientKind::ALL {
        let config = TeranodeConfig::v3(JoinOrder::VerackFirst).with_blocks(3);
        let teranode = Teranode::start(config);
        teranode.set_syncing(true);
        let mut client = connected(&teranode, TeranodeRole::Server, kind);
        let genesis = teranode.hash_at(0);
        assert_eq!(client.headers(&[genesis], LIMIT), Ok(Vec::new()));
        teranode.set_syncing(false);
        assert_eq!(client.headers(&[genesis], LIMIT).unwrap().len(), 3);
        teranode.assert_no_punishment();
    }
    let syncing = Teranode::start(TeranodeConfig::v3(JoinOrder::AckFirst).with_blocks(3));
    syncing.set_syncing(true);
    let manager = connected_manager(&syncing, TeranodeRole::Server);
    assert_eq!(manager.sync_headers(LIMIT), Ok((0, syncing.hash_at(0))));
    let current = Teranode::start(TeranodeConfig::v2().with_blocks(3));
    manager.connect(current.address()).unwrap();
    // The syncing one alone has nothing more until the other one is a source.
    let deadline = Instant::now() + LIMIT;
    while manager.sync_headers(LIMIT) != Ok(current.tip()) {
        assert!(Instant::now() < deadline, "no headers");
    }
    manager.shutdown().unwrap();
    syncing.assert_no_punishment();
    current.assert_no_punishment();
}

#[test]
fn unknown_locator_has_no_headers() {
    for_each(
        |config| config.with_blocks(3),
        |teranode, client| {
            assert_eq!(client.headers(&[BlockHash([7; 32])], LIMIT), Ok(Vec::new()));
            client.ping(LIMIT).unwrap();
            assert_eq!(teranode.count("getheaders"), 1);
        },
    );
}

/// The oldest version sends headers in descending order.
#[test]
fn descending_headers_are_received() {
    let headers = mined_headers(HEADERS);
    for role in TeranodeRole::ALL {
        for kind in ClientKind::ALL {
            let teranode = Teranode::start(TeranodeConfig {
                headers: headers.clone(),
                ..TeranodeConfig::v1()
            });
            let mut client = connected(&teranode, role, kind);
            assert_eq!(synced(&mut client).tip(), teranode.tip());
            teranode.assert_no_punishment();
        }
        let teranode = Teranode::start(TeranodeConfig {
            headers: headers.clone(),
            ..TeranodeConfig::v1()
        });
        let manager = connected_manager(&teranode, role);
        assert_eq!(manager.sync_headers(LIMIT), Ok(teranode.tip()));
        assert_eq!(manager.connections()[0].score, 0);
        manager.shutdown().unwrap();
        teranode.assert_no_punishment();
    }
}

#[test]
fn three_teranodes_are_synchronized() {
    let headers = mined_headers(HEADERS);
    let teranodes = versions().map(|config| {
        Teranode::start(TeranodeConfig {
            headers: headers.clone(),
            ..config
        })
    });
    let (manager, address) = started_manager(manager_config());
    for (number, teranode) in teranodes.iter().enumerate() {
        match number % 2 {
            0 => drop(manager.connect(teranode.address()).unwrap()),
            _ => teranode.dial(address),
        }
    }
    manager.wait_for_peers(3, LIMIT).unwrap();
    for _ in 0..2 {
        assert_eq!(manager.sync_headers(LIMIT), Ok(teranodes[0].tip()));
    }
    manager.shutdown().unwrap();
    teranodes.iter().for_each(Teranode::assert_no_punishment);
}

#[test]
fn checkpoint_start_is_completed_by_teranode() {
    const BEFORE: usize = 50;
    const CHECKPOINT: usize = 2_250;
    let headers = mined_headers(2_400);
    for config in versions() {
        let teranode = Teranode::start(TeranodeConfig {
            headers: headers.clone(),
            ..config
        });
        let checkpoint = |height: usize| (height as u32, headers[height].hash());
        let rules = ChainRules::new(Network::Regtest);
        let rules = rules.with_checkpoints([BEFORE, CHECKPOINT].map(checkpoint));
        let start = CheckpointStart::new(rules.unwrap(), CHECKPOINT as u32).unwrap();
        let (manager, _) = started_manager(manager_config());
        manager.follow_chain(start).unwrap();
        manager.connect(teranode.address()).unwrap();
        assert_eq!(manager.sync_headers(LIMIT), Ok(teranode.tip()));
        manager.shutdown().unwrap();
        teranode.assert_no_punishment();
    }
}

#[test]
fn headers_of_regtest_v3_leave_out_genesis() {
    let teranode = Teranode::start(TeranodeConfig {
        serves_genesis: false,
        ..TeranodeConfig::v3(JoinOrder::VerackFirst).with_blocks(3)
    });
    let mut client = connected(&teranode, TeranodeRole::Server, ClientKind::Blocking);
    assert_eq!(synced(&mut client).tip(), teranode.tip());
    teranode.assert_no_punishment();
}
