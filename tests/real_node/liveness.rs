//! Pings in both directions, and connections to a node that is killed, stalls, or resumes.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::QueueStats;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{BlockHash, Command, Message};
use bsv_p2p::{Connection, ConnectionConfig, Error, Timeout};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

use crate::peer::{
    Actor, SOON, announced, assert_good_standing, be_dialed, config, config_with_fast_pings, dial,
    end_of, genesis, is_cut, serve_until, tip,
};

/// The time limit for noticing an end immediately.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Tolerance for late timeouts on a busy machine.
const LATE: Duration = Duration::from_secs(3);

/// Returns whether the peer has answered this many pings of the node, and none is pending.
fn has_answered(peer: &Value, pings: u64) -> bool {
    // A pong has 8 bytes after its header of 24.
    let pongs = peer["bytesrecv_per_msg"]["pong"].as_u64().unwrap_or(0) / 32;
    pongs >= pings && peer["pingwait"].is_null() && peer["pingtime"].is_number()
}

#[track_caller]
fn assert_pings_both_ways(node: &RealNode, mut connection: Connection) {
    serve_until(
        node,
        &mut connection,
        "the node's first ping is answered",
        |peer| has_answered(peer, 1),
    );
    for pings in 2..=4 {
        node.rpc("ping", json!([]));
        serve_until(node, &mut connection, "a ping by RPC is answered", |peer| {
            has_answered(peer, pings)
        });
    }
    let first = connection.round_trip();
    assert!(
        first.last.is_some(),
        "our own first ping is answered: {first:?}"
    );
    for _ in 0..10 {
        let took = connection.ping(SOON).expect("a pong");
        assert!(took > Duration::ZERO && took < SOON, "{took:?}");
        let round_trip = connection.round_trip();
        assert_eq!(round_trip.last, Some(took));
        assert!(round_trip.min <= round_trip.smoothed, "{round_trip:?}");
    }
    assert_good_standing(node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn outbound_connection_answers_and_sends_pings() {
    let node = RealNode::start(&[]);
    let connection = dial(&node, &config());
    assert_pings_both_ways(&node, connection);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn inbound_connection_answers_and_sends_pings() {
    let node = RealNode::start(&[]);
    let connection = be_dialed(&node, &config());
    assert_pings_both_ways(&node, connection);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn actors_answer_and_send_pings() {
    let node = RealNode::start(&[]);
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(300);
    let mut actors = [
        Actor::dial(&node, config.clone()),
        Actor::be_dialed(&node, config),
    ];
    for actor in &mut actors {
        actor.connected(&node);
    }
    for pings in 1..=3 {
        node.wait_until("the node's pings are answered", SOON, || {
            let peers = node.peer_info();
            peers.len() == 2 && peers.iter().all(|peer| has_answered(peer, pings))
        });
        node.rpc("ping", json!([]));
    }
    for actor in &actors {
        // No ping is sent while one is pending: at the third, two have been answered.
        let sent = actor.handle.traffic().messages_sent;
        node.wait_until("more pings of ours go out", SOON, || {
            actor.handle.traffic().messages_sent >= sent + 3
        });
        let round_trip = actor.handle.round_trip();
        assert!(round_trip.min > Some(Duration::ZERO), "{round_trip:?}");
        assert!(round_trip.min <= round_trip.last, "{round_trip:?}");
        assert!(round_trip.min <= round_trip.smoothed, "{round_trip:?}");
        assert!(actor.handle.peer_info().is_some());
    }
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn killed_node_is_noticed_immediately() {
    let node = RealNode::start(&[]);
    let mut connection = dial(&node, &config());
    let mut actors = [
        Actor::dial(&node, config()),
        Actor::be_dialed(&node, config()),
    ];
    for actor in &mut actors {
        actor.connected(&node);
    }
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            loop {
                if let Err(error) = connection.receive() {
                    return (end_of::<()>(Err(error)), Instant::now());
                }
            }
        });
        let killed = Instant::now();
        node.kill();
        let (reason, noticed) = reader.join().expect("the reader ends");
        assert!(is_cut(&reason), "{reason:?}");
        assert!(noticed - killed < AT_ONCE, "{:?}", noticed - killed);
        for actor in &mut actors {
            let reason = actor.lost();
            assert!(is_cut(&reason), "{reason:?}");
        }
        assert!(killed.elapsed() < AT_ONCE, "{:?}", killed.elapsed());
    });
    // Every later call fails with the same reason.
    assert!(is_cut(&end_of(connection.receive())));
    assert!(is_cut(&end_of(connection.ping(SOON))));
    assert!(is_cut(&end_of(connection.send(&Message::GetAddr))));
    assert!(is_cut(&end_of(
        actors[0].handle.try_send(&Message::GetAddr)
    )));
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn stalled_node_reaches_ping_timeout() {
    let node = RealNode::start(&[]);
    let mut connection = dial(&node, &config_with_fast_pings());
    let mut actor = Actor::dial(&node, config_with_fast_pings());
    actor.connected(&node);
    let session = config_with_fast_pings().session;
    let timed_out = DisconnectReason::PingTimeout {
        after: session.ping_timeout,
    };

    let stalled = Instant::now();
    node.stop_process();
    let reason = loop {
        if let Err(error) = connection.receive() {
            break end_of::<()>(Err(error));
        }
    };
    let after = stalled.elapsed();
    assert_eq!(reason, timed_out);
    assert!(after > session.ping_timeout / 2, "{after:?}");
    assert!(
        after < session.ping_interval + session.ping_timeout + LATE,
        "{after:?}"
    );

    assert_eq!(actor.lost(), timed_out);
    let after = stalled.elapsed();
    assert!(
        after < session.ping_interval + session.ping_timeout + LATE,
        "{after:?}"
    );
}

/// Returns a meaningless message of 128 KiB, which the node skips.
fn ballast() -> Message {
    let mut command = [0; Command::LEN];
    command[..7].copy_from_slice(b"ballast");
    Message::Unknown {
        command: Command::parse(command).expect("a command"),
        payload: vec![0x55; 128 * 1024].into(),
    }
}

/// More ballast than the system buffers between two sockets hold: 64 MiB.
const MUCH: u32 = 512;

fn short_writes() -> ConnectionConfig {
    let mut config = config();
    config.write_timeout = Duration::from_millis(300);
    config
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn stalled_node_reaches_write_timeout_of_connection() {
    let node = RealNode::start(&[]);
    let mut connection = dial(&node, &short_writes());
    node.stop_process();
    let mut began = Instant::now();
    let reason = (0..MUCH).find_map(|_| {
        began = Instant::now();
        connection.send(ballast()).err()
    });
    let after = began.elapsed();
    let reason = end_of::<()>(Err(reason.expect("the node does not read")));
    assert!(
        matches!(reason, DisconnectReason::SlowReader { waiting: 1.. }),
        "{reason:?}"
    );
    assert!(after >= Duration::from_millis(300), "{after:?}");
    assert!(after < Duration::from_millis(300) + LATE, "{after:?}");
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn stalled_node_reaches_write_timeout_of_actor() {
    let node = RealNode::start(&[]);
    let mut actor = Actor::dial(&node, short_writes());
    actor.connected(&node);
    node.stop_process();
    let error = (0..MUCH).find_map(|_| actor.handle.send(ballast(), SOON).err());
    let reason = end_of::<()>(Err(error.expect("the node does not read")));
    assert!(
        matches!(reason, DisconnectReason::SlowReader { waiting: 1.. }),
        "{reason:?}"
    );
    assert_eq!(actor.lost(), reason);
    assert_eq!(actor.handle.send_queue(), QueueStats::default());
}

/// Accepted messages are sent once the node continues.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn send_to_stalled_node_returns_after_timeout() {
    let node = RealNode::start(&[]);
    let mut config = config();
    config.max_send_queue_bytes = 1024 * 1024;
    let mut actor = Actor::dial(&node, config);
    actor.connected(&node);
    node.stop_process();
    let room = Duration::from_millis(200);
    let mut began = Instant::now();
    let error = (0..MUCH).find_map(|_| {
        began = Instant::now();
        actor.handle.send(ballast(), room).err()
    });
    assert!(
        matches!(&error, Some(Error::Timeout { which: Timeout::Send, after, .. }) if *after == room),
        "{error:?}"
    );
    let after = began.elapsed();
    assert!(after >= room && after < room + LATE, "{after:?}");

    // Nothing is lost: accepted messages are sent once the node reads again.
    node.continue_process();
    actor.handle.flush(SOON).expect("the node reads");
    actor.handle.send(ballast(), SOON).expect("there is room");
    node.generate(1);
    let (hash, _) = actor.receive("the announcement of a block", announced);
    assert_eq!(hash, tip(&node));
    assert_good_standing(&node);
}

/// The connection works once the node continues.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn requests_to_stalled_node_time_out() {
    let node = RealNode::start(&[]);
    node.generate(3);
    let mut connection = dial(&node, &config());
    let tip = tip(&node);
    node.stop_process();
    let limit = Duration::from_millis(150);
    let timed_out = |what: &str, began: Instant, error: Option<Error>| {
        assert!(
            matches!(&error, Some(Error::Timeout { which: Timeout::Response, after, .. }) if *after == limit),
            "{what}: {error:?}"
        );
        let after = began.elapsed();
        assert!(after >= limit && after < limit + LATE, "{what}: {after:?}");
    };
    let began = Instant::now();
    timed_out("ping", began, connection.ping(limit).err());
    let began = Instant::now();
    timed_out("block", began, connection.block(tip, limit).err());
    let began = Instant::now();
    let headers = connection.headers(&[tip], BlockHash::ZERO, limit);
    timed_out("headers", began, headers.err());

    node.continue_process();
    // Late responses do not answer new requests.
    let headers = connection.headers(&[genesis()], BlockHash::ZERO, SOON);
    assert_eq!(headers.expect("headers").len(), 3);
    assert_eq!(connection.block(tip, SOON).expect("the block").hash(), tip);
    connection.ping(SOON).expect("a pong");
    assert_good_standing(&node);
}
