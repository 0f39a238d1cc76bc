//! Following a chain from a checkpoint.

use std::fs;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{ChainRules, CheckpointStart};
use bsv_p2p::{Error, HeaderStore, HeaderStoreError};
use test_support::header_server::{Answers, HeaderServerOptions};

use super::*;

const BEFORE: usize = 50;
const CHECKPOINT: usize = 250;

/// Returns a start at a checkpoint of a chain of headers from genesis.
fn start_of(headers: &[BlockHeader]) -> CheckpointStart {
    let checkpoint = |height: usize| (height as u32, headers[height].hash());
    let rules = ChainRules::new(Network::Regtest);
    let rules = rules.with_checkpoints([BEFORE, CHECKPOINT].map(checkpoint));
    CheckpointStart::new(rules.unwrap(), CHECKPOINT as u32).unwrap()
}

#[test]
fn lying_and_silent_sources_do_not_complete_start() {
    const SHORT: Duration = Duration::from_millis(50);
    let headers = mined_headers(400, 1);
    let mut other = headers[..=100].to_vec();
    other.extend(mine_after(&headers[100], 500, 2));
    let manager = manager(config());
    let events = manager.subscribe_control();
    manager.follow_chain(start_of(&headers)).unwrap();
    let tips = manager.subscribe_blocks().unwrap();
    let silent = HeaderServerOptions::new(&headers, Answers::Never).listen();
    let liar = HeaderServerOptions::new(&other, Answers::AtMost(60)).listen();
    manager.start_fixed([silent.address, liar.address]).unwrap();
    let reason = wait_for(&events, |event| match event {
        ControlEvent::ConnectionLost { reason, .. }
        | ControlEvent::ConnectionRestarting { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, DisconnectReason::WrongChain);
    let early = manager.sync_headers(SHORT);
    assert!(
        matches!(early, Err(Error::Timeout { .. } | Error::NoPeers)),
        "{early:?}"
    );
    assert_eq!(manager.with_chain(HeaderChain::tip), None);
    assert_eq!(tips.len(), 0);

    let honest = HeaderServerOptions::new(&headers, Answers::AtMost(60)).listen();
    manager.connect(honest.address).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    let first = manager.with_chain(HeaderChain::first_height);
    assert_eq!(first, Some(BEFORE as u32 + 1));
    let tip = next(&tips);
    assert_eq!((tip.height, tip.connected.len()), (290, 240));
    assert_eq!(tip.disconnected, []);
    assert_eq!(next(&tips).height, 350);
}

#[test]
fn every_kind_of_server_completes_start() {
    let headers = mined_headers(400, 1);
    for answers in [Answers::Node, Answers::Inclusive, Answers::NothingAtTip] {
        let manager = manager(config());
        manager.follow_chain(start_of(&headers)).unwrap();
        let server = HeaderServerOptions::new(&headers, answers).listen();
        manager.start_fixed([server.address]).unwrap();
        assert_eq!(
            manager.sync_headers(LIMIT),
            Ok(tip_of(&headers)),
            "{answers:?}"
        );
    }
}

#[test]
fn source_without_checkpoint_is_not_scored() {
    let headers = mined_headers(400, 1);
    let manager = manager(config());
    let events = manager.subscribe_control();
    manager.follow_chain(start_of(&headers)).unwrap();
    let short = HeaderServerOptions::new(&headers[..30], Answers::Node).listen();
    let honest = HeaderServerOptions::new(&headers, Answers::Node).listen();
    manager
        .start_fixed([short.address, honest.address])
        .unwrap();
    manager.wait_for_peers(2, LIMIT).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    assert_eq!(manager.connected_count(), 2);
    manager.shutdown().unwrap();
    let is_misbehavior =
        |event: &ControlEvent| matches!(event, ControlEvent::PeerMisbehavior { .. });
    assert_eq!(
        events
            .iter()
            .map(Result::unwrap)
            .filter(is_misbehavior)
            .count(),
        0
    );
}

#[test]
fn chain_replaces_start_that_is_not_complete() {
    let headers = mined_headers(300, 1);
    let manager = manager(config());
    manager.follow_chain(start_of(&headers)).unwrap();
    assert_eq!(manager.with_chain(HeaderChain::tip), None);
    manager.follow_chain(chain_of(&headers[..10])).unwrap();
    assert_eq!(height(&manager), 9);
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    manager.start_fixed([server.address]).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    // A start replaces the chain as well, and reaches the same tip.
    let tips = manager.subscribe_blocks().unwrap();
    manager.follow_chain(start_of(&headers)).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    let first = manager.with_chain(HeaderChain::first_height);
    assert_eq!(first, Some(BEFORE as u32 + 1));
    assert_eq!(tips.len(), 0);
}

#[test]
fn stored_start_is_not_downloaded_again() {
    let headers = mined_headers(400, 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    let follow = || {
        let manager = manager(config());
        manager.follow_chain(start_of(&headers)).unwrap();
        manager.with_headers(&path).unwrap()
    };
    let first = follow();
    assert_eq!(first.with_chain(HeaderChain::tip), None);
    first.start_fixed([server.address]).unwrap();
    assert_eq!(first.sync_headers(LIMIT), Ok(tip_of(&headers)));
    assert_eq!(first.shutdown(), Ok(()));
    let rules = start_of(&headers).rules().clone();
    let (stored, report) = HeaderStore::import(&path, rules).unwrap();
    assert_eq!((stored.tip(), report.damaged), (tip_of(&headers), None));
    drop(first);
    let second = follow();
    assert_eq!(second.with_chain(HeaderChain::tip), Some(tip_of(&headers)));
}

#[test]
fn damaged_stored_start_is_downloaded_again() {
    let headers = mined_headers(400, 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let bytes = |header: &BlockHeader| header.to_bytes();
    // The headers end before the checkpoint, so that nothing confirms them.
    let unconfirmed: Vec<u8> = headers[BEFORE + 1..CHECKPOINT]
        .iter()
        .flat_map(bytes)
        .collect();
    fs::write(&path, unconfirmed).unwrap();
    let manager = manager(config());
    manager.follow_chain(start_of(&headers)).unwrap();
    let manager = manager.with_headers(&path).unwrap();
    assert_eq!(manager.with_chain(HeaderChain::tip), None);
    let events = manager.subscribe_control();
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    manager.start_fixed([server.address]).unwrap();
    let failure = wait_for(&events, |event| match event {
        ControlEvent::HeaderStoreFailed { error } => Some(error.clone()),
        _ => None,
    });
    assert!(
        matches!(failure, HeaderStoreError::Damaged { .. }),
        "{failure}"
    );
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    assert_eq!(manager.shutdown(), Ok(()));
    let stored = fs::read(&path).unwrap();
    let expected: Vec<u8> = headers[BEFORE + 1..].iter().flat_map(bytes).collect();
    assert!(stored == expected, "{} bytes", stored.len());
}
