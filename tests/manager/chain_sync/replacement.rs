//! Replacing the followed chain, and events about the chain.

use std::time::{Duration, SystemTime};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::PeerRef;
use bsv_p2p::wire::HeaderChain;
use test_support::header_server::{Answers, HeaderServerOptions};

use super::*;

#[test]
fn replaced_chain_is_reported_relative_to_fork() {
    let common = mined_headers(10, 1);
    let branch = |salt, count| {
        let mut headers = common.clone();
        headers.extend(mine_after(common.last().unwrap(), count, salt));
        headers
    };
    let (old, new) = (branch(2, 5), branch(3, 3));
    let manager = manager(config());
    manager.follow_chain(chain_of(&old)).unwrap();
    let tips = manager.subscribe_blocks().unwrap();
    manager.follow_chain(chain_of(&old)).unwrap();
    assert_eq!(tips.len(), 0, "it is the same chain");
    manager.follow_chain(chain_of(&new)).unwrap();
    let tip = next(&tips);
    assert_eq!((tip.height, tip.hash), tip_of(&new));
    let disconnected: Vec<_> = old[11..].iter().rev().map(BlockHeader::hash).collect();
    let connected: Vec<_> = new[11..].iter().map(BlockHeader::hash).collect();
    assert_eq!((tip.disconnected, tip.connected), (disconnected, connected));
    assert_eq!(height(&manager), 13);
    manager.follow_chain(chain_of(&common[..6])).unwrap();
    let tip = next(&tips);
    assert_eq!((tip.height, tip.hash), tip_of(&common[..6]));
    assert_eq!(tip.disconnected.len(), 8);
    assert_eq!(tip.connected, [tip.hash]);
}

#[test]
fn replaced_chain_is_synchronized_again() {
    let headers = mined_headers(50, 1);
    let manager = manager(config());
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    manager.start_fixed([server.address]).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    manager
        .follow_chain(HeaderChain::new(Network::Regtest))
        .unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
}

#[test]
fn competing_branches_are_reported_once() {
    let (ours, other) = (mined_headers(5, 1), mined_headers(4, 2));
    let manager = manager(config());
    let events = manager.subscribe_control();
    manager.follow_chain(chain_of(&ours)).unwrap();
    let server = HeaderServerOptions::new(&other, Answers::Node).listen();
    manager.start_fixed([""; 0]).unwrap();
    let peer_id = manager.connect(server.address).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&ours)));
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&ours)));
    let split = wait_for(&events, |event| match event {
        ControlEvent::ChainSplit { fork_height, peers } => Some((*fork_height, peers.clone())),
        _ => None,
    });
    assert_eq!(split, (0, vec![PeerRef::new(peer_id, server.address)]));
    manager.shutdown().unwrap();
    let is_split = |event: &ControlEvent| matches!(event, ControlEvent::ChainSplit { .. });
    assert_eq!(
        events.iter().map(Result::unwrap).filter(is_split).count(),
        0
    );
}

#[test]
fn stale_tip_is_reported_with_last_block_time() {
    const TIMEOUT: Duration = Duration::from_millis(100);
    let before = SystemTime::now();
    let mut config = config();
    config.stale_tip_timeout = TIMEOUT;
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager
        .follow_chain(chain_of(&mined_headers(5, 1)))
        .unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let since = wait_for(&events, |event| match event {
        ControlEvent::TipStale { since } => Some(*since),
        _ => None,
    });
    assert!(before <= since && since + TIMEOUT <= SystemTime::now());
}
