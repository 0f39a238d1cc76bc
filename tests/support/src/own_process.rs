//! Tests that run in a process of their own, because other tests would disturb their counts.

use std::env;
use std::fs;
use std::process::Command;

/// Environment variable: set in the process of a single test.
const ALONE: &str = "BSV_P2P_TEST_IS_ALONE";

/// Runs `body`, the whole of a test, in a process of its own, and returns when it has passed.
/// `name` is the path of the test with its modules.
#[track_caller]
pub fn run_in_own_process(name: &str, body: impl FnOnce()) {
    run_command_in_own_process(Command::new(env::current_exe().unwrap()), name, body);
}

/// Like [`run_in_own_process`]. `program` starts this program with the arguments that are added to it.
#[track_caller]
pub fn run_command_in_own_process(mut program: Command, name: &str, body: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let child = program
        .args([
            "--exact",
            name,
            "--include-ignored",
            "--test-threads=1",
            "--nocapture",
        ])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    // An unknown name would not be a failure.
    assert!(
        child.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

/// Returns the numbers of threads and descriptors of this process. The system forgets a joined
/// thread with a short delay.
pub fn threads_and_descriptors() -> (usize, usize) {
    let count = |what| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("task"), count("fd"))
}
