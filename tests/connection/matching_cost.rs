//! The cost of a message does not depend on the number of open requests.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::wire::{Inventory, Txid};
use test_support::raw_peer::DEADLINE;

use crate::answers::not_found;
use crate::harness::{Actor, config};

/// The maximum cost with 1,000 open requests, relative to that with 10.
const MAX_RATIO: f64 = 5.0;

fn txid(number: u32) -> Txid {
    let mut hash = [7; 32];
    hash[..4].copy_from_slice(&number.to_le_bytes());
    Txid(hash)
}

/// Returns the time from a `notfound` to the answer of the next ping, while requests are open. The
/// fastest of several.
fn cost(requests: u32) -> Duration {
    let (actor, mut peer) = Actor::connected(&config());
    let (actor, peer) = (&actor, &mut peer);
    thread::scope(|scope| {
        for number in 0..requests {
            let thread = thread::Builder::new().stack_size(128 * 1024);
            let request = move || actor.handle.transactions(&[txid(number)], DEADLINE);
            thread.spawn_scoped(scope, request).unwrap();
        }
        for _ in 0..requests {
            peer.expect("getdata");
        }
        let entries: Vec<_> = (requests..requests + 58_000)
            .map(|number| Inventory::Tx(txid(number)))
            .collect();
        let measure = |nonce| {
            let start = Instant::now();
            peer.send(not_found(&entries));
            peer.ping(nonce);
            start.elapsed()
        };
        let fastest = (1..=5).map(measure).min().unwrap();
        actor.handle.disconnect();
        fastest
    })
}

#[test]
fn notfound_costs_the_same_with_many_requests() {
    let (few, many) = (cost(10), cost(1000));
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    assert!(
        ratio < MAX_RATIO,
        "{few:?} grows to {many:?}, by {ratio:.1}"
    );
}
