//! Resources of this process, as reported by Linux.

use std::fs;

/// Returns the resident memory of this process, in KiB.
pub(crate) fn resident_kib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|resident| resident.trim().strip_suffix(" kB"));
    kib.expect("a size").trim().parse().expect("a number")
}

/// Returns the CPU time of this process, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = threads.map(|thread| {
        let path = thread.expect("an entry").path().join("schedstat");
        // The thread may have ended in between.
        let text = fs::read_to_string(path).unwrap_or_default();
        let first = text.split(' ').next().unwrap_or_default();
        first.parse().unwrap_or(0_u64)
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
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
