//! Threads and descriptors: after many runs there are as many as before.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::fault_proxy::FaultPlan;
use crate::side::DEADLINE;
use crate::two_peers;

/// Set in the process that counts: other tests would disturb the count.
const COUNTING: &str = "BSV_P2P_TEST_COUNTS_RESOURCES";
/// The test's name, by which it starts itself again.
const TEST: &str = "resources::runs_under_fault_leave_no_thread_and_no_descriptor_behind";

#[test]
fn runs_under_fault_leave_no_thread_and_no_descriptor_behind() {
    if env::var_os(COUNTING).is_some() {
        return count();
    }
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST, "--test-threads=1", "--nocapture"])
        .env(COUNTING, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&child.stderr)
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
    let (threads, descriptors) = (entries("task"), entries("fd"));
    for eight in 0..4 {
        runs(1_000 + eight * 8..1_008 + eight * 8);
    }
    let deadline = Instant::now() + DEADLINE;
    // The system forgets a joined thread a moment later.
    while entries("task") != threads {
        assert!(
            Instant::now() < deadline,
            "{threads} threads became {}",
            entries("task")
        );
        thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(entries("fd"), descriptors);
}

fn entries(what: &str) -> usize {
    fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}
