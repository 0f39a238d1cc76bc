//! How fast connections are, each figure beside the physical limit, or another library, that runs in the same process.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench connection` prints the table. Those of a row take short turns, several
//! rounds, and the median of the rounds' ratios counts. `-- blocks`, `announcements`, `pings` or `round_trips` runs only those.

mod blocks;
mod pings;
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
