//! Memory and speed of a manager with many inbound peers, which run in another process.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench manager` prints the table.
//! `-- crowd`, `streams`, `announcements`, `scaling`, `handshakes` or `pings` runs one group. The
//! last two compare with a Bitcoin SV node, whose path is in `BSV_NODE`. Each process needs about
//! 10,100 descriptors (`ulimit -n`), and raises its limit if the system allows it.

mod initiators;
mod messages;
mod node;
#[allow(dead_code, reason = "not every benchmark measures every resource")]
#[path = "../process.rs"]
mod process;
#[allow(dead_code, reason = "not every benchmark has every kind of aim")]
#[path = "../connection/table.rs"]
mod table;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{Inv, Inventory, Txid};
use bsv_p2p::{Manager, ManagerConfig, Network};

use self::initiators::Initiators;
use self::table::{Aim, print_row};

/// Option: this process runs only one group and prints its rows.
const PART: &str = "--part";
const PEERS: usize = 1_000;
const MAX_PEERS: usize = 5_000;
const PATIENCE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(10);
const BROADCASTS: usize = 21;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [role, address] = &words[..]
        && role == "initiate"
    {
        return initiators::run(address.parse().expect("an address"));
    }
    process::ensure_descriptors(2 * MAX_PEERS as u64 + 100);
    let wanted: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let groups: [(&str, fn()); 6] = [
        ("crowd", crowd),
        ("streams", streams),
        ("announcements", messages::announcements),
        ("scaling", messages::scaling),
        ("handshakes", node::handshakes),
        ("pings", node::pings),
    ];
    let is_wanted = |name| wanted.is_empty() || wanted.iter().any(|word| *word == name);
    let is_part = words.iter().any(|word| word == PART);
    if !is_part {
        if is_wanted("handshakes") || is_wanted("pings") {
            node::check();
        }
        table::print_head();
    }
    for (name, run) in groups {
        if !is_wanted(name) {
            continue;
        }
        if is_part {
            run();
        } else {
            run_apart(name);
        }
    }
}

/// Runs one group in a process of its own. Otherwise memory left by another group would count.
fn run_apart(name: &str) {
    let program = std::env::current_exe().expect("a program");
    let status = Command::new(program).args([name, PART]).status();
    assert!(status.expect("a process").success(), "{name} has failed");
}

/// Starts a manager with a slot for each peer. Returns its address, too.
fn listening() -> (Manager, SocketAddr) {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.target_connections = 0;
    config.max_connections = MAX_PEERS;
    config.listener.enabled = true;
    // The peers dial without waiting for the previous handshake.
    config.listener.max_handshakes = MAX_PEERS;
    config.listener.address = Some(([127, 0, 0, 1], 0).into());
    let manager = Manager::new(config).expect("a configuration");
    let events = manager.subscribe_control();
    manager.start().expect("threads");
    let started = events.iter().flatten().find_map(|event| match event {
        ControlEvent::ListenerStarted { address } => Some(address),
        _ => None,
    });
    (manager, started.expect("an address to listen at"))
}

/// A thousand peers: their handshakes, their costs, and one message to all of them.
fn crowd() {
    let (manager, address) = listening();
    let mut initiators = Initiators::start(address);
    let before = process::resident_kib();
    let begin = Instant::now();
    initiators.order(&format!("connect {PEERS}"));
    let all = manager.wait_for_peers(PEERS, PATIENCE);
    all.expect("all handshakes complete");
    let seconds = begin.elapsed().as_secs_f64();
    initiators.wait();
    at_most("1,000 handshakes", seconds, 5.0, |s| format!("{s:.2} s"));

    print_costs("1,000 peers", before, (64.0, 2.0));

    let mut times = Vec::new();
    for number in 0..BROADCASTS {
        let inv = Inv::from(vec![Inventory::Tx(Txid([number as u8; 32]))]);
        initiators.order("inv");
        let begin = Instant::now();
        let outcome = manager.broadcast(inv).expect("a manager that runs");
        assert_eq!(outcome.sent.len(), PEERS);
        initiators.wait();
        times.push(begin.elapsed().as_secs_f64());
    }
    at_most(
        "one inv to 1,000 peers, until the last has it",
        median(times),
        0.05,
        |s| format!("{:.1} ms", s * 1e3),
    );
}

/// A thousand peers with two streams each: their costs.
fn streams() {
    let (manager, address) = listening();
    let mut initiators = Initiators::start(address);
    let before = process::resident_kib();
    initiators.order(&format!("open {PEERS}"));
    initiators.wait();
    assert_eq!(manager.connected_count(), PEERS);
    print_costs("1,000 peers with two streams", before, (48.0, 1.0));
}

/// Prints the costs of idle peers. `before` is the resident memory without them. The targets are in
/// KiB per peer, and in percent of a core.
fn print_costs(peers: &str, before: f64, (max_kib, max_percent): (f64, f64)) {
    let kib = (process::resident_kib() - before) / PEERS as f64;
    let what = format!("resident memory for each of {peers}");
    at_most(&what, kib, max_kib, |kib| format!("{kib:.1} KiB"));

    let used = process::cpu();
    std::thread::sleep(IDLE);
    let percent = (process::cpu() - used).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let what = format!("{peers}, idle, share of a core");
    at_most(&what, percent, max_percent, |percent| {
        format!("{percent:.1} %")
    });
}

fn at_most(work: &str, value: f64, aim: f64, readable: impl Fn(f64) -> String) {
    let (ours, most) = (readable(value), readable(aim));
    print_row(work, ours, "at most", most, value / aim, Aim::AtMost(1.0));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
