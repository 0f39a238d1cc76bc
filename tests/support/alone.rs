//! Tests that have a process to themselves, as others would disturb what they count. A test crate takes this module in with `#[path]`.

use std::env;
use std::fs;
use std::process::Command;

/// Set in the process that such a test has to itself.
const ALONE: &str = "BSV_P2P_TEST_IS_ALONE";

/// Runs `body`, the whole of a test, in a process of its own, and returns when that has passed. `name` is the test's, with
/// its modules.
#[track_caller]
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    run_alone(Command::new(env::current_exe().unwrap()), name, body);
}

/// Like [`alone`]. `program` starts this program with the arguments that are added to it.
#[track_caller]
pub(crate) fn run_alone(mut program: Command, name: &str, body: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let child = program
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    // A name that is none would be no failure.
    assert!(
        child.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

/// How many threads this process has, and how many descriptors. The system forgets a joined thread a moment after.
pub(crate) fn threads_and_descriptors() -> (usize, usize) {
    let count = |what| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("task"), count("fd"))
}
