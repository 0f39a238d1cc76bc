//! Hostile sources of headers cannot forge, stall or capture the chain.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::PeerRef;
use bsv_p2p::session::{DisconnectReason, Misbehavior};
use bsv_p2p::wire::{ChainRuleError, ChainRules, HeaderChain, HeaderChainError};
use bsv_p2p::{Manager, ManagerConfig};
use test_support::header_server::{Answers, HeaderServer, HeaderServerOptions};

use super::*;

/// Height that hostile peers claim.
const CLAIM: i32 = 1_000_000;
/// Time in which a manager synchronizes whatever silent sources do, with some reserve.
const SYNC_LIMIT: Duration = Duration::from_millis(3_500);

/// A target that needs 256 times the work of the easiest one.
const HARD_BITS: CompactTarget = CompactTarget(0x1f7f_ffff);

fn config_with_listener(max_connections: usize) -> ManagerConfig {
    let mut config = listening();
    config.max_connections = max_connections;
    config.listener.max_per_address = max_connections;
    config.listener.max_handshakes_per_address = max_connections;
    config
}

/// Connects an honest server and waits until its headers arrived.
#[track_caller]
fn connect_and_sync(manager: &Manager, headers: &[BlockHeader]) -> HeaderServer {
    let server = HeaderServerOptions::new(headers, Answers::Node).listen();
    manager.connect(server.address).unwrap();
    // Other sources may have nothing more before the server is connected.
    until("the server's headers are there", || {
        manager.sync_headers(LIMIT) == Ok(tip_of(headers))
    });
    server
}

fn silent(headers: &[BlockHeader], lifetime: Option<Duration>) -> HeaderServerOptions {
    HeaderServerOptions {
        claimed_height: CLAIM,
        lifetime,
        ..HeaderServerOptions::new(headers, Answers::Never)
    }
}

#[track_caller]
fn stranger(address: SocketAddr, host: u8) -> RawPeer {
    let mut stranger = dial_from(Ipv4Addr::new(127, 0, 9, host), address);
    stranger.shake_hands_as(version_at(CLAIM));
    stranger
}

/// Returns a chain of trusted headers whose target is hard, and more headers after them.
fn hard_chain(more: usize) -> (HeaderChain, Vec<BlockHeader>) {
    const FIRST_HEIGHT: u32 = 10_000;
    const TRUSTED: usize = 147;
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let mut headers = mine_with_bits(&genesis, TRUSTED + more, 1, HARD_BITS);
    let more = headers.split_off(TRUSTED);
    let chain = HeaderChain::from_trusted(Network::Regtest, &headers, FIRST_HEIGHT, None);
    (chain.unwrap(), more)
}

#[test]
fn stranger_headers_are_ignored_with_dialed_peer() {
    let headers = mined_headers(20, 1);
    let (manager, _events, address) = running(config_with_listener(20));
    let _server = connect_and_sync(&manager, &headers);
    let tips = manager.subscribe_blocks().unwrap();
    let mut stranger = stranger(address, 1);
    let fake = mine_after(headers.last().unwrap(), 289, 7);
    for header in &fake[..6] {
        stranger.send(Headers {
            headers: vec![*header],
        });
    }
    stranger.send(Headers {
        headers: fake[6..].to_vec(),
    });
    stranger.ping(1);
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    assert_eq!(tips.len(), 0);
}

#[test]
fn easy_headers_are_rejected_with_score() {
    for count in [6, 289] {
        let (chain, more) = hard_chain(20);
        let (manager, events, address) = running(config_with_listener(20));
        manager.follow_chain(chain).unwrap();
        let tips = manager.subscribe_blocks().unwrap();
        // The inbound peer is the only peer, so it is a source.
        let mut stranger = stranger(address, 1);
        stranger.expect("getheaders");
        stranger.send(Headers::default());
        stranger.send(Headers {
            headers: more.clone(),
        });
        let tip = next(&tips);
        assert_eq!(tip.connected.len(), more.len());
        let easy = BlockHeader::genesis(&Network::Regtest).bits;
        let fake = mine_with_bits(more.last().unwrap(), count, 7, easy);
        stranger.send(Headers { headers: fake });
        let (error, score) = wait_for(&events, |event| match event {
            ControlEvent::PeerMisbehavior {
                misbehavior: Misbehavior::InvalidHeaders(error),
                score,
                ..
            } => Some((error.clone(), *score)),
            _ => None,
        });
        assert_eq!(score, 100);
        let HeaderChainError::InvalidHeader { error, .. } = error else {
            panic!("{error}");
        };
        let ChainRuleError::BitsMismatch { expected, got, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((expected, got), (HARD_BITS, easy));
        let reason = wait_for(&events, |event| match event {
            ControlEvent::ConnectionLost { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(reason, DisconnectReason::Misbehaved { score: 100 });
        assert_eq!(tips.len(), 0);
    }
}

/// Returns the score and the misbehavior of the next report.
#[track_caller]
fn next_misbehavior(events: &EventReceiver<ControlEvent>) -> (u32, Misbehavior) {
    wait_for(events, |event| match event {
        ControlEvent::PeerMisbehavior {
            misbehavior, score, ..
        } => Some((*score, misbehavior.clone())),
        _ => None,
    })
}

/// A node takes fewer than 8 headers without a known parent for an announcement.
#[test]
fn short_unconnected_list_is_not_scored() {
    let chain = mined_headers(20, 1);
    let orphans = mine_after(&mined_headers(5, 7)[5], 8, 7);
    let with_gap = |count: usize| {
        let mut headers = orphans[..count].to_vec();
        headers.remove(3);
        Headers { headers }
    };
    for is_source in [true, false] {
        let (manager, events, address) = running(config_with_listener(20));
        let server = connect_and_sync(&manager, &chain);
        let mut peer = if is_source {
            dialed(&manager, 0)
        } else {
            stranger(address, 1)
        };
        peer.send(with_gap(8));
        peer.ping(1);
        peer.send(Headers {
            headers: orphans.clone(),
        });
        let unconnected = Misbehavior::UnconnectedHeaders { headers: 8 };
        assert_eq!(next_misbehavior(&events), (10, unconnected));
        drop(server);
    }
}

#[test]
fn every_tenth_unconnected_list_is_scored() {
    let chain = mined_headers(20, 1);
    let orphan = mine_after(&mined_headers(5, 7)[5], 1, 7);
    for is_source in [true, false] {
        let (manager, events, address) = running(config_with_listener(20));
        let server = connect_and_sync(&manager, &chain);
        let peer = if is_source {
            dialed(&manager, 0)
        } else {
            stranger(address, 1)
        };
        let send = |headers: &[BlockHeader]| {
            peer.send(Headers {
                headers: headers.to_vec(),
            });
        };
        // A list that connects ends the row.
        (0..9).for_each(|_| send(&orphan));
        send(&chain[20..]);
        (0..20).for_each(|_| send(&orphan));
        for (score, lists) in [(20, 10), (40, 20)] {
            let repeated = Misbehavior::RepeatedUnconnectedHeaders { lists };
            assert_eq!(next_misbehavior(&events), (score, repeated));
        }
        drop(server);
    }
}

/// The first violation counts, also if a later header has no proof of work.
#[test]
fn first_invalid_header_of_stranger_decides_score() {
    let chain = mined_headers(20, 1);
    let (manager, events, address) = running(config_with_listener(20));
    let _server = connect_and_sync(&manager, &chain);
    let stranger = stranger(address, 1);
    let mut headers = mine_with_bits(&chain[20], 1, 7, HARD_BITS);
    headers.extend(mine_after(&headers[0], 1, 7));
    headers[1].bits = chain[0].bits;
    while headers[1].check_proof_of_work(&Network::Regtest).is_ok() {
        headers[1].nonce += 1;
    }
    stranger.send(Headers { headers });
    let (score, _) = next_misbehavior(&events);
    assert_eq!(score, 100);
}

#[test]
fn forged_chain_does_not_lock_out_honest_chain() {
    let (forged, honest) = (mined_headers(289, 7), mined_headers(3_000, 1));
    let (manager, _events, address) = running(config_with_listener(20));
    let tips = manager.subscribe_blocks().unwrap();
    let from = Ipv4Addr::new(127, 0, 9, 1);
    let _liar = HeaderServerOptions::new(&forged, Answers::Node).dial(from, address);
    assert_eq!(next(&tips).height, 289);
    let _server = connect_and_sync(&manager, &honest);
    let tip = next(&tips);
    assert_eq!(tip.disconnected.len(), 289);
    assert_eq!(tip.disconnected[0], forged[289].hash());
}

#[test]
fn deep_branches_with_more_work_are_followed() {
    for depth in [300, 5_000] {
        let ours = mined_headers(depth, 1);
        let longer = mined_headers(depth + 10, 2);
        let manager = manager(config());
        manager.start_fixed([""; 0]).unwrap();
        let _first = connect_and_sync(&manager, &ours);
        let _second = connect_and_sync(&manager, &longer);
    }
}

#[test]
fn silent_dialed_liars_do_not_delay_sync() {
    let headers = mined_headers(30, 1);
    for liars in [1, 8, 32] {
        let mut config = config();
        config.max_connections = 64;
        config.target_connections = 0;
        let manager = manager(config);
        manager.start().unwrap();
        let liars: Vec<_> = (0..liars)
            .map(|number| {
                let lifetime = (number % 3 == 1).then_some(Duration::from_secs(1));
                silent(&headers, lifetime).listen()
            })
            .collect();
        for liar in &liars {
            manager.connect(liar.address).unwrap();
        }
        manager.wait_for_peers(liars.len(), LIMIT).unwrap();
        let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
        manager.connect(server.address).unwrap();
        until("the server is connected", || server.connections() > 0);
        assert_within(SYNC_LIMIT, 500, || {
            for _ in 0..2 {
                assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
            }
        });
    }
}

#[test]
fn only_inbound_liars_do_not_prevent_sync() {
    const LIARS: u8 = 8;
    let headers = mined_headers(30, 1);
    let (manager, _events, address) = running(config_with_listener(64));
    let liars: Vec<_> = (0..LIARS)
        .map(|number| {
            let lifetime = (number % 3 == 1).then_some(Duration::from_secs(1));
            let from = Ipv4Addr::new(127, 0, 9, number + 1);
            silent(&headers, lifetime).dial(from, address)
        })
        .collect();
    let from = Ipv4Addr::new(127, 0, 9, 100);
    let server = HeaderServerOptions::new(&headers, Answers::Node).dial(from, address);
    until("all were connected", || {
        server.connections() > 0 && liars.iter().all(|liar| liar.connections() > 0)
    });
    let synced = assert_within(SYNC_LIMIT, 500, || manager.sync_headers(LIMIT));
    assert_eq!(synced, Ok(tip_of(&headers)));
}

#[test]
fn trickling_source_does_not_delay_download() {
    let headers = mined_headers(4_000, 1);
    let manager = manager(config());
    manager.start_fixed([""; 0]).unwrap();
    let slow = Answers::Trickle(Duration::from_millis(500));
    let trickler = HeaderServerOptions::new(&headers, slow).listen();
    let _tips = manager.subscribe_blocks().unwrap();
    manager.connect(trickler.address).unwrap();
    until("the trickler was requested", || trickler.requests() > 1);
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    assert_within(SYNC_LIMIT, 1_000, || {
        manager.connect(server.address).unwrap();
        until("all headers are there", || height(&manager) == 4_000);
    });
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
}

/// The delay is about ten seconds.
#[test]
fn trickled_side_chain_delays_sync_for_seconds() {
    let honest = mined_headers(300, 1);
    let side = mined_headers(200, 2);
    let manager = manager(config());
    manager.start_fixed([""; 0]).unwrap();
    let _server = connect_and_sync(&manager, &honest);
    let slow = Answers::Trickle(Duration::from_millis(500));
    let trickler = HeaderServerOptions::new(&side, slow).listen();
    manager.connect(trickler.address).unwrap();
    until("the trickler was requested", || trickler.requests() > 1);
    let synced = assert_within(Duration::from_secs(12), 500, || manager.sync_headers(LIMIT));
    assert_eq!(synced, Ok(tip_of(&honest)));
}

#[test]
fn peer_on_branch_refused_by_checkpoint_is_disconnected() {
    let headers = mined_headers(20, 1);
    let other = mined_headers(30, 2);
    let rules = ChainRules::new(Network::Regtest);
    let rules = rules.with_checkpoints([(10, headers[10].hash())]).unwrap();
    for is_connected_first in [true, false] {
        let manager = manager(config());
        let events = manager.subscribe_control();
        let tips = manager.subscribe_blocks().unwrap();
        manager
            .follow_chain(HeaderChain::new(rules.clone()))
            .unwrap();
        manager.start_fixed([""; 0]).unwrap();
        let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
        if is_connected_first {
            manager.connect(server.address).unwrap();
            assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
        }
        let liar = HeaderServerOptions::new(&other, Answers::Node).listen();
        let peer_id = manager.connect(liar.address).unwrap();
        let split = wait_for(&events, |event| match event {
            ControlEvent::ChainSplit { fork_height, peers } => Some((*fork_height, peers.clone())),
            _ => None,
        });
        let fork_height = if is_connected_first { 0 } else { 9 };
        assert_eq!(
            split,
            (fork_height, vec![PeerRef::new(peer_id, liar.address)])
        );
        let reason = wait_for(&events, |event| match event {
            ControlEvent::ConnectionLost { reason, .. }
            | ControlEvent::ConnectionRestarting { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(reason, DisconnectReason::WrongChain);
        if !is_connected_first {
            manager.connect(server.address).unwrap();
            assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
        }
        let has_tip = |tip: &TipUpdate| tip.height == 20;
        assert!(tips.try_iter().map(Result::unwrap).any(|tip| has_tip(&tip)));
    }
}

#[test]
fn race_is_followed_after_side_header_flood() {
    const FLOOD: usize = 10_000;
    let ours = mined_headers(6, 1);
    let manager = manager(config());
    manager.start_fixed([""; 0]).unwrap();
    let tips = manager.subscribe_blocks().unwrap();
    let mut flooder = dialed(&manager, 0);
    flooder.expect("getheaders");
    flooder.send(Headers {
        headers: ours[1..5].to_vec(),
    });
    assert_eq!(next(&tips).height, 4);
    let flood: Vec<_> = (0..FLOOD)
        .map(|number| {
            let root = (number as u64).to_le_bytes().repeat(4);
            let root = MerkleRoot(root.try_into().unwrap());
            mine_with_root(&ours[3], root, ours[3].bits)
        })
        .collect();
    for header in flood {
        flooder.send(Headers {
            headers: vec![header],
        });
    }
    // The answer follows all messages before.
    flooder.ping(1);
    let others = mine_after(&ours[3], 2, 9);
    let headers = [&ours[..4], &others[..]].concat();
    let _server = connect_and_sync(&manager, &headers);
    let tip = next(&tips);
    assert_eq!((tip.height, tip.hash), (5, others[1].hash()));
    assert_eq!(tip.disconnected, [ours[4].hash()]);
}

#[test]
fn inbound_liars_do_not_delay_dialed_sync() {
    let headers = mined_headers(30, 1);
    for liars in [1, 8, 32] {
        let (manager, _events, address) = running(config_with_listener(64));
        let liars: Vec<_> = (0..liars)
            .map(|number| {
                let lifetime = (number % 3 == 1).then_some(Duration::from_secs(1));
                let from = Ipv4Addr::new(127, 0, 9, number + 1);
                silent(&headers, lifetime).dial(from, address)
            })
            .collect();
        until("all liars were connected", || {
            liars.iter().all(|liar| liar.connections() > 0)
        });
        let _server = connect_and_sync(&manager, &headers);
        let synced = assert_within(SOON, 100, || manager.sync_headers(LIMIT));
        assert_eq!(synced, Ok(tip_of(&headers)));
    }
}
