//! Latency of a transaction between two programs while a block of a gigabyte is transferred between
//! them, over one stream and over two.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench streams` prints the table. Both
//! managers run in this process. The relay between them carries 100 MB/s in each direction, shared
//! by all connections. An exchange consists of `inv`, `getdata` and `tx`. It is measured from the
//! start of the first message to the end of the last. Exchanges run one at a time in each
//! direction. Over one stream, a message of the block's sender waits for the rest of the block.
//! This also delays transactions of the other side, because the `getdata` is such a message.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{io, thread};

use test_support::manager_pair::{self, ManagerPair, PairedManager};

const BLOCK: usize = 1_000_000_000;
const BYTES_PER_SECOND: u64 = 100_000_000;
/// The duration of the measurement without a block.
const QUIET: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let (hash, block) = manager_pair::prepared_block(BLOCK);
    print_head();
    let begin = |multistreams| ManagerPair::start(multistreams, BYTES_PER_SECOND, &block, PATIENCE);
    let quiet = measure(&begin(true), || thread::sleep(QUIET));
    quiet.print("nothing", &quiet);
    for (what, multistreams) in [
        ("a block, one stream", false),
        ("a block, two streams", true),
    ] {
        let two = begin(multistreams);
        let block = two.asker.peer.block_reader(hash, PATIENCE);
        let mut block = block.expect("the beginning of the block");
        let flowing = measure(&two, || {
            io::copy(&mut block, &mut io::sink()).expect("the block");
        });
        flowing.print(what, &quiet);
    }
}

/// Measurements during the transfer of one block.
struct Measured {
    /// The duration of the transfer.
    flowed: Duration,
    /// From the side that has the block, and to it.
    ways: [Exchanges; 2],
}

struct Exchanges {
    /// Times of the exchanges that started during the transfer, in ascending order.
    times: Vec<Duration>,
    /// The number of exchanges that ended before the block was complete.
    within: usize,
}

/// Exchanges transactions in both directions while `flow` runs.
fn measure(two: &ManagerPair, flow: impl FnOnce()) -> Measured {
    let flows = &AtomicBool::new(true);
    thread::scope(|scope| {
        let ways = [(&two.holder, &two.asker), (&two.asker, &two.holder)];
        let ways = ways.map(|(from, to)| {
            scope.spawn(move || exchange(from, to, || flows.load(SeqCst) && !two.asker.has_block()))
        });
        let begin = Instant::now();
        flow();
        let flowed = begin.elapsed();
        flows.store(false, SeqCst);
        let ways = ways.map(|way| way.join().expect("exchanges"));
        Measured { flowed, ways }
    })
}

/// Exchanges one transaction after the other while `flows` returns true.
fn exchange(from: &PairedManager, to: &PairedManager, flows: impl Fn() -> bool) -> Exchanges {
    let (mut times, mut within) = (Vec::new(), 0);
    for number in 0.. {
        times.push(from.offer_to(to, number, PATIENCE));
        if !flows() {
            break;
        }
        within += 1;
    }
    times.sort();
    Exchanges { times, within }
}

fn print_head() {
    println!(
        "| concurrent transfer | direction of transactions | exchanges started | completed before its end | median | 99 % | max | ratio of medians | ratio of maxima |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
}

impl Measured {
    fn print(&self, what: &str, quiet: &Self) {
        let seconds = self.flowed.as_secs_f64();
        let goings = ["with the block", "against it"];
        for ((exchanges, quiet), going) in self.ways.iter().zip(&quiet.ways).zip(goings) {
            let [median, most, max] = exchanges.places();
            let [quiet_median, _, quiet_max] = quiet.places();
            println!(
                "| {what}, {seconds:.1} s | {going} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
                exchanges.times.len(),
                exchanges.within,
                readable(median),
                readable(most),
                readable(max),
                median / quiet_median,
                max / quiet_max,
            );
        }
    }
}

impl Exchanges {
    /// Returns the median, the 99th percentile and the maximum, in seconds.
    fn places(&self) -> [f64; 3] {
        let last = self.times.len() - 1;
        [last / 2, last * 99 / 100, last].map(|at| self.times[at].as_secs_f64())
    }
}

fn readable(seconds: f64) -> String {
    match seconds {
        1.0.. => format!("{seconds:.2} s"),
        0.001.. => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{:.0} µs", seconds * 1e6),
    }
}
