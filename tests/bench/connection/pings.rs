//! Pings and pongs in sequence.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{EventBus, PeerConnectionActor, PeerConnectionOptions};
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::{Connection, ConnectionConfig, Network};

use crate::scripted::{TIMEOUT, wait_for_handshake};
use crate::table::{Aim, print_row};
use crate::timing::{Program, Turns, in_turns};

const TURNS: Turns = Turns {
    turn: Duration::from_millis(20),
    all: Duration::from_secs(5),
};

/// Pings to an actor, from a `Connection` and from the handle of another actor. The baseline
/// exchanges the same number of bytes without parsing them.
pub(crate) fn round_trips() {
    let node = LocalNode::start().expect("a local node");
    let config = ConnectionConfig::new(Network::Regtest);
    let address = node.address();
    let mut connection = Connection::connect(address.to_string(), &config).expect("a connection");
    let events = EventBus::new();
    let control = events.subscribe_control();
    let setup = PeerConnectionOptions {
        events,
        ..PeerConnectionOptions::new(config)
    };
    let handle = PeerConnectionActor::spawn_outbound(address, setup).expect("a thread");
    wait_for_handshake(&control);
    let (times, ratios) = in_turns(
        &TURNS,
        [
            echo(),
            timed(|| {
                connection.ping(TIMEOUT).expect("a pong");
            }),
            timed(|| {
                handle.ping(TIMEOUT).expect("a pong");
            }),
        ],
    );
    let micros = |seconds: f64| format!("{:.1} µs", seconds * 1e6);
    for (number, who) in [(1, "`Connection`"), (2, "handle of an actor")] {
        print_row(
            &format!("ping round trip, {who} to actor"),
            micros(times[number]),
            "TCP echo",
            micros(times[0]),
            ratios[number],
            Aim::AtMost(2.0),
        );
    }
}

fn timed<'a>(mut work: impl FnMut() + 'a) -> Program<'a> {
    Box::new(move |count| {
        let begin = Instant::now();
        (0..count).for_each(|_| work());
        begin.elapsed()
    })
}

fn echo() -> Program<'static> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut here = TcpStream::connect(address).expect("a connection");
    let (mut there, _) = listener.accept().expect("a connection");
    for stream in [&here, &there] {
        stream.set_nodelay(true).expect("an option");
    }
    let mut bytes = [0; 32];
    thread::spawn(move || {
        let mut bytes = bytes;
        while there.read_exact(&mut bytes).is_ok() && there.write_all(&bytes).is_ok() {}
    });
    timed(move || {
        here.write_all(&bytes).expect("a question");
        here.read_exact(&mut bytes).expect("an answer");
    })
}
