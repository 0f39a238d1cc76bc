//! Handshakes, second streams and keepalive with a Teranode.

use std::time::{Duration, Instant};

use bsv_p2p::Connection;
use bsv_p2p::connection::SubscriptionOptions;
use bsv_p2p::session::PeerProfile;
use bsv_p2p::wire::{Message, StreamType, Txid};
use test_support::client::{Client, ClientKind};
use test_support::teranode::{JoinOrder, Teranode, TeranodeConfig};

use crate::harness::*;
use test_support::with_sources::with_sources;

#[test]
fn handshake_completes_in_both_roles() {
    for_each(
        |config| config,
        |teranode, client| {
            client.ping(LIMIT).unwrap();
            teranode.wait_for_messages("ping", 1);
            let profile = match client {
                Client::Blocking(connection) => connection.peer_info().profile(),
                Client::Actor(actor) => actor.handle.peer_info().unwrap().profile(),
            };
            assert_eq!(profile, PeerProfile::Teranode);
        },
    );
}

#[test]
fn oldest_version_is_connected() {
    for role in TeranodeRole::ALL {
        for kind in ClientKind::ALL {
            let teranode = Teranode::start(TeranodeConfig::v1());
            let mut client = connected(&teranode, role, kind);
            client.ping(LIMIT).unwrap();
            teranode.assert_no_punishment();
        }
    }
}

/// Blocks are announced only to peers that sent `sendheaders`.
#[test]
fn sendheaders_is_always_sent() {
    for_each(
        |config| config,
        |teranode, _| teranode.wait_for_messages("sendheaders", 1),
    );
    let mut config = config();
    config.session.send_headers = false;
    let teranode = Teranode::start(TeranodeConfig::v2());
    let _connection = Connection::connect(teranode.address().to_string(), &config).unwrap();
    teranode.wait_for_messages("sendheaders", 1);
}

/// Either order of `streamack` and `verack` on the joined connection leads to a second stream.
#[test]
fn second_stream_carries_pings_and_requests() {
    for order in [JoinOrder::VerackFirst, JoinOrder::AckFirst] {
        for role in TeranodeRole::ALL {
            let teranode = Teranode::start(TeranodeConfig::v3(order).with_blocks(3));
            let mut client = connected(&teranode, role, ClientKind::Actor);
            teranode.wait_for_stream(StreamType::Data1);
            client.ping(LIMIT).unwrap();
            assert_eq!(synced(&mut client).tip(), teranode.tip());
            client.block(teranode.tip().1, LIMIT).unwrap();
            let received = teranode.received();
            let over_data1 = |command: &str| {
                let all = received
                    .iter()
                    .filter(|one| one.stream == StreamType::Data1);
                let commands = all.map(|one| one.message.command());
                commands.filter(|one| one.name() == command).count()
            };
            for command in ["ping", "getheaders", "getdata"] {
                assert!(over_data1(command) > 0, "{order:?} {role:?} {command}");
            }
            // Verack and protoconf over the second stream answer nothing.
            assert_eq!(over_data1("verack") + over_data1("protoconf"), 0);
            teranode.assert_no_punishment();
        }
    }
}

#[test]
fn manager_has_second_stream_in_both_roles() {
    for order in [JoinOrder::VerackFirst, JoinOrder::AckFirst] {
        for role in TeranodeRole::ALL {
            let teranode = Teranode::start(TeranodeConfig::v3(order));
            let manager = connected_manager(&teranode, role);
            teranode.wait_for_stream(StreamType::Data1);
            assert_eq!(manager.connected_count(), 1);
            manager.shutdown().unwrap();
            teranode.assert_no_punishment();
        }
    }
}

/// Returns a Teranode with pings and a silence limit that are 240 times as fast.
fn with_fast_pings(config: TeranodeConfig) -> TeranodeConfig {
    TeranodeConfig {
        ping_interval: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(2_500),
        ..config
    }
}

/// Waits until the Teranode has received this number of pongs.
fn expect_pongs(teranode: &Teranode, count: usize) {
    teranode.wait_for_messages("pong", count);
    assert!(teranode.slowest_pong() < Duration::from_secs(5));
}

/// The client sends nothing by itself for longer than the silence limit.
#[test]
fn answered_pings_keep_silent_connection_open() {
    std::thread::scope(|scope| {
        for config in versions() {
            for role in TeranodeRole::ALL {
                for kind in ClientKind::ALL {
                    let config = with_fast_pings(config.clone());
                    scope.spawn(move || stay_silent(config, role, kind));
                }
            }
        }
    });
}

fn stay_silent(config: TeranodeConfig, role: TeranodeRole, kind: ClientKind) {
    let teranode = Teranode::start(config);
    let mut client = connected(&teranode, role, kind);
    let deadline = Instant::now() + LIMIT;
    while let Client::Blocking(connection) = &mut client
        && teranode.count("pong") < 6
    {
        assert!(Instant::now() < deadline, "no ping");
        let wait = Duration::from_millis(100);
        // A dialed peer is asked for addresses.
        connection.receive_timeout(wait).unwrap();
    }
    expect_pongs(&teranode, 6);
    teranode.assert_no_punishment();
}

/// Requests of all kinds are open while pings are answered.
#[test]
fn pings_are_answered_under_load() {
    for config in versions() {
        let config = TeranodeConfig {
            ping_interval: Duration::from_millis(5),
            ..config.with_blocks(300)
        };
        let teranode = Teranode::start(config);
        let manager = connected_manager(&teranode, TeranodeRole::Server);
        let hashes: Vec<_> = (1..=300).map(|height| teranode.hash_at(height)).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for hash in &hashes {
                        assert_eq!(manager.fetch_block(*hash, LIMIT).unwrap().hash(), *hash);
                    }
                });
            }
        });
        expect_pongs(&teranode, 10);
        manager.shutdown().unwrap();
        teranode.assert_no_punishment();
    }
}

/// A subscriber that reads nothing pauses the reader, so that pings of the Teranode wait. Our own
/// pings end the silence.
#[test]
fn paused_reader_stays_connected() {
    let many: Vec<_> = (0..5_000_u32)
        .map(|number| {
            let mut txid = [7; 32];
            txid[..4].copy_from_slice(&number.to_le_bytes());
            Txid(txid)
        })
        .collect();
    std::thread::scope(|scope| {
        for config in versions() {
            let many = &many;
            scope.spawn(move || {
                let teranode = Teranode::start(with_fast_pings(config));
                let mut config = manager_config();
                config.connection.session.ping_interval = Duration::from_millis(300);
                // Less than one list has.
                config.connection.max_subscriber_backlog_bytes = 64 << 10;
                let manager = connected_manager_with(&teranode, TeranodeRole::Server, config);
                let messages = manager.subscribe_messages_with(SubscriptionOptions {
                    capacity: 1,
                    ..SubscriptionOptions::default()
                });
                for _ in 0..3 {
                    teranode.announce_transactions(many);
                }
                // Longer than the silence limit.
                teranode.wait_for_messages("ping", teranode.count("ping") + 4);
                // One list fills the queue, the next one exceeds the backlog.
                assert_eq!(messages.len(), 2);
                assert_eq!(manager.connected_count(), 1);
                teranode.assert_no_punishment();
                for _ in 0..3 {
                    messages.recv_timeout(LIMIT).unwrap();
                }
                manager.shutdown().unwrap();
            });
        }
    });
}

/// A connection of a banned address is closed without any byte.
#[test]
fn other_user_agent_is_banned() {
    let teranode = Teranode::start(TeranodeConfig::v2());
    let address = teranode.address().to_string();
    let mut other = config();
    other.session.user_agent = "/other:1/".into();
    other.session.allow_rejected_user_agent = true;
    let error = Connection::connect(&address, &other).unwrap_err();
    let text = "Only Bitcoin SV clients are supported";
    let error = with_sources(&error);
    assert!(error.contains(text), "{error}");
    assert!(teranode.is_banned([127, 0, 0, 1].into()));
    assert!(Connection::connect(&address, &config()).is_err());
}

#[test]
fn every_message_of_idle_client_is_known() {
    for_each(
        |config| config,
        |teranode, client| {
            client.ping(LIMIT).unwrap();
            let received = teranode.received();
            let is_unknown = |message: &Message| matches!(message, Message::Unknown { .. });
            assert!(received.iter().all(|one| !is_unknown(&one.message)));
        },
    );
}
