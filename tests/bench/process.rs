//! Resources of this process, as reported by Linux.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Returns the resident memory of this process, in KiB.
pub(crate) fn resident_kib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|resident| resident.trim().strip_suffix(" kB"));
    kib.expect("a size").trim().parse().expect("a number")
}

/// Returns the CPU time of the threads of this process that have not ended.
///
/// Sleeps for a moment, because Linux updates the time of a thread only when it stops running.
pub(crate) fn cpu() -> Duration {
    thread::sleep(Duration::from_millis(1));
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    threads
        .map(|thread| cpu_of(&thread.expect("an entry").path()))
        .sum()
}

/// A thread of this process.
pub(crate) struct Thread(PathBuf);

impl Thread {
    pub(crate) fn current() -> Self {
        let link = fs::read_link("/proc/thread-self").expect("Linux");
        Self(Path::new("/proc").join(link))
    }

    /// Returns the CPU time of the thread, or zero if it has ended.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(&self.0)
    }
}

fn cpu_of(thread: &Path) -> Duration {
    // The thread may have ended in between.
    let text = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    Duration::from_nanos(first.parse().unwrap_or(0))
}

/// Exits this process if it cannot have this number of descriptors.
pub(crate) fn check_descriptors(needed: u64) {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    if soft.is_some_and(|soft: u64| soft < needed) {
        eprintln!("{needed} descriptors are needed: ulimit -n {needed}");
        std::process::exit(1);
    }
}
