//! Threads and descriptors: after many runs there are as many as before.

use std::thread;
use std::time::{Duration, Instant};

use crate::alone::{alone, threads_and_descriptors};
use crate::fault_proxy::FaultPlan;
use crate::side::DEADLINE;
use crate::two_peers;

#[test]
fn runs_under_fault_leave_no_thread_and_no_descriptor_behind() {
    alone(
        "resources::runs_under_fault_leave_no_thread_and_no_descriptor_behind",
        count,
    );
}

fn count() {
    let runs = |seeds: std::ops::Range<u64>| {
        thread::scope(|scope| {
            for seed in seeds {
                scope.spawn(move || two_peers::run(seed, &FaultPlan::from_seed(seed)));
            }
        });
    };
    // What the first use of anything keeps for good is no leak.
    runs(0..2);
    let before = threads_and_descriptors();
    for eight in 0..4 {
        runs(1_000 + eight * 8..1_008 + eight * 8);
    }
    let deadline = Instant::now() + DEADLINE;
    // The system forgets a joined thread a moment later.
    while threads_and_descriptors().0 != before.0 {
        assert!(
            Instant::now() < deadline,
            "{before:?} threads and descriptors became {:?}",
            threads_and_descriptors()
        );
        thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(threads_and_descriptors().1, before.1);
}
