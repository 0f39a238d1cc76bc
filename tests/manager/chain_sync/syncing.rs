//! Synchronization with connected peers.

use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::{DisconnectReason, Misbehavior};
use bsv_p2p::wire::{ChainRuleError, HeaderChain, HeaderChainError, Headers, Message};
use bsv_p2p::{ConnectionConfig, Error, Manager, ManagerConfig, Network, Timeout};
use test_support::private_network::private_params;

use super::*;
use test_support::with_sources::with_sources;

#[test]
fn silent_first_peer_does_not_stop_download() {
    let node = LocalNode::start().unwrap();
    node.mine(5_000).unwrap();
    let manager = manager(config());
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let mut silent = dialed(&manager, 9_000);
    silent.expect("getheaders");
    manager.connect(node.address()).unwrap();
    let told = [2_000, 4_000, 5_000].map(|height| {
        let tip = next(&tips);
        assert_eq!(tip.height, height);
        assert_eq!(tip.hash, node.block_hash(height).unwrap());
        tip
    });
    let connected: Vec<_> = told.iter().flat_map(|tip| &tip.connected).collect();
    assert_eq!(connected.len(), 5_000);
    for (height, hash) in (1..).zip(connected) {
        assert_eq!(node.block_hash(height), Some(*hash));
    }
    assert!(told.iter().all(|tip| tip.disconnected.is_empty()));
    let expected = node.block(node.tip()).unwrap().header();
    assert_eq!(told[2].header, expected);
    silent.close();
    assert_eq!(manager.sync_headers(LIMIT), Ok((5_000, node.tip())));
}

#[test]
fn headers_without_proof_of_work_are_scored() {
    let manager = manager(config());
    let events = manager.subscribe_control();
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let mut liar = dialed(&manager, 100);
    let mut header = mined(1, 1)[0].header();
    while header.check_proof_of_work(&Network::Regtest).is_ok() {
        header.nonce += 1;
    }
    let lie = Message::from(Headers {
        headers: vec![header],
    });
    liar.expect("getheaders");
    liar.send(lie.clone());
    let misbehavior = wait_for(&events, |event| match event {
        ControlEvent::PeerMisbehavior {
            misbehavior, score, ..
        } => Some((misbehavior.clone(), *score)),
        _ => None,
    });
    let (what, score) = misbehavior;
    assert_eq!(score, 50);
    let Misbehavior::InvalidHeaders(HeaderChainError::InvalidHeader { error, .. }) = &what else {
        panic!("{what}");
    };
    let is_work = matches!(error, ChainRuleError::ProofOfWork { height: 1, .. });
    assert!(is_work, "{what}");
    // Once more, without a request.
    liar.send(lie);
    let reason = wait_for(&events, |event| match event {
        ControlEvent::ConnectionLost { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, DisconnectReason::Misbehaved { score: 100 });
    let node = LocalNode::start().unwrap();
    node.mine(3).unwrap();
    manager.connect(node.address()).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok((3, node.tip())));
    assert_eq!(tips.len(), 1);
}

#[test]
fn later_peer_continues_after_all_disconnected() {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    let [first, second] = &nodes;
    second.connect(first.address()).unwrap();
    first.mine(3).unwrap();
    assert!(second.wait_for_tip(first.tip(), LIMIT));
    let manager = manager(config());
    let events = manager.subscribe_control();
    manager.start_fixed([""; 0]).unwrap();
    manager.connect(first.address()).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok((3, first.tip())));
    let [first, second] = nodes;
    drop(first);
    wait_for(&events, |event| match event {
        ControlEvent::ConnectionRestarting { .. } => Some(()),
        _ => None,
    });
    let tips = manager.subscribe_blocks().unwrap();
    let mined = second.mine(2).unwrap();
    manager.connect(second.address()).unwrap();
    let tip = next(&tips);
    assert_eq!((tip.height, &tip.connected), (5, &mined));
    assert_eq!(manager.sync_headers(LIMIT), Ok((5, second.tip())));
}

#[test]
fn trusted_chain_is_continued_from_its_tip() {
    const FIRST: u32 = 20;
    let node = LocalNode::start().unwrap();
    let hashes = node.mine(200).unwrap();
    let trusted: Vec<_> = hashes[FIRST as usize - 1..190]
        .iter()
        .map(|hash| node.block(*hash).unwrap().header())
        .collect();
    let chain = HeaderChain::from_trusted(Network::Regtest, &trusted, FIRST, None).unwrap();
    let manager = manager(config());
    assert_eq!(manager.with_chain(HeaderChain::tip), None);
    manager.follow_chain(chain).unwrap();
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([node.address()]).unwrap();
    let tip = next(&tips);
    assert_eq!((tip.height, tip.connected), (200, hashes[190..].to_vec()));
    manager.shutdown().unwrap();
    assert_eq!(tips.iter().count(), 0);
    assert_eq!(height(&manager), 200);
}

/// The chain belongs to another network, or the manager was shut down.
#[test]
fn unusable_chain_is_refused() {
    let manager = manager(config());
    let refused = manager.follow_chain(HeaderChain::new(Network::Mainnet));
    let refused = with_sources(&refused.unwrap_err());
    assert!(
        refused.contains("chain.network") && refused.contains("Mainnet"),
        "{refused}"
    );
    manager.shutdown().unwrap();
    let late = manager.follow_chain(HeaderChain::new(Network::Regtest));
    assert_eq!(late, Err(Error::NotRunning));
    assert_eq!(manager.subscribe_blocks().map(drop), Err(Error::NotRunning));
}

#[test]
fn sync_error_names_cause() {
    const SHORT: Duration = Duration::from_millis(20);
    let manager = manager(config());
    manager.start_fixed([""; 0]).unwrap();
    assert_eq!(manager.sync_headers(SHORT), Err(Error::NoPeers));
    let mut silent = quiet(&manager, true);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| manager.sync_headers(10 * LIMIT));
        silent.expect("getheaders");
        let late = manager.sync_headers(SHORT);
        assert!(
            matches!(
                late,
                Err(Error::Timeout {
                    which: Timeout::HeaderSync,
                    after: SHORT,
                    ..
                })
            ),
            "{late:?}"
        );
        let waited = assert_within(LIMIT / 10, 100, || {
            manager.shutdown().unwrap();
            waiting.join().unwrap()
        });
        assert_eq!(waited, Err(Error::NotRunning));
    });
}

#[test]
fn manager_that_never_started_ends_subscriptions() {
    let manager = Manager::new(config()).unwrap();
    let tips = manager.subscribe_blocks().unwrap();
    drop(manager);
    assert_eq!(tips.iter().count(), 0);
}

#[test]
fn manager_syncs_chain_of_private_network() {
    let mut params = private_params("lab", 1);
    let node_of = |network: Network| {
        let config = ConnectionConfig {
            network,
            ..LocalNode::default_config()
        };
        LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap()
    };
    let node = node_of(Network::custom(params.clone()).unwrap());
    node.mine(300).unwrap();
    params.checkpoints = vec![(250, node.block_hash(250).unwrap())];
    let network = Network::custom(params).unwrap();

    // A longer chain without the checkpoint is not followed.
    let mut without = network.params().clone();
    without.checkpoints.clear();
    let other = node_of(Network::custom(without).unwrap());
    other.mine(310).unwrap();
    let config = ManagerConfig::new(network);
    assert!(config.allows_private());
    // The configuration is that of a file.
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<ManagerConfig>(&json).unwrap(),
        config
    );
    let manager = manager(config);
    manager
        .start_fixed([other.address(), node.address()])
        .unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok((300, node.tip())));
    let block = manager.fetch_block(node.tip(), LIMIT).unwrap();
    assert_eq!(block.hash(), node.tip());
    let name = manager.with_chain(|chain| chain.network().name().to_owned());
    assert_eq!(name.as_deref(), Some("lab"));
}
