//! Speed, memory and lock times of the header chain.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench chain` prints the table. Every
//! baseline runs in the same process, in alternating rounds; the median of the ratios counts.
//! `-- extend`, `load`, `sync`, `memory` or `locks` runs one group.

mod locks;
#[path = "../process.rs"]
#[allow(dead_code, reason = "this benchmark needs the resident memory only")]
mod process;
mod samples;
mod speed;
mod sync;
#[path = "../connection/table.rs"]
#[allow(dead_code, reason = "no benchmark uses every kind of target")]
mod table;
#[path = "../timing.rs"]
mod timing;

/// The number of headers in every group.
const HEADERS: usize = 950_000;

fn main() {
    let groups: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    // Memory first: the allocator of a fresh process has no free pages yet.
    let all: [(&str, fn()); 5] = [
        ("memory", locks::memory),
        ("locks", locks::longest_holds),
        ("extend", speed::extend),
        ("load", speed::load),
        ("sync", sync::header_sync),
    ];
    table::print_head();
    for (name, run) in all {
        if groups.is_empty() || groups.iter().any(|group| group == name) {
            run();
        }
    }
}
