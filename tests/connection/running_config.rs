//! Configuration updates of open connections, and their statistics.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    CommandTraffic, PeerConnectionActor, PeerConnectionCommand, PeerConnectionOptions,
    SubscriptionOptions, TrafficStats,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::network::Magic;
use bsv_p2p::session::{ConnectionState, DisconnectReason};
use bsv_p2p::wire::{Command, Pong};
use bsv_p2p::{Error, Network};
use test_support::raw_peer::{
    DEADLINE, RawListener, frame, header_claiming, large_block, wait_until,
};

use crate::block_reader::asked;
use crate::harness::{Actor, config, message, numbered};

#[test]
fn new_ping_interval_applies_within_a_second() {
    let (actor, mut peer) = Actor::connected(&config());
    let mut faster = config();
    faster.session.ping_interval = Duration::from_millis(10);
    let command = PeerConnectionCommand::UpdateConfig(Box::new(faster));
    let began = Instant::now();
    actor.handle.command(command).unwrap();
    for _ in 0..3 {
        let nonce = peer.expect_ping();
        peer.send(Pong::new(nonce));
    }
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn new_ping_timeout_applies_to_pending_ping() {
    let mut pinging = config();
    pinging.session.ping_interval = Duration::from_millis(10);
    let (actor, mut peer) = Actor::connected(&pinging);
    peer.expect_ping();
    let mut strict = config();
    strict.session.ping_timeout = Duration::from_millis(10);
    actor.handle.update_config(strict).unwrap();
    let (_, reason) = actor.expect_end();
    assert!(
        matches!(reason, DisconnectReason::PingTimeout { .. }),
        "{reason}"
    );
}

#[test]
fn new_handshake_timeout_applies_to_open_handshake() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let _silent = listener.accept();
    wait_until("the handshake is open", || {
        actor.handle.state() == ConnectionState::AwaitingHandshake
    });
    let mut strict = config();
    strict.session.handshake_timeout = Duration::from_millis(10);
    actor.handle.update_config(strict).unwrap();
    let (_, reason) = actor.expect_end();
    assert!(
        matches!(reason, DisconnectReason::HandshakeTimeout { .. }),
        "{reason}"
    );
}

#[test]
fn new_limits_apply_down_to_announced_maximum() {
    let (actor, peer) = Actor::connected(&config());
    let mut strict = config();
    strict.session.limits.general = 1024 * 1024;
    strict.session.limits.transaction = 100;
    actor.handle.update_config(strict).unwrap();
    // The new limits apply after this ping, and the length allowed by the protoconf is still
    // accepted.
    peer.send(numbered(1, 1_500_000));
    assert_eq!(actor.next_message(), numbered(1, 1_500_000));
    peer.send_bytes(&header_claiming("tx", 101));
    let (_, reason) = actor.expect_end();
    assert!(
        matches!(reason, DisconnectReason::FrameTooLarge { limit: 100, .. }),
        "{reason}"
    );
}

#[test]
fn smaller_outbox_accepts_fewer_messages() {
    let (actor, mut peer) = Actor::connected_with_small_buffers(&config());
    let mut narrow = config();
    narrow.max_send_queue_messages = 1;
    actor.handle.update_config(narrow).unwrap();
    // The connection thread updates its configuration between these two pings.
    peer.ping(1);
    peer.ping(2);
    wait_until("the outbox is full", || {
        let full = actor.handle.try_send(numbered(0, 100_000));
        matches!(full, Err(Error::Timeout { .. }))
    });
    let queue = actor.handle.send_queue();
    assert!(queue.messages <= 2, "{queue:?}");
}

#[test]
fn invalid_configuration_update_is_rejected_with_field() {
    let (actor, _peer) = Actor::connected(&config());
    let refused = |change: fn(&mut bsv_p2p::ConnectionConfig)| {
        let mut wrong = config();
        change(&mut wrong);
        match actor.handle.update_config(wrong) {
            Err(Error::Config(error)) => error.field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused(|config| config.max_send_queue_bytes = 0),
        "max_send_queue_bytes"
    );
    assert_eq!(
        refused(|config| config.network = Network::Mainnet),
        "network"
    );
    assert_eq!(
        refused(|config| config.magic = Some(Magic([1; 4]))),
        "magic"
    );
    actor.handle.try_send(message("goes on")).unwrap();
}

#[test]
fn statistics_count_commands_in_both_directions() {
    let (actor, mut peer) = Actor::connected(&config());
    peer.ping(7);
    peer.send(message("12345"));
    actor.next_message();
    actor.handle.send(message("123"), DEADLINE).unwrap();
    peer.expect("test");
    let statistics = actor.handle.statistics();
    assert_eq!(statistics.state, ConnectionState::Connected);
    assert_eq!(statistics.peer_id, actor.handle.peer_id());
    assert!(statistics.connected_for.is_some_and(|time| time < DEADLINE));
    assert_eq!(statistics.restarts, 0);
    assert_eq!(statistics.last_error, None);
    assert_eq!(
        (statistics.queued_messages, statistics.queued_bytes),
        (0, 0)
    );
    let of = |name| {
        let mut all = statistics.commands.iter();
        all.find(|each| each.command == name)
            .map(|each| each.traffic)
    };
    let traffic = of(Command::new("ping")).unwrap();
    assert_eq!((traffic.messages_received, traffic.bytes_received), (1, 32));
    let traffic = of(Command::new("pong")).unwrap();
    assert_eq!((traffic.messages_sent, traffic.bytes_sent), (1, 32));
    let mut others = TrafficStats::default();
    others.messages_received = 1;
    others.messages_sent = 1;
    others.bytes_received = 29;
    others.bytes_sent = 27;
    assert_eq!(of(CommandTraffic::OTHERS), Some(others));
    assert_eq!(of(Command::new("block")), None);
    let sum: u64 = statistics
        .commands
        .iter()
        .map(|each| each.traffic.bytes_received)
        .sum();
    assert_eq!(sum, statistics.traffic.bytes_received);
}

/// The maximum time until a waiting connection applies an update: a second, and scheduling.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn shorter_subscriber_timeout_ends_current_wait() {
    let mut patient = config();
    patient.subscriber_timeout = Duration::from_secs(600);
    patient.max_subscriber_backlog_bytes = 1;
    let listener = RawListener::new();
    let setup = PeerConnectionOptions::new(patient.clone());
    let stuck = setup.events.subscribe_messages_with(SubscriptionOptions {
        capacity: 1,
        ..SubscriptionOptions::default()
    });
    let control = setup.events.subscribe_control();
    let handle = PeerConnectionActor::spawn_outbound(listener.address(), setup).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    for number in 0..10 {
        peer.send(numbered(number, 1000));
    }
    // The first message fills the queue, the second one the backlog.
    let received = || {
        let commands = handle.statistics().commands;
        let mut others = commands.iter();
        let others = others.find(|each| each.command == CommandTraffic::OTHERS);
        others.map_or(0, |others| others.traffic.messages_received)
    };
    wait_until("the connection waits", || received() == 2);
    patient.subscriber_timeout = Duration::from_millis(10);
    let began = Instant::now();
    handle.update_config(patient).unwrap();
    wait_until("the subscription has ended", || {
        matches!(
            control.try_recv(),
            Ok(ControlEvent::SubscriptionEnded { .. })
        )
    });
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
    drop(stuck);
}

#[test]
fn larger_payload_memory_ends_current_wait() {
    let mut small = config();
    small.session.limits.buffered = 1_000_000;
    small.max_payload_memory = 1_000_000;
    small.payload_memory_timeout = Duration::from_secs(600);
    let (actor, peer) = Actor::connected(&small);
    for number in 0..8 {
        peer.send(numbered(number, 200_000));
    }
    // No test message is taken, so their memory stays in use.
    wait_until("the memory is in use", || {
        actor.handle.statistics().payload_memory >= 900_000
    });
    small.max_payload_memory = 64_000_000;
    let began = Instant::now();
    actor.handle.update_config(small).unwrap();
    wait_until("the rest is read", || {
        actor.handle.statistics().payload_memory >= 1_600_000
    });
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
}

#[test]
fn shorter_block_reader_timeout_ends_current_wait() {
    let mut patient = config();
    patient.block_reader_timeout = Duration::from_secs(600);
    let (actor, mut peer) = Actor::connected(&patient);
    // More than is queued for a reader.
    let block = large_block(4_000_000);
    let reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send_bytes(&frame(&block.clone().into())[..1000]);
    });
    let mut tcp = peer.another_holder();
    thread::scope(|scope| {
        let bytes = frame(&block.clone().into());
        scope.spawn(move || {
            // Fails when the connection ends.
            let _ = tcp.write_all(&bytes[1000..]);
        });
        wait_until("the connection waits for the reader", || {
            actor.handle.traffic().bytes_received > 2_000_000
        });
        patient.block_reader_timeout = Duration::from_millis(10);
        let began = Instant::now();
        actor.handle.update_config(patient).unwrap();
        let (_, reason) = actor.expect_end();
        assert_eq!(reason, DisconnectReason::BlockReaderAbandoned);
        assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
    });
    drop(reader);
}
