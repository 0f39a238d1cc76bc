//! The same work of a manager and of a Bitcoin SV node, in turns, ordered by the same client.

use std::net::SocketAddr;
use std::time::Instant;

use test_support::real_node::RealNode;

use crate::initiators::Initiators;
use crate::table::{Aim, print_row};
use crate::{listening, median};

const ROUNDS: usize = 5;
/// The number of handshakes in a turn.
const HANDSHAKES: usize = 1_000;
/// The number of pings in a turn.
const PINGS: usize = 100_000;

/// Exits this process if there is no node.
pub(crate) fn check() {
    if std::env::var_os("BSV_NODE").is_none() {
        eprintln!(
            "`handshakes` and `pings` compare with a Bitcoin SV node. Get it with `export \
             BSV_NODE=$(.ci/fetch-real-node target/node)`."
        );
        std::process::exit(1);
    }
}

/// Peers that connect, complete the handshake and disconnect, four at a time.
pub(crate) fn handshakes() {
    let (manager, address) = listening();
    compare("handshakes", "handshakes", HANDSHAKES, address);
    let complete = manager.metrics().handshakes;
    assert_eq!(complete, (ROUNDS * HANDSHAKES) as u64);
}

/// One peer that pings at its maximum rate. The pongs arrive in order.
pub(crate) fn pings() {
    let (_manager, address) = listening();
    compare("pings answered", "pings", PINGS, address);
}

fn compare(work: &str, order: &str, count: usize, manager: SocketAddr) {
    // The log of `-debug=net` takes a part of the time. All peers have the same address.
    let node = RealNode::start(&[
        "-debug=0",
        "-whitelist=127.0.0.1",
        "-maxconnections=800",
        "-maxconnectionsfromaddr=0",
    ]);
    let mut ours = Initiators::start(manager);
    let mut theirs = Initiators::start(node.address());
    let order = format!("{order} {count}");
    let turn = |initiators: &mut Initiators| {
        let begin = Instant::now();
        initiators.order(&order);
        initiators.wait();
        count as f64 / begin.elapsed().as_secs_f64()
    };
    let rates: Vec<_> = (0..ROUNDS)
        .map(|_| (turn(&mut ours), turn(&mut theirs)))
        .collect();
    let readable = |rates: Vec<f64>| format!("{:.0} /s", median(rates));
    print_row(
        work,
        readable(rates.iter().map(|(ours, _)| *ours).collect()),
        "Bitcoin SV node 1.0.13",
        readable(rates.iter().map(|(_, theirs)| *theirs).collect()),
        median(rates.iter().map(|(ours, theirs)| ours / theirs).collect()),
        Aim::AtLeast(1.0),
    );
}
