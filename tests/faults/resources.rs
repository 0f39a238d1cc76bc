//! Threads and descriptors are released after many runs.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use test_support::own_process::{run_in_own_process, threads_and_descriptors};

use crate::fault_proxy::FaultPlan;
use crate::side::DEADLINE;
use crate::{two_peers, two_streams};

#[test]
fn faults_leave_no_threads_or_descriptors() {
    run_in_own_process("resources::faults_leave_no_threads_or_descriptors", || {
        count(|seed| _ = two_peers::run(seed, &FaultPlan::from_seed(seed)))
    });
}

#[test]
fn faults_on_streams_leave_no_threads_or_descriptors() {
    run_in_own_process(
        "resources::faults_on_streams_leave_no_threads_or_descriptors",
        || count(|seed| _ = two_streams::run(seed, &FaultPlan::from_seed(seed))),
    );
}

fn count(run: impl Fn(u64) + Copy + Send) {
    let (threads, _) = threads_and_descriptors();
    let runs = |seeds: Range<u64>| {
        thread::scope(|scope| {
            for seed in seeds {
                scope.spawn(move || run(seed));
            }
        });
    };
    // Resources that the first use allocates permanently are no leak. No thread is permanent.
    runs(0..2);
    expect_threads(threads);
    let (_, descriptors) = threads_and_descriptors();
    for eight in 0..4 {
        runs(1_000 + eight * 8..1_008 + eight * 8);
    }
    expect_threads(threads);
    assert_eq!(threads_and_descriptors().1, descriptors);
}

/// The system forgets a joined thread a moment later.
#[track_caller]
fn expect_threads(expected: usize) {
    let deadline = Instant::now() + DEADLINE;
    while threads_and_descriptors().0 != expected {
        assert!(
            Instant::now() < deadline,
            "{expected} threads became {}",
            threads_and_descriptors().0
        );
        thread::park_timeout(Duration::from_millis(10));
    }
}
