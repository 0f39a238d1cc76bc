//! Memory and speed of a manager with a thousand inbound peers, which run in another process.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench manager` prints the table.
//! `-- crowd`, `streams`, `handshakes` or `pings` runs one group. Each process needs about 2,100
//! descriptors (`ulimit -n`).

mod initiators;
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
const PATIENCE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(10);
const BROADCASTS: usize = 21;
const HANDSHAKES: usize = 10_000;
const PINGS: usize = 1_000_000;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [role, address] = &words[..]
        && role == "initiate"
    {
        return initiators::run(address.parse().expect("an address"));
    }
    process::check_descriptors(2 * PEERS as u64 + 100);
    let wanted: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let groups: [(&str, fn()); 4] = [
        ("crowd", crowd),
        ("streams", streams),
        ("handshakes", handshakes),
        ("pings", pings),
    ];
    let is_part = words.iter().any(|word| word == PART);
    if !is_part {
        table::print_head();
    }
    for (name, run) in groups {
        if !wanted.is_empty() && wanted.iter().all(|word| *word != name) {
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
    config.max_connections = PEERS;
    config.listener.enabled = true;
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

    print_costs("1,000 peers", before);

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
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    at_most(
        "one inv to 1,000 peers, until the last has it",
        median,
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
    print_costs("1,000 peers with two streams", before);
}

/// Prints the costs of idle peers. `before` is the resident memory without them.
fn print_costs(peers: &str, before: f64) {
    let kib = (process::resident_kib() - before) / PEERS as f64;
    let what = format!("resident memory for each of {peers}");
    at_most(&what, kib, 64.0, |kib| format!("{kib:.1} KiB"));

    let used = process::cpu();
    std::thread::sleep(IDLE);
    let percent = (process::cpu() - used).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let what = format!("{peers}, idle, share of a core");
    at_most(&what, percent, 2.0, |percent| format!("{percent:.1} %"));
}

/// Peers that connect, complete the handshake and disconnect, four at a time.
fn handshakes() {
    let (manager, address) = listening();
    let mut initiators = Initiators::start(address);
    let begin = Instant::now();
    initiators.order(&format!("handshakes {HANDSHAKES}"));
    initiators.wait();
    let rate = HANDSHAKES as f64 / begin.elapsed().as_secs_f64();
    assert_eq!(manager.metrics().handshakes, HANDSHAKES as u64);
    at_least("handshakes", rate, 1_750.0);
}

/// One peer that pings at its maximum rate. The pongs arrive in order.
fn pings() {
    let (_manager, address) = listening();
    let mut initiators = Initiators::start(address);
    let begin = Instant::now();
    initiators.order(&format!("pings {PINGS}"));
    initiators.wait();
    at_least(
        "pings answered",
        PINGS as f64 / begin.elapsed().as_secs_f64(),
        66_000.0,
    );
}

fn at_most(work: &str, value: f64, aim: f64, readable: impl Fn(f64) -> String) {
    let (ours, most) = (readable(value), readable(aim));
    print_row(work, ours, "at most", most, value / aim, Aim::AtMost(1.0));
}

fn at_least(work: &str, rate: f64, node: f64) {
    let readable = |rate: f64| format!("{rate:.0} /s");
    let (ours, theirs) = (readable(rate), readable(node));
    let beside = "Bitcoin SV node 1.2.2, as measured once";
    print_row(work, ours, beside, theirs, rate / node, Aim::AtLeast(1.0));
}
