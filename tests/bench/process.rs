//! Resources of this process, as reported by Linux.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Returns the resident memory of this process, in KiB.
pub(crate) fn resident_kib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|resident| resident.trim().strip_suffix(" kB"));
    kib.expect("a size").trim().parse().expect("a number")
}

/// Returns the CPU time of all threads of this process, including those that have ended.
///
/// Sleeps for a moment, because Linux updates the time of a thread only when it stops running.
pub(crate) fn cpu() -> Duration {
    thread::sleep(Duration::from_millis(1));
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
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
        let text = fs::read_to_string(self.0.join("schedstat")).unwrap_or_default();
        let first = text.split(' ').next().unwrap_or_default();
        Duration::from_nanos(first.parse().unwrap_or(0))
    }
}

/// Raises the limit of descriptors to `needed`, also for child processes. Exits this process if the
/// system does not allow as many.
pub(crate) fn ensure_descriptors(needed: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    limit.current = Some(needed);
    if setrlimit(Resource::Nofile, limit).is_err() {
        eprintln!("{needed} descriptors are needed: ulimit -n {needed}");
        std::process::exit(1);
    }
}
