//! Speed of connections, compared with the physical limit or another library in the same process.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench connection` prints the table. The
//! programs of a row take short turns for several rounds, and the median of the ratios counts.
//! `-- blocks`, `announcements`, `pings` or `round_trips` runs one group.

mod blocks;
mod pings;
#[allow(dead_code, reason = "not every benchmark measures every resource")]
#[path = "../process.rs"]
mod process;
mod scripted;
mod small_messages;
mod table;
#[path = "../timing.rs"]
mod timing;

fn main() {
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let groups: [(&str, fn()); 4] = [
        ("blocks", blocks::receive),
        ("announcements", small_messages::announcements),
        ("pings", small_messages::pings),
        ("round_trips", pings::round_trips),
    ];
    table::print_head();
    for (name, run) in groups {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            run();
        }
    }
}
