//! Peers that come and go: connections begin, restart and end at random times, with one and two
//! streams, while several threads send requests and slow subscribers pause reading.
//!
//! The events of every peer keep their order, with exactly one final event. No thread, descriptor,
//! slot, association or payload memory is left.

mod client;
mod history;
mod program;
mod server;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::Supervisor;
use test_support::own_process::{run_in_own_process, threads_and_descriptors};
use test_support::raw_peer::wait_until;

use self::client::Client;
use self::program::Counts;
use self::server::Server;

/// The number of threads that dial. Each has one connection at a time.
const DIALING_THREADS: u64 = 24;
/// The number of peers that are dialed in a second.
const PEERS_PER_SECOND: u32 = 120;

#[test]
fn short_churn_leaves_nothing_behind() {
    run_in_own_process("churn::short_churn_leaves_nothing_behind", || {
        assert_churn_leaves_nothing(Duration::from_secs(5));
    });
}

#[test]
#[ignore = "takes more than a minute"]
fn churn_of_7000_peers_leaves_nothing_behind() {
    run_in_own_process("churn::churn_of_7000_peers_leaves_nothing_behind", || {
        assert_churn_leaves_nothing(Duration::from_secs(60));
    });
}

/// Dials [`PEERS_PER_SECOND`] for at least `duration`, and longer on a slow machine.
fn assert_churn_leaves_nothing(duration: Duration) {
    // Resources that the first use allocates permanently are no leak.
    churn(Duration::from_millis(200));
    let before = threads_and_descriptors();
    for counts in churn(duration) {
        println!("{counts}");
        counts.check();
    }
    // The system forgets a joined thread a moment later.
    wait_until("the threads are gone", || {
        threads_and_descriptors().0 == before.0
    });
    assert_eq!(threads_and_descriptors().1, before.1);
}

/// Returns the actions of the connections of the client and of the servers.
fn churn(duration: Duration) -> Vec<Counts> {
    let began = Instant::now();
    // A closed connection occupies its port for a minute, separately for each server.
    let servers = [0, 1].map(Server::start);
    let supervisor = Supervisor::start().unwrap();
    let client = Client::start();
    let dialed = AtomicU32::new(0);
    thread::scope(|scope| {
        for seed in 0..DIALING_THREADS {
            let mut dialer = client.dialer(&supervisor, &servers, seed);
            let dialed = &dialed;
            scope.spawn(move || {
                loop {
                    let number = dialed.fetch_add(1, Relaxed);
                    let start_after = Duration::from_secs(1) / PEERS_PER_SECOND * number;
                    if start_after >= duration {
                        break;
                    }
                    thread::sleep(start_after.saturating_sub(began.elapsed()));
                    dialer.connect_and_close();
                }
            });
        }
    });
    let client = client.finish();
    assert!(client.restarts > 0, "{client}");
    drop(supervisor);
    let servers = servers.into_iter().map(Server::finish);
    [client].into_iter().chain(servers).collect()
}
